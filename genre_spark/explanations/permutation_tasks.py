"""Permutations in Spark tasks: each takes some of the units, with the model and all rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from genre_spark.explanations.permutation import Baseline, Drop, Score, Unit, permute_units
from genre_spark.spark.session import count_task_slots
from genre_spark.workers.errors import worker_errors
from genre_spark.workers.tasks import short_task

__all__ = ["permute_in_tasks"]

_LISTS = pa.list_(pa.float64())
_TASKS_PER_SLOT = 2


def permute_in_tasks(
    spark: SparkSession,
    score: Score,
    baseline: Baseline,
    units: Sequence[Unit],
    *,
    repeats: int,
    seed: int,
) -> list[Drop]:
    """Return what a model loses by the permutation of each unit, in the order of the units.

    The result depends on neither the number of tasks nor their order. A task holds the rows, the
    model, and one dense batch.

    Args:
        spark: the session.
        score: the model; it is pickled on its way to the tasks, never stored.
        baseline: of `measure_baseline`.
        units: inputs to permute.
        repeats: permutations of each unit.
        seed: seed of the draws.
    """
    if not units:
        return []
    listed, tasks = list(units), min(len(units), _TASKS_PER_SLOT * count_task_slots(spark))

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for task in batch.column(0).to_pylist():
                mine = range(task, len(listed), tasks)
                chosen = [listed[number] for number in mine]
                drops = permute_units(score, baseline, chosen, repeats=repeats, seed=seed)
                yield pa.RecordBatch.from_arrays(
                    [
                        pa.array(mine, pa.int64()),
                        pa.array([drop.mean for drop in drops], _LISTS),
                        pa.array([drop.deviation for drop in drops], _LISTS),
                    ],
                    names=["unit", "mean", "deviation"],
                )

    numbers = spark.range(0, tasks, 1, tasks)
    schema = "unit long, mean array<double>, deviation array<double>"
    with worker_errors():
        rows = numbers.mapInArrow(short_task(run), schema).collect()  # numbers of each unit
    found = {row["unit"]: Drop(np.array(row["mean"]), np.array(row["deviation"])) for row in rows}
    return [found[number] for number in range(len(listed))]
