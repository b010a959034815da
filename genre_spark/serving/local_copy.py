"""Packages on other file systems, copied to this machine once per version."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path

from genre_spark.files import copy_folder, filesystem, is_local

__all__ = ["local_package"]


def local_package(folder: str, version: str) -> str:
    """Return the folder of a package on this machine.

    Args:
        folder: folder of the package (path or URL).
        version: of the packaged model; names the copy.
    """
    system, inner = filesystem(folder)
    if is_local(system):
        return inner
    place = Path(tempfile.gettempdir()) / f"genre_spark-{version}-{uuid.getnode():x}"
    if not (place / "movie_model.json").is_file():
        draft = Path(tempfile.mkdtemp(prefix="genre_spark-model-"))
        copy_folder(folder, str(draft))
        try:
            draft.rename(place)
        except OSError:  # another process was faster
            return str(place if (place / "movie_model.json").is_file() else draft)
    return str(place)
