"""Delta tables of posters: the Parquet files that a table's newest version consists of."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import unquote

from genre_spark.errors import InvalidInputError
from genre_spark.extras import require
from genre_spark.posters.archives import SHARD, Entry
from genre_spark.storage.files import filesystem, is_local, join

__all__ = ["LOG", "find_delta", "is_delta", "list_delta"]

LOG = "_delta_log"
"""Folder in a Delta table's folder that has its versions."""
_MAPPING = "delta.columnMapping.mode"
_ELSEWHERE = re.compile(r"[a-z][\w+.-]*:/|/", re.IGNORECASE)  # how such addresses begin


def is_delta(source: str) -> bool:
    """Return whether a folder is a Delta table."""
    system, inner = filesystem(source)
    return bool(system.exists(join(inner, LOG)))


def find_delta(source: str, name: str) -> str | None:
    """Return the folder of the Delta table that a file belongs to, None where it is of none.

    Args:
        source: folder that `paths.posters` names.
        name: of the file below it.
    """
    folders = name.split("/")[:-1]
    places = (join(source, *folders[:depth]) for depth in range(len(folders), -1, -1))
    return next((place for place in places if is_delta(place)), None)


def list_delta(source: str) -> Iterator[Entry]:
    """Yield the files of a Delta table's newest version as shards, without opening them.

    The folder holds files of earlier versions too; the table's log says which count. Read by
    delta-rs, so that no session needs Delta's jars.

    Args:
        source: path or URL of the table's folder.

    Raises:
        MissingExtraError: deltalake is not installed.
        InvalidInputError: the table cannot be read, its local path has a `%`, or its files are not
            what its rows are.
    """
    require("deltalake")
    from deltalake import DeltaTable  # noqa: PLC0415 - an extra
    from deltalake.exceptions import DeltaError  # noqa: PLC0415

    system, inner = filesystem(source)
    local = is_local(system)
    place = inner if local else source.replace("s3a://", "s3://", 1)
    if local and "%" in os.path.realpath(
        inner
    ):  # delta-rs follows links, and decodes what it finds
        raise InvalidInputError(
            f"paths.posters: {source}: a Delta table in the folder {os.path.realpath(inner)}, of "
            "whose path delta-rs would decode a part; expected a path without %"
        )
    try:
        table = DeltaTable(place)
        mapping = table.metadata().configuration.get(_MAPPING, "none")
        vectors = "deletionVectors" in (table.protocol().reader_features or ())
        deleted = vectors and any(batch.num_rows for batch in table.deletion_vectors())
        files = table.get_add_actions()
    except (DeltaError, OSError, UnicodeError) as error:
        raise InvalidInputError(
            f"paths.posters: {source}: a Delta table that cannot be read: {error}"
        ) from None
    if mapping != "none" or deleted:
        what = f"columns of other names ({_MAPPING})" if mapping != "none" else "deletion vectors"
        raise InvalidInputError(
            f"paths.posters: {source}: a Delta table with {what}, whose files are not what its "
            f"rows are; write it: spark.read.format('delta').load('{source}').write.parquet(FOLDER)"
        )
    names = ("path", "size_bytes", "modification_time")
    for path, size, modified in zip(*(files[name].to_pylist() for name in names), strict=True):
        name = unquote(path)
        if _ELSEWHERE.match(name):
            raise InvalidInputError(
                f"paths.posters: {source}: a shallow clone: its file {name} lies elsewhere; "
                "expected a Delta table whose files are in its folder"
            )
        yield Entry(name, size, modified, method=SHARD)
