"""Pictures drawn in Spark tasks, as many at once as there are cores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa
from matplotlib.figure import Figure
from pyspark.sql import SparkSession

from genre_spark.evaluation.style import encode_figure
from genre_spark.progress import counting
from genre_spark.workers.tasks import short_task

__all__ = ["draw_in_tasks"]


def draw_in_tasks(spark: SparkSession, drawings: Sequence[Callable[[], Figure]]) -> list[bytes]:
    """Return pictures as PNG, in the order of what draws them; one task draws one picture.

    Matplotlib holds Python's lock while it draws, so that threads would gain nothing.

    Args:
        spark: the session.
        drawings: functions that can be sent to workers; some hundred at most, since their data and
            pictures are held by the driver.
    """
    if not drawings:
        return []

    def draw(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield pa.RecordBatch.from_pydict(
                    {
                        "number": pa.array([number], pa.int64()),
                        "png": pa.array([encode_figure(drawings[number]())]),
                    }
                )

    numbers = spark.range(0, len(drawings), 1, len(drawings))
    with counting("pictures", len(drawings), by_tasks=True):
        rows = numbers.mapInArrow(short_task(draw), "number long, png binary").collect()
    found = {row["number"]: bytes(row["png"]) for row in rows}
    return [found[number] for number in range(len(drawings))]
