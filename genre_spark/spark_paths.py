"""Paths as Spark's readers take them."""

from __future__ import annotations

import re

__all__ = ["literal_path"]


def literal_path(path: str) -> str:
    """Return a path for Spark's readers in which what would be a wildcard stands for itself."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)
