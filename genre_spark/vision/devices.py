"""Where a network runs, how precisely, and with how many threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from genre_spark.errors import InvalidConfigError, StageFailedError

__all__ = ["autocast", "choose_device", "explained_memory_errors", "limited_threads"]


def choose_device(wanted: str, *, local_rank: int = 0) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda`.

    Each process of a machine takes a GPU of its own.

    Raises:
        InvalidConfigError: `cuda` where there is no GPU.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise InvalidConfigError("cnn.device: 'cuda', expected auto or cpu: torch sees no GPU here")
    if wanted == "cpu" or not available:
        return torch.device("cpu")
    return torch.device("cuda", local_rank % torch.cuda.device_count())


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context of mixed precision: bfloat16 where asked for or, under `auto`, on CUDA."""
    if precision == "bf16" or (precision == "auto" and device.type == "cuda"):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Run a block with this many CPU threads in torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def explained_memory_errors(
    setting: str, batch_size: int | None, size: tuple[int, int] | None = None
) -> Iterator[None]:
    """Turn CUDA's out-of-memory error into a sentence that says what to lower.

    Args:
        setting: key of the batch size.
        batch_size: batch size; None: no batch has come to the GPU yet.
        size: height and width of the network's input, pixels; None: it takes features.

    Raises:
        StageFailedError: a GPU ran out of memory in the block.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        batch = "" if batch_size is None else f" with {setting}={batch_size}"
        pixels = f" at {size[0]}x{size[1]} pixels" if size else ""
        details = next(iter(str(error).splitlines()), "no details")[:160]
        raise StageFailedError(
            f"CUDA out of memory{batch}{pixels}: lower {setting}, or cnn.height and cnn.width, or "
            f"set cnn.precision=bf16, or end what else uses the GPU ({details})"
        ) from error
