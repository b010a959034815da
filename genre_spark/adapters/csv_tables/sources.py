"""A CSV file of the Letterboxd layout, looked at: how it is read, and by how many tasks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from genre_spark.schemas import METADATA_CSVS
from genre_spark.storage.files import file_digest, filesystem
from genre_spark.transforms.csv import HEAD_BYTES, read_head, read_header
from genre_spark.transforms.metadata import spans_lines
from genre_spark.transforms.text_form import decode_head

__all__ = ["LINE_END", "CsvSource", "open_source"]

LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True)
class CsvSource:
    """A CSV file.

    Attributes:
        name: of its table: movies, countries, ....
        path: of the file.
        digest: changes when the file does.
        size: bytes.
        names: of its fields, in lower case.
        delimiter: between fields.
        body: place of the first byte behind the header; -1 where the file cannot be cut: it is
            compressed, or in an encoding or with line ends that only a reader of all of it knows.
        spans_lines: whether quoted fields may hold line breaks.
    """

    name: str
    path: str
    digest: str
    size: int
    names: tuple[str, ...]
    delimiter: str
    body: int
    spans_lines: bool

    @property
    def file(self) -> str:
        """The file's name."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table."""
        return METADATA_CSVS[self.name]


def open_source(name: str, path: str) -> CsvSource:
    """Look at the header of a file of `METADATA_CSVS`.

    Raises:
        InvalidInputError: the file is missing, empty, of an unknown encoding, or lacks a column.
    """
    columns = METADATA_CSVS[name]
    names, line_break, form = read_header(path, columns)
    system, inner = filesystem(path)
    spans = spans_lines(path)
    body = -1
    if form.is_byte_utf8 and not path.endswith(".gz") and not (spans and line_break == "\r"):
        body = _body(read_head(path, columns))
    return CsvSource(
        name,
        path,
        file_digest(path),
        int(system.size(inner) or 0),
        names,
        form.delimiter,
        body,
        spans,
    )


def _body(head: bytes) -> int:
    """Return the place behind the header, or -1 where it is not simply the first line."""
    end = LINE_END.search(head)
    if end is None:
        return len(head) if len(head) < HEAD_BYTES else -1
    header = decode_head(head[: end.start()], "utf-8")
    if len(header.splitlines()) != 1 or header.count('"') % 2:
        return -1
    return end.end()
