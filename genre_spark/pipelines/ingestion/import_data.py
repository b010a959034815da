"""Stage import-data: a data set in another layout becomes the tables that later stages read."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.adapters.layout_tables import TABLES, layout_table, rejected_rows
from genre_spark.adapters.layouts import layout_map
from genre_spark.adapters.mapping import SourceMap
from genre_spark.adapters.movies import FLAWS, MALFORMED_ROW, OTHER_ENCODING, RANK, rank_rows
from genre_spark.adapters.reading import DataSet, open_data_set, source_files
from genre_spark.config import Config
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.schemas import REASON
from genre_spark.spark.session import job_progress
from genre_spark.storage.files import file_digest, join, remove_folder
from genre_spark.storage.tables import Table, read_manifest
from genre_spark.tracking import TrackedRun

logger = logging.getLogger("genre_spark")

_ALWAYS = ("movies", "ids", "genres")
_MISREAD = (MALFORMED_ROW, OTHER_ENCODING)


def _layout(config: Config) -> tuple[str, SourceMap]:
    """Return the path of the data set, and its layout."""
    if config.paths.layout == "letterboxd" or config.paths.source is None:
        raise InvalidConfigError(
            f"paths.layout: {config.paths.layout}, expected another layout (tmdb5000, table, ...) "
            "and paths.source; files in the Letterboxd layout need no import-data"
        )
    return config.paths.source, layout_map(config.paths.layout, config.import_data)


def _depends_on(config: Config) -> list[object]:
    path, layout = _layout(config)
    digests = [file_digest(file) for file in source_files(path, layout)]
    return [config.paths.layout, config.import_data.model_dump(mode="json"), digests]


def _outputs(config: Config) -> list[Table]:
    tables = Catalogue(config)
    known = [tables.imported(name) for name in TABLES]
    # which of the others there are depends on the data set
    there = [
        table
        for name, table in zip(TABLES, known, strict=True)
        if name in _ALWAYS or read_manifest(table.path) is not None
    ]
    return [*there, tables.rejects("import")]


@stage(depends_on=_depends_on, outputs=_outputs)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Read a data set once, and write its movies in the layout that later stages read."""
    path, layout = _layout(config)
    found = open_data_set(spark, path, layout, config.import_data)
    for sentence in found.describe():
        logger.info("%s: %s", run.name, sentence)
    tracked.log_params({"layout": config.paths.layout, "import_data": str(found.describe())})
    draft = join(config.paths.metadata, f"data-draft-{uuid.uuid4().hex[:8]}")
    try:
        with job_progress(spark, run.name):
            ranked, counts = _rank(spark, found, draft, config)
            rows = _write_tables(config, ranked, found, tracked.digest)
    finally:
        remove_folder(draft)
    rejected = {name: count for name, count in counts.items() if name.startswith("rejected/")}
    return StageResult(
        outputs={"imported": config.paths.metadata, "rejects": config.paths.rejects("import")},
        counts={**counts, **{f"rows/{name}": count for name, count in rows.items()}},
        notes=(*found.describe(), *_notes(counts, rejected)),
    )


def _rank(
    spark: SparkSession, found: DataSet, draft: str, config: Config
) -> tuple[DataFrame, dict[str, int]]:
    """Read all rows once, and write them with their ranks to a draft.

    Raises:
        InvalidInputError: the file is misread, or no row can be used.
    """
    settings = config.import_data
    ranked = rank_rows(found.read(spark), merge=settings.repeated_ids == "merge")
    ranked.write.parquet(draft)
    ranked = spark.read.schema(ranked.schema).parquet(draft)
    used = F.col(RANK) == 1
    others = found.count_others(spark)
    totals = ranked.agg(
        F.count(F.lit(1)).alias("rows"),
        F.count_if(used).alias("movies"),
        F.count_if(used & (F.size("genres") > 0)).alias("with_genres"),
        F.count_if((F.col(RANK) != 1) & F.exists(FLAWS, lambda flaw: flaw["fatal"])).alias("lost"),
    ).first()
    reasons = (
        ranked.select(F.explode(FLAWS).alias("flaw")).groupBy(f"flaw.{REASON}").count().collect()
    )
    rejected = {row[REASON]: int(row["count"]) for row in reasons}
    kept = totals["rows"] if totals is not None else 0
    rows = kept + others
    _check(found, rows, rejected, settings.max_malformed)
    movies = totals["movies"] if totals is not None else 0
    genres = totals["with_genres"] if totals is not None else 0
    if not genres:
        reasons_found = ", ".join(f"{name}: {count:,}" for name, count in sorted(rejected.items()))
        raise InvalidInputError(
            f"paths.source: {found.main.path}: none of its {rows:,} rows is a movie with genres "
            f"({found.main.describe()}; {reasons_found or 'no genres in them'})"
        )
    lost = totals["lost"] if totals is not None else 0
    return ranked, {
        "rows": rows,
        "other_types": others,
        "movies": movies,
        "without_genres": movies - genres,
        "merged": kept - movies - lost,
        "rejected": lost,
        **{f"rejected/{name}": count for name, count in sorted(rejected.items())},
    }


def _check(found: DataSet, rows: int, rejected: Mapping[str, int], share: float) -> None:
    for reason in _MISREAD:
        if rejected.get(reason, 0) > max(5, share * rows):
            raise InvalidInputError(
                f"paths.source: {found.main.describe()}, but {rejected[reason]:,} of {rows:,} rows "
                f"are bad ({reason}); expected another import_data.encoding, delimiter, quote or "
                "multiline (import_data.max_malformed allows more)"
            )


def _write_tables(
    config: Config, ranked: DataFrame, found: DataSet, fingerprint: str
) -> dict[str, int]:
    """Write the tables of the layout, and remove those that an earlier import had."""
    catalogue = Catalogue(config)
    there = {*_ALWAYS, *[column.table for column in found.reader.lists]}
    there |= {"posters"} if "poster" in found.reader.texts else set()
    there |= (
        {"numbers"}
        if {"budget", "revenue", "votes", "popularity"} & set(found.reader.numbers)
        else set()
    )
    rows = {}
    for name in TABLES:
        table = catalogue.imported(name)
        if name in there:
            rows[name] = table.write(layout_table(ranked, name), fingerprint=fingerprint).rows
        else:
            remove_folder(table.path)
    rejects = rejected_rows(ranked, found.main.name)
    catalogue.rejects("import").write(rejects, fingerprint=fingerprint)
    return rows


def _notes(counts: Mapping[str, int], rejected: Mapping[str, int]) -> list[str]:
    notes = [
        f"{counts['rows']:,} rows in = {counts['movies']:,} movies + {counts['merged']:,} merged + "
        f"{counts['rejected']:,} rejected + {counts['other_types']:,} of other types"
    ]
    if rejected:
        reasons = ", ".join(
            f"{name.removeprefix('rejected/')}: {count:,}" for name, count in rejected.items()
        )
        notes.append(f"flaws: {reasons}")
    if counts["without_genres"]:
        notes.append(f"{counts['without_genres']:,} movies without genres")
    return notes
