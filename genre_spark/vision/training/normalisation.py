"""Batch normalisation in batches that have no statistics of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["still_normalisation"]


@contextmanager
def still_normalisation(network: nn.Module) -> Iterator[None]:
    """Let batch normalisation use its running statistics, unchanged, while the block runs."""
    moving = [
        module for module in network.modules() if isinstance(module, _BatchNorm) and module.training
    ]
    for module in moving:
        module.eval()
    try:
        yield
    finally:
        for module in moving:
            module.train()
