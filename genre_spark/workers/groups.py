"""Rows of many groups in the batches of one task: each group's rows by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

__all__ = ["gather_in_one_task", "split_gathered", "split_groups"]

_PARTITIONS = 1 << 32  # more than there are
_HELD = 1 << 21  # bytes of a group's rows that wait for more


def split_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Return the rows of each group together, in their order, without the group's column.

    Small groups come as one batch, whatever the batches that Spark cut, so that sums over their
    rows are the same as if each group had been read alone.

    Args:
        batches: the first column is the number of the group, never null.

    Yields:
        number of a group and some of its rows, at least one.
    """
    held: dict[int, list[pa.RecordBatch]] = {}
    for batch in batches:
        if not batch.num_rows:
            continue
        groups = batch.column(0).to_numpy(zero_copy_only=False)
        rows = pa.RecordBatch.from_arrays(batch.columns[1:], names=batch.schema.names[1:])
        starts = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
        for start, stop in zip(starts, [*starts[1:], len(groups)], strict=True):
            group = int(groups[start])
            parts = held.setdefault(group, [])
            parts.append(rows.slice(int(start), int(stop - start)))
            if sum(_size(part) for part in parts) >= _HELD:
                yield group, _together(held.pop(group))
    for group in list(held):
        yield group, _together(held.pop(group))


def gather_in_one_task(rows: DataFrame) -> DataFrame:
    """Return rows in one partition, for `split_gathered`.

    Args:
        rows: the first column is the number of a row's group.
    """
    first, *others = rows.columns
    key = F.col(first).cast("long") * _PARTITIONS + F.spark_partition_id()
    return rows.select(key.alias(first), *others).coalesce(1)


def split_gathered(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Return what `split_groups` would in the tasks that the rows have been gathered from.

    What a task counts is added up by itself before it is added to the others': fractions then have
    the same sums to the last bit, in one task or many.

    Args:
        batches: of `gather_in_one_task`.
    """
    for key, batch in split_groups(batches):
        yield key // _PARTITIONS, batch


def _size(rows: pa.RecordBatch) -> int:
    size: int = rows.nbytes
    return size


def _together(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    whole: pa.RecordBatch = pa.Table.from_batches(parts).combine_chunks().to_batches()[0]
    return whole
