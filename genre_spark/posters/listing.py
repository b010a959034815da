"""The posters of a folder, archive or Parquet table: Arrow columns, not an object per file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from genre_spark.errors import InvalidInputError
from genre_spark.posters.archives import (
    PARQUET,
    SHARD,
    TAR_ERRORS,
    Entry,
    drop_overlapping,
    read_tar,
    read_zip,
)
from genre_spark.posters.folders import (
    PARQUETS,
    TARS,
    list_folder,
    list_shard,
    reject_iceberg,
    remote_stamp,
)
from genre_spark.posters.listing_schema import LISTING_SCHEMA
from genre_spark.posters.names import parse_poster_name
from genre_spark.posters.parquet_source import list_rows
from genre_spark.storage.arrow_columns import int_column, text_column
from genre_spark.storage.files import filesystem

_BATCH = 20_000
_COMPRESSED_TAR = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")


@dataclass
class Listing:
    """What a source holds.

    Attributes:
        posters: a table of LISTING_SCHEMA, in the order of the source.
        rejects: (source, reason, detail) of files that are no posters by their name or kind.
    """

    posters: pa.Table
    rejects: list[tuple[str, str, str]] = field(default_factory=list)


def source_kind(source: str) -> str:
    """Return `folder`, `zip`, `tar` or `parquet`.

    Raises:
        InvalidInputError: there is no such source, or it is a file of another kind.
    """
    system, inner = filesystem(source)
    if not system.exists(inner):
        raise InvalidInputError(f"paths.posters: {source}: no such folder or archive")
    lower = inner.lower()
    if system.isdir(inner):
        return "folder"
    if lower.endswith(".zip"):
        return "zip"
    if lower.endswith(TARS):
        return "tar"
    if lower.endswith(PARQUETS):
        return "parquet"
    if lower.endswith(_COMPRESSED_TAR):
        raise InvalidInputError(
            f"paths.posters: {source}: a compressed tar can only be read from its start, expected "
            ".tar or .zip"
        )
    raise InvalidInputError(
        f"paths.posters: {source}: expected a folder, a .zip or a .tar of ID.jpg files, or a "
        ".parquet file"
    )


class TooManyPosters(Exception):  # noqa: N818 - not an error: another way is taken
    """A source holds more posters than one process shall list."""


def list_posters(source: str, *, follow_links: bool = False, most: int | None = None) -> Listing:
    """List a folder (with its subfolders, and the tars and Parquet files in them) or an archive.

    Args:
        source: folder or archive.
        follow_links: follow symbolic links that lead out of the folder.
        most: files that are listed at most, or None for any number.

    Raises:
        InvalidInputError: the source is not there or is no archive that can be read, or it has a
            table that cannot be.
        MissingExtraError: it has a Delta table, and deltalake is not installed.
        TooManyPosters: it holds more than `most` files.
    """
    batches: list[pa.RecordBatch] = []
    rejects: list[tuple[str, str, str]] = []
    listed = 0
    for batch in stream_posters(source, rejects, follow_links=follow_links):
        batches.append(batch)
        listed += batch.num_rows
        if most is not None and listed + len(rejects) > most:
            raise TooManyPosters
    posters = pa.Table.from_batches(batches, LISTING_SCHEMA)
    if source_kind(source) == "zip":
        posters, shared = drop_overlapping(posters)
        rejects += shared
    return Listing(posters, rejects)


def stream_posters(
    source: str, rejects: list[tuple[str, str, str]], *, follow_links: bool = False
) -> Iterator[pa.RecordBatch]:
    """Yield a source's posters in batches of LISTING_SCHEMA; rejects are appended.

    Args:
        source: folder or archive; members of a zip may overlap (`drop_overlapping`).
        rejects: (source, reason, detail) of what is no poster.
        follow_links: follow symbolic links that lead out of the folder.

    Raises:
        InvalidInputError: the source is not there or is no archive that can be read.
    """
    yield from list_batches(source, _entries(source, follow_links=follow_links), rejects)


def list_batches(
    source: str, entries: Iterable[Entry], rejects: list[tuple[str, str, str]]
) -> Iterator[pa.RecordBatch]:
    """Yield batches of LISTING_SCHEMA; (source, reason, detail) of rejects are appended.

    Args:
        source: folder or archive.
        entries: what is in it; Parquet files are opened and their rows listed.
        rejects: of files and rows that are no posters.

    Raises:
        InvalidInputError: a Parquet file has other columns than those of posters.
    """
    pending: list[tuple[int, Entry]] = []
    for entry in entries:
        if entry.method == PARQUET:
            yield from list_rows(source, entry, rejects)
            continue
        movie_id = parse_poster_name(entry.name.rpartition("/")[2])
        if entry.flaw is not None or isinstance(movie_id, str):
            rejects.append((entry.name, entry.flaw or str(movie_id), f"{entry.size} bytes"))
        else:
            pending.append((movie_id, entry))
        if len(pending) == _BATCH or (len(rejects) >= _BATCH and pending):
            yield _to_batch(pending)
            pending = []
    if pending:
        yield _to_batch(pending)


def require_posters(source: str) -> None:
    """Check, without listing all of it, that a source holds at least one poster.

    Raises:
        InvalidInputError: it does not, or it is not there.
    """
    flaws = list[str]()
    for entry in _entries(source, follow_links=False):
        if entry.method == PARQUET:
            rejects: list[tuple[str, str, str]] = []
            if any(batch.num_rows for batch in list_rows(source, entry, rejects)):
                return
            _, reason, detail = (rejects or [("", "no row with an id", "")])[0]
            flaws[1:] = [f"{entry.name}: {reason}{detail and f' ({detail})'}"]
        elif entry.flaw is not None:
            flaws[1:] = [f"{entry.name}: {entry.flaw}"]
        elif not isinstance(parse_poster_name(entry.name.rpartition("/")[2]), str):
            return
    seen = f" ({', '.join(flaws)})" if flaws else ""
    raise InvalidInputError(
        f"paths.posters: {source}: no posters in it{seen}, expected files named like 1000001.jpg"
    )


def _entries(source: str, *, follow_links: bool) -> Iterator[Entry]:
    kind = source_kind(source)
    system, inner = filesystem(source)
    if kind == "parquet":
        info = system.info(inner)
        stamp = info.get("mtime")
        stamp = remote_stamp(info) if stamp is None else int(stamp * 1e6)
        yield Entry("", int(info.get("size") or 0), stamp, method=PARQUET)
        return
    if kind == "folder":
        reject_iceberg(system, source, inner)
        for entry in list_folder(source, "", deep=True, follow_links=follow_links):
            yield from list_shard(source, entry) if entry.method == SHARD else (entry,)
        return
    with system.open(inner, "rb") as file:
        try:
            yield from read_zip(file) if kind == "zip" else read_tar(file)
        except TAR_ERRORS as error:
            raise InvalidInputError(
                f"paths.posters: {source}: not a whole tar archive: {error}"
            ) from None


def _to_batch(pending: list[tuple[int, Entry]]) -> pa.RecordBatch:
    columns = [
        int_column([movie_id for movie_id, _ in pending], pa.int64()),
        text_column([entry.name for _, entry in pending]),
        int_column([entry.offset for _, entry in pending], pa.int64()),
        int_column([entry.stored for _, entry in pending], pa.int64()),
        int_column([entry.method for _, entry in pending], pa.int8()),
        int_column([entry.size for _, entry in pending], pa.int64()),
        int_column([entry.stamp for _, entry in pending], pa.int64()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=LISTING_SCHEMA)
