"""The posters table of a large source: listed, planned, made and summed up by tasks.

The driver holds a few lines per part, and a part is about half a million posters.
"""

from __future__ import annotations

import functools
import json
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from genre_spark.config.posters import PostersConfig
from genre_spark.posters.parts.listing_tasks import list_in_tasks
from genre_spark.posters.parts.part_end import clean_part, finish_part, make_chunk
from genre_spark.posters.parts.part_plan import (
    PartsJob,
    hash_part,
    part_folder,
    plan_part,
    shared_file,
)
from genre_spark.posters.parts.splitting import split_listing
from genre_spark.posters.plan.placeholders import PLACEHOLDER, PLACEHOLDER_FROM
from genre_spark.posters.plan.planning import config_fingerprint
from genre_spark.posters.plan.receipts import STATE, facts_folder, sum_receipts
from genre_spark.posters.prepared import PreparedPosters, describe_posters
from genre_spark.progress import counting
from genre_spark.spark.session import literal_path
from genre_spark.storage.arrow_columns import text_column
from genre_spark.storage.files import (
    filesystem,
    fingerprint,
    join,
    read_checked_json,
    remove_folder,
    write_checked_json,
)
from genre_spark.storage.inventory import FileState
from genre_spark.storage.tables import TableManifest, commit_table, read_manifest, read_summary
from genre_spark.workers.errors import worker_errors
from genre_spark.workers.tasks import short_task

__all__ = ["MOST_IN_ONE", "number_of_parts", "prepare_in_parts", "recorded_parts"]

logger = logging.getLogger("genre_spark")

MOST_IN_ONE = 2_000_000
"""Posters that one task plans at most."""
_PER_PART = 500_000
_GROWN = 4  # times as many posters as a part was made for: the table is dealt out anew
_CHUNK_TASKS = 10_000  # at most, so that the driver's share of a run has a bound
_ANSWER = "answer string"
_RUNS = "_plan"  # folder of what a run writes for itself


def recorded_parts(table: str) -> int | None:
    """Return the number of parts of a posters table, None where there is none yet."""
    state = read_checked_json(join(table, STATE))
    return None if state is None else int(state.get("parts", 1))


def prepare_in_parts(
    spark: SparkSession,
    source: str,
    *,
    table: str,
    rejects_table: str,
    config: PostersConfig,
    anew: bool = False,
) -> PreparedPosters:
    """Bring the posters table up to date with its source, part by part.

    Args:
        spark: the session.
        source: folder, archive or Parquet file.
        table: folder of the posters table.
        rejects_table: folder of the rejects table.
        config: how posters are stored.
        anew: decode all posters again, whatever is there.

    Raises:
        InvalidInputError: the source cannot be listed.
    """
    remove_folder(join(table, _RUNS))  # of killed runs
    place = join(table, _RUNS, uuid.uuid4().hex[:12])
    try:
        listing = list_in_tasks(spark, source, place, follow_links=config.follow_links)
        listed = listing.count()
        parts = config.parts or number_of_parts(recorded_parts(table), listed, anew=anew)
        logger.info("posters: %s files listed, in %s parts", f"{listed:,}", parts)
        split = join(place, "split")
        over = config.drop_placeholders_over or PLACEHOLDER_FROM
        split_listing(listing, split, parts=parts, shared_by_more_than=over)
        job = PartsJob(source, table, rejects_table, config, parts, split, anew)
        return _prepare(spark, job)
    finally:
        remove_folder(join(table, _RUNS))


def number_of_parts(recorded: int | None, listed: int, *, anew: bool = False) -> int:
    """Return how many parts a table has: as many as before, unless it has outgrown them.

    Args:
        recorded: parts of the table that is there, None where there is none.
        listed: files of the source.
        anew: use nothing of earlier runs.
    """
    recorded = recorded or 1
    if recorded > 1 and not anew and listed <= _GROWN * _PER_PART * recorded:
        return recorded
    parts = 1 << max(1, int(np.ceil(np.log2(max(1, listed) / _PER_PART))))
    if recorded > 1 and not anew:
        logger.warning(
            "posters: %s listed, too many for %s parts: the table is made anew in %s",
            f"{listed:,}",
            recorded,
            parts,
        )
    return parts


def _prepare(spark: SparkSession, job: PartsJob) -> PreparedPosters:
    if job.config.drop_placeholders_over is not None:
        _find_placeholders(spark, job, job.config.drop_placeholders_over)
    plans = _for_each_part(spark, job, plan_part)
    whole = fingerprint(config_fingerprint(job.config), [plan["fingerprint"] for plan in plans])
    standing = [bool(plan["standing"]) for plan in plans]
    before = _standing_manifest(job, whole) if all(standing) else None
    if before is not None:
        rejected = before.details["rejected"]
        return PreparedPosters(before, unchanged=True, reused=before.rows, rejected=rejected)
    with counting("posters", sum(plan["fresh"] for plan in plans), by_tasks=True):
        _make_chunks(spark, job, [plan["todo"] for plan in plans])
    sums = _for_each_part(spark, job, functools.partial(_finish, standing=standing))
    manifest = _commit(spark, job, whole, sums)
    _for_each_part(spark, job, clean_part)
    decoded = sum(part["decoded"] for part in sums)
    gone = sum(plan["gone"] for plan in plans)
    reused = manifest.rows - decoded
    return PreparedPosters(manifest, False, decoded, reused, gone, manifest.details["rejected"])


def _finish(job: PartsJob, part: int, *, standing: Sequence[bool]) -> dict[str, Any]:
    return finish_part(job, part, standing=standing[part])


def _standing_manifest(job: PartsJob, whole: str) -> TableManifest | None:
    """Return the posters' manifest where both tables have this content already."""
    found = [read_summary(place) for place in (job.rejects_table, job.table)]
    stands = all(manifest is not None and manifest.fingerprint == whole for manifest in found)
    return found[1] if stands and read_manifest(job.table) is not None else None


def _for_each_part(
    spark: SparkSession, job: PartsJob, function: Callable[[PartsJob, int], Any]
) -> list[Any]:
    """Return the answers, JSON values, of a function for each part, in one task per part."""
    run = functools.partial(_answer_parts, job, function)
    with worker_errors():  # one short row per part
        rows = spark.range(0, job.parts, 1, job.parts).mapInArrow(short_task(run), _ANSWER)
        answers = dict(json.loads(row[0]) for row in rows.collect())
    return [answers[part] for part in range(job.parts)]


def _answer_parts(
    job: PartsJob,
    function: Callable[[PartsJob, int], Any],
    batches: Iterable[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for part in batch.column(0).to_numpy().tolist():
            answer = json.dumps([part, function(job, part)])
            yield pa.RecordBatch.from_arrays([text_column([answer])], names=["answer"])


def _find_placeholders(spark: SparkSession, job: PartsJob, limit: int) -> None:
    """Write the content hashes that more posters than the limit share."""
    run = functools.partial(_hash_parts, job)
    with worker_errors():
        hashes = spark.range(0, job.parts, 1, job.parts).mapInArrow(
            short_task(run), "content_hash long"
        )
        times = hashes.groupBy("content_hash").agg(F.count("*").alias("times"))
        shared = times.filter((F.col("times") > limit) & (F.col("content_hash") != 0))
        shared.coalesce(1).write.parquet(shared_file(job.split))


def _hash_parts(job: PartsJob, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for part in batch.column(0).to_numpy().tolist():
            yield from hash_part(job, part).to_batches()


def _make_chunks(spark: SparkSession, job: PartsJob, todo: Sequence[int]) -> None:
    """Make the missing chunks of all parts in one job; receipts stay with the chunks."""
    ends = np.cumsum([0, *todo]).tolist()
    if not ends[-1]:
        return
    tasks = min(ends[-1], _CHUNK_TASKS)
    run = functools.partial(_make, job, ends)
    with worker_errors():
        spark.range(0, ends[-1], 1, tasks).mapInArrow(short_task(run), _ANSWER).count()


def _make(
    job: PartsJob, ends: Sequence[int], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    context = TaskContext.get()
    again = context is not None and context.attemptNumber() > 0
    for batch in batches:
        for number in batch.column(0).to_numpy().tolist():
            part = int(np.searchsorted(ends, number, "right")) - 1
            make_chunk(job, part, number - ends[part], again=again)
    yield from ()


def _commit(
    spark: SparkSession, job: PartsJob, whole: str, sums: Sequence[Mapping[str, Any]]
) -> TableManifest:
    """Make the parts the table; the posters' manifest comes last, as for a small table."""
    rejected, early = Counter[str](), Counter[str]()
    for part in sums:
        rejected.update(part["rejected"])
        early.update(part["early"])
    details = describe_posters(sum_receipts(sums), job.config)
    details["placeholders"] = _count_placeholders(spark, job, sums, early[PLACEHOLDER])
    details["rejected"] = dict(sorted(rejected.items()))
    details["listed"] = sum(part["listed"] for part in sums)
    details["parts"] = job.parts
    rejects = TableManifest(
        whole,
        (),
        sum(rejected.values()),
        details["rejected"],
        inventories=_inventories(sums, "rejects_inventory"),
    )
    commit_table(job.rejects_table, rejects)
    rows = sum(part["rows"] for part in sums)
    manifest = TableManifest(whole, (), rows, details, inventories=_inventories(sums, "inventory"))
    state = {"settings": config_fingerprint(job.config), "parts": job.parts}
    write_checked_json(join(job.table, STATE), state)
    committed = commit_table(job.table, manifest)
    _remove_one_part(job.table)
    return committed


def _inventories(sums: Sequence[Mapping[str, Any]], kind: str) -> dict[str, FileState]:
    return {part[kind][0]: FileState(*part[kind][1]) for part in sums}


def _remove_one_part(table: str) -> None:
    """Remove the ledger and the facts of the time when the table had one part."""
    remove_folder(facts_folder(table))
    system, folder = filesystem(table)
    for entry in system.ls(folder, detail=False):
        if str(entry).rpartition("/")[2].startswith("_ledger-"):
            system.rm(str(entry))


def _count_placeholders(
    spark: SparkSession, job: PartsJob, sums: Sequence[Mapping[str, Any]], dropped: int
) -> dict[str, int]:
    over = job.config.drop_placeholders_over or PLACEHOLDER_FROM
    files = [
        literal_path(join(job.table, part_folder(number, job.parts), part["hashes"]))
        for number, part in enumerate(sums)
        if part["hashes"]
    ]
    pictures = posters = 0
    if files:
        hashes = spark.read.schema("content_hash long, times long").parquet(*files)
        shared = hashes.groupBy("content_hash").agg(F.sum("times").alias("times"))
        found = shared.filter(F.col("times") > over).agg(F.count("*"), F.sum("times")).first()
        pictures, posters = (0, 0) if found is None else (found[0], found[1] or 0)
    return {
        "shared_by_more_than": over,
        "pictures": pictures,
        "posters": posters,
        "dropped": dropped,
    }
