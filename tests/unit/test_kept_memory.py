"""Memory that a process keeps for its next batch."""

from __future__ import annotations

import ctypes
import platform
import resource
import subprocess
import sys
import threading

import psutil
import pytest

from genre_spark.workers.kept_memory import give_back_memory, kept_memory

_BLOCK = 48 << 20
_PAGES = _BLOCK // 4096

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="the C library is not glibc, which alone is tuned"
)


def _page_faults_of_blocks(count: int) -> int:
    """Ask for a large block, fill it and free it, one after the other."""
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes, library.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    library.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        block = library.malloc(_BLOCK)
        library.memset(block, 1, _BLOCK)
        library.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def a_freed_block_serves_the_next_request() -> None:
    given_back = _page_faults_of_blocks(8)
    with kept_memory():
        kept = _page_faults_of_blocks(8)

    assert given_back > 7 * _PAGES
    assert kept < 2 * _PAGES


def free_memory_goes_back_at_the_end() -> None:
    process = psutil.Process()
    with kept_memory():
        before = process.memory_info().rss
        _page_faults_of_blocks(1)
        inside = process.memory_info().rss
    after = process.memory_info().rss

    assert inside - before > _BLOCK // 2
    assert inside - after > _BLOCK // 2


def free_memory_goes_back_when_asked_for() -> None:
    process = psutil.Process()
    with kept_memory():
        _page_faults_of_blocks(1)
        kept = process.memory_info().rss
        give_back_memory()
        assert kept - process.memory_info().rss > _BLOCK // 2


def the_last_of_several_threads_gives_it_back() -> None:
    other_is_inside, first_has_left = threading.Event(), threading.Event()

    def other() -> None:
        with kept_memory():
            other_is_inside.set()
            first_has_left.wait(10)

    thread = threading.Thread(target=other)
    with kept_memory():
        thread.start()
        assert other_is_inside.wait(10)
    still_kept = _page_faults_of_blocks(8)
    first_has_left.set()
    thread.join()

    assert still_kept < 2 * _PAGES
    assert _page_faults_of_blocks(8) > 7 * _PAGES


def an_error_in_the_block_ends_it() -> None:
    with pytest.raises(ValueError, match="inside"), kept_memory():
        raise ValueError("inside")

    assert _page_faults_of_blocks(8) > 7 * _PAGES


@pytest.mark.parametrize(
    "case",
    [
        a_freed_block_serves_the_next_request,
        free_memory_goes_back_at_the_end,
        free_memory_goes_back_when_asked_for,
        the_last_of_several_threads_gives_it_back,
        an_error_in_the_block_ends_it,
    ],
    ids=lambda case: case.__name__,
)
def test_in_a_new_process(case) -> None:
    """Other tests leave holes of any size in the memory of theirs."""
    program = f"from {__name__} import {case.__name__}; {case.__name__}()"

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
