"""Samples to measure training with: JPEGs like posters, batches in memory, a plain data set."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torchvision.transforms import functional as T

from genre_spark.vision.feed.memory_feed import MemoryBatch

LABELS, HEIGHT, WIDTH = 19, 345, 230
VOCABULARY = tuple(f"genre {number}" for number in range(LABELS))


def make_samples(folder: Path, count: int) -> tuple[str, ...]:
    """Write JPEGs like posters (about 25 kB) as a samples table, and 200 of them as files."""
    rng = np.random.default_rng(0)
    (folder / "files").mkdir(parents=True)
    images, distinct = [], 200
    for number in range(distinct):
        coarse = rng.integers(0, 256, (24, 16, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        noisy = np.asarray(picture, np.int16) + rng.integers(-12, 13, (HEIGHT, WIDTH, 3))
        buffer = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        images.append(buffer.getvalue())
        (folder / "files" / f"{number}.jpg").write_bytes(buffer.getvalue())
    labels = (rng.random((count, LABELS)) < 0.13).astype(np.float32)
    half = count // 2
    files = []
    for part, (first, last) in enumerate(((0, half), (half, count))):
        size = last - first
        table = pa.table(
            {
                "movie_id": pa.array(range(first, last), pa.int64()),
                "image": pa.array(
                    [images[row % distinct] for row in range(first, last)], pa.binary()
                ),
                "height": pa.array([HEIGHT] * size, pa.int32()),
                "width": pa.array([WIDTH] * size, pa.int32()),
                "channels": pa.array([3] * size, pa.int32()),
                "encoding": pa.array(["jpeg"] * size),
                "labels": pa.array(labels[first:last].tolist(), pa.list_(pa.float32())),
                "weight": pa.array([1.0] * size, pa.float32()),
            }
        )
        files.append(str(folder / f"part-{part}.parquet"))
        pq.write_table(table, files[-1], row_group_size=256, compression="none")
    return tuple(files)


class Repeated:
    """A feed that yields one batch from memory again and again."""

    def __init__(self, batch: MemoryBatch, batches: int) -> None:
        self.batch, self.batches_per_epoch = batch, batches
        self.rows = batches * len(batch.labels)

    def epoch(self, _epoch: int, skip_batches: int = 0):
        for _ in range(skip_batches, self.batches_per_epoch):
            yield self.batch


def one_batch(size: int, device: torch.device) -> MemoryBatch:
    images = torch.randint(0, 256, (size, 3, HEIGHT, WIDTH), dtype=torch.uint8, device=device)
    labels = (torch.rand(size, LABELS, device=device) < 0.13).float()
    return MemoryBatch(images, labels, torch.ones(size, device=device))


class FileDataset(torch.utils.data.Dataset):
    """The data set of the study: open, decode, convert, one image at a time."""

    def __init__(self, folder: Path, count: int) -> None:
        self.files, self.count = sorted(folder.glob("*.jpg")), count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int):
        image = (
            Image.open(self.files[number % len(self.files)]).convert("RGB").resize((WIDTH, HEIGHT))
        )
        pixels = T.normalize(T.to_tensor(image), [0.5] * 3, [0.25] * 3)
        return pixels, torch.zeros(LABELS)
