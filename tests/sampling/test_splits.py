"""Splits by hash: shares, stability, independence."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.sampling.priorities import priority
from genre_spark.sampling.splits import assign_split
from tests.sampling.xxh64 import priorities


def split_of(movies: DataFrame, **changes) -> dict[int, str]:
    settings = {"test": 0.3, "validation": 0.2, "seed": 7, **changes}
    return {row.movie_id: row.split for row in movies.transform(assign_split, **settings).collect()}


@pytest.fixture(scope="module")
def movies(spark: SparkSession) -> DataFrame:
    return spark.range(1_000_000, 1_020_000).withColumnRenamed("id", "movie_id")


def test_spark_and_the_numpy_model_draw_the_same_priorities(spark: SparkSession) -> None:
    ids = [0, 1, 2, 1000001, 2**31, 2**53 + 1, 2**63 - 1]
    frame = spark.createDataFrame([(i,) for i in ids], "movie_id bigint")
    drawn = [row.p for row in frame.select(priority(7, "split").alias("p")).collect()]
    assert drawn == priorities(np.array(ids), seed=7, purpose="split").tolist()


def test_shares_are_met_within_the_noise_of_a_binomial_draw(movies: DataFrame) -> None:
    for seed in (1, 2, 3):
        sides = np.array(list(split_of(movies, seed=seed).values()))
        n = len(sides)
        for side, share in (("test", 0.3), ("validation", 0.14), ("train", 0.56)):
            assert abs((sides == side).sum() - n * share) < 4.5 * np.sqrt(n * share * (1 - share))


def test_a_movie_keeps_its_split_when_the_data_grows_or_is_partitioned_otherwise(
    spark: SparkSession, movies: DataFrame
) -> None:
    before = split_of(movies.limit(50))
    grown = (
        spark.range(5, 2_000_000, 7)
        .withColumnRenamed("id", "movie_id")
        .union(movies)
        .distinct()
        .repartition(5)
    )
    after = {
        row.movie_id: row.split
        for row in grown.transform(assign_split, test=0.3, validation=0.2, seed=7)
        .where(F.col("movie_id").isin(list(before)))
        .collect()
    }
    assert before == after


def test_another_seed_draws_another_independent_split() -> None:
    ids = np.arange(1_000_000, 1_200_000)
    one, two = (priorities(ids, seed=seed, purpose="split") < 0 for seed in (7, 8))
    together = np.mean(one & two)
    assert abs(together - 0.25) < 4.5 * np.sqrt(0.25 * 0.75 / len(ids))


@pytest.mark.parametrize(
    "ids", [np.arange(2**18), np.arange(2**18) * 4096, 2**62 + np.arange(2**18) * 3]
)
def test_priorities_of_regular_ids_are_uniform(ids: np.ndarray) -> None:
    drawn = priorities(ids, seed=0, purpose="sample")
    counts = np.histogram(drawn.astype(np.float64), bins=256, range=(-(2.0**63), 2.0**63))[0]
    expected = len(ids) / 256
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert 255 - 4.5 * np.sqrt(510) < chi_square < 255 + 4.5 * np.sqrt(510)


def test_rows_with_the_same_key_land_on_the_same_side(spark: SparkSession) -> None:
    frame = spark.range(3000).selectExpr("id as movie_id", "id div 3 as poster")
    sides = frame.transform(assign_split, test=0.3, validation=0.2, seed=1, key="poster")
    assert (
        sides.groupBy("poster").agg(F.count_distinct("split").alias("n")).where("n > 1").count()
        == 0
    )
    assert sides.select("split").distinct().count() == 3
