"""Movies of a sample as a packaged model reads them: raw fields and posters, with their labels."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any

import cv2
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import BinaryType, StructField, StructType

from genre_spark.config import Config
from genre_spark.imaging import decode_stored
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.schemas import (
    CHANNELS,
    ENCODING,
    HEIGHT,
    IMAGE,
    LABELS,
    METADATA_CSVS,
    MOVIE_ID,
    WIDTH,
)
from genre_spark.transforms.metadata import find_csv, read_metadata
from genre_spark.workers.tasks import short_task

__all__ = ["known_movies"]

_STORED = [IMAGE, ENCODING, HEIGHT, WIDTH, CHANNELS]


def known_movies(spark: SparkSession, config: Config, split: str) -> DataFrame:
    """Return movie_id, labels, the raw fields, and `image` (bytes) where there are posters.

    A movie's poster is the stored one, in the form that `prepare-posters` gave it; a model that
    was trained on posters of another size brings it to that.

    Args:
        spark: the session.
        config: the recipe.
        split: train, validation or test.
    """
    tables = Catalogue(config)
    sample = tables.samples(split).read(spark)
    movies = sample.select(MOVIE_ID, LABELS)
    posters = None
    if IMAGE in sample.columns:
        posters = sample.select(MOVIE_ID, *_STORED)
    elif tables.posters.is_whole():
        stored = tables.posters.read(spark).select(MOVIE_ID, *_STORED)
        posters = stored.join(movies, MOVIE_ID, "left_semi")
    known = movies
    if any(find_csv(config.paths.metadata, name) for name in METADATA_CSVS):
        paths = config.paths
        metadata = read_metadata(spark, paths.metadata, movies, paths.imported_metadata)
        known = movies.join(metadata, MOVIE_ID, "left")
    return known if posters is None else known.join(_as_files(posters), MOVIE_ID, "left")


def _as_files(posters: DataFrame) -> DataFrame:
    """Return movie_id and the content of an image file; raw pixels become a PNG."""

    def convert(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            files = [_as_file(row) for row in batch.to_dict("records")]
            yield pd.DataFrame({MOVIE_ID: batch[MOVIE_ID], IMAGE: files})

    schema = StructType([posters.schema[MOVIE_ID], StructField(IMAGE, BinaryType(), True)])
    return posters.mapInPandas(short_task(convert), schema)


def _as_file(row: Mapping[Hashable, Any]) -> bytes:
    if row[ENCODING] != "raw":
        return bytes(row[IMAGE])
    pixels = decode_stored(row[IMAGE], row[ENCODING], row[HEIGHT], row[WIDTH], row[CHANNELS])
    return cv2.imencode(".png", pixels.transpose(1, 2, 0)[:, :, ::-1])[1].tobytes()
