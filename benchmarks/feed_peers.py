"""Other loaders, used as documented, each an iterator of uint8 batches (N, 3, H, W)."""

# ruff: noqa: PLC0415 - peers are imported where they are asked for: most need not be installed

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


class JpegFiles:
    """A torch data set over JPEG files, decoded by torchvision."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Any:
        from torchvision.io import ImageReadMode, decode_jpeg, read_file

        return decode_jpeg(read_file(self.names[index]), ImageReadMode.RGB), index


def torch_dataloader(names: list[str], *, batch_size: int, workers: int) -> Iterator[Any]:
    """Yield batches of torch's DataLoader over the files, shuffled."""
    from torch.utils.data import DataLoader

    loader = DataLoader(
        JpegFiles(names),
        batch_size=batch_size,
        shuffle=True,
        num_workers=workers,
        prefetch_factor=4,
    )
    for images, _ in loader:
        yield images


def petastorm_batches(
    files: list[Path], *, encoding: str, height: int, width: int, batch_size: int, workers: int
) -> Iterator[Any]:
    """Yield batches of petastorm's make_batch_reader with a TransformSpec and BatchedDataLoader."""
    warnings.simplefilter("ignore")
    from petastorm import TransformSpec, make_batch_reader
    from petastorm.pytorch import BatchedDataLoader

    def transform(frame: Any) -> Any:
        import cv2

        if encoding == "raw":
            frame["image"] = frame["image"].map(
                lambda x: np.frombuffer(x, np.uint8).reshape(3, height, width)
            )
        else:
            frame["image"] = frame["image"].map(
                lambda x: np.ascontiguousarray(
                    cv2.imdecode(np.frombuffer(x, np.uint8), 1)[:, :, ::-1].transpose(2, 0, 1)
                )
            )
        return frame[["movie_id", "image"]]

    spec = TransformSpec(
        transform,
        edit_fields=[("image", np.uint8, (3, height, width), False)],
        selected_fields=["movie_id", "image"],
    )
    reader = make_batch_reader(
        [f"file://{file}" for file in files],
        schema_fields=["movie_id", "image"],
        transform_spec=spec,
        workers_count=workers,
        shuffle_row_groups=True,
        results_queue_size=4,
    )
    with BatchedDataLoader(reader, batch_size=batch_size, shuffling_queue_capacity=0) as loader:
        for batch in loader:
            yield batch["image"]


def huggingface_batches(names: list[str], *, batch_size: int, workers: int) -> Iterator[Any] | None:
    """Return batches of Hugging Face datasets through a DataLoader; None where not installed."""
    try:
        from datasets import Dataset, Image
    except ImportError:
        return None
    from torch.utils.data import DataLoader

    data = Dataset.from_dict({"image": names}).cast_column("image", Image()).with_format("torch")
    loader = DataLoader(
        data, batch_size=batch_size, shuffle=True, num_workers=workers, prefetch_factor=4
    )
    return (batch["image"] for batch in loader)


def webdataset_batches(shards: list[str], *, batch_size: int, workers: int) -> Iterator[Any] | None:
    """Return batches of webdataset over tar shards; None where not installed."""
    try:
        import webdataset
    except ImportError:
        return None
    pipeline = (
        webdataset.WebDataset(shards, shardshuffle=len(shards), empty_check=False)
        .shuffle(2048)
        .to_tuple("jpg")
        .map_tuple(_decode)
        .batched(batch_size)
    )
    return (
        batch[0] for batch in webdataset.WebLoader(pipeline, batch_size=None, num_workers=workers)
    )


def _decode(content: bytes) -> Any:
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    return decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8), ImageReadMode.RGB)
