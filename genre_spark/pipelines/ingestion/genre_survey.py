"""Rows of genres.csv counted by genre and by reason for their rejection."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.config import Config, GenresConfig
from genre_spark.errors import InvalidInputError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.schemas import CONTENT, REASON, SOURCE
from genre_spark.storage.tables import TableManifest, commit_table
from genre_spark.transforms.csv import CsvLayout
from genre_spark.transforms.genre_cells import Cell, resolve_cells
from genre_spark.transforms.genre_rows import CUT_OFF, GENRE, IS_LAST, REPEATED_HEADER

__all__ = ["GenreSurvey", "survey_rows", "write_rejects"]

_MAX_GENRES = 100_000  # the vocabulary is kept on the driver


@dataclass(frozen=True)
class GenreSurvey:
    """What rows hold.

    Attributes:
        rows: their number, the header left out.
        genres: good rows by genre, after cells of several genres were split.
        rejected: bad rows by reason.
        cut_genre: the genre of a last row that was cut off, else None.
        split: how many rows more there are after cells were split.
        cells: what each cell means.
    """

    rows: int = 0
    genres: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    cut_genre: str | None = None
    split: int = 0
    cells: dict[str, Cell] = field(default_factory=dict)

    def explain_rejects(self) -> str:
        """Return the reasons with their numbers."""
        return ", ".join(f"{reason}: {count:,}" for reason, count in sorted(self.rejected.items()))


def survey_rows(checked: DataFrame, layout: CsvLayout, config: GenresConfig) -> GenreSurvey:
    """Count rows by genre and by reason, in one job.

    Args:
        checked: of `check_rows`.
        layout: of the file.
        config: the vocabulary settles whether a last row is whole.

    Raises:
        InvalidInputError: there are more genres than a vocabulary can hold.
    """
    good = F.when(F.col(REASON).isNull(), F.col(GENRE)).alias(GENRE)
    found = checked.groupBy(REASON, good, IS_LAST).count().limit(_MAX_GENRES + 1).collect()
    if len(found) > _MAX_GENRES:
        raise InvalidInputError(
            f"{layout.path}: more than {_MAX_GENRES:,} different values of {GENRE!r}, expected a "
            "few genres"
        )
    raw: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    last: str | None = None
    for row in found:
        if row[REASON] is not None:
            rejected[row[REASON]] += row["count"]
            continue
        raw[row[GENRE]] += row["count"]
        last = row[GENRE] if row[IS_LAST] else last
    if rejected[REPEATED_HEADER]:
        rejected[REPEATED_HEADER] -= 1  # the first one is the header itself
    rows = sum(raw.values()) + sum(rejected.values())
    cut = _find_cut(raw, last, config)
    if cut is not None:
        del raw[cut]
        rejected[CUT_OFF] += 1
    cells = resolve_cells(
        raw,
        vocabulary=config.vocabulary or (),
        unknown=config.unknown,
        separator=config.separator,
    )
    genres: Counter[str] = Counter()
    for cell, meaning in cells.items():
        genres.update(dict.fromkeys(meaning.genres, raw[cell]))
        for reason in meaning.reasons:
            rejected[reason] += raw[cell]
    split = sum(raw[cell] * (meaning.rows - 1) for cell, meaning in cells.items())
    rejected = Counter({reason: count for reason, count in rejected.items() if count})
    return GenreSurvey(rows, dict(genres), dict(rejected), cut, split, cells)


def _find_cut(raw: Counter[str], last: str | None, config: GenresConfig) -> str | None:
    """Return the cell of a last row that ends in the middle: `Dra`, where `Drama` is known."""
    new = last is not None and raw[last] == 1 and last not in (config.vocabulary or ())
    if last is None or not new:
        return None
    return last if any(name != last and name.startswith(last) for name in raw) else None


def write_rejects(
    rows: DataFrame | None, survey: GenreSurvey, config: Config, fingerprint: str
) -> None:
    """Write the rejects table of genres.

    Args:
        rows: with reasons, or None where there are no bad ones.
        survey: of the rows; the first repeated header is the header itself.
        config: the recipe.
        fingerprint: digest of what the result depends on.
    """
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
