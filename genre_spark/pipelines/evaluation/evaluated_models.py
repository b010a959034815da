"""The evaluation table on the driver, for stages and notebooks."""

from __future__ import annotations

from pyspark.sql import SparkSession

from genre_spark.config import Config
from genre_spark.evaluation.score_table import ScoreTable
from genre_spark.evaluation.scores import Score, gather_candidates
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.storage.one_pass import read_rows

__all__ = ["evaluated_models", "read_scores"]


def read_scores(config: Config) -> list[Score]:
    """Return every number of the evaluation table: some hundred per model.

    Raises:
        MissingTableError: there has been no evaluation yet.
    """
    return [Score(**row) for row in read_rows(Catalogue(config).evaluation)]


def evaluated_models(
    spark: SparkSession,  # noqa: ARG001 - as everything that notebooks call takes it
    config: Config,
    *,
    split: str = "test",
) -> ScoreTable:
    """Return all models under all their decision rules, as a table that a notebook shows.

    Args:
        spark: the session.
        config: the recipe.
        split: validation or test.

    Raises:
        MissingTableError: there has been no evaluation yet.
    """
    return ScoreTable(gather_candidates(read_scores(config)), split)
