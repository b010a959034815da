"""The journal of collect-tmdb: every answer that was received, so that none is asked for twice.

A SQLite file in write-ahead mode: what was committed survives a process that is killed, a power cut
can lose the last answers and no more, and nothing of it is held in memory. Answers are inserted one
by one as they come; a later answer takes the place of an earlier one only when it is whole.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from genre_spark.errors import InvalidInputError, StageFailedError

__all__ = ["FOUND", "GONE", "Journal", "Page", "StoredMovie"]

FOUND, GONE = "found", "gone"
_VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, at REAL, body BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pages (
  listing TEXT, genre INTEGER, page INTEGER, at REAL, total_pages INTEGER, ids TEXT,
  PRIMARY KEY (listing, genre, page)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS movies (
  variant TEXT, id INTEGER, at REAL, state TEXT, body BLOB, PRIMARY KEY (variant, id));
CREATE TEMP TABLE wanted (id INTEGER PRIMARY KEY, popularity REAL);
"""
_BATCH = 1000


class Page(NamedTuple):
    """A page of a list of popular movies.

    Attributes:
        page: its number, from 1.
        at: when it came, seconds since 1970.
        total_pages: how many there were then.
        ids: TMDb ids, the most popular first.
    """

    page: int
    at: float
    total_pages: int
    ids: tuple[int, ...]


class StoredMovie(NamedTuple):
    """An answer about one movie.

    Attributes:
        id: of TMDb.
        at: when it came, seconds since 1970.
        body: the JSON object.
    """

    id: int
    at: float
    body: dict[str, Any]


class Journal:
    """The journal, open for one process alone until it is closed."""

    def __init__(self, path: str) -> None:
        """Open the journal, or start one.

        Raises:
            InvalidInputError: the file cannot be opened, or is not a journal.
            StageFailedError: another process has it open.
        """
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path, timeout=1, isolation_level=None)
            self._base.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = NORMAL")
            version = self._base.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise InvalidInputError(
                    f"{path}: a journal of version {version}, expected {_VERSION}; name another "
                    "file as collect.tmdb.journal"
                )
            self._base.executescript(_TABLES)
            self._base.execute(f"PRAGMA user_version = {_VERSION}")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise StageFailedError(
                    f"{path}: another process is collecting with this journal; wait for its end"
                ) from None
            raise InvalidInputError(f"{path}: cannot be opened as a journal: {error}") from None
        except sqlite3.DatabaseError as error:
            raise InvalidInputError(
                f"{path}: not a journal of collect-tmdb ({error}); name another file as "
                "collect.tmdb.journal"
            ) from None
        except OSError as error:
            raise InvalidInputError(f"{path}: {error.strerror}, expected a local file") from None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._base.close()

    def document(self, name: str, *, newer_than: float) -> dict[str, Any] | None:
        """Return a stored document (TMDb's genres), or None where none is new enough."""
        row = self._base.execute(
            "SELECT body FROM documents WHERE name = ? AND at >= ?", (name, newer_than)
        ).fetchone()
        return None if row is None else _unpack(row[0])

    def add_document(self, name: str, at: float, body: dict[str, Any]) -> None:
        """Store a document."""
        self._base.execute("REPLACE INTO documents VALUES (?, ?, ?)", (name, at, _pack(body)))

    def pages(self, listing: str, genre: int, *, newer_than: float) -> dict[int, Page]:
        """Return the stored pages of a genre's list, by number."""
        rows = self._base.execute(
            "SELECT page, at, total_pages, ids FROM pages "
            "WHERE listing = ? AND genre = ? AND at >= ? ORDER BY page",
            (listing, genre, newer_than),
        )
        return {row[0]: Page(row[0], row[1], row[2], tuple(json.loads(row[3]))) for row in rows}

    def add_page(self, listing: str, genre: int, page: Page) -> None:
        """Store a page of a genre's list."""
        self._base.execute(
            "REPLACE INTO pages VALUES (?, ?, ?, ?, ?, ?)",
            (listing, genre, page.page, page.at, page.total_pages, json.dumps(page.ids)),
        )

    def want(self, ids: Iterable[tuple[int, float]]) -> None:
        """Add (id, popularity) to the movies wanted in this run."""
        with self._base:
            self._base.execute("BEGIN")
            self._base.executemany("INSERT OR IGNORE INTO wanted VALUES (?, ?)", ids)

    def keep_most_popular(self, limit: int) -> None:
        """Want the most popular movies alone; ties go by id."""
        self._base.execute(
            "DELETE FROM wanted WHERE id NOT IN "
            "(SELECT id FROM wanted ORDER BY popularity DESC, id LIMIT ?)",
            (limit,),
        )

    def count_wanted(self) -> int:
        """Return how many movies are wanted."""
        return int(self._base.execute("SELECT count(*) FROM wanted").fetchone()[0])

    def missing(self, variant: str, *, newer_than: float) -> Iterator[int]:
        """Yield, in order, the wanted movies without an answer that is new enough."""
        last = 0
        while True:
            # movies are stored meanwhile: a cursor that stays open over them would see some of them
            rows = self._base.execute(
                "SELECT w.id FROM wanted w LEFT JOIN movies m ON m.variant = ? AND m.id = w.id "
                "AND m.at >= ? WHERE w.id > ? AND m.id IS NULL ORDER BY w.id LIMIT ?",
                (variant, newer_than, last, _BATCH),
            ).fetchall()
            yield from (row[0] for row in rows)
            if len(rows) < _BATCH:
                return
            last = rows[-1][0]

    def count_missing(self, variant: str, *, newer_than: float) -> int:
        """Return how many movies `missing` yields."""
        return self.count_wanted() - int(
            self._base.execute(
                "SELECT count(*) FROM wanted w JOIN movies m ON m.variant = ? AND m.id = w.id "
                "AND m.at >= ?",
                (variant, newer_than),
            ).fetchone()[0]
        )

    def add_movie(self, variant: str, movie: int, at: float, body: dict[str, Any] | None) -> None:
        """Store what TMDb says of a movie; None: that there is no such movie."""
        state = GONE if body is None else FOUND
        self._base.execute(
            "REPLACE INTO movies VALUES (?, ?, ?, ?, ?)",
            (variant, movie, at, state, None if body is None else _pack(body)),
        )

    def states(self, variant: str) -> Iterator[tuple[int, float, str]]:
        """Yield (id, when, FOUND or GONE) of the wanted movies that have an answer, by id."""
        yield from self._base.execute(
            "SELECT m.id, m.at, m.state FROM wanted w JOIN movies m "
            "ON m.variant = ? AND m.id = w.id ORDER BY m.id",
            (variant,),
        )

    def movies(self, variant: str) -> Iterator[StoredMovie]:
        """Yield the answers about wanted movies that TMDb has, by id."""
        rows = self._base.execute(
            "SELECT m.id, m.at, m.body FROM wanted w JOIN movies m "
            "ON m.variant = ? AND m.id = w.id WHERE m.state = ? ORDER BY m.id",
            (variant, FOUND),
        )
        for row in rows:
            yield StoredMovie(row[0], row[1], _unpack(row[2]))


def _pack(body: dict[str, Any]) -> bytes:
    return zlib.compress(json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode())


def _unpack(body: bytes) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(zlib.decompress(body))
    return value
