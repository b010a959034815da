"""Settings of a process that decodes many images."""

from __future__ import annotations

import functools

import cv2

from genre_spark.workers.kept_memory import keep_blocks

__all__ = ["settle_process"]


@functools.cache
def settle_process() -> None:
    """Let this process decode at full speed: no threads in OpenCV, and buffers that are kept."""
    cv2.setNumThreads(0)
    if hasattr(cv2, "setLogLevel"):  # OpenCV 5 does not have it
        cv2.setLogLevel(0)  # damaged images are reported as rejects
    keep_blocks()
