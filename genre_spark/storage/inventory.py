"""Sizes and checksums of stored files, so that damage is found before anything reads them.

A look at sizes lists each folder once. For checksums (`checksums`) every byte is read. They are
worked out in threads of this process, or by Spark's tasks where a session runs and there is much to
read.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from genre_spark.storage.checksums import (
    SHA256,
    XXH128,
    Algorithm,
    Checksum,
    algorithm_of,
    title_of,
)
from genre_spark.storage.files import filesystem, join
from genre_spark.workers.tasks import short_task

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = [
    "FileState",
    "count_rows",
    "file_state",
    "find_damage",
    "find_flaws",
    "list_files",
    "read_states",
    "take_inventory",
]

_BLOCK = 1 << 20  # bytes that are read at once; the buffer stays in the processor's cache
_FOR_TASKS = 256 << 20  # bytes from which on tasks of a running session read them
_FILES_PER_TASK = 64
_HADOOP = ".crc"
_buffers = threading.local()


class FileState(NamedTuple):
    """What a file was when it was written.

    Attributes:
        size: bytes.
        digest: its checksum, with how it was worked out (`checksums`).
        row_groups: rows of each row group of a Parquet file, so that readers need not open it to
            know; empty for other files, and where it is not known.
    """

    size: int
    digest: str
    row_groups: tuple[int, ...] = ()


def read_states(value: Mapping[str, Sequence[Any]] | None) -> dict[str, FileState]:
    """Return an inventory from its JSON form, name -> [size, checksum, rows of its row groups].

    Earlier versions have no row groups.
    """
    return {
        name: FileState(int(size), str(digest), tuple(*groups))
        for name, (size, digest, *groups) in (value or {}).items()
    }


def file_state(path: str, algorithm: Algorithm = XXH128) -> FileState:
    """Return a file's state; it is read once, in blocks."""
    system, inner = filesystem(path)
    checksum, size, buffer = Checksum(algorithm), 0, _buffer()
    with system.open(inner, "rb") as file:
        while count := file.readinto(buffer):
            checksum.update(buffer[:count])
            size += count
        return FileState(size, checksum.text(), _row_groups(path, file))


def _buffer() -> memoryview:
    """Return this thread's buffer for blocks of files."""
    if not hasattr(_buffers, "block"):
        _buffers.block = memoryview(bytearray(_BLOCK))
    buffer: memoryview = _buffers.block
    return buffer


def _row_groups(path: str, file: BinaryIO) -> tuple[int, ...]:
    if not path.endswith(".parquet"):
        return ()
    try:
        footer = pq.read_metadata(file)
    except (pa.ArrowException, OSError):
        return ()  # whoever reads the file says what is wrong with it
    return tuple(footer.row_group(number).num_rows for number in range(footer.num_row_groups))


def count_rows(folder: str, states: Mapping[str, FileState]) -> int:
    """Return the rows of an inventory's Parquet files.

    A footer that cannot be read raises: that is not the same as no rows.

    Args:
        folder: path or URL.
        states: name below the folder -> state.
    """
    rows = 0
    for name, state in states.items():
        if name.endswith(".parquet") and not state.row_groups:  # no rows, or not known
            system, inner = filesystem(join(folder, name))
            with system.open(inner, "rb") as file:
                rows += pq.read_metadata(file).num_rows
        rows += sum(state.row_groups)
    return rows


def list_files(folder: str, paths: Iterable[str]) -> dict[str, int]:
    """Return name -> bytes of the files that the paths, files or folders, stand for.

    Names are relative to the folder. Marks such as `_SUCCESS` and hidden files do not count, but
    for Hadoop's checksums: a damaged one keeps Spark from reading its file.
    """
    found: dict[str, int] = {}
    for path in paths:
        system, inner = filesystem(join(folder, path))
        if system.isfile(inner):
            found[path] = int(system.size(inner) or 0)
            continue
        for name, info in system.find(inner, detail=True).items():
            below = str(name)[len(inner.rstrip("/")) + 1 :]
            if _counts(below.rsplit("/", 1)[-1]):
                found[join(path, below)] = int(info["size"])
    return found


def _counts(name: str) -> bool:
    return not name.startswith(("_", ".")) or name.endswith(_HADOOP)


def take_inventory(
    folder: str,
    paths: Iterable[str],
    known: Mapping[str, FileState] | None = None,
    *,
    algorithm: Algorithm = XXH128,
) -> dict[str, FileState]:
    """Return name -> state of all files that the paths stand for.

    Args:
        folder: path or URL.
        paths: files or folders below it.
        known: states that need not be worked out, of files that have not changed.
        algorithm: of the checksums that are worked out.
    """
    known = known or {}
    named: list[str] = []
    folders: list[str] = []
    for path in paths:
        (named if path in known else folders).append(path)
    sizes = list_files(folder, folders)
    left = [name for name in sizes if name not in known]
    states = {name: known[name] for name in [*named, *(n for n in sizes if n in known)]}
    spark = _active_session()
    if spark is not None and sum(sizes[name] for name in left) > _FOR_TASKS:
        states.update(_states_by_tasks(spark, folder, left, algorithm))
    else:
        states.update(_states_by_threads(folder, dict.fromkeys(left, algorithm)))
    return dict(sorted(states.items()))


def _active_session() -> SparkSession | None:
    pyspark = sys.modules.get("pyspark.sql")  # packaged models work without it
    return None if pyspark is None else pyspark.SparkSession.getActiveSession()


def find_damage(
    folder: str, inventory: Mapping[str, FileState], *, full: bool = False
) -> list[str]:
    """Return a sentence per file that is not what it was, sorted by name.

    Args:
        folder: path or URL.
        inventory: name below the folder -> state.
        full: compare checksums too, which reads every byte; otherwise sizes only.
    """
    flaws = find_flaws(folder, inventory, full=full)
    return [f"{join(folder, name)}: {flaw}" for name, flaw in sorted(flaws.items())]


def find_flaws(
    folder: str, inventory: Mapping[str, FileState], *, full: bool = False
) -> dict[str, str]:
    """Return name -> what is wrong, of the files that `find_damage` has sentences for."""
    sizes = _sizes(folder, inventory)
    flaws = {}
    for name, state in inventory.items():
        size = sizes.get(name)
        if size is None and name.endswith(_HADOOP):
            continue  # Spark reads a file without one
        if size is None:
            flaws[name] = f"missing, expected {state.size:,} bytes"
        elif size != state.size:
            flaws[name] = f"{size:,} bytes, expected {state.size:,}"
    if full:
        left = {name: inventory[name] for name in sizes if name in inventory and name not in flaws}
        flaws.update(_changed(folder, left))
    return flaws


def _changed(folder: str, inventory: Mapping[str, FileState]) -> dict[str, str]:
    """Return name -> what is wrong, of files whose content is another one; each is read."""
    kinds = {name: algorithm_of(state.digest) for name, state in inventory.items()}
    states = _states_by_threads(folder, {name: kind or SHA256 for name, kind in kinds.items()})
    flaws = {}
    for name, kind in kinds.items():
        stored = inventory[name].digest
        if kind is None:
            flaws[name] = (
                f"checksum {stored}, expected xxh128: or SHA-256; a later version wrote it"
            )
        elif states[name].digest != stored:
            flaws[name] = f"its content has changed ({title_of(kind)})"
    return flaws


def _sizes(folder: str, names: Iterable[str]) -> dict[str, int]:
    """Return name -> bytes of those files that are there, by one listing per folder."""
    system, root = filesystem(folder)
    root = root.rstrip("/")
    found: dict[str, int] = {}
    for parent in sorted({name.rpartition("/")[0] for name in names}):
        place = f"{root}/{parent}" if parent else root
        system.invalidate_cache(place)
        try:
            entries = system.ls(place, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in entries:
            if entry["type"] == "file":
                last = str(entry["name"]).rsplit("/", 1)[-1]
                found[f"{parent}/{last}" if parent else last] = int(entry["size"] or 0)
    return found


def _states_by_threads(folder: str, names: Mapping[str, Algorithm]) -> dict[str, FileState]:
    if not names:
        return {}
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1, len(names))) as pool:
        paths = [join(folder, name) for name in names]
        states = pool.map(_state_or_nothing, paths, names.values())
        return dict(zip(names, states, strict=True))


def _state_or_nothing(path: str, algorithm: Algorithm) -> FileState:
    try:
        return file_state(path, algorithm)
    except OSError as error:  # a block of the disk that cannot be read, a file that is just gone
        return FileState(-1, str(error))


def _states_by_tasks(
    spark: SparkSession, folder: str, names: Sequence[str], algorithm: Algorithm
) -> dict[str, FileState]:
    from genre_spark.spark.local_rows import frame_of_rows  # noqa: PLC0415 - no Spark elsewhere here

    rows = frame_of_rows(spark, [(name,) for name in names], "name string")
    tasks = max(1, min(len(names), max(16, len(names) // _FILES_PER_TASK)))

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            names = batch.column(0).to_pylist()
            states = [file_state(join(folder, name), algorithm) for name in names]
            yield pa.RecordBatch.from_pydict(
                {
                    "name": names,
                    "size": pa.array([state.size for state in states], pa.int64()),
                    "digest": [state.digest for state in states],
                    "row_groups": pa.array(
                        [list(state.row_groups) for state in states], pa.list_(pa.int64())
                    ),
                }
            )

    schema = "name string, size long, digest string, row_groups array<long>"
    found = rows.repartition(tasks).mapInArrow(short_task(read), schema).collect()  # one per file
    return {
        row["name"]: FileState(row["size"], row["digest"], tuple(row["row_groups"]))
        for row in found
    }
