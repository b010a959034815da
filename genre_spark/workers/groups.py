"""Rows of many groups in the batches of one task: each group's rows by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

__all__ = ["split_groups"]

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


def _size(rows: pa.RecordBatch) -> int:
    size: int = rows.nbytes
    return size


def _together(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    whole: pa.RecordBatch = pa.Table.from_batches(parts).combine_chunks().to_batches()[0]
    return whole
