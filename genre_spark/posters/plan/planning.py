"""What is left to do: the listing cut into chunks, minus what earlier runs have finished.

A chunk is a fixed list of posters that becomes one Parquet file. Which posters form a chunk depends
on the source and on earlier whole runs alone, never on the number of cores, so every run and every
cluster makes the same files, and a run that was killed finds its finished chunks again by their
digests. The plan (a Parquet file beside the table, one row group per chunk) is also the ledger that
the next run compares the source with.

The plan is made by Spark tasks, not by the driver: by one for a small source, by one per part of a
large one (`posters.parts`). It is the only thing here that grows with the source. Of a local
session, whose driver is the machine of its tasks, some thousand posters are planned by the driver.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from genre_spark.config.posters import PostersConfig
from genre_spark.posters.folders import shard_names
from genre_spark.posters.listing import list_posters
from genre_spark.posters.names import DUPLICATE_ID
from genre_spark.posters.plan.cutting import cut_chunks, rows_per_chunk
from genre_spark.posters.plan.ledger import KEY, PLAN_SCHEMA, Ledger, write_ledger
from genre_spark.posters.plan.placeholders import PLACEHOLDER, PLACEHOLDER_FROM, hash_candidates
from genre_spark.posters.plan.receipts import done_chunks
from genre_spark.posters.plan.retries import nothing_known, with_retries
from genre_spark.posters.rejects import write_rejects
from genre_spark.schemas import MOVIE_ID, SOURCE
from genre_spark.storage.arrow_columns import int_column, table_digest, text_column
from genre_spark.storage.files import fingerprint
from genre_spark.storage.tables import read_manifest, table_damage

__all__ = [
    "Listed",
    "Plan",
    "config_fingerprint",
    "one_per_id",
    "plan_listed",
    "plan_posters",
    "posters_stand",
    "reading_order",
    "twice_listed",
]

FORMAT = 1  # of the chunks; raised when the same original would be stored differently
Reject = tuple[str, str, str]


@dataclass(frozen=True)
class Plan:
    """The chunks that make up the table, and which of them are there.

    No chunks at all where the table is up to date.

    Attributes:
        fingerprint: digest of what the table's content depends on: listing and configuration.
        ledger: name of the plan's file in the table's folder; "" where the table is up to date.
        chunks: digest of each chunk, by row group of the ledger.
        sizes: posters of each chunk.
        done: digest -> receipt of chunks that are whole.
        rejects: name of the file of what is rejected by its name, or None.
        reject_counts: reason -> number of files rejected before any is read.
        listed: files with a poster's name.
        fresh: posters that have to be decoded.
        gone: posters of the earlier table that have left the source or changed there.
        tries: digest of the posters that were read again since the table was made anew, or "".
    """

    fingerprint: str
    ledger: str
    chunks: tuple[str, ...]
    sizes: tuple[int, ...]
    done: dict[str, dict[str, Any]]
    rejects: str | None
    reject_counts: dict[str, int]
    listed: int
    fresh: int
    gone: int
    tries: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def config_fingerprint(config: PostersConfig) -> str:
    """Return the digest of the settings that decide how a poster is stored."""
    return fingerprint(
        FORMAT, config.model_dump(exclude={"follow_links", "drop_placeholders_over", "parts"})
    )


@dataclass(frozen=True)
class Listed:
    """What a source holds, as far as it can be known without decoding.

    Attributes:
        posters: rows of PLAN_SCHEMA, one per id, in the order of reading.
        rejected: (source, reason, detail) of the other files.
    """

    posters: pa.Table
    rejected: list[Reject]

    def digest(self, settings: str) -> str:
        """Return a digest of the set of posters, their contents and the settings.

        The order of listing is not in it.
        """
        ordered = self.posters.select(KEY).take(
            pc.sort_indices(self.posters, sort_keys=[(MOVIE_ID, "ascending")])
        )
        return fingerprint(settings, table_digest(ordered), sorted(self.rejected))


def plan_posters(
    source: str,
    table: str,
    rejects_table: str,
    config: PostersConfig,
    *,
    anew: bool = False,
    most: int | None = None,
) -> Plan:
    """List the source, compare it with the ledger of the earlier run, and write the plan.

    Args:
        source: folder or archive.
        table: folder of the posters table.
        rejects_table: folder of the rejects table.
        config: how posters are stored.
        anew: use nothing of earlier runs.
        most: posters that are planned at most, or None for any number.

    Raises:
        InvalidInputError: the source cannot be listed.
        TooManyPosters: there are more than `most`.
    """
    settings = config_fingerprint(config)
    base = Ledger.empty() if anew else Ledger.read(table, settings)
    listed = _list(source, base, config, most)
    if anew:
        base = nothing_known(listed.posters)
    else:
        base = with_retries(base, listed.posters, source, table)
    digest = listed.digest(base.settings_digest(settings))
    whole = {} if anew else done_chunks(table, rejects_table, base.receipts)
    if not anew and whole.keys() >= set(base.digests) and _stands(table, rejects_table, digest):
        return Plan(
            digest, "", (), (), {}, None, {}, len(listed.posters) + len(listed.rejected), 0, 0
        )
    return plan_listed(listed, base, whole, digest, table, rejects_table, config)


def plan_listed(
    listed: Listed,
    base: Ledger,
    whole: dict[str, dict[str, Any]],
    digest: str,
    table: str,
    rejects_table: str,
    config: PostersConfig,
    *,
    even: bool = False,
) -> Plan:
    """Cut what is listed into chunks, and write the ledger and the rejects.

    Args:
        listed: what the source holds.
        base: what the earlier whole run left.
        whole: digest -> receipt of chunks that are finished.
        digest: of what is listed.
        table: folder of the posters table.
        rejects_table: folder of the rejects table.
        config: how posters are stored.
        even: whether chunks are all of one size (`cut_chunks`).
    """
    posters, rejected = listed.posters, listed.rejected
    groups = cut_chunks(posters, base, rows_per_chunk(config), even=even)
    settings = base.settings_digest(config_fingerprint(config))
    ledger, chunks = write_ledger(table, digest, groups, settings)
    fresh = sum(
        int(pc.sum(pc.equal(group["origin"], "")).as_py() or 0)
        for group, known in groups
        if known is None
    )
    done = {chunk: whole[chunk] for chunk in chunks if chunk in whole}
    kept = sum(group.num_rows for group, known in groups if known is not None)
    moved = posters.num_rows - fresh - kept
    again = 0 if base.again is None else int(base.again.sum())
    return Plan(
        fingerprint=digest,
        ledger=ledger,
        chunks=tuple(chunks),
        sizes=tuple(group.num_rows for group, _ in groups),
        done=done,
        rejects=write_rejects(rejects_table, f"names-{digest}", rejected) if rejected else None,
        reject_counts=dict(Counter(reason for _, reason, _ in rejected)),
        listed=posters.num_rows + len(rejected),
        fresh=fresh,
        gone=base.rows.num_rows - kept - moved - again,
        tries=base.tries,
    )


def posters_stand(source: str, table: str, rejects_table: str, config: PostersConfig) -> bool:
    """Return whether the table is up to date with its source; nothing is written."""
    settings = config_fingerprint(config)
    base = Ledger.read(table, settings)
    whole = done_chunks(table, rejects_table, base.receipts)
    if not whole.keys() >= set(base.digests):
        return False
    listed = _list(source, base, config, None)
    base = with_retries(base, listed.posters, source, table)
    return _stands(table, rejects_table, listed.digest(base.settings_digest(settings)))


def _list(source: str, base: Ledger, config: PostersConfig, most: int | None) -> Listed:
    """Return the posters of the source, one per id, and the rejected files."""
    listing = list_posters(source, follow_links=config.follow_links, most=most)
    posters, twice = one_per_id(listing.posters)
    posters, dropped = _with_hashes(reading_order(posters), base.rows, source, config)
    return Listed(posters, listing.rejects + twice + dropped)


def _stands(table: str, rejects_table: str, digest: str) -> bool:
    for place in (table, rejects_table):
        manifest = read_manifest(place)
        if manifest is None or manifest.fingerprint != digest or table_damage(place, manifest):
            return False
    return True


def one_per_id(posters: pa.Table) -> tuple[pa.Table, list[Reject]]:
    """Keep the first file, by name, of each id; return the rest as rejects.

    Args:
        posters: rows of LISTING_SCHEMA.
    """
    order = pc.sort_indices(posters, sort_keys=[(MOVIE_ID, "ascending"), (SOURCE, "ascending")])
    posters = posters.take(order).combine_chunks()
    ids = posters[MOVIE_ID].to_numpy()
    again = np.zeros(len(ids), bool)
    again[1:] = ids[1:] == ids[:-1]
    extra = posters.filter(pa.array(again)) if again.any() else posters.slice(0, 0)
    posters = posters.filter(pa.array(~again)) if again.any() else posters
    return posters, twice_listed(extra)


def twice_listed(extra: pa.Table) -> list[Reject]:
    """Return rows of LISTING_SCHEMA whose ids other files have as rejects."""
    ids, names = extra[MOVIE_ID].to_pylist(), extra[SOURCE].to_pylist()
    return [(name, DUPLICATE_ID, f"movie {id_}") for id_, name in zip(ids, names, strict=True)]


def reading_order(posters: pa.Table) -> pa.Table:
    """Sort posters in the order of reading.

    Archives are read from front to back; files of a folder have offset -1 and stay in the order of
    their ids.
    """
    order = pc.sort_indices(
        posters.append_column("shard", shard_names(posters)),
        sort_keys=[("shard", "ascending"), ("offset", "ascending"), (MOVIE_ID, "ascending")],
    )
    return posters.take(order)


def _with_hashes(
    posters: pa.Table, known: pa.Table, source: str, config: PostersConfig
) -> tuple[pa.Table, list[Reject]]:
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
    rejects: list[Reject] = []
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
