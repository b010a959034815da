"""How group-genres reads its file: plain files in one pass, any other in two, with the same result."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from genre_spark.caching import cached
from genre_spark.config import Config, GenresConfig
from genre_spark.errors import InvalidInputError
from genre_spark.files import join
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.schemas import CONTENT, GENRES_SCHEMA, LABEL_IDS, MOVIE_ID, REASON, SOURCE
from genre_spark.tables import TableManifest, commit_table, write_data
from genre_spark.transforms.csv import LINE, CsvLayout
from genre_spark.transforms.genres import (
    CONTENT_CHARS,
    GENRE,
    IS_LAST,
    LABELSET,
    MASK_LABELS,
    REPEATED_HEADER,
    ROWS,
    check_rows,
    group_bits,
    group_labels,
    guess_vocabulary,
    mark_plain_lines,
    unmark_labels,
)

__all__ = ["Grouping", "group_file"]

_CUT = "cut off at the end of the file"
_MAX_GENRES = 100_000  # the vocabulary is kept on the driver


@dataclass(frozen=True)
class Grouping:
    """What became of a file.

    Attributes:
        folder: data of the genres table, not yet committed.
        vocabulary: genres by label id.
        movies_per_genre: by label id.
        rows: of the file, the header left out.
        used: rows that were grouped.
        kept: pairs of a movie and a genre.
        movies: rows of the genres table.
        rejected: rows by reason; they are in the rejects table.
        cut_genre: the genre of a last row that was cut off, else None.
    """

    folder: str
    vocabulary: list[str]
    movies_per_genre: list[int]
    rows: int
    used: int
    kept: int
    movies: int
    rejected: dict[str, int]
    cut_genre: str | None


def group_file(
    lines: DataFrame, layout: CsvLayout, config: Config, *, fingerprint: str
) -> Grouping:
    """Group the lines of a file by movie.

    Write the rejects table, and the data of the genres table.

    Args:
        lines: of the file, with the column `value`.
        layout: of the file.
        config: the recipe.
        fingerprint: digest of what the result depends on.

    Raises:
        InvalidInputError: no row can be used, or there are more genres than a vocabulary can hold.
    """
    grouping = _group_plain(lines, layout, config, fingerprint)
    return _group_any(lines, layout, config, fingerprint) if grouping is None else grouping


@dataclass(frozen=True)
class _Survey:
    """What lines hold: rows (the header left out), good rows by genre, bad rows by reason, a genre cut off."""

    rows: int
    genres: dict[str, int]
    rejected: dict[str, int]
    cut_genre: str | None


def _group_plain(
    lines: DataFrame, layout: CsvLayout, config: Config, fingerprint: str
) -> Grouping | None:
    """Group in one pass, with the vocabulary that is given or that the first lines show.

    Lines that are not plain - an id, a comma, a known genre - are counted in the same pass, and
    looked at in a second one if there are any.

    Returns:
        None where some of these lines are good: then the vocabulary was short, or the file has
            quotes.
    """
    vocabulary = (
        guess_vocabulary(layout)
        if config.genres.vocabulary is None
        else list(config.genres.vocabulary)
    )
    if (
        not vocabulary
        or len(vocabulary) > MASK_LABELS
        or any(set(name) & set('",\ufffd') for name in vocabulary)
    ):
        return None
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
    folder = _write_movies(
        unmark_labels(grouped.where(movie), vocabulary=vocabulary), config, fingerprint
    )
    found = totals.get
    if not found["movies"]:
        return None
    survey = _Survey(0, {}, {}, None)
    if found["others"] > 1:  # more than the header
        checked = check_rows(marked.where(~movie).select(LINE), layout, known=_known(config.genres))
        survey = _survey(checked, layout, config.genres)
        if survey.genres or survey.cut_genre:
            return None
        _write_rejects(checked, survey, config, fingerprint)
    else:
        _write_rejects(None, survey, config, fingerprint)
    return Grouping(
        folder,
        vocabulary,
        _count_movies(lines, config, folder, len(vocabulary)),
        rows=found["used"] + survey.rows,
        used=found["used"],
        kept=found["kept"],
        movies=found["movies"],
        rejected=survey.rejected,
        cut_genre=None,
    )


def _group_any(lines: DataFrame, layout: CsvLayout, config: Config, fingerprint: str) -> Grouping:
    """Check every line, then group the good ones."""
    # Kept between the two passes, also because a filter would work out a row's reason anew for each
    # of its uses.
    with cached(check_rows(lines, layout, known=_known(config.genres))) as checked:
        survey = _survey(checked, layout, config.genres)
        rows = checked
        if survey.cut_genre is not None:
            cut = F.col(IS_LAST) & (F.col(GENRE) == survey.cut_genre)
            last = (layout.last_line or "")[:CONTENT_CHARS]
            rows = checked.withColumns(
                {
                    REASON: F.when(cut, _CUT).otherwise(F.col(REASON)),
                    CONTENT: F.when(cut, last).otherwise(F.col(CONTENT)),
                }
            )
        _write_rejects(rows, survey, config, fingerprint)
        if not survey.genres:
            reasons = ", ".join(
                f"{reason}: {count:,}" for reason, count in sorted(survey.rejected.items())
            )
            raise InvalidInputError(
                f"{layout.path}: none of its {survey.rows:,} rows can be used, expected rows of "
                f"id,genre; {reasons}"
            )
        vocabulary = _vocabulary(config.genres, survey)
        totals = Observation()
        grouped = group_labels(rows.where(F.col(REASON).isNull()), vocabulary=vocabulary).observe(
            totals,
            F.sum(ROWS).alias("used"),
            F.sum(F.size(LABEL_IDS)).alias("kept"),
            F.count(F.lit(1)).alias("movies"),
        )
        folder = _write_movies(grouped, config, fingerprint)
        return Grouping(
            folder,
            vocabulary,
            _count_movies(lines, config, folder, len(vocabulary)),
            rows=survey.rows,
            **totals.get,
            rejected=survey.rejected,
            cut_genre=survey.cut_genre,
        )


def _known(config: GenresConfig) -> tuple[str, ...] | None:
    return config.vocabulary if config.unknown == "reject" else None


def _survey(rows: DataFrame, layout: CsvLayout, config: GenresConfig) -> _Survey:
    good = F.when(F.col(REASON).isNull(), F.col(GENRE)).alias(GENRE)
    found = rows.groupBy(REASON, good, IS_LAST).count().limit(_MAX_GENRES + 1).collect()
    if len(found) > _MAX_GENRES:
        raise InvalidInputError(
            f"{layout.path}: more than {_MAX_GENRES:,} different values of {GENRE!r}, expected a "
            "few genres"
        )
    genres: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    last: str | None = None
    for row in found:
        if row[REASON] is not None:
            rejected[row[REASON]] += row["count"]
        elif row[IS_LAST]:
            last = row[GENRE]
            genres[last] += row["count"]
        else:
            genres[row[GENRE]] += row["count"]
    if rejected[REPEATED_HEADER]:
        rejected[REPEATED_HEADER] -= 1  # the first one is the header itself
    cut = None
    # `Dra` at the very end, found nowhere else while `Drama` is: the file ends in the middle of a
    # row
    new = last is not None and genres[last] == 1 and last not in (config.vocabulary or ())
    if last is not None and new and any(name != last and name.startswith(last) for name in genres):
        cut = last
        del genres[last]
        rejected[_CUT] += 1
    rejected = Counter({reason: count for reason, count in rejected.items() if count})
    return _Survey(sum(genres.values()) + sum(rejected.values()), dict(genres), dict(rejected), cut)


def _vocabulary(config: GenresConfig, survey: _Survey) -> list[str]:
    if config.vocabulary is None:
        return sorted(survey.genres)
    return [*config.vocabulary, *sorted(set(survey.genres) - set(config.vocabulary))]


def _write_movies(movies: DataFrame, config: Config, fingerprint: str) -> str:
    return write_data(
        movies.select(GENRES_SCHEMA.fieldNames()), config.paths.genres, fingerprint=fingerprint
    )


def _count_movies(lines: DataFrame, config: Config, folder: str, labels: int) -> list[int]:
    movies = lines.sparkSession.read.schema(GENRES_SCHEMA).parquet(
        join(config.paths.genres, folder)
    )
    counted = movies.select(F.explode(LABEL_IDS).alias("label")).groupBy("label").count().collect()
    counts = {row["label"]: row["count"] for row in counted}
    return [counts.get(label, 0) for label in range(labels)]


def _write_rejects(
    rows: DataFrame | None, survey: _Survey, config: Config, fingerprint: str
) -> None:
    table = Catalogue(config).rejects("genres")
    if rows is None or not survey.rejected:
        commit_table(table.path, TableManifest(fingerprint, (), 0))
        return
    source = config.paths.genres_csv.rsplit("/", 1)[-1]
    bad = rows.where(F.col(REASON).isNotNull() & (F.col(REASON) != REPEATED_HEADER))
    headers = survey.rejected.get(REPEATED_HEADER, 0)
    if headers:
        bad = bad.union(rows.where(F.col(REASON) == REPEATED_HEADER).limit(headers))
    table.write(bad.select(F.lit(source).alias(SOURCE), REASON, CONTENT), fingerprint=fingerprint)
