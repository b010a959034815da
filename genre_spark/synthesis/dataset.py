"""Writes the synthetic data set: CSV files and posters, in an order that never shows half of it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.synthesis.flaws import (
    MALFORMED_GENRE_ROWS,
    MALFORMED_MOVIE_ROWS,
    STRAY_FILES,
    plant_flaws,
)
from genre_spark.synthesis.folder import Folder
from genre_spark.synthesis.genre_counts import GENRES
from genre_spark.synthesis.movies import Movie, make_movie, movie_id
from genre_spark.synthesis.poster_workers import PosterTask, draw_posters_with, poster_content
from genre_spark.workers.cores import cores

__all__ = [
    "FORMAT",
    "MARKER",
    "DatasetReport",
    "DatasetSpec",
    "mark_as_begun",
    "read_report",
    "write_dataset",
]

MARKER = "_sample.json"
FORMAT = 2  # to be raised whenever the same spec gives another data set
_FEW = 200  # with fewer posters, starting workers costs more than it saves

_TABLES: dict[str, tuple[tuple[str, ...], Callable[[Movie], list[tuple[object, ...]]]]] = {
    "movies": (
        ("id", "name", "date", "tagline", "description", "minute", "rating"),
        lambda m: [(m.movie_id, m.name, m.date, m.tagline, m.description, m.minute, m.rating)],
    ),
    "countries": (("id", "country"), lambda m: [(m.movie_id, name) for name in m.countries]),
    "languages": (
        ("id", "type", "language"),
        lambda m: [(m.movie_id, *pair) for pair in m.languages],
    ),
    "studios": (("id", "studio"), lambda m: [(m.movie_id, name) for name in m.studios]),
    "actors": (("id", "name"), lambda m: [(m.movie_id, name) for name in m.actors]),
    "crew": (
        ("id", "role", "name"),
        lambda m: [(m.movie_id, "Director", name) for name in m.directors],
    ),
    "themes": (("id", "theme"), lambda m: [(m.movie_id, name) for name in m.themes]),
}


@dataclass(frozen=True)
class DatasetSpec:
    """What to write, and where to.

    Attributes:
        genres_csv: file of id,genre; compressed when its name ends in .gz.
        posters: folder of ID.jpg.
        metadata: folder of movies.csv and the other CSV files.
        movies: number of movies.
        seed: seed of everything that is drawn.
        flaws: whether to plant a few of each flaw that real data has.
    """

    genres_csv: str
    posters: str
    metadata: str
    movies: int
    seed: int
    flaws: bool = True


@dataclass(frozen=True)
class DatasetReport:
    """What was written.

    Attributes:
        movies: number of movies in movies.csv, without the planted duplicates.
        posters: number of files that are named like a poster.
        genres: genre -> number of movies that have it in genres.csv.
        flaws: kind of flaw -> number of movies with it.
    """

    movies: int
    posters: int
    genres: Mapping[str, int]
    flaws: Mapping[str, int]


def read_report(spec: DatasetSpec) -> DatasetReport | None:
    """Return the report of the data set if exactly this one is there and whole, else None."""
    marker = Folder(spec.metadata).read_json(MARKER)
    if marker is None or marker.get("spec") != _described(spec) or marker.get("report") is None:
        return None
    folder, name = _split(spec.genres_csv)
    there = (
        Folder(spec.metadata).names() >= {f"{table}.csv" for table in _TABLES}
        and name in folder.names()
    )
    return DatasetReport(**marker["report"]) if there and Folder(spec.posters).names() else None


def write_dataset(
    spec: DatasetSpec, *, processes: int | None = None, report: Callable[[int], None] | None = None
) -> DatasetReport:
    """Write the data set, or finish one that an earlier call began.

    A marker that names the data set comes first, then the posters, each whole, then the CSV files,
    genres.csv last, and the finished marker: when genres.csv is there, everything is.

    Args:
        spec: what to write, and where to.
        processes: number of worker processes for the posters; None for one per core.
        report: function that gets the number of finished posters from time to time.

    Raises:
        InvalidConfigError: the posters are to go to an archive.
        InvalidInputError: there are files that this function did not write.
    """
    if spec.posters.endswith((".zip", ".tar", ".tar.gz", ".tgz")):
        raise InvalidConfigError(
            f"paths.posters: {spec.posters}, expected a folder: sample data goes to single files"
        )
    genres_folder, genres_name = _split(spec.genres_csv)
    metadata, posters = Folder(spec.metadata), Folder(spec.posters)
    marker = metadata.read_json(MARKER)
    if marker is None:
        _reject_foreign_files(spec)
    for folder in (metadata, posters, genres_folder):
        folder.make()
    genres_folder.remove(genres_name)
    if marker is None or marker.get("spec") != _described(spec):
        for name in posters.names():
            posters.remove(name)
    mark_as_begun(spec)

    task = PosterTask(spec.posters, spec.movies, spec.seed, spec.flaws)
    at_once = (processes or cores()) if spec.movies >= _FEW else 1
    draw_posters_with(at_once, task, report or (lambda _: None))
    for name in posters.names():
        if name.endswith(".tmp"):  # a poster that a killed call did not finish
            posters.remove(name)
    if spec.flaws:
        _put_extra_posters(spec, posters)
    counts = _write_tables(spec, metadata, genres_folder, genres_name)
    result = DatasetReport(
        movies=spec.movies,
        posters=sum(name.endswith(".jpg") and not name.startswith(".") for name in posters.names()),
        genres={genre: counts[genre] for genre in GENRES},
        flaws=dict(sorted(Counter(_flaws(spec).values()).items())),
    )
    metadata.write_json(MARKER, {"spec": _described(spec), "report": asdict(result)})
    return result


def mark_as_begun(spec: DatasetSpec) -> None:
    """Write the marker of a data set that is not whole: `write_dataset` draws what it lacks."""
    metadata = Folder(spec.metadata)
    metadata.make()
    metadata.write_json(MARKER, {"spec": _described(spec), "report": None})


def _reject_foreign_files(spec: DatasetSpec) -> None:
    folder, name = _split(spec.genres_csv)
    for key, path, there in (
        ("genres_csv", spec.genres_csv, name in folder.names()),
        ("posters", spec.posters, bool(Folder(spec.posters).names())),
        ("metadata", spec.metadata, f"{next(iter(_TABLES))}.csv" in Folder(spec.metadata).names()),
    ):
        if there:
            raise InvalidInputError(
                f"paths.{key}: {path} exists and is no sample data, expected a new path "
                "(make-sample overwrites only what it wrote)"
            )


def _flaws(spec: DatasetSpec) -> dict[int, str]:
    return plant_flaws(spec.movies, spec.seed) if spec.flaws else {}


def _put_extra_posters(spec: DatasetSpec, posters: Folder) -> None:
    """Add files that are no movie's own poster: second files of the same id, and stray files."""
    task = PosterTask(spec.posters, spec.movies, spec.seed, spec.flaws)
    for index, flaw in _flaws(spec).items():
        if flaw == "duplicate_poster":
            posters.put(f"0{movie_id(index, spec.seed)}.jpg", poster_content(index, task) or b"")
    for name, content in STRAY_FILES.items():
        posters.put(name, content)


def _write_tables(
    spec: DatasetSpec, metadata: Folder, genres_folder: Folder, genres_name: str
) -> Counter[str]:
    """Write all CSV files in one pass over the movies; return the number of movies per genre."""
    counts: Counter[str] = Counter()
    flaws = _flaws(spec)
    with genres_folder.text(genres_name) as genres_file, ExitStack() as stack:
        genres = csv.writer(genres_file, lineterminator="\r\n")
        genres.writerow(("id", "genre"))
        writers = {}
        for table, (columns, _) in _TABLES.items():
            file = stack.enter_context(metadata.text(f"{table}.csv"))
            writers[table] = csv.writer(file, lineterminator="\n")
            writers[table].writerow(columns)
            if table == "movies" and spec.flaws:
                file.writelines(f"{row}\n" for row in MALFORMED_MOVIE_ROWS)
        for index in range(spec.movies):
            movie, flaw = make_movie(index, seed=spec.seed), flaws.get(index)
            for table, (_, rows) in _TABLES.items():
                writers[table].writerows(
                    rows(movie) * (2 if flaw == "duplicate_movie" and table == "movies" else 1)
                )
            for genre in _genre_rows(movie, flaw):
                genres.writerow((movie.movie_id, genre))
            if flaw not in ("no_genres", "empty_genre"):
                counts.update(movie.genres)
        if spec.flaws:
            genres_file.writelines(f"{row}\r\n" for row in MALFORMED_GENRE_ROWS)
        stack.close()
    return counts


def _genre_rows(movie: Movie, flaw: str | None) -> Iterator[str]:
    if flaw == "empty_genre":
        yield ""
    elif flaw != "no_genres":
        yield from movie.genres
        if flaw == "repeated_genre":
            yield movie.genres[0]


def _described(spec: DatasetSpec) -> dict[str, Any]:
    return {"format": FORMAT, "movies": spec.movies, "seed": spec.seed, "flaws": spec.flaws}


def _split(path: str) -> tuple[Folder, str]:
    parent, _, name = path.rpartition("/")
    return Folder(parent or "."), name
