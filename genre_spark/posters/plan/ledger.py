"""The ledger: the plan of a run as a Parquet file, which the next run compares the source with."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from genre_spark.posters.listing_schema import LISTING_SCHEMA
from genre_spark.posters.plan.receipts import STATE, facts_folder
from genre_spark.schemas import MOVIE_ID, SOURCE
from genre_spark.storage.arrow_columns import table_digest
from genre_spark.storage.files import filesystem, fingerprint, join, read_checked_json

__all__ = ["KEY", "PLAN_SCHEMA", "Ledger", "write_ledger"]

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
KEY = [MOVIE_ID, SOURCE, "size", "stamp"]
"""Columns that say whether a poster is the one of an earlier run."""


@dataclass(frozen=True)
class Ledger:
    """What the earlier whole run left.

    Attributes:
        rows: its posters, rows of PLAN_SCHEMA.
        chunk_of_row: position of each row's chunk among the digests.
        digests: digest of each chunk.
        receipts: digest -> receipt.
        elsewhere: folder of the table that has the chunks, where it is another one; they cannot
            stand as they are then, but what they hold need not be decoded again.
        again: which rows are to be read again, although they are listed as they were; None for
            none of them.
        tries: digest of the rows that were read again since the table was made anew, or "".
    """

    rows: pa.Table
    chunk_of_row: npt.NDArray[np.int64]
    digests: Sequence[str]
    receipts: dict[str, dict[str, Any]]
    elsewhere: str | None = None
    again: npt.NDArray[np.bool_] | None = None
    tries: str = ""

    @classmethod
    def empty(cls) -> Ledger:
        """Return what there is before the first run."""
        return cls(PLAN_SCHEMA.empty_table(), np.zeros(0, np.int64), (), {})

    @classmethod
    def read(cls, table: str, settings: str) -> Ledger:
        """Return what the last whole run of the same settings left in a table's folder."""
        state = read_checked_json(join(table, STATE))
        if state is None or state["settings"] != settings or "ledger" not in state:
            return cls.empty()
        tries = state.get("tries", "")
        system, inner = filesystem(join(table, state["ledger"]))
        try:
            with system.open(inner, "rb") as file:
                ledger = pq.ParquetFile(file)
                groups = range(ledger.num_row_groups)
                sizes = [ledger.metadata.row_group(index).num_rows for index in groups]
                rows = ledger.read()
        except (OSError, pa.ArrowException):
            # damaged: finished chunks are found again by their digests
            return replace(cls.empty(), tries=tries)
        if len(sizes) != len(state["chunks"]):
            return replace(cls.empty(), tries=tries)
        chunk_of_row = np.repeat(np.arange(len(sizes)), sizes)
        return cls(rows, chunk_of_row, state["chunks"], state["receipts"], tries=tries)

    def settings_digest(self, settings: str) -> str:
        """Return the digest of the settings, another one after posters were read again.

        Chunks and tables that hold the same posters as before, with more of them read, are others.
        """
        return fingerprint(settings, self.tries) if self.tries else settings


def write_ledger(
    table: str, digest: str, groups: list[tuple[pa.Table, str | None]], settings: str
) -> tuple[str, list[str]]:
    """Write chunks as row groups of a new file; return its name and the chunks' digests.

    Args:
        table: folder of the posters table.
        digest: of what the table's content depends on.
        groups: rows of each chunk, and its digest where it stands as it is.
        settings: digest of the settings.
    """
    name = f"_ledger-{digest}-{uuid.uuid4().hex[:8]}.parquet"
    system, inner = filesystem(join(table, name))
    system.makedirs(inner.rpartition("/")[0], exist_ok=True)
    facts, folder = filesystem(facts_folder(table))
    facts.makedirs(folder, exist_ok=True)
    chunks = []
    with system.open(inner, "wb") as file, pq.ParquetWriter(file, PLAN_SCHEMA) as writer:
        for group, known in groups:
            writer.write_table(group.cast(PLAN_SCHEMA), row_group_size=max(1, group.num_rows))
            chunks.append(known or fingerprint(settings, table_digest(group.select(KEY))))
    return name, chunks
