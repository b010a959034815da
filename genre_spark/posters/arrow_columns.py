"""Arrow columns from buffers.

`pa.array` imports pandas on its first call: most of a second in every new worker.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa


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
