"""Time two works against each other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class Comparison(NamedTuple):
    """Medians of rounds: ours and theirs in seconds, and theirs over ours within a round."""

    ours: float
    theirs: float
    speed: float


def compare(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int = 3
) -> Comparison:
    """Time two works in turn after both have run once, for the JVM compiles while it works."""
    theirs()
    ours()
    times = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    mine, others = zip(*times, strict=True)
    ratio = statistics.median(other / own for own, other in times)
    return Comparison(statistics.median(mine), statistics.median(others), ratio)
