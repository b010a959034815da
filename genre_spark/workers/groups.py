"""Rows of many groups in the batches of one task: each group's rows by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.workers.spreading import spread_evenly

__all__ = ["deal_groups", "gather_in_one_task", "split_dealt", "split_gathered", "split_groups"]

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
    return _put_together(_cut(batches))


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


def deal_groups(rows: DataFrame, tasks: int) -> DataFrame:
    """Deal whole groups out to tasks, for `split_dealt`; one group follows another in a task.

    Args:
        rows: the first column is the number of a row's group, an int; numbers are dealt in turn.
        tasks: how many, at least 1.
    """
    group = rows.columns[0]
    dealt = rows.coalesce(1) if tasks == 1 else spread_evenly(rows, group, tasks)
    return dealt.sortWithinPartitions(group)


def split_dealt(
    batches: Iterable[pa.RecordBatch],
) -> Iterator[tuple[int, Iterator[pa.RecordBatch]]]:
    """Return one group after another, with its rows as `split_groups` puts them together.

    A group is whole before the next one is begun, so that a task holds what it makes of one alone.

    Args:
        batches: of `deal_groups`.

    Yields:
        number of a group and its rows, which are gone once the next group is asked for.
    """
    for group, parts in groupby(_cut(batches), key=itemgetter(0)):
        yield group, (rows for _, rows in _put_together(parts))


def _cut(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Cut batches where another group begins, and leave out the group's column."""
    for batch in batches:
        if not batch.num_rows:
            continue
        groups = batch.column(0).to_numpy(zero_copy_only=False)
        rows = pa.RecordBatch.from_arrays(batch.columns[1:], names=batch.schema.names[1:])
        starts = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
        for start, stop in zip(starts, [*starts[1:], len(groups)], strict=True):
            yield int(groups[start]), rows.slice(int(start), int(stop - start))


def _put_together(
    parts: Iterable[tuple[int, pa.RecordBatch]],
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Join the parts of each group until they are large enough, or there are no more."""
    held: dict[int, list[pa.RecordBatch]] = {}
    for group, rows in parts:
        waiting = held.setdefault(group, [])
        waiting.append(rows)
        if sum(_size(part) for part in waiting) >= _HELD:
            yield group, _together(held.pop(group))
    for group in list(held):
        yield group, _together(held.pop(group))


def _size(rows: pa.RecordBatch) -> int:
    size: int = rows.nbytes
    return size


def _together(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    whole: pa.RecordBatch = pa.Table.from_batches(parts).combine_chunks().to_batches()[0]
    return whole
