"""Files of the rejects table that are written where the flaw was seen."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from genre_spark.files import filesystem, join
from genre_spark.posters.arrow_columns import text_column
from genre_spark.schemas import CONTENT, REASON, SOURCE

_SCHEMA = pa.schema(
    [
        pa.field(SOURCE, pa.string(), False),
        pa.field(REASON, pa.string(), False),
        (CONTENT, pa.string()),
    ]
)
_LONGEST = 300  # characters of a detail


def write_rejects(table: str, name: str, rejects: Sequence[tuple[str, str, str]]) -> str:
    """Write a Parquet file of (source, reason, detail) into the rejects table's folder and return its name."""
    path = f"data-{name}-{uuid.uuid4().hex[:8]}.parquet"
    columns = [text_column([reject[index][:_LONGEST] for reject in rejects]) for index in range(3)]
    system, inner = filesystem(join(table, path))
    system.makedirs(inner.rpartition("/")[0], exist_ok=True)
    with system.open(inner, "wb") as file:
        pq.write_table(pa.Table.from_arrays(columns, schema=_SCHEMA), file)
    return path
