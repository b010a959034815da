"""Clean rows of a CSV file as an Arrow table of typed columns, and what in them has no type.

Values are what `raw_values` reads; nearly all are plain, and a batch of those is read at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from genre_spark.errors import StageFailedError
from genre_spark.raw_values import read_id, read_number, read_year, strip_blanks

__all__ = ["Flaw", "TypedRows", "read_rows"]

_PLAIN_DIGITS = 18  # of an id that fits a bigint whatever they are
_PLAIN_NUMBER = r"^[0-9]{1,15}(?:\.[0-9]{1,15})?$"
_ID_FLAW = "id is not a number"


class Flaw(NamedTuple):
    """A row with a value that cannot be used: its number among the clean rows, and why."""

    row: int
    reason: str


class TypedRows(NamedTuple):
    """The rows whose id is a number, typed, and the flaws of all rows."""

    table: pa.Table
    flaws: list[Flaw]


def read_rows(
    clean: bytes, *, names: Sequence[str], delimiter: str, schema: pa.Schema, years: Sequence[str]
) -> TypedRows:
    """Parse clean rows.

    Args:
        clean: rows of `rows.sort_rows`.
        names: of all fields, in the order of the file.
        delimiter: between fields.
        schema: wanted columns with their types: int64 for `id`, float64 for numbers, else string.
        years: columns of text that should hold a year.

    Raises:
        StageFailedError: the rows are not clean.
    """
    texts = _parse(clean, names, delimiter, schema.names)
    flaws: list[Flaw] = []
    columns = []
    for field in schema:
        text = texts[field.name]
        if pa.types.is_int64(field.type):
            columns.append(_convert(text, pc.and_(*_plain_id(text)), pa.int64(), read_id))
            flaws += [Flaw(row, _ID_FLAW) for row in _where(pc.is_null(columns[-1]))]
        elif pa.types.is_float64(field.type):
            plain = pc.match_substring_regex(text, _PLAIN_NUMBER)
            columns.append(_convert(text, plain, pa.float64(), read_number))
            flaws += _unreadable(text, columns[-1], field.name)
        else:
            columns.append(text)
    for name in years:
        plain = pc.match_substring_regex(texts[name], "[0-9]{4}")
        flaws += [
            Flaw(row, "year is not a number")
            for row in _where(pc.invert(pc.fill_null(plain, True)))
            if _says_something(texts[name][row].as_py())
            and read_year(texts[name][row].as_py()) is None
        ]
    table = pa.Table.from_arrays(columns, schema=schema)
    known = pc.is_valid(table["id"])
    return TypedRows(table if pc.all(known).as_py() else table.filter(known), flaws)


def _parse(
    clean: bytes, names: Sequence[str], delimiter: str, wanted: Sequence[str]
) -> dict[str, pa.Array]:
    placed = [f"_{position}" for position in range(len(names))]  # a header may repeat others
    places = {name: placed[list(names).index(name)] for name in wanted}
    try:
        parsed = pcsv.read_csv(
            pa.py_buffer(clean),
            read_options=pcsv.ReadOptions(
                use_threads=False, block_size=len(clean) + 1, column_names=placed
            ),
            parse_options=pcsv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=False
            ),
            convert_options=pcsv.ConvertOptions(
                check_utf8=False,
                include_columns=list(places.values()),
                column_types=dict.fromkeys(places.values(), pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        raise StageFailedError(f"rows of a CSV file: {error}, expected whole rows") from None
    return {name: parsed[place].combine_chunks() for name, place in places.items()}


def _plain_id(text: pa.Array) -> tuple[pa.Array, pa.Array]:
    short = pc.less_equal(pc.binary_length(text), _PLAIN_DIGITS)
    return pc.ascii_is_decimal(text), short


def _convert(
    text: pa.Array, plain: pa.Array, kind: pa.DataType, read: Callable[[str], float | int | None]
) -> pa.Array:
    """Return the values: plain ones at once, the others one by one; null where there is none."""
    plain = pc.fill_null(plain, False)
    values = pc.if_else(plain, text, pa.scalar(None, pa.string())).cast(kind)
    others = pc.and_(pc.invert(plain), pc.is_valid(text))
    if not pc.any(others).as_py():
        return values
    read_ones = [read(value) for value in text.filter(others).to_pylist()]
    return pc.replace_with_mask(values, others, pa.array(read_ones, kind))


def _unreadable(text: pa.Array, values: pa.Array, name: str) -> list[Flaw]:
    rows = _where(pc.and_(pc.is_null(values), pc.is_valid(text)))
    return [
        Flaw(row, f"{name} is not a number") for row in rows if _says_something(text[row].as_py())
    ]


def _says_something(text: str) -> bool:
    return strip_blanks(text) != ""


def _where(mask: Any) -> list[int]:
    found: list[int] = pc.indices_nonzero(mask).to_pylist()
    return found
