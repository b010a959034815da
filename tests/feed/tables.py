"""Small samples tables, written as the sample stage writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from genre_spark.imaging import encode_pixels

LABELS = 3


def pixels_of(movie_id: int, height: int, width: int) -> np.ndarray:
    """Return the pixels of a movie, uint8 (H, W, 3), BGR: smooth, in one colour per id."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [(rows + columns + movie_id * factor) % 256 for factor in (3, 7, 11)]
    return np.stack(planes, axis=2).astype(np.uint8)


def write_samples(
    folder: Path,
    sizes: list[list[int]],
    *,
    encoding: str = "raw",
    height: int = 6,
    width: int = 4,
    without: tuple[str, ...] = (),
    kind: pa.DataType | None = None,
) -> list[str]:
    """Write files with row groups of the given sizes; movie ids count from 0 in the order of files.

    Args:
        folder: folder of the files.
        sizes: rows of each row group, per file.
        encoding: encoding of the images.
        height: height in pixels.
        width: width in pixels.
        without: columns to leave out.
        kind: Arrow type of the images; None for binary.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files, following = [], 0
    for number, groups in enumerate(sizes):
        path = folder / f"part-{number}.parquet"
        writer = None
        for rows in groups:
            ids = np.arange(following, following + rows)
            following += rows
            images = [
                bytes(encode_pixels(pixels_of(int(i), height, width), encoding=encoding))
                for i in ids
            ]
            labels = [[float(i % 2), float(i % 3 == 0), 1.0] for i in ids]
            columns = {
                "movie_id": pa.array(ids),
                "image": pa.array(images, kind or pa.binary()),
                "labels": pa.array(labels, pa.list_(pa.float32())),
                "weight": pa.array(ids.astype(np.float32) + 0.5),
                "height": pa.array(np.full(rows, height, np.int32)),
                "width": pa.array(np.full(rows, width, np.int32)),
                "channels": pa.array(np.full(rows, 3, np.int32)),
                "encoding": pa.array([encoding] * rows),
            }
            table = pa.table(
                {name: column for name, column in columns.items() if name not in without}
            )
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
        assert writer is not None
        writer.close()
        files.append(str(path))
    return files
