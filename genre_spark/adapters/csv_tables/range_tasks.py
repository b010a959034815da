"""What a task does: it reads ranges of bytes of CSV files, and writes Parquet."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from genre_spark.adapters.csv_tables.boundaries import BlockScan, scan_block
from genre_spark.adapters.csv_tables.rows import Rows, sort_rows
from genre_spark.adapters.csv_tables.sources import LINE_END, CsvSource
from genre_spark.adapters.csv_tables.typed_rows import Flaw, read_rows
from genre_spark.posters.rejects import write_rejects
from genre_spark.schemas import CONTENT_CHARS, typed_schema
from genre_spark.storage.arrow_columns import int_column, text_column
from genre_spark.storage.files import filesystem, join
from genre_spark.storage.inventory import FileState, file_state
from genre_spark.storage.summed_file import SummedFile

__all__ = ["ODD_COLUMNS", "Range", "RangeJob", "arrow_schema", "convert_range", "scan_range"]

ODD_COLUMNS = "place bigint, text string"
_ODD_SCHEMA = pa.schema(
    [pa.field("place", pa.int64(), False), pa.field("text", pa.string(), False)]
)
_PEEK = 1 << 16
_TEXTS = ("name", "tagline", "description")  # hardly ever the same twice
_YEARS = {"movies": ("date",)}
_TYPES = {"bigint": pa.int64(), "double": pa.float64(), "string": pa.string()}


@dataclass(frozen=True)
class Range:
    """A range of bytes of a file, which one task reads block by block.

    Attributes:
        source: number of the file.
        cuts: where its blocks begin, and its end. In a file whose fields may span lines a row
            begins at each of them; in others rows belong to the block that they begin in.
    """

    source: int
    cuts: tuple[int, ...]


@dataclass(frozen=True)
class RangeJob:
    """What all tasks know.

    Attributes:
        sources: the files.
        tables: folder of each file's table.
        rejects: folder of the table of rejected rows.
    """

    sources: tuple[CsvSource, ...]
    tables: tuple[str, ...]
    rejects: str


def scan_range(source: CsvSource, start: int, stop: int) -> BlockScan:
    """Look at a block of a file whose fields may span lines; the first one begins a row."""
    system, inner = filesystem(source.path)
    with system.open(inner, "rb") as file:
        before = b"\n" if start == source.body else _read(file, start - 1, start)
        data = _read(file, start, stop)
        after = (_read(file, stop, stop + 2) + b"\n\n")[:2]
    return scan_block(data, source.delimiter, before=before, after=after)


def convert_range(job: RangeJob, part: Range) -> dict[str, Any]:
    """Write the rows of a range into a new file of the table; return what was done, JSON values.

    Rows that only Spark's reader can take apart go to a file of their own.
    """
    source, table = job.sources[part.source], job.tables[part.source]
    odd: list[tuple[int, bytes]] = []
    rejects: list[tuple[str, str, str]] = []
    with _PartWriter(table, source) as writer:
        for place, data in _blocks(source, part.cuts):
            rows = sort_rows(
                data,
                fields=len(source.names),
                delimiter=source.delimiter,
                spans_lines=source.spans_lines,
            )
            odd += [(place + start, text) for start, text in rows.odd]
            if not rows.clean:
                continue
            typed = read_rows(
                rows.clean,
                names=source.names,
                delimiter=source.delimiter,
                schema=arrow_schema(source.columns),
                years=_YEARS.get(source.name, ()),
            )
            writer.write(typed.table)
            rejects += [_reject(source, place, data, rows, flaw) for flaw in typed.flaws]
    rejected = write_rejects(job.rejects, source.name, rejects) if rejects else None
    return {
        "source": part.source,
        "part": writer.name,
        "part_state": writer.state(),
        "rows": writer.rows,
        "rejects": rejected,
        "rejects_state": rejected and file_state(join(job.rejects, rejected)),
        "reasons": dict(Counter(reason for _, reason, _ in rejects)),
        "odd": _write_odd(table, odd) if odd else None,
        "odd_rows": len(odd),
    }


def arrow_schema(columns: tuple[str, ...]) -> pa.Schema:
    """Return the schema of a typed table for Arrow."""
    fields = typed_schema(columns).fields
    return pa.schema([(field.name, _TYPES[field.dataType.simpleString()]) for field in fields])


def _reject(
    source: CsvSource, place: int, data: bytes, rows: Rows, flaw: Flaw
) -> tuple[str, str, str]:
    start, end = int(rows.starts[flaw.row]), int(rows.ends[flaw.row])
    text = data[start:end].decode(errors="replace").rstrip("\r\n")
    return f"{source.file}, byte {place + start}", flaw.reason, text[:CONTENT_CHARS]


def _blocks(source: CsvSource, cuts: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Return the place of each block's first row, and the bytes of its rows."""
    system, inner = filesystem(source.path)
    with system.open(inner, "rb") as file:
        places = cuts if source.spans_lines else [_next_line(file, cut, source) for cut in cuts]
        for start, stop in pairwise(places):
            if start < stop:
                yield start, _read(file, start, stop)


def _next_line(file: BinaryIO, cut: int, source: CsvSource) -> int:
    """Return the first place, from a cut on, that a line begins at."""
    if cut <= source.body or cut >= source.size:
        return cut
    file.seek(cut - 1)
    text = b""
    while piece := file.read(_PEEK):
        text += piece
        end = LINE_END.search(text)
        if end is not None and end.end() < len(text):  # a line feed may follow a return
            return cut - 1 + end.end()
    return source.size


def _read(file: BinaryIO, start: int, stop: int) -> bytes:
    file.seek(start)
    return bytes(file.read(stop - start))


class _PartWriter:
    """A new file of a table; there is none where no row was written.

    Attributes:
        name: the file's name in the table's folder, or None; no other writer uses it.
        rows: number of rows written.
    """

    def __init__(self, table: str, source: CsvSource) -> None:
        self.name: str | None = None
        self.rows = 0
        self._table, self._source = table, source
        self._writer: pq.ParquetWriter | None = None
        self._file: SummedFile | None = None
        self._groups: list[int] = []

    def write(self, rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        if self._writer is None:
            self._writer = self._open(rows.schema)
        self._writer.write_table(rows, row_group_size=rows.num_rows)
        self.rows += rows.num_rows
        self._groups.append(rows.num_rows)

    def state(self) -> FileState | None:
        """Return the state of the file, once it is closed."""
        return None if self._file is None else self._file.state(tuple(self._groups))

    def _open(self, schema: pa.Schema) -> pq.ParquetWriter:
        digest = re.sub("[^0-9a-z]", "", self._source.digest)
        self.name = f"data-{digest}-{uuid.uuid4().hex[:8]}.parquet"
        system, inner = filesystem(join(self._table, self.name))
        system.makedirs(inner.rpartition("/")[0], exist_ok=True)
        self._file = SummedFile(join(self._table, self.name))
        texts = _TEXTS if "description" in schema.names else ()
        return pq.ParquetWriter(
            pa.PythonFile(self._file, "w"),
            schema,
            compression="snappy",
            use_dictionary=[name for name in schema.names if name not in ("id", *texts)],
            write_statistics=["id"],
            store_schema=False,
        )

    def __enter__(self) -> _PartWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None and self._file is not None:
            with self._file:
                self._writer.close()


def _write_odd(table: str, odd: Sequence[tuple[int, bytes]]) -> str:
    name = f"data-odd-{uuid.uuid4().hex[:8]}.parquet"  # the table's next commit removes it
    columns = [
        int_column([place for place, _ in odd], pa.int64()),
        text_column([text.decode(errors="replace") for _, text in odd]),
    ]
    system, inner = filesystem(join(table, name))
    system.makedirs(inner.rpartition("/")[0], exist_ok=True)
    with system.open(inner, "wb") as file:
        pq.write_table(pa.Table.from_arrays(columns, schema=_ODD_SCHEMA), file)
    return name
