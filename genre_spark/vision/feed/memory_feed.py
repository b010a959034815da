"""Samples in memory, or mapped into it: for heads on stored features, tests and measurements."""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["MemoryBatch", "MemoryFeed"]


class MemoryBatch(NamedTuple):
    """A batch cut from arrays; see `protocols.Batch`."""

    images: Tensor
    labels: Tensor
    weights: Tensor


class MemoryFeed:
    """Batches from arrays, in an order that depends on seed and epoch alone.

    The batch that all processes see together is the same whatever their number: process r of n
    takes every n-th sample of it, so n processes do what one does.

    Args:
        images: uint8 posters (N, 3, H, W) or float features (N, D); a memory-mapped array stays on
            disk.
        labels: (N, L), 0 or 1.
        weights: (N,); None: all 1.
        batch_size: samples per step over all processes.
        seed: seed of the order.
        shuffle: whether the order changes with the epoch.
        rank: number of this process, 0..world_size - 1.
        world_size: number of processes.
        device: device that batches go to; None leaves them in memory.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray | None = None,
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | None = None,
    ) -> None:
        self._images, self._labels = images, np.asarray(labels, np.float32)
        self._weights = (
            np.ones(len(images), np.float32) if weights is None else np.asarray(weights, np.float32)
        )
        self._batch_size, self._seed, self._shuffle = batch_size, seed, shuffle
        self._rank, self._world_size, self._device = rank, world_size, device

    @property
    def rows(self) -> int:
        """Number of samples of an epoch on this process."""
        return sum(len(part) for part in self._parts(np.arange(len(self._images))))

    @property
    def batches_per_epoch(self) -> int:
        """Number of steps of an epoch, the same on every process."""
        return -(-len(self._images) // self._batch_size)

    def epoch(self, epoch: int, skip_batches: int = 0) -> Generator[MemoryBatch, None, None]:
        """Yield the batches of an epoch, from the given one on."""
        order = np.arange(len(self._images))
        if self._shuffle:
            order = np.random.default_rng([self._seed, epoch]).permutation(order)
        for chosen in self._parts(order)[skip_batches:]:
            if len(chosen) == 0:  # fewer samples than processes in the last batch
                return
            yield MemoryBatch(
                *(
                    self._move(array[chosen])
                    for array in (self._images, self._labels, self._weights)
                )
            )

    def _parts(self, order: np.ndarray) -> list[np.ndarray]:
        steps = range(0, len(order), self._batch_size)
        return [
            order[start : start + self._batch_size][self._rank :: self._world_size]
            for start in steps
        ]

    def _move(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return tensor if self._device is None else tensor.to(self._device)
