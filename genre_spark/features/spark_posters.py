"""The summaries of stored posters, in batches of Spark's Python workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.types import ArrayType, FloatType, LongType, StructField, StructType

from genre_spark.features.blocks import POSTER_SUMMARY
from genre_spark.features.poster_summary import summarise_image
from genre_spark.imaging import decode_stored
from genre_spark.schemas import CHANNELS, ENCODING, HEIGHT, IMAGE, MOVIE_ID, WIDTH
from genre_spark.workers.tasks import short_task

__all__ = ["summarise_posters"]

_SCHEMA = StructType(
    [
        StructField(MOVIE_ID, LongType(), False),
        StructField(POSTER_SUMMARY, ArrayType(FloatType(), False), False),
    ]
)


def summarise_posters(posters: DataFrame, *, thumbnail: int, bins: int) -> DataFrame:
    """Turn the posters table into movie_id and `poster_summary`, an array; see `summarise_image`.

    Args:
        posters: rows of the posters table.
        thumbnail: side of the thumbnail in pixels; 0 for none.
        bins: bins of each channel's histogram; 0 for none.
    """

    def summarise(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        cv2.setNumThreads(0)  # Spark runs one worker per core already
        for batch in batches:
            columns = [batch.column(index) for index in range(1, 6)]
            rows = zip(*[column.to_pylist() for column in columns], strict=True)
            vectors = [
                summarise_image(
                    decode_stored(image, encoding, height, width, channels),
                    thumbnail=thumbnail,
                    bins=bins,
                )
                for image, encoding, height, width, channels in rows
            ]
            arrays = [batch.column(0), pa.array(vectors, pa.list_(pa.float32()))]
            yield pa.RecordBatch.from_arrays(arrays, names=[MOVIE_ID, POSTER_SUMMARY])

    selected = posters.select(MOVIE_ID, IMAGE, ENCODING, HEIGHT, WIDTH, CHANNELS)
    return selected.mapInArrow(short_task(summarise), _SCHEMA)
