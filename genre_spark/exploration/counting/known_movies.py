"""What is known of each movie, in one frame that every table of the page is counted from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType, StringType

from genre_spark.features.blocks import CATEGORIES, DECADE, LISTS, WORDS
from genre_spark.features.spark_columns import PREFIX, Preparation, prepare_columns
from genre_spark.features.stop_words import STOP_WORDS
from genre_spark.sampling.priorities import fraction_to_priority, priority
from genre_spark.schemas import LABEL_IDS, MOVIE_ID
from genre_spark.transforms.metadata import TEXTS
from genre_spark.transforms.raw_columns import strip_blanks

__all__ = [
    "HALF",
    "POSTER",
    "TITLE",
    "KnownMovies",
    "collect_known",
    "has",
    "names_of",
    "number_of",
    "shown_genres",
]

TITLE = "title"
HALF = "half"
"""0 or 1: what is learnt from one half of the movies is measured on the other."""
POSTER = "poster"
_WORDY = ("name", "tagline", "description")
_KIND_OF_LANGUAGE = r"^(?:Primary |Spoken |Original )?[Ll]anguage "


@dataclass(frozen=True)
class KnownMovies:
    """The movies with genres, and what is known of them.

    Attributes:
        frame: movie_id, label_ids, title, half, and the columns of `number_of` (double or null),
            `names_of` (array, may be empty) and `has` (boolean).
        numbers: names of the columns of numbers.
        names: names of the columns of lists: decade, countries, ..., words.
        fields: names of everything that may be missing.
    """

    frame: DataFrame
    numbers: tuple[str, ...]
    names: tuple[str, ...]
    fields: tuple[str, ...]


def number_of(name: str) -> str:
    """Return the column of a number."""
    return f"number_{name}"


def names_of(name: str) -> str:
    """Return the column of a list of names."""
    return f"names_{name}"


def has(name: str) -> str:
    """Return the column that says whether a movie has a field."""
    return f"has_{name}"


def collect_known(
    genres: DataFrame,
    *,
    metadata: DataFrame | None,
    posters: DataFrame | None,
    zero_is_missing: Sequence[str],
    seed: int,
) -> KnownMovies:
    """Bring together what is known of the movies with genres; no action.

    Args:
        genres: movie_id and label_ids.
        metadata: what `read_metadata` returns, with any columns of numbers beside; or None.
        posters: movie_id of every poster; or None.
        zero_is_missing: numbers whose zero means that nobody knew.
        seed: of the halves.
    """
    movies = genres.select(MOVIE_ID, LABEL_IDS)
    numbers: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    if metadata is not None:
        numbers, names = _number_columns(metadata), (*CATEGORIES, WORDS)
        fields = (*_WORDY, *numbers, *LISTS)
        described = _describe(metadata, numbers, zero_is_missing)
        movies = movies.join(described, MOVIE_ID, "left")
    if posters is not None:
        marked = posters.select(MOVIE_ID, F.lit(True).alias(has(POSTER)))
        movies = movies.join(marked, MOVIE_ID, "left").withColumn(
            has(POSTER), F.coalesce(has(POSTER), F.lit(False))
        )
        fields = (*fields, POSTER)
    first = priority(seed, "explore") < fraction_to_priority(0.5)
    movies = movies.withColumn(HALF, F.when(first, 0).otherwise(1))
    return KnownMovies(movies, numbers, names, fields)


def shown_genres(movies_per_genre: Sequence[int], *, most: int) -> list[int]:
    """Return the label ids of the most frequent genres, the most frequent first."""
    order = sorted(range(len(movies_per_genre)), key=lambda place: -movies_per_genre[place])
    return [place for place in order if movies_per_genre[place]][:most]


def _number_columns(metadata: DataFrame) -> tuple[str, ...]:
    """Return year, minute, rating, and every further column that may hold numbers."""
    known = {MOVIE_ID, *TEXTS, *LISTS}
    further = [
        field.name
        for field in metadata.schema
        if field.name not in known and isinstance(field.dataType, (NumericType, StringType))
    ]
    return ("year", "minute", "rating", *further)


def _describe(
    metadata: DataFrame, numbers: Sequence[str], zero_is_missing: Sequence[str]
) -> DataFrame:
    wanted = Preparation(
        fields=tuple(numbers), categories=CATEGORIES, texts=_WORDY, stop_words=STOP_WORDS
    )
    prepared = prepare_columns(metadata, wanted)
    added: dict[str, Column] = {}
    for name in numbers:
        value = F.col(PREFIX + name)
        added[number_of(name)] = F.when(value != 0, value) if name in zero_is_missing else value
        added[has(name)] = added[number_of(name)].isNotNull()
    for name in (DECADE, *LISTS):
        added[names_of(name)] = F.col(PREFIX + name)
        if name == "languages":  # the same language in another role is the same language
            cut = F.transform(PREFIX + name, lambda n: F.regexp_replace(n, _KIND_OF_LANGUAGE, ""))
            added[names_of(name)] = cut
        added[names_of(name)] = F.array_distinct(added[names_of(name)])
        added[has(name)] = F.size(added[names_of(name)]) > 0
    added[names_of(WORDS)] = F.array_distinct(F.flatten(PREFIX + WORDS))
    for name in _WORDY:
        added[has(name)] = F.coalesce(strip_blanks(F.col(name)) != "", F.lit(False))
    title = strip_blanks(F.col("name"))
    return prepared.select(
        MOVIE_ID,
        F.when(title != "", title).alias(TITLE),
        *[value.alias(name) for name, value in added.items()],
    )
