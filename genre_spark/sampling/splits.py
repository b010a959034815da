"""Splits by a hash of movie and seed: a movie keeps its side when the data grows."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.sampling.priorities import fraction_to_priority, priority
from genre_spark.schemas import MOVIE_ID

__all__ = ["SPLIT", "SPLITS", "assign_split"]

SPLIT = "split"
TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)


def assign_split(
    movies: DataFrame, *, test: float, validation: float, seed: int, key: str = MOVIE_ID
) -> DataFrame:
    """Add the column `split` (train, validation or test) by a hash of the key and the seed.

    Each movie draws by itself, so that shares are met within the noise of a binomial draw, and a
    movie's split depends on no other movie.

    Args:
        movies: with the column `key`.
        test: share of test, 0..1.
        validation: share of validation among the movies that are not test, 0..1.
        seed: of the configuration.
        key: bigint column that decides: rows with the same key land on the same side.
    """
    drawn = priority(seed, "split", key)
    below_test = F.lit(fraction_to_priority(test))
    below_validation = F.lit(fraction_to_priority(test + (1 - test) * validation))
    side = (
        F.when(drawn < below_test, TEST).when(drawn < below_validation, VALIDATION).otherwise(TRAIN)
    )
    return movies.withColumn(SPLIT, side)
