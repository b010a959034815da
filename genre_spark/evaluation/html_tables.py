"""Results as HTML for notebooks: escaped, without scripts, in the colours of the notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["html_list", "html_note", "html_pre", "html_table", "html_title"]

_NUMBER = "text-align:right;font-variant-numeric:tabular-nums"


def html_title(text: str, detail: str = "") -> str:
    """Return a line with a bold title."""
    after = f" <span style='opacity:.7'>{escape(detail)}</span>" if detail else ""
    return f"<p><b>{escape(text)}</b>{after}</p>"


def html_table(
    rows: Iterable[Sequence[str]], *, header: Sequence[str] = (), left: int = 1, bold: int = -1
) -> str:
    """Return a table; nothing where there is no row.

    Args:
        rows: cells as text.
        header: names of the columns.
        left: number of columns, from the first, that are aligned on the left.
        bold: position of the row in bold.
    """
    body = []
    for number, row in enumerate(rows):
        weight = "font-weight:bold;" if number == bold else ""
        cells = [
            f"<td style='{weight}{'text-align:left' if place < left else _NUMBER}'>"
            f"{escape(str(cell))}</td>"
            for place, cell in enumerate(row)
        ]
        body.append(f"<tr>{''.join(cells)}</tr>")
    if not body:
        return ""
    heads = [
        f"<th style='text-align:{'left' if place < left else 'right'}'>{escape(str(name))}</th>"
        for place, name in enumerate(header)
    ]
    head = f"<thead><tr>{''.join(heads)}</tr></thead>" if heads else ""
    return f"<table>{head}<tbody>{''.join(body)}</tbody></table>"


def html_list(items: Iterable[str]) -> str:
    """Return items below each other; nothing where there is none."""
    found = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f"<ul>{found}</ul>" if found else ""


def html_pre(text: str) -> str:
    """Return a text whose columns are aligned by blanks."""
    return f"<pre style='line-height:1.3'>{escape(text)}</pre>" if text else ""


def html_note(text: str) -> str:
    """Return a paragraph in small letters."""
    return f"<p style='font-size:.9em;opacity:.8'>{escape(text)}</p>"
