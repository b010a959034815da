"""Stage group-genres: genres.csv becomes one row per movie; unusable rows become rejects."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from pyspark.sql import SparkSession

from genre_spark.config import Config
from genre_spark.errors import StageFailedError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.ingestion.genre_grouping import Grouping, group_file
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.schemas import GENRES_CSV
from genre_spark.storage.files import file_digest, join, write_json
from genre_spark.storage.tables import Table, TableManifest, commit_table, read_manifest
from genre_spark.tracking import TrackedRun
from genre_spark.transforms.csv import CsvLayout, check_header
from genre_spark.transforms.genre_cells import describe_cells
from genre_spark.transforms.genre_lines import open_genres


def _depends_on(config: Config) -> list[object]:
    if config.paths.layout != "letterboxd":
        Catalogue(config).imported("genres").manifest()  # or the error that names its stage
    digest = file_digest(config.paths.genres_csv, setting="paths.genres_csv")
    if read_manifest(config.paths.genres_csv) is None:
        check_header(config.paths.genres_csv, GENRES_CSV)  # before Spark starts
    return [config.genres.model_dump(mode="json"), digest]


def _outputs(config: Config) -> list[Table]:
    tables = Catalogue(config)
    return [tables.genres, tables.rejects("genres")]


@stage(depends_on=_depends_on, outputs=_outputs)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Group genres.csv by movie."""
    path = config.paths.genres_csv
    lines, layout = open_genres(spark, path)
    grouping = group_file(lines, layout, config, fingerprint=tracked.digest)
    counts = _balance(grouping)
    per_genre = dict(zip(grouping.vocabulary, grouping.movies_per_genre, strict=True))
    details = {"vocabulary": grouping.vocabulary, "movies_per_genre": per_genre}
    manifest = TableManifest(tracked.digest, (grouping.folder,), grouping.movies, details)
    commit_table(config.paths.genres, manifest)
    write_json(join(config.paths.genres, "vocabulary.json"), details)
    tracked.log_dict(details, "vocabulary.json")
    return StageResult(
        outputs={"genres": config.paths.genres, "rejects": config.paths.rejects("genres")},
        counts={**counts, "genres": len(grouping.vocabulary)},
        metrics={"label_cardinality": grouping.kept / grouping.movies},
        notes=(*_notes(grouping, layout), _balance_sentence(counts)),
    )


def _balance(grouping: Grouping) -> dict[str, float]:
    rejected = sum(grouping.rejected.values())
    if grouping.used + rejected != grouping.rows + grouping.split:
        raise StageFailedError(
            f"genres: {grouping.rows:,} rows in, {grouping.split:,} more by splitting, but "
            f"{grouping.used:,} grouped and {rejected:,} rejected; expected the same sum"
        )
    counts: dict[str, float] = {
        "rows": grouping.rows,
        **({"split": grouping.split} if grouping.split else {}),
        "merged": grouping.used - grouping.kept,
        "kept": grouping.kept,
        "rejected": rejected,
        "movies": grouping.movies,
    }
    return {
        **counts,
        **{f"rejected/{reason}": count for reason, count in sorted(grouping.rejected.items())},
    }


def _balance_sentence(counts: dict[str, Any]) -> str:
    split = f" + {counts['split']:,} by splitting cells" if "split" in counts else ""
    return (
        f"{counts['rows']:,} rows in{split} = {counts['kept']:,} kept + {counts['merged']:,} "
        f"merged into an equal row + {counts['rejected']:,} rejected"
    )


def _notes(grouping: Grouping, layout: CsvLayout) -> tuple[str, ...]:
    notes = [*([] if layout.form.is_plain else [f"read as: {layout.form}"])]
    notes += describe_cells(grouping.cells)
    if grouping.rejected:
        reasons = ", ".join(
            f"{reason}: {count:,}" for reason, count in sorted(grouping.rejected.items())
        )
        notes.append(f"rejected rows: {reasons}")
    if grouping.cut_genre is not None:
        notes.append(
            f"the last row has no line break and its genre {grouping.cut_genre!r} is the "
            "beginning of another one: taken as cut off and rejected; a given genres.vocabulary "
            "settles it"
        )
    elif layout.last_line is not None:
        notes.append(
            "the file does not end with a line break; is its last row whole? "
            f"{layout.last_line[:200]!r}"
        )
    alike = defaultdict(list)
    for name in grouping.vocabulary:
        alike[name.casefold()].append(name)
    for names in alike.values():
        if len(names) > 1:
            notes.append(
                f"genres that differ in case alone are kept apart: {', '.join(map(repr, names))}"
            )
    unused = [
        name
        for name, movies in zip(grouping.vocabulary, grouping.movies_per_genre, strict=True)
        if not movies
    ]
    if unused:
        notes.append(f"genres of the vocabulary without a movie: {', '.join(unused)}")
    return tuple(notes)
