"""The processes of one training, as one of them sees them; a single process is a group of one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["ProcessGroup"]


@dataclass(frozen=True)
class ProcessGroup:
    """Rank and size of the group, and sums over it.

    Attributes:
        rank: number of this process, 0..size - 1; 0 writes and reports.
        size: number of processes.
        device: device that this process computes on.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - devices are immutable

    @property
    def leads(self) -> bool:
        """Whether this process writes and reports."""
        return self.rank == 0

    def total(self, value: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def largest(self, value: float) -> float:
        """Return the largest of the processes' numbers."""
        if self.size == 1:
            return value
        tensor = torch.tensor(float(value), device=self.device, dtype=torch.float64)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return float(tensor)

    def lead(self, tensors: Iterable[Tensor]) -> None:
        """Give tensors, in place, the values that they have in the first process."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def wait(self) -> None:
        """Return when every process has called this."""
        if self.size > 1:
            dist.barrier()
