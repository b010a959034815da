"""Samples tables: posters cross one shuffle; files and row groups are uniform draws."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.sampling.priorities import priority
from genre_spark.schemas import (
    CHANNELS,
    ENCODING,
    HEIGHT,
    IMAGE,
    LABEL_IDS,
    LABELS,
    MOVIE_ID,
    WEIGHT,
    WIDTH,
)
from genre_spark.storage.tables import Table, TableManifest

__all__ = ["multi_hot", "poster_details", "write_samples"]

_FILE_BYTES = 128 * 2**20
_GROUP_BYTES = 16 * 2**20
_SMALLEST_GROUP_BYTES = 2**20
_GROUPS_WANTED = 16  # for shuffling and sharding by row groups
# about 100 bytes each: beyond that, posters and movies meet by a shuffled join
_BROADCAST_MOVIES = 2_000_000


def multi_hot(labels: int) -> Column:
    """Return label_ids as array<float> of 0 and 1, as long as the vocabulary."""
    return F.transform(
        F.sequence(F.lit(0), F.lit(labels - 1)),
        lambda label: F.array_contains(F.col(LABEL_IDS), label).cast("float"),
    )


def poster_details(spark: SparkSession, config: Config) -> dict[str, Any]:
    """Return height, width, channels and encoding of the posters; empty for samples without."""
    if not config.sampling.require_poster:
        return {}
    posters = Catalogue(config).posters.read(spark)
    first = posters.select(HEIGHT, WIDTH, CHANNELS, ENCODING).first()
    return {} if first is None else first.asDict()


def write_samples(
    spark: SparkSession,
    config: Config,
    chosen: DataFrame,
    *,
    split: str,
    rows: int,
    fingerprint: str,
    details: Mapping[str, Any],
) -> TableManifest:
    """Write the samples table of one split.

    Movies come in the order of a hash, in files that a hash deals them to: every row group is a
    uniform draw, and the number of files follows from the size of the data alone.

    Args:
        spark: reads the posters.
        config: the recipe.
        chosen: movie_id, label_ids and weight of the split's movies.
        split: train, validation or test.
        rows: number of chosen movies.
        fingerprint: digest of what the content depends on.
        details: for the manifest; the vocabulary among them.
    """
    tables, labels = Catalogue(config), len(details["vocabulary"])
    samples = chosen.select(MOVIE_ID, multi_hot(labels).alias(LABELS), WEIGHT)
    row_bytes = 64 + 4 * labels
    if config.sampling.require_poster:
        posters = tables.posters.read(spark)
        row_bytes += _bytes_per_poster(tables.posters)
        # Broadcasting the few chosen movies leaves the posters where they are; only those chosen
        # are shuffled.
        samples = posters.join(
            F.broadcast(samples) if rows <= _BROADCAST_MOVIES else samples, MOVIE_ID
        ).select(MOVIE_ID, IMAGE, HEIGHT, WIDTH, CHANNELS, ENCODING, LABELS, WEIGHT)
    total = rows * row_bytes
    group = min(_GROUP_BYTES, max(_SMALLEST_GROUP_BYTES, total // _GROUPS_WANTED))
    order = priority(config.seed, "order")
    dealt = samples.repartition(max(1, math.ceil(total / _FILE_BYTES)), order)
    return tables.samples(split).write(
        dealt.sortWithinPartitions(order),
        fingerprint=fingerprint,
        details=details,
        options={
            "parquet.block.size": str(group),
            # What lies plainly in a file is fed without a copy, and JPEG is compressed already.
            **({"compression": "none"} if config.sampling.require_poster else {}),
            # Rows are large: sizes of pages and groups are looked at more often than after every
            # hundred rows, and a dictionary of posters would only be built to be thrown away.
            "parquet.page.size.row.check.min": "8",
            f"parquet.enable.dictionary#{IMAGE}": "false",
        },
    )


def _bytes_per_poster(posters: Table) -> int:
    manifest = posters.manifest()
    stored = sum(state.size for name, state in manifest.files.items() if name.endswith(".parquet"))
    return stored // max(1, manifest.rows)
