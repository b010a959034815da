"""The plan of one part of the posters table: the work of a Python worker, no Spark.

A part is a folder in the table's folder with chunks, facts, ledger and state of its own, as a small
table has them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from genre_spark.config.posters import PostersConfig
from genre_spark.posters.listing_schema import LISTING_SCHEMA
from genre_spark.posters.parts.slots import slots
from genre_spark.posters.parts.splitting import read_part
from genre_spark.posters.plan.ledger import PLAN_SCHEMA, Ledger
from genre_spark.posters.plan.placeholders import PLACEHOLDER, hash_candidates
from genre_spark.posters.plan.planning import (
    Listed,
    Reject,
    config_fingerprint,
    plan_listed,
    reading_order,
    twice_listed,
)
from genre_spark.posters.plan.receipts import STATE, done_chunks, receipt_names
from genre_spark.posters.plan.retries import nothing_known, with_retries
from genre_spark.schemas import REASON, SOURCE
from genre_spark.storage.arrow_columns import int_column, text_column
from genre_spark.storage.files import filesystem, join, read_checked_json, write_checked_json
from genre_spark.storage.inventories import read_inventory
from genre_spark.storage.inventory import FileState, find_flaws

__all__ = ["PLAN", "TODO", "PartsJob", "hash_part", "part_folder", "plan_part", "shared_file"]

PLAN = "_plan.json"  # of the run that is under way
TODO = "_todo.json"  # the chunks that it has to make, for their tasks


@dataclass(frozen=True)
class PartsJob:
    """What the tasks of all parts have in common.

    Attributes:
        source: folder or archive of the originals.
        table: folder of the posters table.
        rejects_table: folder of the rejects table.
        config: how posters are stored.
        parts: number of parts.
        split: folder that `split_listing` has written.
        anew: use nothing of earlier runs.
    """

    source: str
    table: str
    rejects_table: str
    config: PostersConfig
    parts: int
    split: str
    anew: bool

    def places(self, part: int) -> tuple[str, str]:
        """Return the folders of a part in the posters table and in the rejects table."""
        name = part_folder(part, self.parts)
        return join(self.table, name), join(self.rejects_table, name)


def part_folder(part: int, parts: int) -> str:
    """Return the name of a part's folder in the table's."""
    return f"data-part-{part:05d}-of-{parts:05d}"


def shared_file(split: str) -> str:
    """Return the folder of the content hashes that too many posters share, and how many do."""
    return join(split, "shared")


def hash_part(job: PartsJob, part: int) -> pa.Table:
    """Return the content hashes of a part's suspects, 0 for other rows, in the order of its rows.

    They are kept for `plan_part`.
    """
    rows = read_part(job.split, part)
    base = _base(job, part)
    hashes = hash_candidates(
        rows.select(LISTING_SCHEMA.names),
        rows["suspect"].to_numpy(),
        base.rows,
        job.source,
        max_bytes=job.config.max_bytes,
    )
    found = pa.table({"content_hash": int_column(hashes, pa.int64())})
    system, inner = filesystem(_hashes(job, part))
    system.makedirs(inner.rpartition("/")[0], exist_ok=True)
    with system.open(inner, "wb") as file:
        pq.write_table(found, file)
    return found


def _hashes(job: PartsJob, part: int) -> str:
    return join(job.split, "hashes", f"{part}.parquet")


def plan_part(job: PartsJob, part: int) -> dict[str, Any]:
    """Write the plan of a part; return its fingerprint and how much is to be done, JSON values."""
    place, rejects_place = job.places(part)
    base = _base(job, part)
    listed = _list(job, part)
    if job.anew:
        base = nothing_known(listed.posters)
    else:
        base = with_retries(base, listed.posters, job.source, base.elsewhere or place)
    digest = listed.digest(base.settings_digest(config_fingerprint(job.config)))
    whole = {} if job.anew else done_chunks(place, rejects_place, base.receipts)
    stands = base.elsewhere is None and whole.keys() >= set(base.digests)
    answer = {"part": part, "fingerprint": digest, "standing": True, "todo": 0, "fresh": 0}
    if not job.anew and stands and _stands(job, part, digest):
        return answer | {"gone": 0}
    plan = plan_listed(listed, base, whole, digest, place, rejects_place, job.config, even=True)
    todo = [[index, chunk] for index, chunk in enumerate(plan.chunks) if chunk not in plan.done]
    before = {"leave_out": receipt_names(place) if job.anew else []}
    write_checked_json(join(place, PLAN), {**plan.to_json(), **before})
    write_checked_json(
        join(place, TODO),
        {"ledger": plan.ledger, "chunks": todo, "earlier": base.elsewhere, **before},
    )
    return answer | {
        "standing": False,
        "todo": len(todo),
        "fresh": plan.fresh,
        "gone": plan.gone,
    }


def _base(job: PartsJob, part: int) -> Ledger:
    """Return what the earlier run left of a part, or of its posters when the table had no parts."""
    if job.anew:
        return Ledger.empty()
    settings = config_fingerprint(job.config)
    own = Ledger.read(job.places(part)[0], settings)
    whole = Ledger.read(job.table, settings) if own.rows.num_rows == 0 else Ledger.empty()
    if whole.rows.num_rows == 0:
        return own
    mine = slots(whole.rows) % job.parts == part
    rows = whole.rows.filter(pa.array(mine)).combine_chunks()
    chunk_of_row = whole.chunk_of_row[mine]
    return replace(whole, rows=rows, chunk_of_row=chunk_of_row, elsewhere=job.table)


def _stands(job: PartsJob, part: int, digest: str) -> bool:
    """Return whether a part has been finished with this content, and its files are listed."""
    state = read_checked_json(join(job.places(part)[0], STATE)) or {}
    if state.get("fingerprint") != digest:
        return False
    for table, kind in ((job.table, "inventory"), (job.rejects_table, "rejects_inventory")):
        name, known = state["summary"][kind]
        files = read_inventory(table, name, FileState(*known))
        if files is None or find_flaws(table, files):
            return False
    return True


def _list(job: PartsJob, part: int) -> Listed:
    """Return the posters of a part and what is rejected before any is read."""
    rows = read_part(job.split, part)
    limit = job.config.drop_placeholders_over
    hashes = np.zeros(rows.num_rows, np.int64)
    if limit is not None:
        system, inner = filesystem(_hashes(job, part))
        with system.open(inner, "rb") as file:
            hashes = pq.read_table(file)["content_hash"].to_numpy()
    reasons = rows[REASON].combine_chunks()
    refused = np.array([bool(reason) for reason in reasons.to_pylist()], bool)
    twice = rows["twice"].to_numpy()
    times = _times(job, hashes) if limit is not None else np.zeros(rows.num_rows, np.int64)
    rejected = [
        *_rejects(rows.filter(pa.array(refused))),
        *twice_listed(rows.filter(pa.array(twice))),
        *_placeholders(rows.filter(pa.array(times > 0)), times[times > 0]),
    ]
    good = ~refused & ~twice & (times == 0)
    posters = rows.select([*LISTING_SCHEMA.names, "suspect"])
    posters = posters.append_column("content_hash", int_column(hashes, pa.int64()))
    posters = reading_order(posters.filter(pa.array(good)).combine_chunks())
    posters = posters.append_column("origin", text_column([""] * posters.num_rows))
    return Listed(posters.select(PLAN_SCHEMA.names).cast(PLAN_SCHEMA), rejected)


def _times(job: PartsJob, hashes: np.ndarray) -> np.ndarray:
    """Return how many posters share a poster's bytes, 0 where they are not too many."""
    system, inner = filesystem(shared_file(job.split))
    known: dict[int, int] = {}
    for name in system.ls(inner, detail=False):
        if str(name).endswith(".parquet"):
            with system.open(name, "rb") as file:
                shared = pq.read_table(file).to_pydict()
            known |= dict(zip(shared["content_hash"], shared["times"], strict=True))
    values, inverse = np.unique(hashes, return_inverse=True)
    times = np.array([known.get(value, 0) for value in values.tolist()], np.int64)
    return times[inverse] if len(values) else np.zeros(0, np.int64)


def _rejects(rows: pa.Table) -> list[Reject]:
    columns = (rows[name].to_pylist() for name in (SOURCE, REASON, "detail"))
    return list(zip(*columns, strict=True))


def _placeholders(rows: pa.Table, times: np.ndarray) -> list[Reject]:
    return [
        (name, PLACEHOLDER, f"same bytes as {shared - 1} others")
        for name, shared in zip(rows[SOURCE].to_pylist(), times.tolist(), strict=True)
    ]
