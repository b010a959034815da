"""CSV files line by line: every line becomes fields or is known as unusable; none is lost."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.errors import InvalidInputError
from genre_spark.spark.session import literal_path
from genre_spark.storage.files import filesystem
from genre_spark.transforms.text_form import (
    COMMA_UTF8,
    TextForm,
    decode_head,
    recognise_form,
)

__all__ = [
    "FIELDS",
    "HEAD_BYTES",
    "LINE",
    "CsvLayout",
    "check_header",
    "read_head",
    "read_header",
    "read_layout",
    "read_lines",
    "split_fields",
]

LINE = "value"  # the name that spark.read.text gives its only column
FIELDS = "fields"
HEAD_BYTES = 256 * 1024
"""Of a file, so many first bytes say how it is written."""
_CHUNK = 4 * 1024 * 1024
_WHOLE_CHECK_BYTES = 2**30  # larger gzipped files are not read on the driver beforehand
_BLANKS = " \t\u00a0\u200b\ufeff"


@dataclass(frozen=True)
class CsvLayout:
    """What must be known of a CSV file before its lines can be read in any order.

    Attributes:
        path: of the file, for messages.
        header: the first line as it stands, byte order mark included.
        columns: the names in it, in lower case.
        last_line: the last line when no line break follows it (the file may have been cut there),
            else None.
        first_lines: some lines after the header, each ended by a line break: what the file looks
            like.
        form: encoding, delimiter and quotes.
    """

    path: str
    header: str
    columns: tuple[str, ...]
    last_line: str | None
    first_lines: tuple[str, ...] = ()
    form: TextForm = COMMA_UTF8


def check_header(path: str, required: Sequence[str]) -> None:
    """Look at the first lines of a CSV file, so that a wrong file is reported before all else.

    Raises:
        InvalidInputError: there is no such file, it is empty or holds a header alone, or the header
            cannot be used.
    """
    head = read_head(path, required)
    form, _, _ = _parse_header(path, head, required)
    if len(head) < HEAD_BYTES and not decode_head(head, form.encoding).partition("\n")[2].strip():
        raise InvalidInputError(
            f"{path}: a header and no rows, expected rows of {','.join(required)}"
        )


def read_header(path: str, required: Sequence[str]) -> tuple[tuple[str, ...], str, TextForm]:
    """Return the columns of a CSV file, in lower case, what ends its lines, and its form.

    A file with line feeds is read by these, whatever stands before them: files of two systems that
    were put together have both kinds of line ends.

    Raises:
        InvalidInputError: the file is missing, empty, of an unknown encoding, or lacks a required
            column.
    """
    head = read_head(path, required)
    form, _, names = _parse_header(path, head, required)
    return names, "\r" if b"\r" in head and b"\n" not in head else "\n", form


def read_layout(path: str, required: Sequence[str]) -> CsvLayout:
    """Read the header and the end of a CSV file, plain or gzipped (by its name).

    Raises:
        InvalidInputError: there is no such file, it is empty, of an unknown encoding, not whole
            gzip, or lacks a required column.
    """
    head, tail = _open_ends(path, required, whole=True)
    form, header, names = _parse_header(path, head, required)
    if not form.is_plain:
        return CsvLayout(path, header, names, None, (), form)
    last = None
    if tail and not tail.endswith((b"\n", b"\r")):
        last = tail.splitlines()[-1].decode("utf-8", errors="replace")
    whole_lines = head[: head.rfind(b"\n") + 1].splitlines()[1:]
    first = tuple(line.decode("utf-8", errors="replace") for line in whole_lines)
    return CsvLayout(path, header, names, last, first, form)


def read_head(path: str, required: Sequence[str]) -> bytes:
    """Return the first bytes of a file, plain or gzipped (by its name).

    Raises:
        InvalidInputError: there is no such file, or it is not gzip.
    """
    return _open_ends(path, required, whole=False)[0]


def read_lines(spark: SparkSession, path: str) -> DataFrame:
    """Read the lines of a file as the column `value`."""
    return spark.read.text(literal_path(path))


def _parse_header(
    path: str, head: bytes, required: Sequence[str]
) -> tuple[TextForm, str, tuple[str, ...]]:
    """Return the form of the file, its header as it stands, and the names in lower case."""
    if not head.strip():
        raise InvalidInputError(
            f"{path}: the file is empty, expected a header of {','.join(required)}"
        )
    form, header, found = recognise_form(path, head, required)
    names = tuple(name.lower() for name in found)
    missing = [name for name in required if name not in names]
    if missing:
        raise InvalidInputError(
            f"{path}: no column {', '.join(missing)}, expected the columns {', '.join(required)}; "
            f"the header has {', '.join(names)[:200]} (read as: {form})"
        )
    repeated = [name for name in required if names.count(name) > 1]
    if repeated:
        raise InvalidInputError(
            f"{path}: the column {repeated[0]} stands more than once in the header, expected once"
        )
    return form, header, names


def _open_ends(path: str, required: Sequence[str], *, whole: bool) -> tuple[bytes, bytes]:
    """Return the first bytes of the text and, with `whole`, the last ones."""
    system, inner = filesystem(path)
    if not system.isfile(inner):
        raise InvalidInputError(f"{path}: no such file, expected a CSV of {','.join(required)}")
    gzipped = path.endswith(".gz")
    try:
        with system.open(inner, "rb") as file:
            if whole:
                return _read_ends(file, int(system.size(inner) or 0), gzipped=gzipped)
            with gzip.GzipFile(fileobj=file) if gzipped else file as text:
                return text.read(HEAD_BYTES), b""
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InvalidInputError(
            f"{path}: not a whole gzip file ({error}), expected a complete .csv.gz"
        ) from None


def _read_ends(file: io.BufferedReader, size: int, *, gzipped: bool) -> tuple[bytes, bytes]:
    """Return the first and the last bytes of the text.

    A gzip stream is checked to its end on the way.
    """
    if not gzipped:
        head = file.read(HEAD_BYTES)
        file.seek(max(0, size - HEAD_BYTES))
        return head, file.read()
    with gzip.GzipFile(fileobj=file) as text:
        head = tail = text.read(HEAD_BYTES)
        if size > _WHOLE_CHECK_BYTES:
            return head, b""
        while chunk := text.read(_CHUNK):
            tail = (tail + chunk)[-HEAD_BYTES:]
        return head, tail


def split_fields(lines: DataFrame, layout: CsvLayout, *, columns: Sequence[str]) -> DataFrame:
    """Add the named columns to lines: text without quotes and blanks around it, null if malformed.

    A line is malformed when it has more or fewer fields than the header, or an unpaired quote (RFC
    4180; a field with a line break in it comes as two lines, both malformed).

    Args:
        lines: with the column `value`, as `spark.read.text` gives them.
        layout: of the file that they come from.
        columns: names of the header.
    """
    count = len(layout.columns)
    line = F.col(LINE)
    # Possessive (++, *+), so that Java's matcher neither recurses once a character nor tries blanks
    # again and again.
    field = r'\s*+(?:"([^"]*+(?:""[^"]*+)*+)"\s*+|([^",]*+))'
    pattern = "^" + ",".join([field] * count) + "$"
    positions = [layout.columns.index(name) for name in columns]

    def quoted(position: int) -> Column:
        inside = F.regexp_extract(line, pattern, 2 * position + 1)
        return F.concat(
            F.regexp_replace(inside, '""', '"'), F.regexp_extract(line, pattern, 2 * position + 2)
        )

    # Few lines have quotes, and splitting is many times cheaper than matching.
    plain = F.split(line, ",", -1)
    parts = F.when(
        F.contains(line, F.lit('"')),
        F.when(
            F.rlike(line, F.lit(pattern)), F.array(*[quoted(position) for position in positions])
        ),
    ).otherwise(
        F.when(F.size(plain) == count, F.array(*[F.get(plain, F.lit(p)) for p in positions]))
    )
    split = lines.withColumn(FIELDS, parts)
    return split.select(
        *lines.columns,
        *[
            F.btrim(F.get(FIELDS, F.lit(i)), F.lit(_BLANKS)).alias(name)
            for i, name in enumerate(columns)
        ],
    )
