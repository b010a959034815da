"""Packages on other file systems, copied to this machine once per process."""

from __future__ import annotations

import atexit
import functools
import tempfile

from genre_spark.storage.files import copy_folder, filesystem, is_local, remove_folder

__all__ = ["local_package"]


@functools.cache
def local_package(folder: str, version: str) -> str:  # noqa: ARG001 - part of the key
    """Return the folder of a package on this machine.

    Args:
        folder: folder of the package (path or URL).
        version: of the packaged model; another one is copied anew.
    """
    system, inner = filesystem(folder)
    if is_local(system):
        return inner
    place = tempfile.mkdtemp(prefix="genre_spark-model-")  # readable by this user alone
    atexit.register(remove_folder, place)
    copy_folder(folder, place)
    return place
