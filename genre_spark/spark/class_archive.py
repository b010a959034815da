"""Spark's classes, loaded once and kept: a class data sharing archive for the JVMs of this user.

A JVM that starts Spark reads and checks thousands of classes. With an archive of them (JEP 350) it
maps what another one has made of them: a small job takes a third less processor time. The JVM looks
at the archive itself, and does without it where jars or its own version have changed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from genre_spark.spark.settings import JAVA_OPTIONS
from genre_spark.user_cache import cached_file

__all__ = ["archive_file", "spark_home", "with_class_archive"]

_THEIRS = ("-Xshare", "SharedArchiveFile", "ArchiveClassesAtExit")
_SILENT = "-Xlog:cds=off -Xlog:cds+dynamic=off"  # an archive that does not fit is no news


def archive_file() -> Path | None:
    """Return where the archive for the JVM that pyspark would start is, or would be.

    Returns:
        None: there is no Java, no pyspark, or no folder to keep it in.
    """
    java, spark = _java(), spark_home()
    if java is None or spark is None:
        return None
    state = java.stat()
    parts = [str(java), state.st_size, state.st_mtime_ns, str(spark), _spark_version()]
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    return cached_file(f"classes-{digest}.jsa")


def with_class_archive(settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings of a local session whose JVM maps the archive, where there is one.

    Args:
        settings: of the session; options about archives that they have stay as they are.
    """
    defaults, own = (
        settings.get(JAVA_OPTIONS, ""),
        settings.get("spark.driver.extraJavaOptions", ""),
    )
    if any(option in f"{defaults} {own}" for option in _THEIRS):
        return dict(settings)
    file = archive_file()
    if file is None or not file.is_file() or " " in str(file):
        return dict(settings)
    return {**settings, JAVA_OPTIONS: f"{defaults} -XX:SharedArchiveFile={file} {_SILENT}".strip()}


def _java() -> Path | None:
    home = os.environ.get("JAVA_HOME")
    found = shutil.which(str(Path(home, "bin", "java"))) if home else shutil.which("java")
    return Path(found).resolve() if found else None


def spark_home() -> Path | None:
    """Return the folder of the Spark that pyspark would start, or None."""
    if home := os.environ.get("SPARK_HOME"):
        return Path(home).resolve()
    spec = find_spec("pyspark")
    return Path(spec.origin).resolve().parent if spec is not None and spec.origin else None


def _spark_version() -> str:
    try:
        return version("pyspark")
    except PackageNotFoundError:  # a distribution that was unpacked
        return ""
