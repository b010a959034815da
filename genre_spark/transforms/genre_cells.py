"""What a cell of genres means: one genre, several of them, or none.

A file has few different cells, so they are resolved one by one on the driver, in Python, which
knows Unicode, and the outcome is joined to the rows.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.raw_values import clean_name
from genre_spark.schemas import CONTENT, MOVIE_ID, REASON
from genre_spark.spark.local_rows import frame_of_rows
from genre_spark.transforms.genre_rows import GENRE, IS_LAST

__all__ = ["PLACEHOLDERS", "Cell", "apply_cells", "describe_cells", "is_settled", "resolve_cells"]

PLACEHOLDERS = frozenset(
    ("", "-", "--", "\\n", "n/a", "na", "nan", "none", "null", "unknown", "[]", "{}", "?")
) | {"(no genres listed)", "no genres listed"}
PLACEHOLDER = "placeholder for no genre"
UNKNOWN_GENRE = "unknown genre"
UNREADABLE_LIST = "unreadable list of genres"
_SEPARATORS = ("|", ";", ", ", ",")
_LONGEST_LIST = 100_000  # characters


@dataclass(frozen=True)
class Cell:
    """The meaning of a cell.

    Attributes:
        genres: what it names, clean.
        reasons: why parts of it, or all of it, name none.
    """

    genres: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows the cell becomes."""
        return len(self.genres) + len(self.reasons)


def is_settled(name: str) -> bool:
    """Say whether a cell can only mean the one genre that stands in it."""
    return _resolve(name, frozenset(), None) == Cell((name,))


def resolve_cells(
    cells: Iterable[str], *, vocabulary: Collection[str], unknown: str, separator: str | None
) -> dict[str, Cell]:
    """Return what each cell means.

    Args:
        cells: texts.
        vocabulary: known genres; one that is known is never split.
        unknown: `reject` genres that are not known, or `keep` them.
        separator: between genres in a cell; None: recognised (a list of JSON or Python, `|`, `;`,
            comma); empty: cells are never split.
    """
    known = frozenset(vocabulary)
    resolved = {cell: _resolve(cell, known, separator) for cell in cells}
    if not known or unknown == "keep":
        return resolved
    return {cell: _restrict(found, known) for cell, found in resolved.items()}


def apply_cells(rows: DataFrame, cells: Mapping[str, Cell]) -> DataFrame:
    """Put genres, or reasons, in the place of cells; a row of several genres becomes several rows.

    Args:
        rows: of `check_rows`.
        cells: of `resolve_cells`, with all cells of the rows that have no reason yet.
    """
    changed = [
        (
            cell,
            [{"genre": genre, "reason": None} for genre in found.genres]
            + [{"genre": None, "reason": reason} for reason in found.reasons],
        )
        for cell, found in cells.items()
        if found != Cell((cell,))
    ]
    if not changed:
        return rows
    table = frame_of_rows(
        rows.sparkSession,
        changed,
        f"{GENRE} string, parts array<struct<genre: string, reason: string>>",
    )
    itself = F.array(F.struct(F.col(GENRE).alias("genre"), F.col(REASON).alias("reason")))
    parts = F.when(F.col(REASON).isNull(), F.coalesce("parts", itself)).otherwise(itself)
    joined = rows.join(F.broadcast(table), GENRE, "left")
    found = joined.select(MOVIE_ID, F.explode(parts).alias("part"), CONTENT, IS_LAST)
    return found.select(
        MOVIE_ID,
        F.col("part.genre").alias(GENRE),
        F.col("part.reason").alias(REASON),
        CONTENT,
        IS_LAST,
    )


def describe_cells(cells: Mapping[str, Cell]) -> list[str]:
    """Return sentences on the cells that are not the one genre that stands in them."""
    notes = []
    several = sorted(cell for cell, found in cells.items() if found.rows > 1)
    if several:
        shown = ", ".join(map(repr, several[:3]))
        notes.append(
            f"{len(several):,} different cells name several genres and were split: {shown}"
            "; genres.separator: '' keeps them whole"
        )
    alike = sorted(
        f"{cell!r} as {found.genres[0]!r}"
        for cell, found in cells.items()
        if len(found.genres) == 1 and not found.reasons and clean_name(cell) == found.genres[0]
    )
    if alike:
        notes.append(f"genres with blanks or accents written otherwise: {', '.join(alike[:5])}")
    return notes


def _resolve(cell: str, known: frozenset[str], separator: str | None) -> Cell:
    name = clean_name(cell)
    if cell in known or name in known:
        return Cell((cell if cell in known else name,))
    parts: list[str] | None = [name]
    if separator is None:
        parts = _parse_list(name) if name.startswith(("[", "{")) else _split(name)
    elif separator:
        parts = name.split(separator)
    if parts is None:
        return Cell(reasons=(UNREADABLE_LIST,))
    names = [part for part in dict.fromkeys(map(clean_name, parts)) if part]
    genres = tuple(part for part in names if part.casefold() not in PLACEHOLDERS)
    if len(genres) < len(names) or not genres:
        return Cell(genres, (PLACEHOLDER,))
    return Cell(genres)


def _restrict(cell: Cell, known: frozenset[str]) -> Cell:
    genres = tuple(name for name in cell.genres if name in known)
    unknown = (UNKNOWN_GENRE,) * (len(cell.genres) - len(genres))
    return Cell(genres, (*cell.reasons, *unknown))


def _split(name: str) -> list[str]:
    separator = next((sign for sign in _SEPARATORS if sign in name), None)
    return [name] if separator is None else name.split(separator)


def _parse_list(text: str) -> list[str] | None:
    """Read a list as JSON or Python write it, of texts or of objects with a name."""
    if text.casefold() in PLACEHOLDERS:
        return []
    if len(text) > _LONGEST_LIST:
        return None
    values: object = None
    for read in (json.loads, ast.literal_eval):
        try:
            values = read(text)
            break
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    values = [values] if isinstance(values, dict) else values
    if not isinstance(values, list | tuple | set):
        return None
    names = [value.get("name") if isinstance(value, dict) else value for value in values]
    return [name for name in names if isinstance(name, str)]
