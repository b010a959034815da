"""Files on any file system, for libraries that only open files on the local disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genre_spark.storage.files import filesystem, is_local

__all__ = ["local_copy"]


@contextmanager
def local_copy(path: str) -> Iterator[Path]:
    """Yield a file's path on the local disk; a remote file is copied for the time of the block."""
    system, inner = filesystem(path)
    if is_local(system):
        yield Path(inner)
        return
    with tempfile.TemporaryDirectory(prefix="genre_spark-") as folder:
        target = Path(folder) / inner.rsplit("/", 1)[-1]
        system.get(inner, str(target))
        yield target
