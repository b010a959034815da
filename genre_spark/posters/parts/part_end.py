"""The chunks of one part made and summed up: the work of a Python worker, no Spark."""

from __future__ import annotations

import functools
import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from genre_spark.errors import StageFailedError
from genre_spark.posters.chunks import ChunkJob, prepare_chunk
from genre_spark.posters.parts.part_plan import PLAN, TODO, PartsJob, part_folder
from genre_spark.posters.plan.planning import config_fingerprint
from genre_spark.posters.plan.receipts import (
    STATE,
    done_chunks,
    facts_folder,
    read_hashes,
    sum_receipts,
)
from genre_spark.storage.arrow_columns import int_column
from genre_spark.storage.files import filesystem, join, read_checked_json, write_checked_json
from genre_spark.storage.inventories import read_inventory, write_inventory
from genre_spark.storage.inventory import FileState, file_state

__all__ = ["clean_part", "finish_part", "make_chunk"]


def make_chunk(job: PartsJob, part: int, position: int, *, again: bool) -> None:
    """Make the files of a chunk that the part's plan lists as missing.

    Args:
        job: what the tasks of all parts have in common.
        part: the part.
        position: of the chunk among those that are to be made.
        again: whether an earlier attempt may have finished it.
    """
    place, rejects_place = job.places(part)
    todo = _todo(place, job.split)
    index, chunk = todo["chunks"][position]
    if again and chunk in done_chunks(place, rejects_place, {}, leave_out=todo["leave_out"]):
        return
    run = ChunkJob(
        job.source, place, rejects_place, todo["ledger"], job.config, earlier=todo["earlier"]
    )
    prepare_chunk(run, index, chunk)


@functools.lru_cache(maxsize=4)
def _todo(place: str, run: str) -> dict[str, Any]:  # noqa: ARG001 - each run has its own
    """Return the ledger of a part and its chunks that are to be made, kept for the next task."""
    return _read(join(place, TODO))


def _read(path: str) -> dict[str, Any]:
    found = read_checked_json(path)
    if found is None:
        raise StageFailedError(f"{path}: missing or damaged, expected what this run has written")
    return found


def finish_part(job: PartsJob, part: int, *, standing: bool) -> dict[str, Any]:
    """Sum up a part whose chunks are all made; return the sums, JSON values.

    The part's inventories and state are written; readers see them once the table's manifest says
    so.

    Args:
        job: what the tasks of all parts have in common.
        part: the part.
        standing: whether there was nothing to do.

    Raises:
        StageFailedError: a chunk is missing.
    """
    place, rejects_place = job.places(part)
    if standing:
        summary: dict[str, Any] = _read(join(place, STATE))["summary"]
        return summary | {"decoded": 0}
    plan = _read(join(place, PLAN))
    made = done_chunks(place, rejects_place, plan["done"], leave_out=plan["leave_out"])
    missing = [chunk for chunk in plan["chunks"] if chunk not in made]
    if missing:
        raise StageFailedError(f"{place}: chunk {missing[0]} missing, expected it to be made")
    receipts = [made[chunk] for chunk in plan["chunks"]]
    summary = {
        **sum_receipts(receipts),
        "rows": sum(receipt["rows"] for receipt in receipts),
        "rejected": dict(_rejected(plan["reject_counts"], receipts)),
        "early": plan["reject_counts"],
        "listed": plan["listed"],
        "hashes": _write_hashes(place, [r["facts"] for r in receipts if r["hashed"]]),
        "inventory": write_inventory(
            job.table, part_folder(part, job.parts), _files(place, receipts, "part")
        ),
        "rejects_inventory": write_inventory(
            job.rejects_table,
            part_folder(part, job.parts),
            _files(rejects_place, receipts, "rejects", plan["rejects"]),
        ),
    }
    state = {
        "settings": config_fingerprint(job.config),
        "fingerprint": plan["fingerprint"],
        "ledger": plan["ledger"],
        "tries": plan["tries"],
        "chunks": plan["chunks"],
        "receipts": dict(zip(plan["chunks"], receipts, strict=True)),
        "summary": summary,
    }
    write_checked_json(join(place, STATE), state)
    fresh = [made[chunk]["decoded"] for chunk in plan["chunks"] if chunk not in plan["done"]]
    return summary | {"decoded": sum(fresh)}


def _rejected(early: Mapping[str, int], receipts: Sequence[Mapping[str, Any]]) -> Counter[str]:
    counts = Counter(early)
    for receipt in receipts:
        counts.update(receipt["reasons"])
    return counts


def _files(
    place: str, receipts: Sequence[Mapping[str, Any]], kind: str, other: str | None = None
) -> dict[str, FileState]:
    """Return name -> state of a part's files: kind is part or rejects."""
    found = {} if other is None else {other: file_state(join(place, other))}
    for receipt in receipts:
        name, state = receipt[kind], receipt.get(f"{kind}_state")
        if name and (kind == "rejects" or receipt["rows"]):
            found[name] = FileState(*state) if state else file_state(join(place, name))
    return found


def _write_hashes(place: str, facts: Sequence[str]) -> str | None:
    """Write how many posters of the part have each content hash; return the file's name."""
    found = [read_hashes(place, name) for name in facts]
    if not found:
        return None
    hashes, times = np.unique(np.concatenate(found), return_counts=True)
    name = f"hashes-{uuid.uuid4().hex[:12]}.parquet"
    columns = {
        "content_hash": int_column(hashes, pa.int64()),
        "times": int_column(times, pa.int64()),
    }
    system, inner = filesystem(join(place, name))
    with system.open(inner, "wb") as file:
        pq.write_table(pa.table(columns), file)
    return name


def clean_part(job: PartsJob, part: int) -> None:
    """Remove what no longer belongs to a part of the table that is committed."""
    place, rejects_place = job.places(part)
    state = _read(join(place, STATE))
    keep = {STATE, state["ledger"], state["summary"]["hashes"]}
    _remove_others(place, keep | _listed(job.table, state["summary"]["inventory"]))
    _remove_others(rejects_place, _listed(job.rejects_table, state["summary"]["rejects_inventory"]))
    _remove_others(facts_folder(place), {r["facts"] for r in state["receipts"].values()})


def _listed(table: str, inventory: tuple[str, Sequence[Any]]) -> set[str]:
    """Return the names, in a part's folder, of its inventory and of what that lists."""
    name, state = inventory
    found = read_inventory(table, name, FileState(*state))
    if found is None:
        raise StageFailedError(f"{join(table, name)}: damaged, expected what was just written")
    return {path.rpartition("/")[2] for path in [name, *found]}


def _remove_others(folder: str, keep: Collection[str | None]) -> None:
    system, inner = filesystem(folder)
    if not system.exists(inner):
        return
    for entry in system.ls(inner, detail=True):
        name = str(entry["name"]).rstrip("/").rpartition("/")[2]
        if entry["type"] == "file" and name not in keep:
            system.rm(str(entry["name"]))
