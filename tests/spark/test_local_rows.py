"""Rows of this process as a DataFrame: the same as Spark's own, without a Python worker."""

from __future__ import annotations

import time
from datetime import datetime

import pytest
from pyspark.ml.linalg import Vectors

from genre_spark.schemas import FEATURES_SCHEMA, HEAT_MAPS_SCHEMA
from genre_spark.spark.local_rows import frame_of_rows

CASES = {
    "nulls": ([(1, "a"), (None, None)], "id long, name string"),
    "no rows": ([], "id long, names array<string>"),
    "structs": (
        [("a", [{"genre": "x", "reason": None}]), ("b", [])],
        "cell string, parts array<struct<genre: string, reason: string>>",
    ),
    "bytes": ([(0, bytearray(b"ab"), None)], "part int, payload binary, classes binary"),
    "vectors": ([(1, Vectors.dense([0.5]))], FEATURES_SCHEMA),
    "not null": ([(1, "Drama", 0.5, True, 1, 2, [0.5, 1.0])], HEAT_MAPS_SCHEMA),
}


@pytest.mark.parametrize("name", CASES)
def test_rows_and_types_are_those_of_sparks_own(spark, name):
    rows, schema = CASES[name]
    ours, theirs = frame_of_rows(spark, rows, schema), spark.createDataFrame(rows, schema)
    assert ours.schema == theirs.schema
    assert ours.collect() == theirs.collect()


def test_times_are_local_ones_as_sparks_own_are(spark, monkeypatch):
    rows = [(datetime(2020, 7, 1, 12),)]
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert frame_of_rows(spark, rows, "seen timestamp").collect() == rows
    finally:
        monkeypatch.undo()
        time.tzset()


def test_rows_are_part_of_the_plan(classic):
    """A scan of an RDD in its place would start Python workers."""
    frame = frame_of_rows(classic, [(1, "a"), (2, None)], "id long, name string")
    assert "LocalTableScan" in frame._jdf.queryExecution().executedPlan().toString()


def test_a_value_of_another_type_is_an_error(spark):
    with pytest.raises(Exception, match=r"(?i)int|long|convert"):
        frame_of_rows(spark, [("x",)], "id long").collect()
