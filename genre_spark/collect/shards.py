"""Archives of downloaded posters, and the record of what became of every link.

A folder of downloads holds `posters-*.tar` (members ID.jpg, as in WebDataset), which
prepare-posters reads as they are, `_status/*.parquet` (one row per link) and, while a task writes,
`_open/*`: a tar that grows poster by poster, and a journal with one line per finished link. A line
is written after the bytes that it speaks of, so a task that is killed leaves a tar that is whole up
to its journal's last line, and the next run closes it there: nothing that the journal has is asked
for again.

On an object store an archive is made in a temporary folder and put there whole; a task that is
killed loses the archive that it was writing.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from genre_spark.collect.fetching import STORED, Fetched
from genre_spark.errors import StageFailedError
from genre_spark.storage.arrow_columns import int_column, text_column
from genre_spark.storage.files import filesystem, is_local, join, whole_file

__all__ = ["OPEN", "STATUS", "STATUS_SCHEMA", "LinkRow", "ShardWriter", "close_left_shards"]

STATUS, OPEN = "_status", "_open"
STATUS_SCHEMA = pa.schema(
    [
        pa.field("movie_id", pa.int64(), False),
        pa.field("link", pa.string(), False),
        pa.field("status", pa.string(), False),  # stored, or why not
        pa.field("error", pa.string(), False),  # what was seen, for people
        pa.field("http", pa.int32(), False),  # status of the last answer, 0 without one
        pa.field("bytes", pa.int64(), False),
        pa.field("height", pa.int32(), False),  # pixels, as the file's header says
        pa.field("width", pa.int32(), False),
        pa.field("shard", pa.string(), False),  # name of the archive, "" unless stored
        pa.field("at", pa.float64(), False),  # seconds since 1970
    ]
)
_END = bytes(1024)  # two empty blocks end a tar
_RECORD = 512
_SIZE_AT, _SUM_AT = 124, 148  # in a member's header; the sum counts its own place as blanks
_HEADER = tarfile.TarInfo("").tobuf(tarfile.USTAR_FORMAT)
_HEADER_SUM = sum(_HEADER) - sum(_HEADER[_SUM_AT : _SUM_AT + 8]) + 8 * 32 - sum(b"0" * 11)
_LONGEST = 300  # characters of an error
_LOCK_WAIT = 60.0  # seconds for a task of a killed run to notice that it is alone
_NEWEST = 9_999_999_999


class LinkRow(NamedTuple):
    """A poster that is wanted."""

    movie_id: int
    link: str


def shard_name(run: str, partition: int) -> str:
    """Return a name that no other archive has, without its ending.

    Of two posters of a movie prepare-posters takes the one whose name comes first: names count
    down with time, so that it is the newer one.
    """
    return f"posters-{_NEWEST - int(time.time()):010d}-{run}-{partition:05d}-{uuid.uuid4().hex[:8]}"


class ShardWriter:
    """Writes one archive, which counts when it is closed.

    Attributes:
        name: of the archive, without its ending.
        rows: links finished.
        size: bytes of the archive so far.
    """

    def __init__(self, folder: str, run: str, partition: int) -> None:
        system, inner = filesystem(folder)
        self.name = shard_name(run, partition)
        self.rows = 0
        self.size = 0
        self._folder = folder
        self._temporary = None if is_local(system) else tempfile.mkdtemp(prefix="genre_spark-")
        self._open = Path(self._temporary or inner) / OPEN
        self._open.mkdir(parents=True, exist_ok=True)
        # unbuffered: what has been written is in the file whatever happens to this process
        self._tar = _open_locked(self._open / f"{self.name}.tar")
        self._journal = (self._open / f"{self.name}.jsonl").open("ab", buffering=0)

    def add(self, row: LinkRow, fetched: Fetched) -> None:
        """Add what became of a link."""
        header = fetched.header
        if fetched.status == STORED and header is not None:
            member = _tar_member(row.movie_id, fetched.content, header.format)
            _write_all(self._tar, member)
            self.size += len(member)
        fact = {
            "movie_id": row.movie_id,
            "link": row.link,
            "status": fetched.status,
            "error": fetched.detail[:_LONGEST],
            "http": fetched.http,
            "bytes": len(fetched.content),
            "height": header.height if header else 0,
            "width": header.width if header else 0,
            "at": round(time.time(), 3),
            "end": self.size,
        }
        _write_all(self._journal, json.dumps(fact).encode() + b"\n")
        self.rows += 1

    def close(self) -> None:
        """Make it an archive that counts."""
        _close_shard(self._folder, self._open / f"{self.name}.tar", self._tar)
        self.abandon()

    def abandon(self) -> None:
        """Let go of the files; what is on a local disk is closed by `close_left_shards`."""
        self._tar.close()
        self._journal.close()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def close_left_shards(folder: str, *, of: str = "") -> int:
    """Close the archives that killed tasks were writing, and return how many there were.

    Args:
        folder: of the downloads.
        of: only those whose name has this in it.

    Raises:
        StageFailedError: somebody is still writing to one of them.
    """
    system, inner = filesystem(folder)
    if not is_local(system):
        return 0
    # A tar without a journal was killed before it had one; a journal is the last to be removed.
    left = {path.with_suffix(".tar") for path in (Path(inner) / OPEN).glob("*") if of in path.name}
    for tar in sorted(left):
        with _open_locked(tar, wait=_LOCK_WAIT) as file:
            _close_shard(folder, tar, file)
    return len(left)


def _close_shard(folder: str, tar: Path, file: FileIO) -> None:
    """Make an open archive and its journal an archive and a status file; may be begun again."""
    facts = list(_read_journal(tar.with_suffix(".jsonl")))
    name = tar.name if any(fact["status"] == STORED for fact in facts) else ""
    for fact in facts:
        fact["shard"] = name if fact["status"] == STORED else ""
    if facts:
        # The record first: were the archive there without it, its posters would be asked for again.
        _write_status(join(folder, STATUS, f"{tar.stem}.parquet"), facts)
    if name and file.seek(0, io.SEEK_END):
        file.truncate(facts[-1]["end"])
        file.seek(0, io.SEEK_END)
        _write_all(file, _END)
        os.fsync(file.fileno())
        system, inner = filesystem(join(folder, name))
        if is_local(system):
            tar.replace(inner)
        else:
            system.put_file(str(tar), inner)
    tar.unlink(missing_ok=True)
    tar.with_suffix(".jsonl").unlink(missing_ok=True)


def _read_journal(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open("rb") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:
                return  # the task was killed while it wrote this line


def _write_status(path: str, facts: list[dict[str, Any]]) -> None:
    columns = []
    for column in STATUS_SCHEMA:
        values = [fact[column.name] for fact in facts]
        if pa.types.is_string(column.type):
            columns.append(text_column(values))
        else:
            columns.append(int_column(values, column.type))
    with whole_file(path) as file:
        pq.write_table(pa.Table.from_arrays(columns, schema=STATUS_SCHEMA), file)


def _tar_member(movie_id: int, content: bytes, extension: str) -> bytes:
    """Return a member of a tar: header, content, padding."""
    name = f"{movie_id}.{'jpg' if extension == 'jpeg' else extension}".encode()
    size = b"%011o" % len(content)
    # tarfile takes ten times as long to write the same header (POSIX 1003.1, ustar) anew
    header = bytearray(_HEADER)
    header[: len(name)] = name
    header[_SIZE_AT : _SIZE_AT + len(size)] = size
    header[_SUM_AT : _SUM_AT + 6] = b"%06o" % (_HEADER_SUM + sum(name) + sum(size))
    return b"".join([header, content, bytes(-len(content) % _RECORD)])


def _write_all(file: FileIO, content: bytes) -> None:
    """Write all of it: a disk that is nearly full takes a part, and complains the next time."""
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


def _open_locked(path: Path, *, wait: float = 0.0) -> FileIO:
    """Open a file that no other process has open through this function; the lock ends with ours."""
    file = path.open("ab+", buffering=0)
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                file.close()
                raise StageFailedError(
                    f"{path}: another process is still writing to it; wait for its end"
                ) from None
            time.sleep(0.2)
        else:
            return file
