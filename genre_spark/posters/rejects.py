"""What cannot be read, and the files of the rejects table, written where the flaw was seen."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from genre_spark.schemas import CONTENT, REASON, SOURCE
from genre_spark.storage.arrow_columns import text_column
from genre_spark.storage.files import filesystem, join
from genre_spark.storage.tables import TableManifest, commit_table

_SCHEMA = pa.schema(
    [
        pa.field(SOURCE, pa.string(), False),
        pa.field(REASON, pa.string(), False),
        (CONTENT, pa.string()),
    ]
)
UNREADABLE = "unreadable"
TOO_MANY_BYTES = "too many bytes"
_LONGEST = 300  # characters of a detail
_BATCH = 10_000


@dataclass(frozen=True)
class ReadFailure:
    """A poster whose bytes cannot be read: the reason, to be counted, and the detail."""

    reason: str
    detail: str


Content = bytes | ReadFailure


def write_rejects(table: str, name: str, rejects: Sequence[tuple[str, str, str]]) -> str:
    """Write a Parquet file of (source, reason, detail) into the table's folder; return its name."""
    path = f"data-{name}-{uuid.uuid4().hex[:8]}.parquet"
    columns = [text_column([reject[index][:_LONGEST] for reject in rejects]) for index in range(3)]
    system, inner = filesystem(join(table, path))
    system.makedirs(inner.rpartition("/")[0], exist_ok=True)
    with system.open(inner, "wb") as file:
        pq.write_table(pa.Table.from_arrays(columns, schema=_SCHEMA), file)
    return path


class RejectsLog:
    """A rejects table that is written row by row, in memory that does not grow with it.

    Attributes:
        counts: reason -> rows.
    """

    def __init__(self, table: str) -> None:
        self.counts: Counter[str] = Counter()
        self._table = table
        self._pending: list[tuple[str, str, str]] = []
        self._files: list[str] = []

    def add(self, source: str, reason: str, content: str) -> None:
        """Add a row."""
        self.counts[reason] += 1
        self._pending.append((source, reason, content[:_LONGEST]))
        if len(self._pending) >= _BATCH:
            self._flush()

    def commit(self, fingerprint: str) -> None:
        """Make the rows the table, in place of earlier ones."""
        self._flush()
        counts = dict(sorted(self.counts.items()))
        rows = sum(counts.values())
        manifest = TableManifest(fingerprint, tuple(self._files), rows, counts)
        commit_table(self._table, manifest)

    def _flush(self) -> None:
        if self._pending:
            self._files.append(write_rejects(self._table, "log", self._pending))
            self._pending = []
