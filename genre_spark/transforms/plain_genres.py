"""Plain lines of genres.csv, an id and a known genre without quotes or blanks, grouped in one pass.

`check_rows` finds such lines good too, at several times the cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from genre_spark.schemas import MOVIE_ID
from genre_spark.transforms.csv import FIELDS, LINE, CsvLayout
from genre_spark.transforms.genre_cells import is_settled
from genre_spark.transforms.genre_rows import GENRE
from genre_spark.transforms.genres import (
    BIT,
    LABELSET,
    MASK_LABELS,
    ROWS,
    bit_of_genre,
    group_bits,
    unmark_labels,
)

__all__ = [
    "PlainLines",
    "group_plain_lines",
    "guess_vocabulary",
    "is_plain_vocabulary",
    "mark_plain_lines",
]

_INVALID = "\ufffd"  # what invalid UTF-8 is read as


@dataclass(frozen=True)
class PlainLines:
    """Lines of a file, grouped where they are plain.

    Attributes:
        movies: movie_id, genres (sorted by name), label_ids (ascending), rows.
        others: the lines that are not plain, the header among them; column `value`.
        totals: filled when `movies` is computed: `used` rows, `others`, `kept` pairs of a movie and
            a genre, `movies`.
    """

    movies: DataFrame
    others: DataFrame
    totals: Observation


def guess_vocabulary(layout: CsvLayout) -> list[str] | None:
    """Return the genres of the file's first lines, sorted; None where few of these lines are plain.

    A plain line has an id and a genre as they are meant, with neither quotes nor blanks. Only
    genres that come with a good id count, and none from a last line that may have been cut off.
    None too where a cell may mean several genres, or none, or has characters that nobody sees.
    """
    place, position = layout.columns.index("id"), layout.columns.index(GENRE)
    found: set[str] = set()
    plain = 0
    for line in layout.first_lines:
        fields = line.split(",")
        if len(fields) != len(layout.columns) or '"' in line:
            continue
        number, genre = fields[place], fields[position]
        good_id = number.isascii() and number.isdigit() and len(number) < 20 and int(number) < 2**63
        if good_id and genre and genre == genre.strip() and _INVALID not in genre:
            plain += 1
            found.add(genre)
    if not found or len(found) > MASK_LABELS or 2 * plain < len(layout.first_lines):
        return None
    if not all(map(is_settled, found)):
        return None
    return sorted(found)


def is_plain_vocabulary(vocabulary: Sequence[str]) -> bool:
    """Return whether plain lines can have these genres: 1 to 62, without quotes and commas."""
    return 0 < len(vocabulary) <= MASK_LABELS and not any(
        set(name) & {'"', ",", _INVALID} for name in vocabulary
    )


def group_plain_lines(
    lines: DataFrame, layout: CsvLayout, *, vocabulary: Sequence[str]
) -> PlainLines:
    """Group plain lines by movie, and keep the others apart.

    Args:
        lines: with the column `value`.
        layout: of the file.
        vocabulary: genres by label id, of which `is_plain_vocabulary` is true.
    """
    marked = mark_plain_lines(lines, layout, vocabulary=vocabulary)
    totals = Observation()
    movie = F.col(MOVIE_ID).isNotNull()
    grouped = group_bits(marked).observe(
        totals,
        F.sum(F.when(movie, F.col(ROWS))).alias("used"),
        F.sum(F.when(~movie, F.col(ROWS))).alias("others"),
        F.sum(F.bit_count(LABELSET)).alias("kept"),
        F.count(MOVIE_ID).alias("movies"),
    )
    movies = unmark_labels(grouped.where(movie), vocabulary=vocabulary)
    return PlainLines(movies, marked.where(~movie).select(LINE), totals)


def mark_plain_lines(
    lines: DataFrame, layout: CsvLayout, *, vocabulary: Sequence[str]
) -> DataFrame:
    """Turn plain lines into (movie_id, bit) for `group_bits`.

    Args:
        lines: with the column `value`.
        layout: of the file.
        vocabulary: at most 62 genres; the sorted ones have ascending bits. None has a quote or a
            comma.

    Returns:
        One row per line: value, movie_id and bit; null and 0 for lines that are not plain, the
        header among them.
    """
    columns = layout.columns
    whole = F.size(FIELDS) == len(columns)
    if len(columns) > 2:  # of two fields, neither an id nor a known genre can have a quote
        whole &= ~F.contains(LINE, F.lit('"'))
    split = lines.select(LINE, F.split(LINE, ",", -1).alias(FIELDS)).select(
        LINE,
        F.when(whole, F.get(FIELDS, F.lit(columns.index("id")))).alias("id"),
        F.get(FIELDS, F.lit(columns.index(GENRE))).alias(GENRE),
    )
    marked = split.select(
        LINE,
        F.expr("try_cast(id AS bigint)").alias(MOVIE_ID),
        bit_of_genre(vocabulary).alias(BIT),
    )
    plain = (F.col(MOVIE_ID) >= 0) & F.col(BIT).isNotNull()
    return marked.select(
        LINE,
        F.when(plain, F.col(MOVIE_ID)).alias(MOVIE_ID),
        F.when(plain, F.col(BIT)).otherwise(F.lit(0)).alias(BIT),
    )
