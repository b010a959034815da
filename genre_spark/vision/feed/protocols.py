"""What the training loop asks of whoever feeds it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor


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
        """Batches of an epoch on this process."""
        ...

    @property
    def rows(self) -> int:
        """Samples of an epoch on this process."""
        ...

    def epoch(self, epoch: int, skip_batches: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from the given one on."""
        ...
