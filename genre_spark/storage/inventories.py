"""Manifests of tables of very many files: the files are listed in inventories beside the data.

A manifest that names some tens of thousands of files is read and written whole at every step. Tasks
write an inventory per part of the table instead, and the manifest has the checksum of each.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from genre_spark.storage.checksums import algorithm_of, digest_of
from genre_spark.storage.files import filesystem, join, whole_file
from genre_spark.storage.inventory import FileState, read_states

__all__ = ["read_inventories", "read_inventory", "write_inventory"]

_THREADS = 16  # that wait for an object store


def write_inventory(
    table: str, folder: str, files: Mapping[str, FileState]
) -> tuple[str, FileState]:
    """Write what a part of a table consists of; return the inventory's name and its own state.

    Args:
        table: folder (path or URL) of the table.
        folder: name of the part's folder in it.
        files: name in the part's folder -> size and checksum.
    """
    content = json.dumps({name: files[name] for name in sorted(files)}).encode()
    name = join(folder, f"_files-{uuid.uuid4().hex[:12]}.json")
    with whole_file(join(table, name)) as file:
        file.write(content)
    return name, FileState(len(content), digest_of(content))


def read_inventory(table: str, name: str, state: FileState) -> dict[str, FileState] | None:
    """Return name below the table -> state of an inventory's files; None where it is damaged."""
    system, inner = filesystem(join(table, name))
    try:
        with system.open(inner, "rb") as file:
            content = file.read()
    except OSError:
        return None
    algorithm = algorithm_of(state.digest)
    if algorithm is None or digest_of(content, algorithm) != state.digest:
        return None
    folder = name.rpartition("/")[0]
    return {join(folder, file): kept for file, kept in read_states(json.loads(content)).items()}


def read_inventories(
    table: str, inventories: Mapping[str, FileState]
) -> dict[str, FileState] | None:
    """Return name -> state of all files of a table, the inventories among them.

    None where an inventory is damaged.
    """
    if not inventories:
        return {}
    found: dict[str, FileState] = dict(inventories)
    with ThreadPoolExecutor(min(_THREADS, len(inventories))) as pool:
        names = list(inventories)
        for files in pool.map(lambda name: read_inventory(table, name, inventories[name]), names):
            if files is None:
                return None
            found.update(files)
    return found
