"""Stage prepare-posters: originals become the posters table; only new ones are processed."""

from __future__ import annotations

import logging

from pyspark.sql import SparkSession

from genre_spark.config import Config
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.posters.listing import require_posters
from genre_spark.posters.prepared import PreparedPosters
from genre_spark.posters.table import prepare_posters, standing_posters
from genre_spark.spark.session import job_progress
from genre_spark.storage.tables import Table
from genre_spark.tracking import TrackedRun

logger = logging.getLogger("genre_spark")


def _depends_on(config: Config) -> list[object]:
    require_posters(config.paths.posters)
    return [config.posters.model_dump(), config.paths.posters]


def _outputs(config: Config) -> list[Table]:
    tables = Catalogue(config)
    return [tables.posters, tables.rejects("posters")]


def _standing(config: Config) -> StageResult | None:
    posters, rejects = (table.path for table in _outputs(config))
    found = standing_posters(
        config.paths.posters, table=posters, rejects_table=rejects, config=config.posters
    )
    return None if found is None else _result(config, found)


@stage(depends_on=_depends_on, outputs=_outputs, always=True, standing=_standing)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Decode, resize and store new and changed posters, and drop those that are gone."""
    posters, rejects = (table.path for table in _outputs(config))
    logger.info("%s: reading %s", run.name, config.paths.posters)
    with job_progress(spark, run.name):
        prepared = prepare_posters(
            spark,
            config.paths.posters,
            table=posters,
            rejects_table=rejects,
            config=config.posters,
            anew=tracked.force,
        )
    details = prepared.manifest.details
    tracked.log_params({"posters": config.posters.model_dump()})
    tracked.log_dict(dict(details), "posters.json")
    tracked.log_metrics(
        {f"rejected/{reason}": count for reason, count in prepared.rejected.items()}
    )
    return _result(config, prepared)


def _result(config: Config, prepared: PreparedPosters) -> StageResult:
    posters, rejects = (table.path for table in _outputs(config))
    return StageResult(
        outputs={"posters": posters, "rejects": rejects},
        counts={
            "posters": prepared.manifest.rows,
            "decoded": prepared.decoded,
            "removed": prepared.removed,
            "rejected": sum(prepared.rejected.values()),
            "stored as they were": prepared.manifest.details["kept_as_they_were"],
        },
        notes=_notes(prepared),
        reused=prepared.unchanged,
    )


def _notes(prepared: PreparedPosters) -> tuple[str, ...]:
    details, notes = prepared.manifest.details, []
    if prepared.rejected:
        reasons = ", ".join(
            f"{reason} {count}" for reason, count in sorted(prepared.rejected.items())
        )
        notes.append(f"unusable files, by reason: {reasons}")
    if details["misnamed"]:
        notes.append(
            f"{details['misnamed']} files are of another format than their name says, and were "
            "read all the same"
        )
    shared = details["placeholders"]
    if shared["posters"]:
        notes.append(
            f"{shared['posters']} posters share their bytes with more than "
            f"{shared['shared_by_more_than']} others ({shared['pictures']} pictures); "
            "posters.drop_placeholders_over drops such placeholders"
        )
    if prepared.manifest.rows == 0:
        notes.append("no poster could be read")
    return tuple(notes)
