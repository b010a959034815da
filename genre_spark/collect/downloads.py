"""Posters from a table of links by Spark tasks: what is new, at a bounded rate.

Each task streams its share of the links through one event loop into archives of a bounded size and
brings back a few counts; neither links nor posters pass through the driver. What is done is known
by (movie, link) from the status files beside the archives, so that new links, another number of
tasks and a killed run all lead to what is left.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from genre_spark.collect.fetching import PASSING, STORED, Fetched, PosterFetcher
from genre_spark.collect.politeness import POSTERS_NOTICE, gather_all, run_async
from genre_spark.collect.shards import STATUS, LinkRow, ShardWriter, close_left_shards
from genre_spark.config.collect import DownloadsConfig
from genre_spark.schemas import CONTENT, DOWNLOADS_SCHEMA, MOVIE_ID, REASON, SOURCE
from genre_spark.spark.local_rows import frame_of_rows
from genre_spark.spark.session import literal_path
from genre_spark.storage.arrow_columns import int_column, text_column
from genre_spark.storage.files import filesystem, join
from genre_spark.workers.errors import worker_errors
from genre_spark.workers.spreading import spread_by
from genre_spark.workers.tasks import short_task

__all__ = ["DownloadCounts", "download_posters", "read_downloads", "rejected_downloads"]

logger = logging.getLogger("genre_spark")

LINK = "link"
_COUNTS = "status string, links long, bytes long"
_LINKS_PER_TASK = 50  # fewer are not worth a task


@dataclass(frozen=True)
class DownloadCounts:
    """What a run did.

    Attributes:
        wanted: links.
        asked: links that were asked for in this run.
        bytes: stored in this run.
        statuses: status -> how many of the links asked for in this run.
    """

    wanted: int
    asked: int
    bytes: int = 0
    statuses: Mapping[str, int] = field(default_factory=dict)


def download_posters(
    links: DataFrame, folder: str, config: DownloadsConfig, *, run: str, tasks: int
) -> DownloadCounts:
    """Download the posters that a folder does not have yet.

    Args:
        links: movie_id and link, one row per movie; read twice.
        folder: where the archives go; a path or URL that the executors see.
        config: bounds, rates, what is tried again.
        run: a name for this run, of letters and digits, that no other run has.
        tasks: Spark tasks at once, at most.

    Raises:
        StageFailedError: another run is writing to the folder.
    """
    left = close_left_shards(folder)
    if left:
        logger.info("download-posters: closed %d archives of a run that was killed", left)
    finished = _finished(links.sparkSession, folder, config)
    wanted = links.count()
    todo, asked = links, wanted
    if finished is not None:
        todo = links.join(finished, [MOVIE_ID, LINK], "left_anti")
        asked = todo.count()
    if asked == 0:
        return DownloadCounts(wanted, 0)
    tasks = max(1, min(tasks, asked // _LINKS_PER_TASK))
    _announce(asked, wanted, config)
    job = _Job(folder, run, config, None if config.per_host is None else config.per_host / tasks)
    counted = (
        spread_by(todo, MOVIE_ID, tasks)
        .mapInArrow(short_task(functools.partial(_download, job)), _COUNTS)
        .groupBy("status")
        .agg(F.sum("links").alias("links"), F.sum("bytes").alias("bytes"))
    )
    with worker_errors():
        rows = sorted(counted.collect(), key=lambda row: str(row["status"]))  # one per status
    return DownloadCounts(
        wanted,
        asked,
        sum(row["bytes"] for row in rows),
        {row["status"]: row["links"] for row in rows},
    )


def _announce(asked: int, wanted: int, config: DownloadsConfig) -> None:
    logger.info("download-posters: %s", POSTERS_NOTICE)
    pace = ""
    if config.per_host is not None:
        hours = asked / config.per_host / 3600
        pace = (
            f", at most {config.per_host:g} per second from one host: about {hours:.1f} h if all "
            "are on one"
        )
    logger.info("download-posters: %d of %d posters to download%s", asked, wanted, pace)


def _finished(spark: SparkSession, folder: str, config: DownloadsConfig) -> DataFrame | None:
    """Return movie_id and link of what is not to be asked for again; None without any record."""
    if not _has_log(folder):
        return None
    log = _read_log(spark, folder)
    archives = frame_of_rows(spark, [(name,) for name in _archives(folder)], "shard string")
    stored = log.where(F.col("status") == STORED).join(F.broadcast(archives), "shard", "left_semi")
    if config.retry_failed:
        return stored.select(MOVIE_ID, LINK)
    failed = log.where(~F.col("status").isin(STORED, *sorted(PASSING)))
    return stored.select(MOVIE_ID, LINK).unionByName(failed.select(MOVIE_ID, LINK))


def _read_log(spark: SparkSession, folder: str) -> DataFrame:
    """Return the status files: a row per link and run that asked for it."""
    if not _has_log(folder):
        return frame_of_rows(spark, [], DOWNLOADS_SCHEMA)
    return spark.read.schema(DOWNLOADS_SCHEMA).parquet(literal_path(join(folder, STATUS)))


def _has_log(folder: str) -> bool:
    return any(path.endswith(".parquet") for path in _entries(join(folder, STATUS)))


def _archives(folder: str) -> list[str]:
    entries = _entries(folder)
    return [path.rsplit("/", 1)[-1] for path in entries if path.endswith(".tar")]


def _entries(folder: str) -> list[str]:
    system, inner = filesystem(folder)
    found = system.ls(inner, detail=False) if system.exists(inner) else []
    return [str(entry).rstrip("/") for entry in found]


def read_downloads(links: DataFrame, folder: str) -> DataFrame:
    """Return what became of each link when it was last asked for: rows of DOWNLOADS_SCHEMA."""
    log = _read_log(links.sparkSession, folder)
    newest = Window.partitionBy(MOVIE_ID).orderBy(F.desc("at"), "shard")
    return (
        log.join(links, [MOVIE_ID, LINK], "left_semi")
        .withColumn("place", F.row_number().over(newest))
        .where(F.col("place") == 1)
        .select(*DOWNLOADS_SCHEMA.names)
    )


def rejected_downloads(downloads: DataFrame) -> DataFrame:
    """Return the links without a poster as rows of REJECTS_SCHEMA."""
    content = F.substring(F.concat_ws(": ", LINK, F.nullif("error", F.lit(""))), 1, 300)
    return downloads.where(F.col("status") != STORED).select(
        F.col(MOVIE_ID).cast("string").alias(SOURCE),
        F.col("status").alias(REASON),
        content.alias(CONTENT),
    )


@dataclass(frozen=True)
class _Job:
    """What every task of a run has in common; `per_host` is a task's own share of the rate."""

    folder: str
    run: str
    config: DownloadsConfig
    per_host: float | None


def _download(job: _Job, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Download the links of a partition and yield how many ended how."""
    context = TaskContext.get()
    partition = 0 if context is None else context.partitionId()
    # What an attempt of this task that failed has left is closed, and not asked for again.
    own = f"-{job.run}-{partition:05d}-"
    close_left_shards(job.folder, of=own)
    done = _done_by_earlier_attempts(job.folder, own)
    links, sizes = Counter[str](), Counter[str]()

    def count(status: str, size: int) -> None:
        links[status] += 1
        sizes[status] += size

    rows = (row for row in _rows(batches) if row.movie_id not in done)
    run_async(_download_all(job, partition, rows, count))
    for status, size in done.values():
        count(status, size)
    columns = [
        text_column(list(links)),
        int_column(list(links.values()), pa.int64()),
        int_column([sizes[status] for status in links], pa.int64()),
    ]
    yield pa.RecordBatch.from_arrays(columns, names=["status", "links", "bytes"])


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[LinkRow]:
    for batch in batches:
        yield from map(LinkRow, batch.column(0).to_pylist(), batch.column(1).to_pylist())


def _done_by_earlier_attempts(folder: str, own: str) -> dict[int, tuple[str, int]]:
    """Return movie -> status and bytes of what the status files with this in their name have."""
    system, _ = filesystem(folder)
    done: dict[int, tuple[str, int]] = {}
    for path in _entries(join(folder, STATUS)):
        if own in path and path.endswith(".parquet"):
            with system.open(path, "rb") as status:
                table = pq.read_table(status, columns=[MOVIE_ID, "status", "bytes"])
            for movie_id, reason, size in zip(
                *map(pa.ChunkedArray.to_pylist, table.columns), strict=True
            ):
                done[movie_id] = reason, size
    return done


async def _download_all(
    job: _Job, partition: int, rows: Iterator[LinkRow], count: Callable[[str, int], None]
) -> None:
    archive = _Archives(job, partition)
    try:
        async with PosterFetcher(job.config, per_host=job.per_host) as fetcher:

            async def work() -> None:
                for row in rows:  # the workers take turns: one iterator, one thread
                    fetched = await fetcher.fetch(row.link)
                    count(fetched.status, len(fetched.content))
                    await archive.add(row, fetched)

            await gather_all([work() for _ in range(job.config.connections)])
        await archive.close()
    finally:
        archive.abandon()


class _Archives:
    """The archive that a task is writing, and the next one when it is full."""

    def __init__(self, job: _Job, partition: int) -> None:
        self._job, self._partition = job, partition
        self._writer: ShardWriter | None = None

    async def add(self, row: LinkRow, fetched: Fetched) -> None:
        if self._writer is None:
            self._writer = ShardWriter(self._job.folder, self._job.run, self._partition)
        self._writer.add(row, fetched)
        config = self._job.config
        if self._writer.rows >= config.shard_posters or self._writer.size >= config.shard_bytes:
            await self.close()

    async def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:  # not on the event loop: putting it to an object store takes long
            await asyncio.to_thread(writer.close)

    def abandon(self) -> None:
        if self._writer is not None:
            self._writer.abandon()
