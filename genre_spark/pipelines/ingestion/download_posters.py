"""Stage download-posters: links -> archives of posters, which prepare-posters reads."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping

from pyspark.sql import DataFrame, SparkSession

from genre_spark.config import Config
from genre_spark.config.collect import DownloadsConfig
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.spark.session import count_task_slots, job_progress
from genre_spark.storage.files import file_digest, filesystem
from genre_spark.storage.tables import Table
from genre_spark.tracking import TrackedRun
from genre_spark.transforms.metadata import find_csv
from genre_spark.transforms.poster_links import (
    read_ids,
    read_links,
    rejected_links,
    usable_links,
)

logger = logging.getLogger("genre_spark")


def downloads_section(config: Config) -> DownloadsConfig:
    """Return the stage's section.

    Raises:
        InvalidConfigError: the recipe has none.
    """
    if config.collect.downloads is None:
        raise InvalidConfigError(
            "collect.downloads: missing, expected a section such as collect.downloads={}; without "
            "it download-posters asks no server"
        )
    return config.collect.downloads


def links_path(config: Config) -> str:
    """Return the file or folder of links.

    Raises:
        InvalidInputError: there is none.
    """
    given = downloads_section(config).links
    path = given or find_csv(config.paths.metadata, "posters")
    if path is None:
        raise InvalidInputError(
            f"paths.metadata: {config.paths.metadata} has no posters.csv (nor .csv.gz), expected "
            "one, or collect.downloads.links"
        )
    return path


def _depends_on(config: Config) -> list[object]:
    section = downloads_section(config)
    system, inner = filesystem(config.paths.posters)
    if system.isfile(inner):
        raise InvalidConfigError(
            f"paths.posters: {config.paths.posters} is a file, expected a folder to write to"
        )
    return [section.model_dump(mode="json"), file_digest(links_path(config))]


def _outputs(config: Config) -> list[Table]:
    tables = Catalogue(config)
    return [tables.downloads, tables.rejects("downloads")]


@stage(depends_on=_depends_on, outputs=_outputs, always=True)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Download the posters that are not there yet, and say what became of every link."""
    from genre_spark.collect.downloads import (  # noqa: PLC0415 - an extra
        download_posters,
        read_downloads,
        rejected_downloads,
    )

    section, folder = downloads_section(config), config.paths.posters
    rows, links = _links(spark, config)
    tracked.log_params({"collect.downloads": section.model_dump(mode="json")})
    with job_progress(spark, run.name):
        done = download_posters(
            links,
            folder,
            section,
            run=uuid.uuid4().hex[:8],
            tasks=section.tasks or count_task_slots(spark),
        )
    tables = Catalogue(config)
    downloads, rejects = tables.downloads, tables.rejects("downloads")
    standing = downloads.is_whole() and downloads.manifest().fingerprint == tracked.digest
    if done.asked or not standing or tracked.force:
        downloads.write(read_downloads(links, folder), fingerprint=tracked.digest)
        flawed = rejected_links(rows, base_url=section.base_url)
        failed = rejected_downloads(downloads.read(spark))
        rejects.write(failed.unionByName(flawed), fingerprint=tracked.digest)
    tracked.log_metrics({f"status/{status}": count for status, count in done.statuses.items()})
    return StageResult(
        outputs={"posters": folder, "downloads": downloads.path, "rejects": rejects.path},
        counts={
            "links": done.wanted,
            "asked": done.asked,
            "stored": done.statuses.get("stored", 0),
            "megabytes": round(done.bytes / 1e6, 1),
            "rejected": rejects.manifest().rows,
        },
        notes=_notes(done.statuses),
        reused=not done.asked and standing and not tracked.force,
    )


def _links(spark: SparkSession, config: Config) -> tuple[DataFrame, DataFrame]:
    """Return all rows of the table of links, and the links to download, one per movie."""
    section = downloads_section(config)
    rows = read_links(spark, links_path(config))
    links = usable_links(rows, base_url=section.base_url)
    if section.movies is not None:
        links = links.join(read_ids(spark, section.movies), "movie_id", "left_semi")
    return rows, links


def _notes(statuses: Mapping[str, int]) -> tuple[str, ...]:
    failed = {status: count for status, count in statuses.items() if status != "stored"}
    if not failed:
        return ()
    reasons = ", ".join(f"{status} {count:,}" for status, count in sorted(failed.items()))
    return (
        f"not stored: {reasons}; the next run asks again for what may pass (timeouts, servers that "
        "fail), collect.downloads.retry_failed=true for all",
    )
