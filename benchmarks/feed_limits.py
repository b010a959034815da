"""The machine's limit: threads read the same Parquet and decode or copy each image once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
from poster_limits import settle

_BATCH = 64


def feed_limit(files: list[Path], *, encoding: str, height: int, width: int, threads: int) -> float:
    """Return the seconds that threads need to bring every image into a batch once."""
    settle()
    opened = [(file, pq.read_metadata(file)) for file in files]
    groups = [
        (file, footer, number) for file, footer in opened for number in range(footer.num_row_groups)
    ]
    lock, following = threading.Lock(), iter(groups)

    def run() -> int:
        done = 0
        batch = np.empty((_BATCH, 3, height, width), np.uint8)
        while True:
            with lock:
                group = next(following, None)
            if group is None:
                return done
            file, footer, number = group
            with pq.ParquetFile(file, metadata=footer, memory_map=True) as source:
                column = source.read_row_group(number, columns=["image"], use_threads=False)[
                    "image"
                ].chunk(0)
            offsets = np.frombuffer(column.buffers()[1], np.int32)
            data = np.frombuffer(column.buffers()[2], np.uint8)
            for row in range(len(column)):
                content, place = data[offsets[row] : offsets[row + 1]], batch[done % _BATCH]
                if encoding == "raw":
                    np.copyto(place.reshape(-1), content)
                else:
                    pixels = cv2.imdecode(content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
                    cv2.split(pixels, [place[2], place[1], place[0]])
                done += 1
                if done % _BATCH == 0:
                    batch = np.empty_like(batch)  # the trainer keeps the batch

    begin = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(future.result() for future in [pool.submit(run) for _ in range(threads)])
    spent = time.perf_counter() - begin
    if done != sum(footer.num_rows for _, footer in opened):
        raise RuntimeError(f"the limit saw {done} images")
    return spent
