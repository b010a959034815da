"""Stage group-genres: genres.csv becomes one row a movie, with a vocabulary and the rows that could not be used."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config, GenresConfig
from genre_spark.errors import InvalidInputError, StageFailedError
from genre_spark.io import TableManifest, commit_table, file_digest, join, require_manifest, write_json, write_table
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.schemas import CONTENT, GENRES_CSV, GENRES_SCHEMA, LABEL_IDS, REASON, SOURCE
from genre_spark.tracking import TrackedRun
from genre_spark.transforms.caching import cached
from genre_spark.transforms.csv import CsvLayout, check_header, read_layout
from genre_spark.transforms.genres import (
    GENRE,
    IS_LAST,
    REPEATED_HEADER,
    ROWS,
    check_rows,
    group_labels,
    reject_unknown,
)

STAGE = "group-genres"
CUT = "cut off at the end of the file"
MAX_GENRES = 100_000  # the vocabulary is kept on the driver


def read_vocabulary(config: Config) -> list[str]:
    """Return the genres by label id.

    Raises:
        MissingTableError: the genres table has not been written yet.
    """
    return list(require_manifest(config.paths.genres, made_by=STAGE).details["vocabulary"])


def _depends_on(config: Config) -> list[object]:
    digest = file_digest(config.paths.genres_csv)
    check_header(config.paths.genres_csv, GENRES_CSV)  # told before Spark starts
    return [config.genres.model_dump(mode="json"), digest]


@stage(
    STAGE,
    depends_on=_depends_on,
    outputs=lambda config: [config.paths.genres, config.paths.rejects("genres")],
)
def run(spark: SparkSession, config: Config, run: TrackedRun) -> StageResult:
    """Group genres.csv by movie."""
    path = config.paths.genres_csv
    layout = read_layout(path, GENRES_CSV)
    rows = check_rows(spark.read.text(path), layout)
    if config.genres.vocabulary is not None and config.genres.unknown == "reject":
        rows = reject_unknown(rows, vocabulary=config.genres.vocabulary)
    with cached(rows):
        survey = _survey(rows, layout)
        if survey.cut_genre is not None:
            cut = F.col(IS_LAST) & (F.col(GENRE) == survey.cut_genre)
            rows = rows.withColumns(
                {
                    REASON: F.when(cut, CUT).otherwise(F.col(REASON)),
                    CONTENT: F.when(cut, layout.last_line).otherwise(F.col(CONTENT)),
                }
            )
        _write_rejects(rows, survey, config, fingerprint=run.digest)
        if not survey.genres:
            raise InvalidInputError(
                f"{path}: none of its {survey.rows:,} rows can be used, expected rows of id,genre; {_by_reason(survey)}"
            )
        vocabulary = _vocabulary(config.genres, survey)
        totals = Observation()
        grouped = group_labels(rows.where(F.col(REASON).isNull()), vocabulary=vocabulary).observe(
            totals, F.sum(ROWS).alias("rows"), F.sum(F.size(LABEL_IDS)).alias("kept"), F.count(F.lit(1)).alias("movies")
        )
        details = {"vocabulary": vocabulary, "rows_per_genre": {g: survey.genres.get(g, 0) for g in vocabulary}}
        write_table(
            grouped.select(GENRES_SCHEMA.fieldNames()),
            config.paths.genres,
            name="genres",
            fingerprint=run.digest,
            details=details,
        )
    write_json(join(config.paths.genres, "vocabulary.json"), details)
    run.log_dict(details, "vocabulary.json")
    counts = _balance(survey, **totals.get)
    return StageResult(
        STAGE,
        outputs={"genres": config.paths.genres, "rejects": config.paths.rejects("genres")},
        counts={**counts, "genres": len(vocabulary)},
        metrics={"label_cardinality": counts["kept"] / counts["movies"]},
        notes=(*_notes(survey, layout, vocabulary), _balance_sentence(counts)),
    )


@dataclass(frozen=True)
class _Survey:
    """What a file holds: rows (the header left out), good rows by genre, bad rows by reason, a genre cut off."""

    rows: int
    genres: dict[str, int]
    rejected: dict[str, int]
    cut_genre: str | None


def _survey(rows: DataFrame, layout: CsvLayout) -> _Survey:
    good = F.when(F.col(REASON).isNull(), F.col(GENRE)).alias(GENRE)
    found = rows.groupBy(REASON, good, IS_LAST).count().limit(MAX_GENRES + 1).collect()
    if len(found) > MAX_GENRES:
        raise InvalidInputError(
            f"{layout.path}: more than {MAX_GENRES:,} different values of {GENRE!r}, expected a few genres"
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
    rejected[REPEATED_HEADER] -= 1  # the first one is the header itself
    cut = None
    # `Dra` at the very end, found nowhere else while `Drama` is: the file ends in the middle of a row
    if last is not None and genres[last] == 1 and any(name != last and name.startswith(last) for name in genres):
        cut = last
        del genres[last]
        rejected[CUT] += 1
    rejected = Counter({reason: count for reason, count in rejected.items() if count})
    return _Survey(sum(genres.values()) + sum(rejected.values()), dict(genres), dict(rejected), cut)


def _vocabulary(config: GenresConfig, survey: _Survey) -> list[str]:
    if config.vocabulary is None:
        return sorted(survey.genres)
    return [*config.vocabulary, *sorted(set(survey.genres) - set(config.vocabulary))]


def _write_rejects(rows: DataFrame, survey: _Survey, config: Config, *, fingerprint: str) -> None:
    table, name = config.paths.rejects("genres"), "rejects of genres"
    if not survey.rejected:
        commit_table(table, TableManifest(name, fingerprint, (), 0))
        return
    source = config.paths.genres_csv.rsplit("/", 1)[-1]
    bad = rows.where(F.col(REASON).isNotNull() & (F.col(REASON) != REPEATED_HEADER))
    headers = survey.rejected.get(REPEATED_HEADER, 0)
    if headers:
        bad = bad.union(rows.where(F.col(REASON) == REPEATED_HEADER).limit(headers))
    write_table(bad.select(F.lit(source).alias(SOURCE), REASON, CONTENT), table, name=name, fingerprint=fingerprint)


def _balance(survey: _Survey, *, rows: int, kept: int, movies: int) -> dict[str, float]:
    rejected = sum(survey.rejected.values())
    if rows + rejected != survey.rows:
        raise StageFailedError(
            f"genres: {survey.rows:,} rows in, but {rows:,} grouped and {rejected:,} rejected; expected the same sum"
        )
    counts: dict[str, float] = {
        "rows": survey.rows,
        "merged": rows - kept,
        "kept": kept,
        "rejected": rejected,
        "movies": movies,
    }
    return {**counts, **{f"rejected/{reason}": count for reason, count in sorted(survey.rejected.items())}}


def _balance_sentence(counts: dict[str, Any]) -> str:
    return (
        f"{counts['rows']:,} rows in = {counts['kept']:,} kept + {counts['merged']:,} merged into an equal row"
        f" + {counts['rejected']:,} rejected"
    )


def _by_reason(survey: _Survey) -> str:
    return ", ".join(f"{reason}: {count:,}" for reason, count in sorted(survey.rejected.items())) or "no rows"


def _notes(survey: _Survey, layout: CsvLayout, vocabulary: list[str]) -> tuple[str, ...]:
    notes = []
    if survey.rejected:
        notes.append(f"rejected rows: {_by_reason(survey)}")
    if layout.last_line is not None and survey.cut_genre is None:
        notes.append(f"the file does not end with a line break; is its last row whole? {layout.last_line[:200]!r}")
    alike = defaultdict(list)
    for name in vocabulary:
        alike[name.casefold()].append(name)
    for names in alike.values():
        if len(names) > 1:
            notes.append(f"genres that differ in case alone are kept apart: {', '.join(map(repr, names))}")
    unused = [name for name in vocabulary if name not in survey.genres]
    if unused:
        notes.append(f"genres of the vocabulary without a movie: {', '.join(unused)}")
    return tuple(notes)
