"""The folder that `predict` writes its answers to as CSV, in the place of earlier answers alone."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.errors import InvalidConfigError
from genre_spark.schemas import MOVIE_ID
from genre_spark.storage.files import filesystem, is_local, join

__all__ = ["check_answers_folder", "write_answers"]

_COLUMNS = {
    MOVIE_ID: F.col,
    "name": F.col,
    "genres": lambda name: F.array_join(name, "|"),
    "probabilities": F.to_json,
    "notes": lambda name: F.array_join(name, "; "),
    "model": F.col,
    "model_version": F.col,
    "predicted_at": F.col,
}
_HEADER = ",".join(_COLUMNS).encode()
_OF_SPARK = re.compile(r"_SUCCESS|_started_.*|_committed_.*|part-.*\.csv|\..*\.crc|\.DS_Store")
_MOUNTS = (
    "/dbfs/",
    "/Volumes/",
)  # object stores in the guise of folders, which rename file by file


def check_answers_folder(config: Config) -> None:
    """Check that answers in `paths.new_csv` would replace nothing but earlier answers.

    Raises:
        InvalidConfigError: it is a file, it holds something else, or it is a place that the stage
            reads from or keeps its tables in.
    """
    paths = config.paths
    if paths.new_csv is None:
        return
    for name in ("new", "work", "shared"):
        place = getattr(paths, name)
        if place is not None and _is_within(place, paths.new_csv):
            raise _unusable(paths.new_csv, f"it would replace paths.{name} ({place})")
    tables = [paths.table(name) for name in ("movie_predictions", "rejects", "scratch")]
    taken = tables if paths.new is None else [*tables, join(paths.new, "posters")]
    for place in taken:
        if _is_within(paths.new_csv, place):
            raise _unusable(paths.new_csv, f"within {place}")
    _check_content(paths.new_csv)


def _is_within(path: str, folder: str) -> bool:
    (kind, inner), (other_kind, outer) = _place(path), _place(folder)
    return kind == other_kind and f"{inner}/".startswith(f"{outer}/")


def _place(path: str) -> tuple[str, str]:
    system, inner = filesystem(path)
    if is_local(system):
        return "file", os.path.realpath(inner).rstrip("/")
    return type(system).__name__, inner.rstrip("/")


def _check_content(folder: str) -> None:
    system, inner = filesystem(folder)
    if not system.exists(inner):
        return
    if not system.isdir(inner):
        raise _unusable(folder, "a file")
    for entry in map(str, system.ls(inner, detail=False)):
        name = entry.rstrip("/").rsplit("/", 1)[-1]
        if not name:  # an object store's mark of a folder
            continue
        if not _OF_SPARK.fullmatch(name) or not system.isfile(entry):
            raise _unusable(folder, f"it holds {name}, which `predict` has not written")
        if name.startswith("part-"):
            with system.open(entry, "rb") as file:
                head = file.read(len(_HEADER))
            if head not in (b"", _HEADER):
                raise _unusable(folder, f"it holds {name}, which has no answers of `predict`")


def _unusable(folder: str, reason: str) -> InvalidConfigError:
    return InvalidConfigError(
        f"paths.new_csv: {folder}: {reason}, expected a folder that is not there yet, is empty or "
        "has earlier answers of `predict`"
    )


def write_answers(predictions: DataFrame, folder: str) -> None:
    """Write the table of predictions as CSV; on a local disk the folder appears whole.

    Args:
        predictions: rows of the table `movie_predictions`.
        folder: path or URL; what was there is replaced.

    Raises:
        InvalidConfigError: something else than earlier answers has come there meanwhile.
    """
    flat = predictions.select(*[shown(name).alias(name) for name, shown in _COLUMNS.items()])
    writer = flat.write.options(header=True, escape='"')
    system, inner = filesystem(folder)
    _check_content(folder)
    if not is_local(system) or inner.startswith(_MOUNTS):
        writer.mode("overwrite").csv(folder)
        return
    place = Path(os.path.realpath(inner))
    place.parent.mkdir(parents=True, exist_ok=True)
    suffix = uuid.uuid4().hex[:8]
    draft = place.with_name(f".{place.name}.{suffix}.tmp")
    earlier = place.with_name(f".{place.name}.{suffix}.old")
    try:
        writer.csv(f"file://{draft}" if folder.startswith("file:") else str(draft))
        _check_content(folder)
        if place.exists():
            place.rename(earlier)
        draft.rename(place)
    finally:
        if earlier.exists() and not place.exists():
            earlier.rename(place)
        for left in (draft, earlier):
            shutil.rmtree(left, ignore_errors=True)
