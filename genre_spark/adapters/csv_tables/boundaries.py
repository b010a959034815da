"""Where the rows of a CSV file begin whose quoted fields may hold line breaks, block by block.

Whether a line break ends a row depends on the number of quotes before it, in the whole file. Each
block of bytes is therefore looked at twice, as if it began outside and inside quotes; the quotes
of the blocks before it, one number per block, say which of the two was right (Chang et al., SIGMOD
2019, "Speculative distributed CSV data parsing"). A file in which a quote stands where RFC 4180 has
none cannot be cut in this way, and is found out by the same pass. No Spark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["BlockScan", "allowed_quotes", "row_starts", "scan_block"]

QUOTE, LINE_FEED, RETURN = b'"'[0], b"\n"[0], b"\r"[0]
_OUTSIDE, _INSIDE = 0, 1


class BlockScan(NamedTuple):
    """What is known of a block of bytes before it is known whether it begins inside quotes.

    Attributes:
        quotes: number of quotes.
        regular: whether all quotes stand where they may: if the block begins outside, inside.
        first_row: place in the block of the first byte that begins a row, up to its length; -1
            where none does: if it begins outside, inside.
    """

    quotes: int
    regular: tuple[bool, bool]
    first_row: tuple[int, int]


def scan_block(data: bytes, delimiter: str, *, before: bytes, after: bytes) -> BlockScan:
    r"""Look at a block of a file.

    Args:
        data: its bytes.
        delimiter: between fields, one byte.
        before: the byte before it, or a line feed at the beginning of the first row.
        after: the two bytes behind it; line feeds behind the end of the file.
    """
    text = np.frombuffer(before + data + after, np.uint8)
    inner = text[1 : 1 + len(data)]
    quotes = np.flatnonzero(inner == QUOTE)
    opens, closes = allowed_quotes(text, quotes + 1, delimiter)
    regular = (
        bool(opens[0::2].all() and closes[1::2].all()),
        bool(closes[0::2].all() and opens[1::2].all()),
    )
    ends = np.flatnonzero(text[: 1 + len(data)] == LINE_FEED)  # row starts, counted in `inner`
    inside = np.searchsorted(quotes, ends) & 1
    return BlockScan(
        len(quotes), regular, (_first(ends[inside == _OUTSIDE]), _first(ends[inside == _INSIDE]))
    )


def _first(places: npt.NDArray[np.intp]) -> int:
    return int(places[0]) if len(places) else -1


def allowed_quotes(
    text: npt.NDArray[np.uint8],
    places: npt.NDArray[np.intp],
    delimiter: str,
    *,
    any_return: bool = False,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    r"""Say of each quote whether it may open a field, and whether it may close one.

    A field is opened at its beginning and closed at its end; two quotes within it stand for one,
    of which the first counts as closing it and the second as opening it again.

    Args:
        text: bytes with one before the first quote and two behind the last one.
        places: of the quotes.
        delimiter: between fields, one byte.
        any_return: whether a carriage return ends a row also without a line feed behind it.
    """
    comma = ord(delimiter)
    previous, following = text[places - 1], text[places + 1]
    opens = (previous == comma) | (previous == LINE_FEED) | (previous == QUOTE)
    closes = (following == comma) | (following == LINE_FEED) | (following == QUOTE)
    if any_return:
        return opens | (previous == RETURN), closes | (following == RETURN)
    return opens, closes | ((following == RETURN) & (text[places + 2] == LINE_FEED))


def row_starts(blocks: Sequence[tuple[int, int]], scans: Sequence[BlockScan]) -> list[int] | None:
    """Return a place in the file for each block that a row begins in: where the first one does.

    Args:
        blocks: first byte and end of each block, in order, without gaps; the first begins a row.
        scans: of the blocks.

    Returns:
        None where a quote stands where RFC 4180 has none, or the last one is never closed.
    """
    inside = 0
    found: list[int] = []
    for (start, _), scan in zip(blocks, scans, strict=True):
        if not scan.regular[inside]:
            return None
        first = scan.first_row[inside]
        if first >= 0 and (not found or start + first > found[-1]):
            found.append(start + first)
        inside ^= scan.quotes & 1
    return None if inside else found
