"""Chunks: fixed lists of posters, each of which becomes one Parquet file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from genre_spark.config.posters import PostersConfig
from genre_spark.posters.plan.ledger import KEY, PLAN_SCHEMA, Ledger
from genre_spark.storage.arrow_columns import int_column, text_column

__all__ = ["chunk_sizes", "cut_chunks", "deal_chunks", "even_sizes", "rows_per_chunk"]

_CHUNK_BYTES = 128 << 20
_CHUNKS_PER_TASK = 8  # some seconds of work: a task that fails, or whose machine goes, is repeated
_STORED_SHARE = {"jpeg": 0.13, "png": 0.6, "raw": 1.0}  # of 3 bytes per pixel, about


def rows_per_chunk(config: PostersConfig) -> int:
    """Return how many posters make a file of about 128 MB."""
    stored = 3 * config.height * config.width * _STORED_SHARE[config.encoding]
    return int(min(2048, max(16, _CHUNK_BYTES / stored)))


def chunk_sizes(rows: int, largest: int) -> list[int]:
    """Cut rows into chunks, large ones first, so that all cores end at about the same time.

    This is guided self-scheduling (Polychronopoulos and Kuck, 1987) without the number of cores in
    it.
    """
    sizes, smallest = [], _smallest(largest)
    while rows > 0:
        size = min(largest, max(smallest, rows // 128, min(largest // 2, rows // 8)))
        size = rows if rows < size + smallest // 2 else size
        sizes.append(size)
        rows -= size
    return sizes


def even_sizes(rows: int, largest: int) -> list[int]:
    """Cut rows into chunks of the largest size: other parts of the table keep the cores busy."""
    sizes = [largest] * (rows // largest)
    left = rows % largest
    if left and sizes and left < _smallest(largest) // 2:
        sizes[-1] += left
    elif left:
        sizes.append(left)
    return sizes


def deal_chunks(sizes: Sequence[int], slots: int) -> list[range]:
    """Deal chunks to tasks, many to the first ones, so that few tasks start and all end together.

    Starting a task costs as much as preparing some dozen posters. A task is so long that a core of
    half the others' speed ends it when they end what was left. The files do not depend on this.

    Args:
        sizes: posters of each chunk, large ones first.
        slots: tasks that run at once.

    Returns:
        The positions of each task's chunks.
    """
    tasks: list[range] = []
    start, left = 0, sum(sizes)
    while start < len(sizes):
        stop, taken = start + 1, sizes[start]
        for size in sizes[stop : start + _CHUNKS_PER_TASK]:
            if taken + size > left / (2 * slots - 1):
                break
            stop, taken = stop + 1, taken + size
        tasks.append(range(start, stop))
        start, left = stop, left - taken
    return tasks


def _smallest(largest: int) -> int:
    """Return how many posters a file has at least, unless there are no more."""
    return max(largest // 8, min(largest, 128))


def cut_chunks(
    posters: pa.Table, base: Ledger, largest: int, *, even: bool = False
) -> list[tuple[pa.Table, str | None]]:
    """Return chunks with, for those that stand as they are, their digest.

    Args:
        posters: rows of PLAN_SCHEMA, in the order of reading.
        base: what the earlier whole run left.
        largest: posters per chunk at most.
        even: whether new chunks are all of that size, and not smaller towards the end.
    """
    sizes = even_sizes if even else chunk_sizes
    if base.rows.num_rows == 0:
        return [(group, None) for group in _slices(posters, sizes(posters.num_rows, largest))]
    here = posters.select(KEY).append_column(
        "here", int_column(np.arange(posters.num_rows), pa.int64())
    )
    there = base.rows.select(KEY).append_column(
        "there", int_column(np.arange(base.rows.num_rows), pa.int64())
    )
    both = here.join(there, keys=KEY, join_type="inner")
    mine, theirs = both["here"].to_numpy(), both["there"].to_numpy()
    if base.again is not None:
        mine, theirs = mine[~base.again[theirs]], theirs[~base.again[theirs]]
    chunk_of_mine = np.full(posters.num_rows, -1)
    chunk_of_mine[mine] = base.chunk_of_row[theirs]
    total = np.bincount(base.chunk_of_row, minlength=len(base.digests))
    left = np.bincount(base.chunk_of_row[theirs], minlength=len(base.digests))
    anything_new = bool((chunk_of_mine < 0).any() or (left != total).any())
    # Small chunks, the tail of an earlier run, are put together with what is new: files do not
    # become many and tiny.
    stands = (left == total) & ((total >= _smallest(largest)) | (not anything_new))
    stands &= base.elsewhere is None
    result: list[tuple[pa.Table, str | None]] = []
    starts = np.concatenate([[0], np.cumsum(total)])
    for index in np.flatnonzero(stands):
        result.append((base.rows.slice(int(starts[index]), int(total[index])), base.digests[index]))
    rest = np.flatnonzero((chunk_of_mine < 0) | ~np.concatenate([stands, [False]])[chunk_of_mine])
    origin = [base.digests[index] if index >= 0 else "" for index in chunk_of_mine[rest]]
    pool = posters.take(pa.array(rest)).set_column(
        posters.column_names.index("origin"), PLAN_SCHEMA.field("origin"), text_column(origin)
    )
    return result + [(group, None) for group in _slices(pool, sizes(pool.num_rows, largest))]


def _slices(table: pa.Table, sizes: Sequence[int]) -> list[pa.Table]:
    ends = np.cumsum([0, *sizes])
    return [table.slice(int(start), size) for start, size in zip(ends, sizes, strict=False)]
