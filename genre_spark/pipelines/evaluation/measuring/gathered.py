"""Predictions of many models as one table, so that one job reads all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.pipelines.evaluation.measuring.model_evaluation import PredictedModel
from genre_spark.schemas import LABELS, MOVIE_ID, PREDICTION, PREDICTIONS_SCHEMA, PROBABILITIES
from genre_spark.spark.local_rows import frame_of_rows
from genre_spark.spark.session import literal_path
from genre_spark.storage.files import join
from genre_spark.storage.tables import Table

__all__ = ["Gathered", "gather"]

GROUP = "grp"
_FEW = 2**18  # labels of rows: 6 MB
_LARGEST_GROUP = 2**20  # labels of rows: 0.4 GB in a task that makes their curves


@dataclass(frozen=True)
class Gathered:
    """The predictions of some models.

    Attributes:
        places: group number -> the model and the split of its rows.
        rows: the number of the group, movie_id, then labels, probabilities (null where a model
            has none) and prediction, array<double>.
        in_one_task: whether one task may hold all rows; a job of one task for a few hundred movies
            takes a tenth of the time of one that shuffles their sums.
        group_tasks: number of tasks that the groups are dealt out to, where a task can hold any of
            them, one at a time; else 0.
    """

    places: Mapping[int, tuple[PredictedModel, str]]
    rows: DataFrame
    in_one_task: bool = False
    group_tasks: int = 0

    def numbers(self, split: str) -> list[int]:
        """Return the groups of a split."""
        return [number for number, (_, of) in self.places.items() if of == split]

    def of(self, split: str) -> DataFrame:
        """Return the rows of a split."""
        return self.rows.where(F.col(GROUP).isin(self.numbers(split)))


def gather(
    spark: SparkSession,
    models: Sequence[PredictedModel],
    *splits: str,
    onto: Gathered | None = None,
) -> Gathered:
    """Put the predictions of models together; stored ones are read by one scan.

    Args:
        spark: the session.
        models: any number of them.
        splits: validation, test.
        onto: what has been put together before, to which these are added.
    """
    first = len(onto.places) if onto is not None else 0
    places = dict(enumerate(((model, split) for model in models for split in splits), first))
    stored = {
        number: model.tables[split] for number, (model, split) in places.items() if model.tables
    }
    parts = [_read_stored(spark, stored)] if stored else []
    parts += [
        _select(model.predictions[split], F.lit(number))
        for number, (model, split) in places.items()
        if number not in stored
    ]
    if onto is not None:
        places, parts = {**onto.places, **places}, [onto.rows, *parts]
    sizes = [
        model.rows[split] * len(model.vocabulary) if split in model.rows else _LARGEST_GROUP + 1
        for model, split in places.values()
    ]
    few = sum(sizes) <= _FEW
    tasks = 1 if few else len(places) if max(sizes, default=0) <= _LARGEST_GROUP else 0
    return Gathered(places, reduce(DataFrame.unionAll, parts), few, tasks)


def _read_stored(spark: SparkSession, tables: Mapping[int, Table]) -> DataFrame:
    """Read tables of predictions at once; the name of a file's folder says whose rows they are."""
    folders = {path: number for number, table in tables.items() for path in table.manifest().paths}
    paths = [
        literal_path(join(table.path, path))
        for table in tables.values()
        for path in table.manifest().paths
    ]
    if not paths:
        return _select(frame_of_rows(spark, [], PREDICTIONS_SCHEMA), F.lit(0))
    folder = F.regexp_extract("_metadata.file_path", r".*/(data-[^/]+)", 1)
    known = F.create_map(
        *[F.lit(value) for item in folders.items() for value in (item[0].split("/")[0], item[1])]
    )
    return _select(spark.read.schema(PREDICTIONS_SCHEMA).parquet(*paths), known[folder])


def _select(rows: DataFrame, group: Column) -> DataFrame:
    known = set(rows.columns)
    wide = {
        name: F.col(name) if name in known else F.lit(None)
        for name in (LABELS, PROBABILITIES, PREDICTION)
    }
    return rows.select(
        group.alias(GROUP),
        MOVIE_ID,
        *[column.cast("array<double>").alias(name) for name, column in wide.items()],
    )
