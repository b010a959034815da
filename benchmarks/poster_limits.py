"""The machine's limit: bare processes decode, encode and write Parquet, and share only a counter.

Only the work is timed, from the moment when all processes are ready to the end of the last one;
starting them and importing libraries is not. The processes take small slices from a common counter,
so that none waits for another.
"""

# ruff: noqa: PTH123 - a limit has no Path object per file
from __future__ import annotations

import ctypes
import multiprocessing
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_SLICE = 128


def prepare_limit(folder: Path, out: Path, *, encoding: str, processes: int) -> float:
    """Return the seconds that bare processes need to write a folder's posters as Parquet."""
    out.mkdir(parents=True, exist_ok=True)
    names = [str(path) for path in sorted(folder.glob("*.jpg"))]
    return run_processes(_prepare, processes, names, str(out), encoding)


def run_processes(target: Any, processes: int, items: list[Any], *arguments: Any) -> float:
    """Return the seconds from the common start of processes to the end of the last."""
    context = multiprocessing.get_context("spawn")
    counter, barrier = context.Value("l", 0), context.Barrier(processes + 1)
    started = [
        context.Process(target=target, args=(number, counter, barrier, items, *arguments))
        for number in range(processes)
    ]
    for process in started:
        process.start()
    barrier.wait()
    begin = time.perf_counter()
    for process in started:
        process.join()
    if any(process.exitcode for process in started):
        raise RuntimeError(
            f"a process of the limit ended with {[process.exitcode for process in started]}"
        )
    return time.perf_counter() - begin


def settle() -> None:
    """Give a process the heap settings of the package's workers."""
    cv2.setNumThreads(0)
    libc = ctypes.CDLL(None)
    libc.mallopt(-3, 32 << 20)
    libc.mallopt(-1, 64 << 20)


def take_slice(counter: Any, total: int, size: int) -> range:
    """Return the next items for this process, or an empty range."""
    with counter.get_lock():
        start = counter.value
        counter.value = min(total, start + size)
    return range(start, min(total, start + size))


def _prepare(
    number: int, counter: Any, barrier: Any, names: list[str], out: str, encoding: str
) -> None:
    settle()
    with open(names[0], "rb") as file:
        _convert(file.read(), encoding)
    barrier.wait()
    schema = pa.schema([("movie_id", pa.int64()), ("image", pa.binary())])
    compression = {"movie_id": "snappy", "image": "none"}
    batch = 1 if encoding == "raw" else 32
    with pq.ParquetWriter(
        f"{out}/{number}.parquet",
        schema,
        compression=compression,
        use_dictionary=False,
        write_statistics=False,
        write_batch_size=batch,
    ) as writer:
        ids: list[int] = []
        images: list[Any] = []
        while taken := take_slice(counter, len(names), _SLICE):
            for index in taken:
                with open(names[index], "rb", buffering=0) as file:
                    images.append(_convert(file.read(), encoding))
                ids.append(index)
                if sum(map(len, images[-1:])) * len(images) >= 8 << 20:
                    _write(writer, schema, ids, images)
                    ids, images = [], []
        if ids:
            _write(writer, schema, ids, images)


def _convert(content: bytes, encoding: str) -> Any:
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if encoding == "raw":
        planes = np.empty((3, *pixels.shape[:2]), np.uint8)
        cv2.split(pixels, [planes[2], planes[1], planes[0]])
        return planes.reshape(-1).data
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].reshape(-1).data


def _write(writer: Any, schema: pa.Schema, ids: list[int], images: list[Any]) -> None:
    offsets = np.zeros(len(images) + 1, np.int32)
    np.cumsum([len(image) for image in images], out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(images))]
    column = pa.Array.from_buffers(pa.binary(), len(images), buffers)
    numbers = pa.Array.from_buffers(
        pa.int64(), len(ids), [None, pa.py_buffer(np.array(ids, np.int64))]
    )
    writer.write_table(pa.Table.from_arrays([numbers, column], schema=schema))
