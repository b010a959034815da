"""Work that is counted: posters, movies, fits, ..., by whoever does it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["TaskCounts", "Work", "counting", "current_work"]

T = TypeVar("T")
TaskCounts = Callable[[], "tuple[int, int]"]
"""Returns how many tasks of the running Spark jobs are done, and how many there are: (0, 0) where
none runs. A classic session asks its status tracker, Connect remembers what its server reports."""


class Work:
    """Something that is counted; any thread may count.

    Attributes:
        unit: what is counted, in the plural.
        total: how many there are; None where nobody knows.
        by_tasks: whether the tasks of the running Spark job say how much is done.
        note: a few words behind the numbers.
    """

    def __init__(
        self, unit: str, total: int | None = None, *, done: int = 0, by_tasks: bool = False
    ) -> None:
        self.unit = unit
        self.total = total
        self.by_tasks = by_tasks
        self.note = ""
        self._lock = threading.Lock()
        self._start, self._done = done, float(done)
        self._began = time.monotonic()

    @property
    def start(self) -> int:
        """How many an earlier run has done."""
        return self._start

    @property
    def done(self) -> int:
        """How many are done."""
        return int(self._done)

    def advance(self, count: float = 1, *, note: str | None = None) -> None:
        """Count some more."""
        with self._lock:
            self._done += count
            self.note = self.note if note is None else note

    def count(self, function: Callable[[], T]) -> T:
        """Call a function, and count one more when it has returned."""
        found = function()
        self.advance()
        return found

    def reach(self, done: float) -> None:
        """Set how many are done; never fewer than before."""
        with self._lock:
            self._done = max(self._done, done)

    def see_tasks(self, done: int, total: int) -> None:
        """Take the share of a Spark job's tasks that are done for that of the work."""
        if self.by_tasks and self.total is not None and total:
            self.reach(self._start + (self.total - self._start) * done / total)

    def rate(self, now: float) -> float:
        """Return how many are done per second; what was done at the beginning does not count."""
        return (self._done - self._start) / max(1e-9, now - self._began)

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds that the rest takes at this rate, None where that is not known."""
        rate = self.rate(now)
        if self.total is None or rate <= 0 or self._done >= self.total:
            return None
        return (self.total - self._done) / rate


_open: list[Work] = []  # the innermost last; one list per process, as a terminal is


@contextmanager
def counting(
    unit: str, total: int | None = None, *, done: int = 0, by_tasks: bool = False
) -> Iterator[Work]:
    """Count something in this block; the display shows the innermost block.

    Args:
        unit: what is counted, in the plural: posters, movies, fits.
        total: how many there are; None where nobody knows.
        done: how many an earlier run has done.
        by_tasks: the block runs one Spark job, whose tasks have about the same number each.
    """
    work = Work(unit, total, done=done, by_tasks=by_tasks)
    _open.append(work)
    try:
        yield work
    finally:
        _open.remove(work)


def current_work() -> Work | None:
    """Return the work of the innermost block."""
    return _open[-1] if _open else None
