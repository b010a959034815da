"""Settings of a process that decodes many images."""

from __future__ import annotations

import ctypes
import functools

import cv2

__all__ = ["settle_process"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@functools.cache
def settle_process() -> None:
    """Let this process decode at full speed: no threads in OpenCV, and a heap that is kept.

    A decoder allocates and frees buffers of some hundred kilobytes; glibc would return each to the
    system and fault the pages in again for the next image, for up to an eighth of the time.
    """
    cv2.setNumThreads(0)
    if hasattr(cv2, "setLogLevel"):  # OpenCV 5 does not have it
        cv2.setLogLevel(0)  # damaged images are reported as rejects
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(_M_TRIM_THRESHOLD, 64 << 20)
    except (OSError, AttributeError):
        return  # not glibc
