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
from genre_spark.tables import TableManifest, commit_table
from genre_spark.transforms.csv import CsvLayout
from genre_spark.transforms.genre_rows import CUT_OFF, GENRE, IS_LAST, REPEATED_HEADER

__all__ = ["GenreSurvey", "survey_rows", "write_rejects"]

_MAX_GENRES = 100_000  # the vocabulary is kept on the driver


@dataclass(frozen=True)
class GenreSurvey:
    """What rows hold.

    Attributes:
        rows: their number, the header left out.
        genres: good rows by genre.
        rejected: bad rows by reason.
        cut_genre: the genre of a last row that was cut off, else None.
    """

    rows: int = 0
    genres: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    cut_genre: str | None = None

    def explain_rejects(self) -> str:
        """Return the reasons with their numbers."""
        return ", ".join(f"{reason}: {count:,}" for reason, count in sorted(self.rejected.items()))


def survey_rows(rows: DataFrame, layout: CsvLayout, config: GenresConfig) -> GenreSurvey:
    """Count rows by genre and by reason, in one job.

    Args:
        rows: of `check_rows`.
        layout: of the file.
        config: the vocabulary settles whether a last row is whole.

    Raises:
        InvalidInputError: there are more genres than a vocabulary can hold.
    """
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
        rejected[CUT_OFF] += 1
    rejected = Counter({reason: count for reason, count in rejected.items() if count})
    return GenreSurvey(
        sum(genres.values()) + sum(rejected.values()), dict(genres), dict(rejected), cut
    )


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
