"""How group-genres reads its file: plain files in one pass, others in two, same result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from genre_spark.config import Config, GenresConfig
from genre_spark.errors import InvalidInputError
from genre_spark.pipelines.ingestion.genre_survey import GenreSurvey, survey_rows, write_rejects
from genre_spark.schemas import GENRES_SCHEMA, LABEL_IDS, REASON
from genre_spark.spark.session import literal_path
from genre_spark.storage.caching import cached
from genre_spark.storage.files import filesystem, join
from genre_spark.storage.tables import write_data
from genre_spark.transforms.csv import CsvLayout
from genre_spark.transforms.genre_cells import Cell, apply_cells
from genre_spark.transforms.genre_rows import check_rows, reject_cut_row
from genre_spark.transforms.genres import group_labels, observe_groups
from genre_spark.transforms.plain_genres import (
    group_plain_lines,
    guess_vocabulary,
    is_plain_vocabulary,
)

__all__ = ["Grouping", "group_file"]

_COUNTED_HERE = 2_000_000  # movies; the driver counts them in less time than a Spark job starts


@dataclass(frozen=True)
class Grouping:
    """The outcome of grouping a file.

    Attributes:
        folder: data of the genres table, not yet committed.
        vocabulary: genres by label id.
        movies_per_genre: number of movies by label id.
        rows: rows of the file without its header.
        used: rows that were grouped.
        kept: pairs of a movie and a genre.
        movies: rows of the genres table.
        rejected: rows by reason; they are in the rejects table.
        split: how many rows more there are after cells of several genres were split.
        cells: cells that are not the one genre that stands in them, by what they mean.
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
    split: int = 0
    cells: Mapping[str, Cell] = field(default_factory=dict)


def group_file(
    lines: DataFrame, layout: CsvLayout, config: Config, *, fingerprint: str
) -> Grouping:
    """Group the lines of a file by movie.

    Write the rejects table, and the data of the genres table.

    Args:
        lines: lines of the file, column `value`.
        layout: header and order of columns of the file.
        config: the recipe.
        fingerprint: digest of what the result depends on.

    Raises:
        InvalidInputError: no row can be used, or there are more genres than a vocabulary can hold.
    """
    grouping = _group_plain(lines, layout, config, fingerprint)
    return _group_any(lines, layout, config, fingerprint) if grouping is None else grouping


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
    if vocabulary is None or not is_plain_vocabulary(vocabulary):
        return None
    plain = group_plain_lines(lines, layout, vocabulary=vocabulary)
    folder = _write_movies(plain.movies, config, fingerprint)
    found = plain.totals.get
    if not found["movies"]:
        return None
    checked, survey = None, GenreSurvey()
    if found["others"] > 1:  # more than the header
        rows = check_rows(plain.others, layout)
        survey = survey_rows(rows, layout, config.genres)
        if survey.genres or survey.cut_genre:
            return None
        checked = apply_cells(rows, survey.cells)
    write_rejects(checked, survey, config, fingerprint)
    return Grouping(
        folder,
        vocabulary,
        _count_movies(lines, config, folder, found["movies"], len(vocabulary)),
        rows=found["used"] + survey.rows,
        used=found["used"],
        kept=found["kept"],
        movies=found["movies"],
        rejected=survey.rejected,
        cut_genre=None,
        split=survey.split,
    )


def _group_any(lines: DataFrame, layout: CsvLayout, config: Config, fingerprint: str) -> Grouping:
    """Check every line, then group the good ones."""
    # Kept between the two passes, also because a filter would work out a row's reason anew for each
    # of its uses.
    with cached(check_rows(lines, layout)) as checked:
        survey = survey_rows(checked, layout, config.genres)
        rows = checked
        if survey.cut_genre is not None:
            rows = reject_cut_row(checked, layout, genre=survey.cut_genre)
        rows = apply_cells(rows, survey.cells)
        if not survey.genres:  # an earlier result stands, and its rejects with it
            raise InvalidInputError(
                f"{layout.path}: none of its {survey.rows:,} rows can be used, expected rows of "
                f"id,genre; {survey.explain_rejects()}"
            )
        write_rejects(rows, survey, config, fingerprint)
        vocabulary = _vocabulary(config.genres, survey)
        totals = Observation()
        grouped = group_labels(rows.where(F.col(REASON).isNull()), vocabulary=vocabulary)
        folder = _write_movies(observe_groups(grouped, totals), config, fingerprint)
        return Grouping(
            folder,
            vocabulary,
            _count_movies(lines, config, folder, totals.get["movies"], len(vocabulary)),
            rows=survey.rows,
            **totals.get,
            rejected=survey.rejected,
            cut_genre=survey.cut_genre,
            split=survey.split,
            cells={
                cell: meaning for cell, meaning in survey.cells.items() if meaning != Cell((cell,))
            },
        )


def _vocabulary(config: GenresConfig, survey: GenreSurvey) -> list[str]:
    if config.vocabulary is None:
        return sorted(survey.genres)
    return [*config.vocabulary, *sorted(set(survey.genres) - set(config.vocabulary))]


def _write_movies(movies: DataFrame, config: Config, fingerprint: str) -> str:
    return write_data(
        movies.select(GENRES_SCHEMA.fieldNames()), config.paths.genres, fingerprint=fingerprint
    )


def _count_movies(
    lines: DataFrame, config: Config, folder: str, movies: int, labels: int
) -> list[int]:
    """Count the movies of each label in the data that was written."""
    place = join(config.paths.genres, folder)
    if movies <= _COUNTED_HERE:
        return _count_here(place, labels)
    rows = lines.sparkSession.read.schema(GENRES_SCHEMA).parquet(literal_path(place))
    counted = rows.select(F.explode(LABEL_IDS).alias("label")).groupBy("label").count().collect()
    counts = {row["label"]: row["count"] for row in counted}
    return [counts.get(label, 0) for label in range(labels)]


def _count_here(folder: str, labels: int) -> list[int]:
    """Count on the driver, batch by batch."""
    system, inner = filesystem(folder)
    counts = np.zeros(labels, np.int64)
    for name in system.ls(inner, detail=False):
        if not str(name).endswith(".parquet"):
            continue
        with system.open(name, "rb") as file:
            for batch in pq.ParquetFile(file).iter_batches(columns=[LABEL_IDS]):
                ids = pc.list_flatten(batch.column(0)).to_numpy(zero_copy_only=False)
                counts += np.bincount(ids, minlength=labels)
    return [int(count) for count in counts]
