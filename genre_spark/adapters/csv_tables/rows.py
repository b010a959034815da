"""Whole rows of a CSV file as bytes: those that every parser reads alike, and the odd ones.

Odd are rows with too few or too many fields, with a quote where RFC 4180 has none, with a lone
carriage return, or not in UTF-8. They are few, and Spark's reader alone says what is in them. No
Spark here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genre_spark.adapters.csv_tables.boundaries import LINE_FEED, QUOTE, RETURN, allowed_quotes

__all__ = ["Rows", "sort_rows"]

_NOT_ASCII = 0x80
_BLANK = 0x20  # what is not above it is no content: Java's trim

Places = npt.NDArray[np.intp]
Marks = npt.NDArray[np.bool_]


class Rows(NamedTuple):
    """Rows, sorted.

    Attributes:
        clean: bytes of the clean rows, each ended by a line feed or what stood in its place.
        starts: place of each clean row in the bytes that were sorted.
        ends: place behind each clean row, its line end included.
        odd: place and bytes, without a line end, of each odd row that is not blank.
    """

    clean: bytes
    starts: Places
    ends: Places
    odd: list[tuple[int, bytes]]


def sort_rows(data: bytes, *, fields: int, delimiter: str, spans_lines: bool) -> Rows:
    """Sort whole rows into clean and odd ones.

    Args:
        data: bytes of whole rows; the last one may lack its line end.
        fields: number of fields of a whole row.
        delimiter: between fields, one byte.
        spans_lines: whether line breaks in quotes belong to a field; then all quotes stand where
            they may, and carriage returns alone end no row. Else each line is a row by itself.
    """
    if data and not data.endswith((b"\n", b"\r")):
        data += b"\n"
    padded = np.frombuffer(b"\n" + data + b"\n\n", np.uint8)  # one can look around every byte
    text, inner = padded[1:], padded[1:-2]
    quotes = np.flatnonzero(inner == QUOTE)
    returns = np.flatnonzero(inner == RETURN) if b"\r" in data else np.empty(0, np.intp)
    ends = _row_ends(text, inner, quotes, returns, spans_lines=spans_lines)
    if not len(ends):
        return Rows(b"", ends, ends, [])
    starts = np.concatenate([[0], ends[:-1]])
    odd = np.zeros(len(ends), np.bool_)
    first_quote = np.searchsorted(quotes, starts)  # number of quotes before each row
    if not spans_lines and len(quotes):
        _mark_odd_quotes(odd, padded, quotes, ends, first_quote, delimiter)
    if spans_lines and len(returns):
        outside = returns[(np.searchsorted(quotes, returns) & 1) == 0]
        lone = outside[text[outside + 1] != LINE_FEED]
        odd[np.searchsorted(ends, lone, side="right")] = True
    commas = np.flatnonzero(inner == ord(delimiter))
    if len(quotes):
        row = np.searchsorted(ends, commas, side="right")
        before = np.searchsorted(quotes, commas) - first_quote[row]
        commas = commas[(before & 1) == 0]
    odd |= np.diff(np.searchsorted(commas, np.append(starts, ends[-1]))) != fields - 1
    odd |= inner[starts] <= _BLANK  # may be a blank line
    _mark_other_encodings(odd, data, inner, starts, ends)
    return _take(data, starts, ends, odd, spans_lines=spans_lines)


def _row_ends(
    text: npt.NDArray[np.uint8],
    inner: npt.NDArray[np.uint8],
    quotes: Places,
    returns: Places,
    *,
    spans_lines: bool,
) -> Places:
    """Return the place behind each row, its line end included."""
    feeds = np.flatnonzero(inner == LINE_FEED)
    if spans_lines:
        if len(quotes):
            feeds = feeds[(np.searchsorted(quotes, feeds) & 1) == 0]
        return feeds + 1
    lone = returns[text[returns + 1] != LINE_FEED]
    return (np.sort(np.concatenate([feeds, lone])) if len(lone) else feeds) + 1


def _mark_odd_quotes(
    odd: Marks,
    padded: npt.NDArray[np.uint8],
    quotes: Places,
    ends: Places,
    first_quote: Places,
    delimiter: str,
) -> None:
    """Mark lines with an unpaired quote, or one that neither opens nor closes a field."""
    opens, closes = allowed_quotes(padded, quotes + 1, delimiter, any_return=True)
    row = np.searchsorted(ends, quotes, side="right")
    opening = ((np.arange(len(quotes)) - first_quote[row]) & 1) == 0
    odd[row[~np.where(opening, opens, closes)]] = True
    odd[np.bincount(row, minlength=len(ends)) % 2 == 1] = True


def _mark_other_encodings(
    odd: Marks, data: bytes, inner: npt.NDArray[np.uint8], starts: Places, ends: Places
) -> None:
    """Mark rows that are not UTF-8."""
    if data.isascii() or _is_utf8(data):
        return
    rows = np.unique(np.searchsorted(ends, np.flatnonzero(inner >= _NOT_ASCII), side="right"))
    odd[[row for row in rows.tolist() if not _is_utf8(data[starts[row] : ends[row]])]] = True


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _take(data: bytes, starts: Places, ends: Places, odd: Marks, *, spans_lines: bool) -> Rows:
    if not odd.any():
        return Rows(data, starts, ends, [])
    found = []
    for row in np.flatnonzero(odd).tolist():
        content = data[starts[row] : ends[row]]
        content = content.removesuffix(b"\n").removesuffix(b"\r")
        blank = content if spans_lines else content.strip(bytes(range(_BLANK + 1)))
        if blank:
            found.append((int(starts[row]), content))
    kept = ~odd
    edges = np.flatnonzero(np.diff(np.concatenate([[False], kept, [False]]).astype(np.int8)))
    runs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    clean = b"".join(data[starts[first] : ends[last - 1]] for first, last in runs)
    return Rows(clean, starts[kept], ends[kept], found)
