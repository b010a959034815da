"""Python's search for unreachable objects, which importing packages does without."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_collecting"]


@contextmanager
def without_collecting() -> Iterator[None]:
    """Let Python not look for unreachable objects in a block that imports packages.

    What modules define stays: looking through it, again and again as it grows, takes a sixth of the
    time of importing MLflow, and of every later search. So it is frozen at the end. For command
    lines: a library leaves this to its caller.
    """
    if not gc.isenabled():  # a block in another thread, or somebody's choice
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
