"""What is known of each poster of a finished chunk, and the receipt that says the chunk is whole.

The facts file of a chunk is written after its other files, in one piece. Its presence, with a
footer that can be read, is the proof that the chunk is finished; its metadata is the receipt.
Nothing relies on rename, and an object store shows a file only when it is whole.
"""

from __future__ import annotations

import functools
import json
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from genre_spark.schemas import MOVIE_ID, REASON, SOURCE
from genre_spark.storage.arrow_columns import int_column, text_column
from genre_spark.storage.files import filesystem, join

STATE = "_state.json"  # the receipts of the committed table, and the ledger they belong to
_AT_ONCE = 16  # receipts
_RECEIPT = b"genre_spark.receipt"
_SCHEMA = pa.schema(
    [
        pa.field(MOVIE_ID, pa.int64(), False),
        pa.field(SOURCE, pa.string(), False),
        # of the original's bytes, 0 where no other file has its size
        pa.field("content_hash", pa.int64(), False),
        pa.field(REASON, pa.string(), False),  # why it was rejected, or ""
        pa.field("detail", pa.string(), False),
        pa.field("format", pa.string(), False),
        pa.field("height", pa.int32(), False),  # of the original, pixels
        pa.field("width", pa.int32(), False),
        pa.field("kept", pa.int8(), False),  # 1: stored as it was
    ]
)


class PosterFacts(NamedTuple):
    """What is known of one original.

    Attributes:
        movie_id: movie of the poster.
        source: where it lies.
        content_hash: hash of the bytes (`placeholders.content_hash`); 0 where it was not needed.
        reason: why it was rejected, or "".
        detail: what was seen then.
        format: format of the original, or "".
        height: height of the original, pixels.
        width: width of the original, pixels.
        kept: 1 where the original's bytes are what is stored, else 0.
    """

    movie_id: int
    source: str
    content_hash: int = 0
    reason: str = ""
    detail: str = ""
    format: str = ""
    height: int = 0
    width: int = 0
    kept: int = 0


def facts_folder(table: str) -> str:
    """Return the folder of the facts files of a posters table."""
    return join(table, "_facts")


def write_facts(
    table: str, chunk: str, facts: Sequence[PosterFacts], receipt: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the facts of a chunk whose other files are whole; return the receipt with its name."""
    name = f"facts-{chunk}-{uuid.uuid4().hex[:8]}.parquet"
    whole = {**receipt, **summarize(facts), "facts": name}
    columns = []
    rows = zip(*facts, strict=True) if facts else [()] * len(_SCHEMA)
    for field, values in zip(_SCHEMA, map(list, rows), strict=True):
        if pa.types.is_string(field.type):
            columns.append(text_column(values))
        else:
            columns.append(int_column(values, field.type))
    schema = _SCHEMA.with_metadata({_RECEIPT: json.dumps(whole)})
    content = pa.BufferOutputStream()  # a file in Python would be asked for every piece of it
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), content)
    stored = content.getvalue()
    system, inner = filesystem(join(facts_folder(table), name))
    with system.open(inner, "wb") as file:
        file.write(stored)
    return {**whole, "facts_bytes": stored.size}


def read_facts(table: str, name: str) -> list[PosterFacts]:
    """Return the facts of a chunk."""
    system, inner = filesystem(join(facts_folder(table), name))
    with system.open(inner, "rb") as file:
        columns = list(PosterFacts._fields)
        rows = pq.read_table(file, columns=columns, use_threads=False).to_pylist()
    return [PosterFacts(**row) for row in rows]


def read_hashes(table: str, name: str) -> npt.NDArray[np.int64]:
    """Return the content hashes of a chunk that are known."""
    system, inner = filesystem(join(facts_folder(table), name))
    with system.open(inner, "rb") as file:
        hashes: npt.NDArray[np.int64] = pq.read_table(file, columns=["content_hash"])[
            "content_hash"
        ].to_numpy()
    return hashes[hashes != 0]


def summarize(facts: Sequence[PosterFacts]) -> dict[str, Any]:
    """Return counts and a histogram of sizes over the posters of a chunk, as JSON values."""
    good = [fact for fact in facts if not fact.reason]
    sizes = Counter[str]()
    for (height, width), posters in Counter((fact.height, fact.width) for fact in good).items():
        sizes[size_bin(height, width)] += posters
    return {
        "rows": len(good),
        "kept": sum(fact.kept for fact in good),
        "hashed": sum(fact.content_hash != 0 for fact in facts),
        "formats": dict(Counter(fact.format for fact in good)),
        "sizes": dict(sizes),
        "reasons": dict(Counter(fact.reason for fact in facts if fact.reason)),
    }


def sum_receipts(receipts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what chunks, or parts of a table, have together, as JSON values."""
    sizes, formats = Counter[str](), Counter[str]()
    kept = misnamed = 0
    for receipt in receipts:
        sizes.update(receipt["sizes"])
        formats.update(receipt["formats"])
        kept += receipt["kept"]
        misnamed += receipt["misnamed"]
    return {
        "sizes": dict(sorted(sizes.items())),
        "formats": dict(sorted(formats.items())),
        "kept": kept,
        "misnamed": misnamed,
    }


def size_bin(height: int, width: int) -> str:
    """Return the histogram's bin of a size: sides to the nearest 50 pixels (500 above 1,000)."""
    sides = [
        round(side / step) * step
        for side, step in ((side, 50 if side < 1000 else 500) for side in (width, height))
    ]
    return f"{sides[0]}x{sides[1]}"


def done_chunks(
    table: str,
    rejects_table: str,
    known: Mapping[str, dict[str, Any]],
    *,
    leave_out: Collection[str] = (),
) -> dict[str, dict[str, Any]]:
    """Return digest -> receipt of all whole chunks, of the earlier table and of killed runs.

    A chunk is whole when each of its files is there with the size that it had when it was written.

    Args:
        table: folder of the posters table, or of a part of it.
        rejects_table: folder of the rejects table, likewise.
        known: digest -> receipt of the earlier table's chunks.
        leave_out: names of `receipt_names` that do not count.
    """
    facts = _sizes(facts_folder(table))
    if not facts:
        return {}
    parts, rejects = _sizes(table), _sizes(rejects_table)

    def is_whole(receipt: Mapping[str, Any]) -> bool:
        return (
            _fits(facts, receipt["facts"], receipt.get("facts_bytes"))
            and _fits(rejects, receipt["rejects"], (receipt.get("rejects_state") or [None])[0])
            # the part of a chunk without a good poster is in no manifest, so it is gone
            and (
                not receipt["rows"]
                or _fits(parts, receipt["part"], (receipt.get("part_state") or [None])[0])
            )
        )

    done = {chunk: receipt for chunk, receipt in known.items() if is_whole(receipt)}
    of_earlier_runs = {*leave_out, *(receipt["facts"] for receipt in known.values())}
    names = [name for name in sorted(facts) if name not in of_earlier_runs]
    names = [name for name in names if name.count("-") == 2 and name.split("-")[1] not in done]
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # on an object store each waits for an answer
        receipts = list(pool.map(functools.partial(_read_receipt, table), names))
    for name, receipt in zip(names, receipts, strict=True):
        if receipt is not None and is_whole(receipt):
            done.setdefault(name.split("-")[1], {**receipt, "facts_bytes": facts[name]})
    return done


def receipt_names(table: str) -> list[str]:
    """Return the names of all receipts that are in a table's folder."""
    return sorted(_sizes(facts_folder(table)))


def _fits(sizes: Mapping[str, int], name: str | None, size: int | None) -> bool:
    """Return whether a file is there with its size; any size does where it is not known."""
    return name is None or (name in sizes and size in (None, sizes[name]))


def _sizes(folder: str) -> dict[str, int]:
    system, inner = filesystem(folder)
    if not system.exists(inner):
        return {}
    entries = system.ls(inner, detail=True)
    return {str(entry["name"]).rsplit("/", 1)[-1]: int(entry["size"] or 0) for entry in entries}


def _read_receipt(table: str, name: str) -> dict[str, Any] | None:
    system, inner = filesystem(join(facts_folder(table), name))
    try:
        with system.open(inner, "rb") as file:
            metadata = pq.read_schema(file).metadata
        receipt: dict[str, Any] = json.loads(metadata[_RECEIPT])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        return None  # the run was killed while it wrote this file
    return receipt
