"""Python's search for unreachable objects, which importing packages does without."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_collecting"]


@contextmanager
def without_collecting(*, freeze: bool = False) -> Iterator[None]:
    """Let Python not look for unreachable objects in a block that imports packages.

    What modules define stays: looking through it, again and again as it grows, takes a sixth of the
    time of importing MLflow.

    Args:
        freeze: whether later searches leave out what is there at the end of the block, too. For
            command lines: elsewhere the caller's objects are there as well, some of which he will
            be done with.
    """
    if not gc.isenabled():  # a block in another thread, or somebody's choice
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if freeze:
            gc.freeze()
        gc.enable()
