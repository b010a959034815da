"""Which sample comes when: a function of the row groups' sizes, the seed, the epoch and the rank.

The whole order of an epoch is decided on row numbers before anything is read. Threads, queues and
the speed of the disk have no say in it, a rank finds its share without asking the others, and an
epoch can be entered at any batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genre_spark.errors import InvalidConfigError

__all__ = [
    "PlannedBatch",
    "Positions",
    "Segment",
    "batch_sizes",
    "plan_batches",
    "plan_segments",
    "rank_rows",
]

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Segment:
    """Consecutive rows of a row group that belong to one rank.

    Attributes:
        group: position of the row group among all of them.
        start: first row.
        stop: row after the last one.
    """

    group: int
    start: int
    stop: int


@dataclass(frozen=True)
class PlannedBatch:
    """Where the samples of a batch lie.

    Attributes:
        segments: position of each sample's segment among the epoch's, (N,).
        rows: row of each sample in the segment's row group, (N,).
    """

    segments: Positions
    rows: Positions


def rank_rows(rows: int, *, rank: int, world_size: int) -> tuple[int, int]:
    """Return the first row of a rank and the row after its last.

    Shares differ by one row at most.
    """
    return rows * rank // world_size, rows * (rank + 1) // world_size


def batch_sizes(rows: int, *, batch_size: int, rank: int, world_size: int) -> list[int]:
    """Return the sizes of a rank's batches.

    Every rank has as many, each sample comes once, and all batches are full but the last or two.

    Where one rank has one row more than a whole number of batches and another has not, the latter's
    last batch is cut in two: a collective operation must find every rank with the same number of
    steps.

    Raises:
        InvalidConfigError: there are fewer rows than ranks, or batches of one row that cannot be
            cut.
    """
    first, last = rank_rows(rows, rank=rank, world_size=world_size)
    mine, most = last - first, -(-rows // world_size)
    batches = -(-most // batch_size)
    if mine < batches:
        raise InvalidConfigError(
            f"{rows} samples for {world_size} processes in batches of {batch_size}: a process "
            "would have fewer batches than another, expected larger batches, fewer processes or "
            "more samples"
        )
    sizes = [batch_size] * (batches - 1) + [mine - batch_size * (batches - 1)] if batches else []
    if sizes and sizes[-1] == 0:
        sizes[-2:] = [batch_size - batch_size // 2, batch_size // 2]
    return sizes


def plan_segments(
    sizes: Sequence[int], *, seed: int, epoch: int, rank: int, world_size: int, shuffle: bool
) -> list[Segment]:
    """Return a rank's share of an epoch: row groups in a random order (or their own).

    They are cut at the borders between ranks.

    Args:
        sizes: rows of each row group.
        seed: seed of the order; all ranks have the same.
        epoch: number of the epoch; each has another order.
        rank: number of this process.
        world_size: number of processes.
        shuffle: whether the order is random.
    """
    order = np.arange(len(sizes))
    if shuffle:
        order = np.random.default_rng([seed, epoch]).permutation(order)
    ends = np.cumsum(np.asarray(sizes, np.int64)[order])
    first, last = rank_rows(int(ends[-1]) if len(ends) else 0, rank=rank, world_size=world_size)
    segments = []
    for group, end in zip(order.tolist(), ends.tolist(), strict=True):
        begin = end - sizes[group]
        start, stop = max(first, begin), min(last, end)
        if start < stop:
            segments.append(Segment(group, start - begin, stop - begin))
    return segments


def plan_batches(
    segments: Sequence[Segment],
    sizes: Sequence[int],
    *,
    seed: int,
    epoch: int,
    rank: int,
    buffer: int,
    shuffle: bool,
) -> Iterator[PlannedBatch]:
    """Yield a rank's batches: each drawn without replacement from a buffer that is kept full.

    Args:
        segments: the rank's segments, in the order of reading.
        sizes: sizes of the batches.
        seed: seed of the draws.
        epoch: number of the epoch; each has other draws.
        rank: number of the process; each has other draws.
        buffer: rows that are in the buffer before a batch is drawn, while there are as many left.
        shuffle: whether rows are drawn; False leaves them in their order.
    """
    rng = np.random.default_rng([seed, epoch, rank, 1])
    held = np.zeros((2, 0), np.int64)
    needed = 0
    for size in sizes:
        wanted = max(size, buffer) if shuffle else size
        fresh, rows = [held], held.shape[1]
        while rows < wanted and needed < len(segments):
            segment = segments[needed]
            numbers = np.arange(segment.start, segment.stop)
            fresh.append(np.stack([np.full_like(numbers, needed), numbers]))
            rows, needed = rows + len(numbers), needed + 1
        held = np.concatenate(fresh, axis=1)
        picks = rng.permutation(rows)[:size] if shuffle else np.arange(size)
        yield PlannedBatch(held[0, picks], held[1, picks])
        held = np.delete(held, picks, axis=1)
