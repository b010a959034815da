"""Blocks that the C library keeps for the next image or batch instead of giving them back."""

from __future__ import annotations

import ctypes
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

__all__ = ["give_back_memory", "keep_blocks", "kept_memory"]

# parameters of mallopt(3)
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_MIB = 1 << 20
# what glibc sets by itself once a program has freed a block of 32 MiB
_USUAL = {_MMAP_MAX: 65536, _MMAP_THRESHOLD: 32 * _MIB, _TRIM_THRESHOLD: 64 * _MIB}
_KEPT = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1}

_lock = threading.Lock()
_blocks = 0  # of this process that are inside `kept_memory`


def keep_blocks() -> None:
    """Keep blocks of less than 32 MiB in this process from now on, as images and their buffers are.

    By itself glibc gives each to the system until one of that size has been freed, and its pages
    are zeroed again for the next image, for up to an eighth of the time. Where the C library is not
    glibc, nothing changes.
    """
    library = _glibc()
    if library is None:
        return
    with _lock:
        if not _blocks:  # the last `kept_memory` sets the same at its end
            _apply(library, _USUAL)


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep freed memory in this process during a block, for networks that compute on a CPU.

    A layer's result of 32 MiB or more comes fresh from the kernel and goes back to it right after:
    its pages are zeroed at every step, one by one, which takes half of a small network's training
    and of EfficientNet's predictions. Kept, they cost memory: the largest process grows by a tenth
    (LeNet) to three quarters (a wide network in training). At the end of the block what is free
    goes back.

    Where the C library is not glibc, nothing changes. Blocks of several threads may overlap.
    """
    library = _glibc()
    if library is None:
        yield
        return
    _enter(library)
    try:
        yield
    finally:
        _leave(library)


def give_back_memory() -> None:
    """Give what is free in this process back to the system, between one kind of work and the next.

    What Python and Arrow have freed stays in their pools, in pieces that the next work may not fit.
    Where the C library is not glibc, only Arrow's pool is emptied.
    """
    pa.default_memory_pool().release_unused()
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _enter(library: ctypes.CDLL) -> None:
    global _blocks  # noqa: PLW0603 - a fact about this process
    with _lock:
        _blocks += 1
        if _blocks == 1:
            _apply(library, _KEPT)


def _leave(library: ctypes.CDLL) -> None:
    global _blocks  # noqa: PLW0603 - likewise
    with _lock:
        _blocks -= 1
        if _blocks == 0:
            _apply(library, _USUAL)
            library.malloc_trim(0)


def _apply(library: ctypes.CDLL, parameters: dict[int, int]) -> None:
    for parameter, value in parameters.items():
        library.mallopt(parameter, value)


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
