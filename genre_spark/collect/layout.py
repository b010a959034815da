"""TMDb's answers as the CSV files of the Letterboxd layout, which the pipeline reads.

One line per movie in movies.csv, numbers.csv, ids.csv and posters.csv, one per movie and value in
the others. Every file appears whole, and only after all of them could be written.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from typing import BinaryIO, TextIO, cast

from genre_spark.collect.tmdb_answers import MovieAnswer
from genre_spark.schemas import GENRES_CSV, LIST_CSVS, MOVIES_CSV, NUMBERS_CSV
from genre_spark.storage.files import join, whole_file

__all__ = ["COLUMNS", "LayoutWriter", "iso_time", "layout_paths", "layout_rows"]

Rows = Iterable[tuple[object, ...]]
# reports a value that is not used: movie, reason, content
Reject = Callable[[str, str, str], None]

# file -> its columns. genres goes to paths.genres_csv, the others to paths.metadata.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "genres": GENRES_CSV,
    "movies": (*MOVIES_CSV, "collected_at"),
    **LIST_CSVS,
    "releases": ("id", "country", "date", "type", "rating"),
    "numbers": NUMBERS_CSV,
    "ids": ("id", "imdb_id", "wikidata_id"),
    "posters": ("id", "link"),
}
BAD_DATE = "release date is no date"
BAD_IMDB_ID = "not an IMDb id"
BAD_POSTER = "not a path of a poster"
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_IMDB_ID = re.compile(r"tt[0-9]{7,10}")
_POSTER = re.compile(r"/[A-Za-z0-9_-]+\.(?:jpg|jpeg|png|webp)")
_RELEASE_TYPES = {
    1: "Premiere",
    2: "Theatrical limited",
    3: "Theatrical",
    4: "Digital",
    5: "Physical",
    6: "TV",
}


def layout_paths(genres_csv: str, folder: str) -> dict[str, str]:
    """Return file -> where it is written."""
    paths = {name: join(folder, f"{name}.csv") for name in COLUMNS}
    return {**paths, "genres": genres_csv}


def layout_rows(movie: MovieAnswer, *, at: float, posters: str, reject: Reject) -> dict[str, Rows]:
    """Return file -> rows of one movie, in the order of COLUMNS.

    TMDb writes 0 where it does not know minutes, votes or dollars; here that is an empty field.

    Args:
        movie: the answer.
        at: when it came, seconds since 1970.
        posters: URL that poster paths are below.
        reject: called with values that cannot be used.
    """

    def usable(pattern: re.Pattern[str], text: str, reason: str) -> str:
        if text and not pattern.fullmatch(text):
            reject(str(movie.id), reason, text)
            return ""
        return text

    date = usable(_DATE, movie.release_date.strip(), BAD_DATE)
    imdb = usable(_IMDB_ID, movie.imdb_id or movie.external_ids.imdb_id, BAD_IMDB_ID)
    poster = usable(_POSTER, movie.poster_path, BAD_POSTER)
    texts = [_line(text) for text in (movie.title, date, movie.tagline, movie.overview)]
    numbers = [movie.budget, movie.revenue, movie.vote_count, movie.popularity]
    rating = movie.vote_average if movie.vote_count else None
    return {
        "genres": [(genre.name,) for genre in movie.genres],
        "movies": [(*texts, _number(movie.runtime), _number(rating), iso_time(at))],
        "countries": _values(country.name for country in movie.production_countries),
        "languages": _languages(movie),
        "studios": _values(studio.name for studio in movie.production_companies),
        "themes": _values(keyword.name for keyword in movie.keywords.keywords),
        "actors": _values(person.name for person in movie.credits.cast),
        "crew": _pairs((person.job, person.name) for person in movie.credits.crew),
        "releases": [
            (
                country.iso_3166_1,
                release.release_date[:10],
                _RELEASE_TYPES.get(release.type, str(release.type)),
                _line(release.certification),
            )
            for country in movie.release_dates.results
            for release in country.release_dates
        ],
        "numbers": [tuple(map(_number, numbers))],
        "ids": [(imdb, _line(movie.external_ids.wikidata_id))],
        "posters": [(posters + poster,)] if poster else [],
    }


def _languages(movie: MovieAnswer) -> Rows:
    """Return (type, language) rows as in the Letterboxd files, by English names."""
    names = {each.iso_639_1: each.english_name or each.name for each in movie.spoken_languages}
    original = movie.original_language
    primary = [("Primary language", names.get(original) or original)]
    return _pairs([*primary, *(("Spoken language", name) for name in names.values())])


def _values(texts: Iterable[str]) -> Rows:
    return [(text,) for text in dict.fromkeys(map(_line, texts)) if text]


def _pairs(pairs: Iterable[tuple[str, str]]) -> Rows:
    lines = dict.fromkeys((_line(first), _line(second)) for first, second in pairs)
    return [pair for pair in lines if all(pair)]


def _line(text: str) -> str:
    """Return a text on one line, so that every row of every file is one line."""
    return " ".join(text.replace("\0", " ").split())


def _number(value: float | None) -> str:
    return f"{value:.12g}" if value is not None and value > 0 else ""


def iso_time(at: float) -> str:
    """Return seconds since 1970 as an ISO time in UTC, to the second."""
    return datetime.fromtimestamp(int(at), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class LayoutWriter:
    """Writes the files, row by row; they appear when the block ends well."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        """Take file -> where it is written; a path that ends with .gz is compressed."""
        self._paths = paths
        self.rows = dict.fromkeys(paths, 0)

    def __enter__(self) -> LayoutWriter:
        # Left in reverse order of entering: a file's text is flushed and compressed to its end
        # before any file takes its name.
        with ExitStack() as stack:
            drafts = {name: stack.enter_context(whole_file(self._paths[name])) for name in COLUMNS}
            writers = {}
            for name, draft in drafts.items():
                text = stack.enter_context(_text(draft, self._paths[name]))
                writers[name] = csv.writer(text, lineterminator="\n")
                writers[name].writerow(COLUMNS[name])
            self._writers = writers
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    def write(self, movie_id: int, rows: Mapping[str, Rows]) -> None:
        """Write the rows of a movie."""
        for name, values in rows.items():
            for value in values:
                self._writers[name].writerow((movie_id, *value))
                self.rows[name] += 1


@contextmanager
def _text(draft: BinaryIO, path: str) -> Iterator[TextIO]:
    """Give out a text file over a binary one, compressed where the path says so."""
    with ExitStack() as stack:
        binary = draft
        if path.endswith(".gz"):
            # no time stamp: the same rows are the same bytes
            zipped = gzip.GzipFile(filename="", mode="wb", fileobj=draft, mtime=0)
            binary = cast("BinaryIO", stack.enter_context(zipped))
        # half a surrogate pair, which JSON may hold, is no text in UTF-8
        text = io.TextIOWrapper(binary, encoding="utf-8", errors="replace", newline="")
        try:
            yield text
        finally:
            text.flush()
            text.detach()
