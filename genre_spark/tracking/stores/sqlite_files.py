"""A store in a SQLite file: whether it is whole, and where its artifacts are now."""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from genre_spark.errors import InvalidInputError, describe_full_disk

__all__ = ["check_store", "point_artifacts_here"]

_MAGIC = b"SQLite format 3\x00"
_HEADER = 100  # bytes
_CHECKED = 64 * 2**20  # bytes up to which every page is looked at: 0.1 s
_REMEDY = "restore a copy, or move it away: a new one is made, and models keep their files"
# columns of MLflow's tables that hold addresses of artifacts
_LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def check_store(file: Path, *, seconds: float) -> None:
    """Check that a file is MLflow's store, or that it can become one.

    Args:
        file: the SQLite file; it may be missing or empty.
        seconds: longest wait for another process that has locked it.

    Raises:
        InvalidInputError: it is not, it is damaged or locked, or cannot be written.
    """
    if not file.exists():
        if not os.access(_existing(file.parent), os.W_OK):
            raise InvalidInputError(f"{file}: cannot be made, expected a folder to write to")
        return
    if not file.is_file():
        raise InvalidInputError(f"{file}: a folder, expected MLflow's store in a file")
    if not os.access(file, os.R_OK | os.W_OK):
        raise InvalidInputError(f"{file}: cannot be written, expected MLflow's store")
    if file.stat().st_size == 0:
        return
    _check_header(file)
    with _errors(file), closing(sqlite3.connect(file, timeout=seconds)) as store:
        store.execute("BEGIN IMMEDIATE")
        if file.stat().st_size <= _CHECKED:
            (found,) = store.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise InvalidInputError(f"{file}: damaged ({_line(found)}); {_REMEDY}")
        names = {name for (name,) in store.execute("SELECT name FROM sqlite_master")}
        store.rollback()
    if names and not {"experiments", "runs", "alembic_version"} <= names:
        raise InvalidInputError(f"{file}: another program's database, expected MLflow's store")


def point_artifacts_here(file: Path, artifacts: Path) -> None:
    """Let the store of a work folder that was copied or moved use the artifacts beside it.

    MLflow stores absolute addresses: the copy of a folder would write into the original.

    Args:
        file: a whole store, or none.
        artifacts: folder of its artifacts now; addresses that end in its name are those to change.
    """
    if not file.exists() or file.stat().st_size == 0:
        return
    here = artifacts.absolute().as_uri()
    with _errors(file), closing(sqlite3.connect(file)) as store:
        found = store.execute("SELECT artifact_location FROM experiments").fetchall()
        ends = f"/{artifacts.name}"
        moved = {
            str(place)
            for (place,) in found
            if place and place.startswith("file:") and place.endswith(ends) and place != here
        }
        for place in sorted(moved):
            if not _same(place, artifacts):
                _replace_prefix(store, place, here)
        store.commit()


def _replace_prefix(store: sqlite3.Connection, old: str, new: str) -> None:
    for table, column in _LOCATIONS:
        known = {row[1] for row in store.execute(f"PRAGMA table_info({table})")}
        if column in known:  # releases of MLflow differ
            store.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
            )


def _same(uri: str, folder: Path) -> bool:
    """Return whether an address is another name of a folder, by a link for example."""
    other = Path(uri.removeprefix("file://"))
    try:
        return other.samefile(folder)
    except OSError:
        return False


def _check_header(file: Path) -> None:
    with file.open("rb") as stream:
        header = stream.read(_HEADER)
    if not header.startswith(_MAGIC):
        raise InvalidInputError(f"{file}: not an SQLite file, expected MLflow's store; {_REMEDY}")
    if len(header) == _HEADER:
        (page,) = struct.unpack(">H", header[16:18])
        changes, pages = struct.unpack(">II", header[24:32])
        (valid,) = struct.unpack(">I", header[92:96])
        whole = pages * (65536 if page == 1 else page)
        if changes != valid or file.stat().st_size >= whole:
            return
        cut = f"{file.stat().st_size:,} of {whole:,} bytes"
    else:
        cut = f"{len(header)} bytes"
    raise InvalidInputError(f"{file}: cut off ({cut}); {_REMEDY}")


@contextmanager
def _errors(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise InvalidInputError(
                f"{file}: locked by another process; end it, or wait longer (mlflow.timeout)"
            ) from None
        if describe_full_disk(error):
            raise
        raise InvalidInputError(f"{file}: cannot be used ({_line(error)})") from None
    except sqlite3.DatabaseError as error:
        raise InvalidInputError(f"{file}: damaged ({_line(error)}); {_REMEDY}") from None


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _line(text: object) -> str:
    return " ".join(str(text).split())
