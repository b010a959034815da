"""Which movies to collect: the most popular ones of each genre, page by page, or a file of ids."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import re
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, cast

from genre_spark.collect.journal import Journal, Page
from genre_spark.collect.politeness import gather_all
from genre_spark.collect.tmdb_answers import (
    Genre,
    GenreList,
    PageAnswer,
    WrongAnswerError,
    read_answer,
)
from genre_spark.collect.tmdb_client import PAGE_BEYOND, RefusedRequestError, TmdbClient
from genre_spark.config.collect import TmdbConfig
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.storage.files import filesystem, fingerprint

__all__ = ["GenreRanking", "RankedMovie", "rank_genres", "read_ids"]

_LAST_PAGE = 500  # TMDb answers with PAGE_BEYOND past it
_PER_PAGE = 20
_LARGEST_ID = 2**31 - 1
_ID = re.compile(r"([0-9]{1,10})(?:\.0*)?")  # some tables have them as 550.0
NOT_AN_ID = "not a TMDb id"
NOT_JSON = "not a line of TMDb's daily export"
# reports a line of a file that is not used: place, reason, content
Reject = Callable[[str, str, str], None]


class RankedMovie(NamedTuple):
    """A movie of a genre's list: where it stood when."""

    id: int
    page: int
    rank: int  # from 1, among the distinct movies of the list
    at: float


@dataclass(frozen=True)
class GenreRanking:
    """The most popular movies of a genre.

    Attributes:
        genre: of TMDb's list.
        movies: distinct, the most popular first.
        pages: how many pages were looked at.
    """

    genre: Genre
    movies: tuple[RankedMovie, ...]
    pages: int


async def rank_genres(
    client: TmdbClient, journal: Journal, config: TmdbConfig, *, newer_than: float
) -> list[GenreRanking]:
    """List the most popular movies of each genre that the recipe names.

    Args:
        client: for pages that the journal does not have.
        journal: of all pages.
        config: how many, of which genres.
        newer_than: seconds since 1970; older pages are asked for again.

    Raises:
        InvalidConfigError: a genre of the recipe is not in TMDb's list.
        WrongAnswerError: an answer is not what was asked for.
    """
    name = f"genres {config.language}"
    stored = journal.document(name, newer_than=newer_than)
    path = "/genre/movie/list"
    if stored is None:
        stored = await client.get(path, {"language": config.language})
        read_answer(GenreList, stored, path=path)
        journal.add_document(name, time.time(), stored)
    known = {genre.name: genre for genre in read_answer(GenreList, stored, path=path).genres}
    unknown = [genre for genre in config.genres or () if genre not in known]
    if unknown:
        raise InvalidConfigError(
            f"collect.tmdb.genres: {', '.join(unknown)}, expected genres of TMDb in "
            f"{config.language}: {', '.join(sorted(known))}"
        )
    lists = [_GenreList(client, journal, config, known[genre]) for genre in config.genres or known]
    return list(await gather_all([each.rank(newer_than=newer_than) for each in lists]))


class _GenreList:
    """The list of one genre: pages are asked for until enough distinct movies are in them.

    Popularity shifts while one pages: a movie that falls from page 3 to page 4 comes twice, so N
    movies need more than N / 20 pages.
    """

    def __init__(
        self, client: TmdbClient, journal: Journal, config: TmdbConfig, genre: Genre
    ) -> None:
        self._client, self._journal, self._config, self._genre = client, journal, config, genre
        self._query: dict[str, str | int] = {
            "sort_by": "popularity.desc",
            "include_adult": str(config.include_adult).lower(),
            "language": config.language,
            **config.filters,
            "with_genres": genre.id,
        }
        self._listing = fingerprint(self._query)

    async def rank(self, *, newer_than: float) -> GenreRanking:
        wanted = self._config.per_genre
        pages = self._journal.pages(self._listing, self._genre.id, newer_than=newer_than)
        while True:
            movies = _distinct(pages, wanted)
            end = min([_LAST_PAGE, *(page.total_pages for page in pages.values())])
            missing = [number for number in range(1, end + 1) if number not in pages]
            if len(movies) >= wanted or not missing:
                return GenreRanking(self._genre, tuple(movies), len(pages))
            # the first page says how many there are
            few = math.ceil((wanted - len(movies)) / _PER_PAGE) if pages else 1
            for page in await gather_all([self._ask(number) for number in missing[:few]]):
                pages[page.page] = page

    async def _ask(self, number: int) -> Page:
        path = "/discover/movie"
        try:
            value = await self._client.get(path, {**self._query, "page": number})
        except RefusedRequestError as error:
            if error.code != PAGE_BEYOND:
                raise
            page = Page(number, time.time(), number - 1, ())
        else:
            page = _read_page(value, number, f"{path}, {self._genre.name}, page {number}")
        self._journal.add_page(self._listing, self._genre.id, page)
        return page


def _read_page(value: dict[str, Any], number: int, path: str) -> Page:
    answer = read_answer(PageAnswer, value, path=path)
    if answer.page != number:
        raise WrongAnswerError(f"{path}: the answer is of page {answer.page}")
    ids = tuple(movie.id for movie in answer.results)
    # a page without movies is past the end, whatever it says of the number of pages
    return Page(number, time.time(), answer.total_pages if ids else number - 1, ids)


def _distinct(pages: dict[int, Page], wanted: int) -> list[RankedMovie]:
    found: dict[int, RankedMovie] = {}
    for number in sorted(pages):
        for movie in pages[number].ids:
            if len(found) == wanted:
                break
            if movie not in found:
                found[movie] = RankedMovie(movie, number, len(found) + 1, pages[number].at)
    return list(found.values())


def read_ids(path: str, *, include_adult: bool, reject: Reject) -> Iterator[tuple[int, float]]:
    """Yield (id, popularity) of a file of ids; without popularity, earlier lines have more of it.

    Args:
        path: a list of one id per line, a CSV with a column `id`, or TMDb's daily export (JSON
            lines); each plain or .gz; a path or URL.
        include_adult: whether movies that a daily export marks as adult are wanted.
        reject: called for lines that hold no id.

    Raises:
        InvalidInputError: the file is not there, not whole, or has no such column.
    """
    name = path.removesuffix(".gz").lower()
    try:
        system, inner = filesystem(path)
        with system.open(inner, "rb") as file:
            raw = gzip.GzipFile(fileobj=file) if path.endswith(".gz") else file
            lines = io.TextIOWrapper(cast("BinaryIO", raw), encoding="utf-8-sig", errors="replace")
            if name.endswith((".json", ".jsonl")):
                yield from _export_lines(lines, path, include_adult=include_adult, reject=reject)
            else:
                yield from _plain_lines(lines, path, csv_file=name.endswith(".csv"), reject=reject)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InvalidInputError(
            f"collect.tmdb.ids: {path}: not a whole gzip file: {error}"
        ) from None
    except (OSError, ImportError, ValueError) as error:
        raise InvalidInputError(f"collect.tmdb.ids: {path}: cannot be read: {error}") from None


def _export_lines(
    lines: io.TextIOWrapper, path: str, *, include_adult: bool, reject: Reject
) -> Iterator[tuple[int, float]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            movie, popularity = _to_id(value["id"]), float(value.get("popularity") or 0)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            reject(f"{path}:{number}", NOT_JSON, line)
            continue
        if include_adult or not value.get("adult"):
            yield movie, popularity


def _plain_lines(
    lines: io.TextIOWrapper, path: str, *, csv_file: bool, reject: Reject
) -> Iterator[tuple[int, float]]:
    rows: Iterator[Sequence[str]] = csv.reader(lines) if csv_file else ([line] for line in lines)
    position, first = 0, 1
    if csv_file:
        header = [column.strip().lower() for column in next(rows, [])]
        if "id" not in header:
            raise InvalidInputError(
                f"collect.tmdb.ids: {path}: no column id; the header has {', '.join(header)[:200]}"
            )
        position, first = header.index("id"), 2
    for number, row in enumerate(rows, start=first):
        text = row[position].strip() if len(row) > position else ""
        if not any(field.strip() for field in row) or text.startswith("#"):
            continue
        try:
            yield _to_id(text), -float(number)
        except ValueError:
            reject(f"{path}:{number}", NOT_AN_ID, ",".join(row))


def _to_id(value: object) -> int:
    match = _ID.fullmatch(str(value))
    if match is None or not 0 < int(match[1]) <= _LARGEST_ID:
        raise ValueError("not an id")
    return int(match[1])
