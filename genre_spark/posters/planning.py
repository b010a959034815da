"""What is left to do: the listing cut into chunks, minus what earlier runs have finished.

A chunk is a fixed list of posters that becomes one Parquet file. Which posters form a chunk depends
on the source and on earlier whole runs alone, never on the number of cores, so every run and every
cluster makes the same files, and a run that was killed finds its finished chunks again by their
digests. The plan (a Parquet file beside the table, one row group per chunk) is also the ledger that
the next run compares the source with.

The plan is made by one Spark task, not by the driver: at about 60 bytes per poster it is the only
thing here that grows with the source.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from genre_spark.config.posters import PostersConfig
from genre_spark.posters.arrow_columns import LISTING_SCHEMA, int_column, table_digest, text_column
from genre_spark.posters.listing import list_posters, shard_names
from genre_spark.posters.names import DUPLICATE_ID
from genre_spark.posters.placeholders import PLACEHOLDER, PLACEHOLDER_FROM, hash_candidates
from genre_spark.posters.receipts import STATE, done_chunks, facts_folder
from genre_spark.posters.rejects import write_rejects
from genre_spark.schemas import MOVIE_ID, SOURCE
from genre_spark.storage.files import filesystem, fingerprint, join, read_checked_json
from genre_spark.storage.tables import read_manifest, table_damage

FORMAT = 1  # of the chunks; raised when the same original would be stored differently
PLAN_SCHEMA = pa.schema(
    [
        *LISTING_SCHEMA,
        pa.field("content_hash", pa.int64(), False),  # of the bytes; 0 where it was not needed
        # so many files have its size that it may be a placeholder
        pa.field("suspect", pa.bool_(), False),
        # digest of the finished chunk that has the decoded poster, or ""
        pa.field("origin", pa.string(), False),
    ]
)
_KEY = [MOVIE_ID, SOURCE, "size", "stamp"]
_CHUNK_BYTES = 128 << 20
_STORED_SHARE = {"jpeg": 0.13, "png": 0.6, "raw": 1.0}  # of 3 bytes per pixel, about


@dataclass(frozen=True)
class Plan:
    """The chunks that make up the table, and which of them are there.

    No chunks at all where the table is up to date.

    Attributes:
        fingerprint: digest of what the table's content depends on: listing and configuration.
        ledger: name of the plan's file in the table's folder; "" where the table is up to date.
        chunks: digest of each chunk, by row group of the ledger.
        done: digest -> receipt of chunks that are whole.
        rejects: name of the file of what is rejected by its name, or None.
        reject_counts: reason -> number of files rejected before any is read.
        listed: files with a poster's name.
        fresh: posters that have to be decoded.
        gone: posters of the earlier table that have left the source or changed there.
    """

    fingerprint: str
    ledger: str
    chunks: tuple[str, ...]
    done: dict[str, dict[str, Any]]
    rejects: str | None
    reject_counts: dict[str, int]
    listed: int
    fresh: int
    gone: int

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def config_fingerprint(config: PostersConfig) -> str:
    """Return the digest of the settings that decide how a poster is stored."""
    return fingerprint(
        FORMAT, config.model_dump(exclude={"follow_links", "drop_placeholders_over"})
    )


def rows_per_chunk(config: PostersConfig) -> int:
    """Return how many posters make a file of about 128 MB."""
    stored = 3 * config.height * config.width * _STORED_SHARE[config.encoding]
    return int(min(2048, max(16, _CHUNK_BYTES / stored)))


def chunk_sizes(rows: int, largest: int) -> list[int]:
    """Cut rows into chunks, large ones first, so that all cores end at about the same time.

    This is guided self-scheduling (Polychronopoulos and Kuck, 1987) without the number of cores in
    it.
    """
    sizes, smallest = [], _smallest(largest)
    while rows > 0:
        size = min(largest, max(smallest, rows // 128, min(largest // 2, rows // 8)))
        size = rows if rows < size + smallest // 2 else size
        sizes.append(size)
        rows -= size
    return sizes


def _smallest(largest: int) -> int:
    """Return how many posters a file has at least, unless there are no more."""
    return max(largest // 8, min(largest, 128))


def plan_posters(
    source: str, table: str, rejects_table: str, config: PostersConfig, *, anew: bool = False
) -> Plan:
    """List the source, compare it with the ledger of the earlier run, and write the plan.

    Args:
        source: folder or archive.
        table: folder of the posters table.
        rejects_table: folder of the rejects table.
        config: how posters are stored.
        anew: use nothing of earlier runs.

    Raises:
        InvalidInputError: the source cannot be listed.
    """
    settings = config_fingerprint(config)
    base = _Base.empty() if anew else _Base.read(table, settings)
    posters, rejected, digest = _list(source, base, settings, config)
    whole = {} if anew else done_chunks(table, rejects_table, base.receipts)
    if whole.keys() >= set(base.digests) and _stands(table, rejects_table, digest):
        return Plan(digest, "", (), {}, None, {}, posters.num_rows + len(rejected), 0, 0)
    groups = _cut(posters, base, rows_per_chunk(config))
    ledger, chunks = _write_ledger(table, digest, groups, settings)
    fresh = sum(
        int(pc.sum(pc.equal(group["origin"], "")).as_py() or 0)
        for group, known in groups
        if known is None
    )
    done = {chunk: whole[chunk] for chunk in chunks if chunk in whole}
    kept = sum(group.num_rows for group, known in groups if known is not None)
    moved = posters.num_rows - fresh - kept
    return Plan(
        fingerprint=digest,
        ledger=ledger,
        chunks=tuple(chunks),
        done=done,
        rejects=write_rejects(rejects_table, f"names-{digest}", rejected) if rejected else None,
        reject_counts=dict(Counter(reason for _, reason, _ in rejected)),
        listed=posters.num_rows + len(rejected),
        fresh=fresh,
        gone=base.rows.num_rows - kept - moved,
    )


def posters_stand(source: str, table: str, rejects_table: str, config: PostersConfig) -> bool:
    """Return whether the table is up to date with its source; nothing is written."""
    settings = config_fingerprint(config)
    base = _Base.read(table, settings)
    whole = done_chunks(table, rejects_table, base.receipts)
    up_to_date = whole.keys() >= set(base.digests)
    return up_to_date and _stands(table, rejects_table, _list(source, base, settings, config)[2])


def _list(
    source: str, base: _Base, settings: str, config: PostersConfig
) -> tuple[pa.Table, list[tuple[str, str, str]], str]:
    """Return the posters of the source, one per id, the rejected files, and a digest of both."""
    listing = list_posters(source, follow_links=config.follow_links)
    posters, twice = _one_per_id(listing.posters)
    posters, dropped = _with_hashes(posters, base.rows, source, config)
    rejected = listing.rejects + twice + dropped
    return posters, rejected, _content_digest(posters, rejected, settings)


def _stands(table: str, rejects_table: str, digest: str) -> bool:
    for place in (table, rejects_table):
        manifest = read_manifest(place)
        if manifest is None or manifest.fingerprint != digest or table_damage(place, manifest):
            return False
    return True


@dataclass(frozen=True)
class _Base:
    """What the earlier whole run left: its ledger, the chunk of each row, the chunks' receipts."""

    rows: pa.Table
    chunk_of_row: npt.NDArray[np.int64]
    digests: Sequence[str]
    receipts: dict[str, dict[str, Any]]

    @classmethod
    def empty(cls) -> _Base:
        return cls(PLAN_SCHEMA.empty_table(), np.zeros(0, np.int64), (), {})

    @classmethod
    def read(cls, table: str, settings: str) -> _Base:
        state = read_checked_json(join(table, STATE))
        if state is None or state["settings"] != settings:
            return cls.empty()
        system, inner = filesystem(join(table, state["ledger"]))
        try:
            with system.open(inner, "rb") as file:
                ledger = pq.ParquetFile(file)
                groups = range(ledger.num_row_groups)
                sizes = [ledger.metadata.row_group(index).num_rows for index in groups]
                rows = ledger.read()
        except (OSError, pa.ArrowException):
            return cls.empty()  # damaged: finished chunks are found again by their digests
        if len(sizes) != len(state["chunks"]):
            return cls.empty()
        return cls(
            rows, np.repeat(np.arange(len(sizes)), sizes), state["chunks"], state["receipts"]
        )


def _one_per_id(posters: pa.Table) -> tuple[pa.Table, list[tuple[str, str, str]]]:
    """Keep the first file, by name, of each id.

    Return the rest as rejects, and the order of reading.
    """
    order = pc.sort_indices(posters, sort_keys=[(MOVIE_ID, "ascending"), (SOURCE, "ascending")])
    posters = posters.take(order).combine_chunks()
    ids = posters[MOVIE_ID].to_numpy()
    again = np.zeros(len(ids), bool)
    again[1:] = ids[1:] == ids[:-1]
    extra = posters.filter(pa.array(again)) if again.any() else posters.slice(0, 0)
    rejects = [(row[SOURCE], DUPLICATE_ID, f"movie {row[MOVIE_ID]}") for row in extra.to_pylist()]
    posters = posters.filter(pa.array(~again)) if again.any() else posters
    # Archives are read from front to back; files of a folder have offset -1 and stay in the order
    # of their ids.
    order = pc.sort_indices(
        posters.append_column("shard", shard_names(posters)),
        sort_keys=[("shard", "ascending"), ("offset", "ascending"), (MOVIE_ID, "ascending")],
    )
    return posters.take(order), rejects


def _with_hashes(
    posters: pa.Table, known: pa.Table, source: str, config: PostersConfig
) -> tuple[pa.Table, list[tuple[str, str, str]]]:
    """Mark posters whose size many share.

    Where placeholders are dropped, hash those and drop what is shared.
    """
    limit = config.drop_placeholders_over
    sizes = posters["size"].to_numpy()
    values, inverse, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    suspect = (
        counts[inverse] > (PLACEHOLDER_FROM if limit is None else limit)
        if len(values)
        else np.zeros(0, bool)
    )
    hashes = np.zeros(posters.num_rows, np.int64)
    rejects: list[tuple[str, str, str]] = []
    if limit is not None and suspect.any():
        hashes = hash_candidates(posters, suspect, known, source, max_bytes=config.max_bytes)
        shared, positions, times = np.unique(hashes, return_inverse=True, return_counts=True)
        drop = (times[positions] > limit) & (shared[positions] != 0)
        if drop.any():
            names = posters.filter(pa.array(drop))[SOURCE].to_pylist()
            rejects = [
                (name, PLACEHOLDER, f"same bytes as {n - 1} others")
                for name, n in zip(names, times[positions][drop], strict=True)
            ]
            posters, hashes, suspect = (
                posters.filter(pa.array(~drop)),
                hashes[~drop],
                suspect[~drop],
            )
    columns = [
        *posters.columns,
        int_column(hashes, pa.int64()),
        pa.array(suspect),
        text_column([""] * posters.num_rows),
    ]
    return pa.Table.from_arrays(columns, schema=PLAN_SCHEMA).combine_chunks(), rejects


def _content_digest(posters: pa.Table, rejected: list[tuple[str, str, str]], settings: str) -> str:
    """Return a digest of the set of posters, their contents and the settings.

    The order of listing is not in it.
    """
    ordered = posters.select(_KEY).take(
        pc.sort_indices(posters, sort_keys=[(MOVIE_ID, "ascending")])
    )
    return fingerprint(settings, table_digest(ordered), sorted(rejected))


def _cut(posters: pa.Table, base: _Base, largest: int) -> list[tuple[pa.Table, str | None]]:
    """Return chunks with, for those that stand as they are, their digest."""
    if base.rows.num_rows == 0:
        return [(group, None) for group in _slices(posters, chunk_sizes(posters.num_rows, largest))]
    here = posters.select(_KEY).append_column(
        "here", int_column(np.arange(posters.num_rows), pa.int64())
    )
    there = base.rows.select(_KEY).append_column(
        "there", int_column(np.arange(base.rows.num_rows), pa.int64())
    )
    both = here.join(there, keys=_KEY, join_type="inner")
    mine, theirs = both["here"].to_numpy(), both["there"].to_numpy()
    chunk_of_mine = np.full(posters.num_rows, -1)
    chunk_of_mine[mine] = base.chunk_of_row[theirs]
    total = np.bincount(base.chunk_of_row, minlength=len(base.digests))
    left = np.bincount(base.chunk_of_row[theirs], minlength=len(base.digests))
    anything_new = bool((chunk_of_mine < 0).any() or (left != total).any())
    # Small chunks, the tail of an earlier run, are put together with what is new: files do not
    # become many and tiny.
    stands = (left == total) & ((total >= _smallest(largest)) | (not anything_new))
    result: list[tuple[pa.Table, str | None]] = []
    starts = np.concatenate([[0], np.cumsum(total)])
    for index in np.flatnonzero(stands):
        result.append((base.rows.slice(int(starts[index]), int(total[index])), base.digests[index]))
    rest = np.flatnonzero((chunk_of_mine < 0) | ~np.concatenate([stands, [False]])[chunk_of_mine])
    origin = [base.digests[index] if index >= 0 else "" for index in chunk_of_mine[rest]]
    pool = posters.take(pa.array(rest)).set_column(
        posters.column_names.index("origin"), PLAN_SCHEMA.field("origin"), text_column(origin)
    )
    return result + [(group, None) for group in _slices(pool, chunk_sizes(pool.num_rows, largest))]


def _slices(table: pa.Table, sizes: Sequence[int]) -> list[pa.Table]:
    ends = np.cumsum([0, *sizes])
    return [table.slice(int(start), size) for start, size in zip(ends, sizes, strict=False)]


def _write_ledger(
    table: str, digest: str, groups: list[tuple[pa.Table, str | None]], settings: str
) -> tuple[str, list[str]]:
    name = f"_ledger-{digest}-{uuid.uuid4().hex[:8]}.parquet"
    system, inner = filesystem(join(table, name))
    system.makedirs(inner.rpartition("/")[0], exist_ok=True)
    facts, folder = filesystem(facts_folder(table))
    facts.makedirs(folder, exist_ok=True)
    chunks = []
    with system.open(inner, "wb") as file, pq.ParquetWriter(file, PLAN_SCHEMA) as writer:
        for group, known in groups:
            writer.write_table(group.cast(PLAN_SCHEMA), row_group_size=max(1, group.num_rows))
            chunks.append(known or fingerprint(settings, table_digest(group.select(_KEY))))
    return name, chunks
