"""Arrow columns from buffers.

`pa.array` imports pandas on its first call: most of a second in every new worker.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def int_column(values: Sequence[int] | npt.NDArray, kind: pa.DataType) -> pa.Array:
    """Return whole numbers as an Arrow column without nulls.

    Args:
        values: numbers within the type's range.
        kind: pa.int8(), pa.int32(), pa.int64(), ...
    """
    data = np.ascontiguousarray(values, dtype=kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, len(data), [None, pa.py_buffer(data)])


def bytes_column(values: Sequence[bytes | memoryview], kind: pa.DataType | None = None) -> pa.Array:
    """Return byte strings, at most 2 GiB together, as a column without nulls.

    Args:
        values: the byte strings.
        kind: `pa.binary()`, or `pa.string()` for text in UTF-8.
    """
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(value) for value in values], out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(kind or pa.binary(), len(values), buffers)


def text_column(values: Sequence[str]) -> pa.Array:
    """Return texts as a string column without nulls.

    Names that are no UTF-8 keep their bytes as `?`.
    """
    return bytes_column([value.encode("utf-8", "replace") for value in values], pa.string())


def table_digest(table: pa.Table) -> str:
    """Return the digest of a table's values, whatever its chunks and offsets in memory."""
    digest = hashlib.sha256()
    for name in table.column_names:
        column = table[name].combine_chunks()
        column = (
            column.chunk(0) if isinstance(column, pa.ChunkedArray) and column.num_chunks else column
        )
        if pa.types.is_string(column.type):
            lengths = pc.binary_length(column)
            digest.update(lengths.to_numpy(zero_copy_only=False).tobytes())
            start = column.buffers()[1]
            offsets = np.frombuffer(start, np.int32)[
                column.offset : column.offset + len(column) + 1
            ]
            if len(offsets) and column.buffers()[2] is not None:
                digest.update(memoryview(column.buffers()[2])[offsets[0] : offsets[-1]])
        else:
            digest.update(np.ascontiguousarray(column.to_numpy(zero_copy_only=False)).tobytes())
    return digest.hexdigest()[:24]
