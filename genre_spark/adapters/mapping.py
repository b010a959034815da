"""What must be known of a data set before its rows are movies: files, columns, and their meaning.

No Spark. A column has several names where releases of a data set differ; the first that is there
counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["JoinedFile", "ListColumn", "RowFilter", "SourceMap", "find_column"]

Names = tuple[str, ...]


@dataclass(frozen=True)
class ListColumn:
    """A column with several names of one kind.

    Attributes:
        table: of the Letterboxd layout, that the names belong to.
        columns: of the source.
        role: `type` of a language or `role` of a person; None: as the entries say (`job`).
        separator: between entries, empty for a single one; None: recognised.
        lists: whether cells may be lists of JSON or Python.
    """

    table: str
    columns: Names
    role: str | None = None
    separator: str | None = None
    lists: bool = False


@dataclass(frozen=True)
class JoinedFile:
    """A second file of a data set.

    Attributes:
        files: its possible names; it may be missing.
        key: its column of ids, those of the first file's column `on`.
        on: column of the first file.
        columns: brought along.
    """

    files: Names
    key: str
    on: str
    columns: Names


@dataclass(frozen=True)
class RowFilter:
    """Rows that are movies: those whose column has one of the values; others are only counted."""

    column: str
    values: Names


@dataclass(frozen=True)
class SourceMap:
    """A layout.

    Attributes:
        files: possible names of the first file in a folder; empty: any path.
        id: column of ids; within it the pattern `id_pattern`, where there is one.
        ids: number, imdb, text or auto.
        texts: name, date, tagline, description, poster, imdb_id -> columns.
        numbers: minute, rating, budget, revenue, votes, popularity -> columns.
        lists: genres and the rest.
        joined: further files.
        keep: rows that are movies, or None for all.
        quote: around fields; empty: quotes mean nothing.
        year_in_name: whether names end in a year: `Heat (1995)`.
        poster_base: put before links that begin with a slash.
    """

    id: Names
    lists: tuple[ListColumn, ...]
    files: Names = ()
    id_pattern: str | None = None
    ids: str = "number"
    texts: Mapping[str, Names] = field(default_factory=dict)
    numbers: Mapping[str, Names] = field(default_factory=dict)
    joined: tuple[JoinedFile, ...] = ()
    keep: RowFilter | None = None
    quote: str = '"'
    year_in_name: bool = False

    def columns(self) -> list[str]:
        """Return all names that columns of the first file may have."""
        groups = [self.id, *self.texts.values(), *self.numbers.values()]
        groups += [each.columns for each in self.lists]
        groups += [(each.on,) for each in self.joined]
        groups += [(self.keep.column,)] if self.keep is not None else []
        return list(dict.fromkeys(name for group in groups for name in group))

    def required(self) -> list[Names]:
        """Return the columns without which the file is another one: ids and genres."""
        return [self.id, *(each.columns for each in self.lists if each.table == "genres")]


def find_column(header: Sequence[str], names: Sequence[str]) -> str | None:
    """Return the column of a header that one of the names means, or None.

    Names are compared without regard to case, then also without blanks and signs: `Box Office` is
    `box_office`.
    """
    for key in (str.casefold, _letters):
        for name in names:
            found = [column for column in header if key(column.strip()) == key(name)]
            if found:
                return found[0]
    return None


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())
