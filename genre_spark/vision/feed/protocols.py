"""What the training loop needs of a feed."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from torch import Tensor

__all__ = ["Batch", "Feed"]


class Batch(Protocol):
    """Samples of one step on one process.

    `images` are uint8 posters (N, 3, H, W), RGB, 0..255 - or, for the training of a head alone,
    float features (N, D).
    """

    @property
    def images(self) -> Tensor:
        """Posters or features."""
        ...

    @property
    def labels(self) -> Tensor:
        """Multi-hot labels, float32 (N, L)."""
        ...

    @property
    def weights(self) -> Tensor:
        """Sample weights, float32 (N,)."""
        ...


class Feed(Protocol):
    """Batches of one process.

    The same (seed, epoch, rank, number of processes) gives the same batches.
    """

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches of an epoch on this process."""
        ...

    @property
    def rows(self) -> int:
        """Number of samples of an epoch on this process."""
        ...

    def epoch(self, epoch: int, skip_batches: int = 0) -> Generator[Batch, None, None]:
        """Yield the batches of an epoch, from the given one on; closing it stops its readers."""
        ...
