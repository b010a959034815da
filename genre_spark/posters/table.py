"""The posters table from a folder or archive: planned, made by many tasks, then committed.

Python workers read, decode, encode and write Parquet themselves. Spark spreads the chunks over the
cores, tries failed ones again and brings back one small receipt per chunk; pixels do not pass
through the JVM and the driver holds no row.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import SparkSession

from genre_spark.config.posters import PostersConfig
from genre_spark.errors import InvalidInputError, UserError
from genre_spark.posters.chunks import ChunkJob, prepare_chunk
from genre_spark.posters.listing import TooManyPosters, require_posters
from genre_spark.posters.parts.parted_table import MOST_IN_ONE, prepare_in_parts, recorded_parts
from genre_spark.posters.plan.cutting import deal_chunks
from genre_spark.posters.plan.placeholders import PLACEHOLDER, PLACEHOLDER_FROM
from genre_spark.posters.plan.planning import (
    Plan,
    config_fingerprint,
    plan_posters,
    posters_stand,
)
from genre_spark.posters.plan.receipts import (
    STATE,
    done_chunks,
    facts_folder,
    read_hashes,
    sum_receipts,
)
from genre_spark.posters.prepared import PreparedPosters, describe_posters
from genre_spark.progress import counting
from genre_spark.spark.session import count_task_slots
from genre_spark.spark.session import is_local as is_local_session
from genre_spark.storage.arrow_columns import text_column
from genre_spark.storage.files import filesystem, is_local, join, write_checked_json
from genre_spark.storage.inventory import FileState, read_states
from genre_spark.storage.tables import TableManifest, commit_table, read_manifest
from genre_spark.workers.tasks import short_task

_ANSWER = "answer string"
_QUICKLY_LISTED = 20_000  # posters, about a second


def prepare_posters(
    spark: SparkSession,
    source: str,
    *,
    table: str,
    rejects_table: str,
    config: PostersConfig,
    anew: bool = False,
) -> PreparedPosters:
    """Bring the posters table up to date with its source.

    Args:
        spark: the session.
        source: a folder of ID.jpg (.png, .webp, .gif), a zip or tar of them, or a table of posters
            (Parquet, Delta); a path or URL that the executors see.
        table: folder of the posters table.
        rejects_table: folder of the rejects table.
        config: how posters are stored.
        anew: decode all posters again, whatever is there.

    Raises:
        InvalidInputError: there is no such source, or no poster in it.
    """
    require_posters(source)
    parts = recorded_parts(table) if config.parts is None else config.parts
    plan = None
    if parts is None or parts == 1:
        most = MOST_IN_ONE if config.parts is None else None
        plan = _plan(spark, source, table, rejects_table, config, anew=anew, most=most)
    if plan is None:
        return prepare_in_parts(
            spark, source, table=table, rejects_table=rejects_table, config=config, anew=anew
        )
    before = read_manifest(table)
    if before is not None and not plan.ledger:
        return PreparedPosters(
            before, unchanged=True, reused=before.rows, rejected=before.details["rejected"]
        )
    todo = [(index, chunk) for index, chunk in enumerate(plan.chunks) if chunk not in plan.done]
    sizes = [plan.sizes[index] for index, _ in todo]
    tasks = [
        [todo[position] for position in positions]
        for positions in deal_chunks(sizes, count_task_slots(spark))
    ]
    job = ChunkJob(source, table, rejects_table, plan.ledger, config)
    with counting("posters", plan.fresh, by_tasks=True):
        receipts = {**plan.done, **_run_chunks(spark, job, tasks, anew=anew)}
    manifest = _commit(
        table, rejects_table, plan, [receipts[chunk] for chunk in plan.chunks], config
    )
    decoded = sum(receipts[chunk]["decoded"] for _, chunk in todo)
    rejected = manifest.details["rejected"]
    reused = manifest.rows - decoded
    return PreparedPosters(manifest, False, decoded, reused, plan.gone, rejected)


def standing_posters(
    source: str, *, table: str, rejects_table: str, config: PostersConfig
) -> PreparedPosters | None:
    """Return what stands where a table is small, on this machine and up to date; no Spark.

    Listing some thousand files is quicker than starting a session that lists them.

    Args:
        source: as for `prepare_posters`.
        table: folder of the posters table.
        rejects_table: folder of the rejects table.
        config: how posters are stored.

    Returns:
        None where `prepare_posters` has to look.
    """
    before = read_manifest(table)
    if before is None or before.rows > _QUICKLY_LISTED or not is_local(filesystem(source)[0]):
        return None
    if not posters_stand(source, table, rejects_table, config):
        return None
    return PreparedPosters(
        before, unchanged=True, reused=before.rows, rejected=before.details["rejected"]
    )


def _plan(
    spark: SparkSession,
    source: str,
    table: str,
    rejects_table: str,
    config: PostersConfig,
    *,
    anew: bool,
    most: int | None,
) -> Plan | None:
    """Return the plan that one task makes, or None where there are more posters than `most`.

    A local session's driver is the machine of its tasks: a few posters are planned here.
    """
    if is_local_session(spark) and is_local(filesystem(source)[0]):
        here = _QUICKLY_LISTED if most is None else min(most, _QUICKLY_LISTED)
        with suppress(TooManyPosters):
            return plan_posters(source, table, rejects_table, config, anew=anew, most=here)
    run = functools.partial(_answer_plan, source, table, rejects_table, config, anew, most)
    (row,) = spark.range(0, 1, 1, 1).mapInArrow(short_task(run), _ANSWER).collect()
    return _read_plan(row[0])


def _answer_plan(
    source: str,
    table: str,
    rejects_table: str,
    config: PostersConfig,
    anew: bool,
    most: int | None,
    batches: Iterable[pa.RecordBatch],
) -> Iterable[pa.RecordBatch]:
    for _ in batches:
        try:
            plan = plan_posters(source, table, rejects_table, config, anew=anew, most=most)
            yield _answers([plan.to_json()])
        except TooManyPosters:
            yield _answers([None])
        except UserError as error:
            yield _answers([{"error": str(error)}])  # Spark would wrap it into an error of its own


def _read_plan(answer: str) -> Plan | None:
    values = json.loads(answer)
    if values is None:
        return None
    if "error" in values:
        raise InvalidInputError(values["error"])
    return Plan(**{**values, **{name: tuple(values[name]) for name in ("chunks", "sizes")}})


def _run_chunks(
    spark: SparkSession,
    job: ChunkJob,
    tasks: Sequence[Sequence[tuple[int, str]]],
    *,
    anew: bool,
) -> dict[str, dict[str, Any]]:
    """Make the chunks of each task; return their receipts by digest."""
    if not tasks:
        return {}
    run = functools.partial(_answer_chunks, job, tasks, anew)
    rows = spark.range(0, len(tasks), 1, len(tasks)).mapInArrow(short_task(run), _ANSWER).collect()
    return dict(json.loads(row[0]) for row in rows)


def _answer_chunks(
    job: ChunkJob,
    tasks: Sequence[Sequence[tuple[int, str]]],
    anew: bool,
    batches: Iterable[pa.RecordBatch],
) -> Iterable[pa.RecordBatch]:
    context = TaskContext.get()
    again = context is not None and context.attemptNumber() > 0 and not anew
    done = done_chunks(job.table, job.rejects_table, {}) if again else {}
    for batch in batches:
        for position in batch.column(0).to_numpy().tolist():
            for index, chunk in tasks[position]:
                receipt = done.get(chunk) or prepare_chunk(job, index, chunk)
                yield _answers([(chunk, receipt)])


def _answers(values: Sequence[Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [text_column([json.dumps(value) for value in values])], names=["answer"]
    )


def _commit(
    table: str,
    rejects_table: str,
    plan: Plan,
    receipts: Sequence[Mapping[str, Any]],
    config: PostersConfig,
) -> TableManifest:
    """Make the chunks the table.

    The posters' manifest comes last: until then the earlier table stands.
    """
    details = describe_posters(sum_receipts(receipts), config)
    details["placeholders"] = _count_placeholders(table, receipts, plan, config)
    rejected = Counter(plan.reject_counts)
    for receipt in receipts:
        rejected.update(receipt["reasons"])
    details["rejected"] = dict(sorted(rejected.items()))
    details["listed"] = plan.listed
    files = [plan.rejects, *(receipt["rejects"] for receipt in receipts)]
    rejects = TableManifest(
        plan.fingerprint,
        tuple(name for name in files if name),
        sum(rejected.values()),
        details["rejected"],
    )
    commit_table(rejects_table, rejects, known=_known_states(receipts, "rejects"))
    parts = tuple(receipt["part"] for receipt in receipts if receipt["rows"])
    manifest = TableManifest(
        plan.fingerprint, parts, sum(receipt["rows"] for receipt in receipts), details
    )
    state = {
        "settings": config_fingerprint(config),
        "ledger": plan.ledger,
        "tries": plan.tries,
        "chunks": list(plan.chunks),
        "receipts": dict(zip(plan.chunks, receipts, strict=True)),
    }
    write_checked_json(join(table, STATE), state)
    commit_table(table, manifest, known=_known_states(receipts, "part"))
    _remove_leftovers(table, plan.ledger, {receipt["facts"] for receipt in receipts})
    return manifest


def _known_states(receipts: Sequence[Mapping[str, Any]], kind: str) -> dict[str, FileState]:
    """Return the states of files that the workers have worked out: kind is part or rejects."""
    states = {receipt[kind]: receipt.get(f"{kind}_state") for receipt in receipts if receipt[kind]}
    return read_states({name: state for name, state in states.items() if state})


def _count_placeholders(
    table: str, receipts: Sequence[Mapping[str, Any]], plan: Plan, config: PostersConfig
) -> dict[str, int]:
    """Count posters whose bytes many share, in 8 bytes of memory per poster of such a size."""
    over = config.drop_placeholders_over or PLACEHOLDER_FROM
    hashes = [read_hashes(table, receipt["facts"]) for receipt in receipts if receipt["hashed"]]
    times = (
        np.unique(np.concatenate(hashes), return_counts=True)[1]
        if hashes
        else np.zeros(0, np.int64)
    )
    shared = times[times > over]
    dropped = plan.reject_counts.get(PLACEHOLDER, 0)
    return {
        "shared_by_more_than": over,
        "pictures": len(shared),
        "posters": int(shared.sum()),
        "dropped": dropped,
    }


def _remove_leftovers(table: str, ledger: str, facts: set[str]) -> None:
    """Remove ledgers and facts that no longer count."""
    system, folder = filesystem(table)
    for entry in system.ls(folder, detail=False):
        name = str(entry).rsplit("/", 1)[-1]
        if name.startswith("_ledger-") and name != ledger:
            system.rm(str(entry))
    system, folder = filesystem(facts_folder(table))
    for entry in system.ls(folder, detail=False):
        if str(entry).rsplit("/", 1)[-1] not in facts:
            system.rm(str(entry))
