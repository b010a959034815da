"""Posters that a table of addresses names and that could not be read: those that can be now.

Their stamps are those of the table, which does not change when a file appears at an address.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from genre_spark.posters.archives import PARQUET
from genre_spark.posters.parquet_source import WEB_LINK
from genre_spark.posters.plan.ledger import KEY, Ledger
from genre_spark.posters.plan.receipts import read_facts
from genre_spark.posters.reading import read_posters
from genre_spark.posters.rejects import UNREADABLE, ReadFailure
from genre_spark.schemas import MOVIE_ID
from genre_spark.storage.arrow_columns import int_column, table_digest
from genre_spark.storage.files import fingerprint

__all__ = ["nothing_known", "with_retries"]

_ROW = "row"
_BATCH = 10_000


def with_retries(base: Ledger, posters: pa.Table, source: str, table: str) -> Ledger:
    """Return a ledger that names the posters to be tried again: those that can be read now.

    That takes a request of a byte for each poster of a Parquet table that was rejected as
    unreadable, and nothing where there is none. An address that cannot be asked now, since a
    network fails, is left for the next run.

    Args:
        base: what the earlier whole run left.
        posters: rows of PLAN_SCHEMA, what is listed now.
        source: the folder or Parquet file.
        table: folder of the posters table that has the ledger's chunks.
    """
    lost = _lost_rows(base, table)
    if not len(lost):
        return base
    known = base.rows.select(KEY).take(pa.array(lost)).append_column(_ROW, pa.array(lost))
    listed = posters.filter(pc.is_in(posters[MOVIE_ID], known[MOVIE_ID].combine_chunks()))
    rows = listed.join(known, keys=KEY, join_type="inner").sort_by(_ROW)
    found = [
        row[_ROW]
        for start in range(0, rows.num_rows, _BATCH)
        for row in _readable(source, rows.slice(start, _BATCH).to_pylist())
    ]
    if not found:
        return base
    again = np.zeros(base.rows.num_rows, bool)
    again[found] = True
    tried = base.rows.select(KEY).take(int_column(found, pa.int64()))
    return replace(base, again=again, tries=fingerprint(base.tries, table_digest(tried)))


def nothing_known(posters: pa.Table) -> Ledger:
    """Return the ledger of a table that is made anew.

    What a Parquet table names by address may hold other bytes than in the last run. Its chunks and
    the table are others than before, so that later stages notice.

    Args:
        posters: rows of PLAN_SCHEMA, what is listed now.
    """
    named = pc.any(pc.equal(posters["method"], PARQUET)).as_py()
    return replace(Ledger.empty(), tries=uuid.uuid4().hex if named else "")


def _lost_rows(base: Ledger, table: str) -> np.ndarray:
    """Return which rows of the ledger are of Parquet tables and were rejected as unreadable."""
    counts = (base.receipts.get(chunk, {}).get("reasons", {}) for chunk in base.digests)
    flawed = np.array([UNREADABLE in reasons for reasons in counts], bool)
    if not flawed.any():
        return np.zeros(0, np.int64)
    suspects = flawed[base.chunk_of_row] & (base.rows["method"].to_numpy() == PARQUET)
    ids = base.rows[MOVIE_ID].to_numpy()
    lost = [
        movie_id
        for index in np.unique(base.chunk_of_row[suspects]).tolist()
        for movie_id in _lost_ids(table, base.receipts[base.digests[index]]["facts"])
    ]
    return np.flatnonzero(suspects & np.isin(ids, np.array(lost, np.int64)))


def _lost_ids(table: str, facts: str) -> list[int]:
    try:
        found = read_facts(table, facts)
    except (OSError, pa.ArrowException):
        return []  # a damaged chunk: its posters are decoded again
    return [
        fact.movie_id for fact in found if fact.reason == UNREADABLE and fact.detail != WEB_LINK
    ]


def _readable(source: str, rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the rows whose posters can be read; their first byte is."""
    try:
        contents = list(read_posters(source, rows, max_bytes=0))
    except OSError:
        return
    for row, content in zip(rows, contents, strict=True):
        if not (isinstance(content, ReadFailure) and content.reason == UNREADABLE):
            yield row
