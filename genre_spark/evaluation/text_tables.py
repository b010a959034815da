"""Tables as aligned text, for terminals and artifacts."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["align_columns"]


def align_columns(rows: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Return one line per row, its cells aligned in columns.

    Args:
        rows: rows of equally many cells, the header among them.
        left: number of columns, from the first, that are aligned on the left; the others are
            aligned on the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [*map(str.ljust, row[:left], widths), *map(str.rjust, row[left:], widths[left:])]
        lines.append("  ".join(cells).rstrip())
    return lines
