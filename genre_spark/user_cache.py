"""A folder of this user's for what every run would make anew, such as an empty MLflow store."""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["NAME", "cached_file"]

NAME = "GENRE_SPARK_CACHE"
"""Variable with another folder; empty: nothing is kept."""


def cached_file(name: str) -> Path | None:
    """Return the place of a file that may be there from an earlier run; None: nothing is kept.

    Others could put something into a folder that they can write: such a folder is not used.

    Args:
        name: of the file; it has the versions in it that the content depends on.
    """
    chosen = os.environ.get(NAME)
    if chosen == "":
        return None
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        folder = Path(chosen) if chosen else Path(base).expanduser() / "genre_spark"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        state = folder.stat()
    except (OSError, RuntimeError):  # no home folder, or a read-only one
        return None
    own = not hasattr(os, "getuid") or state.st_uid == os.getuid()
    shared = state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return folder / name if own and not shared and os.access(folder, os.W_OK) else None
