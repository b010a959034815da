"""Features of several depths: mean and standard deviation of maps on their way to the last ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from genre_spark.errors import InvalidInputError

__all__ = ["find_depths", "observe_maps"]

_MOST = 5
_REDUCED = 4  # maps of less than a quarter of the image's sides: before, there are only edges
_DISTORTED = 2.0  # what has other proportions than the image is no map (channels that come last)


def find_depths(module: nn.Module, height: int, width: int) -> tuple[str, ...]:
    """Return the submodules that give the last maps of each size, at most five, by looking.

    Args:
        module: maps images (N, 3, H, W) to features; it is put into evaluation mode.
        height: pixels of its input.
        width: likewise.

    Raises:
        InvalidInputError: it has no maps.
    """
    last: dict[tuple[int, int], str] = {}

    def note(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if not isinstance(output, Tensor) or output.dim() != 4:
                return
            rows, columns = output.shape[2:]
            stretch = (rows / columns) / (height / width)
            if 1 < rows * _REDUCED < height and 1 / _DISTORTED < stretch < _DISTORTED:
                last[rows, columns] = name

        return hook

    module.eval()
    handles = [part.register_forward_hook(note(name)) for name, part in module.named_modules()]
    try:
        with torch.inference_mode():
            module(torch.zeros(1, 3, height, width))
    finally:
        for handle in handles:
            handle.remove()
    found = {size: name for size, name in last.items() if name and min(size) > 1}
    if not found:
        raise InvalidInputError(
            "embeddings.depths: true, but the network has no maps of features, expected a "
            "convolutional network"
        )
    return tuple(dict.fromkeys(list(found.values())[-_MOST:]))


@contextmanager
def observe_maps(module: nn.Module, names: Sequence[str]) -> Iterator[Callable[[], Tensor]]:
    """Watch the maps of some submodules while a network runs.

    Args:
        module: runs once within the context.
        names: of its submodules.

    Yields:
        A function that returns the means of all maps, then their standard deviations, float32
        (N, 2 x channels of all maps).
    """
    means: list[Tensor] = []
    spreads: list[Tensor] = []

    def measure(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        # at once: the next layer may write over the map
        spread, mean = torch.std_mean(output.float(), (2, 3), correction=0)
        means.append(mean)
        spreads.append(spread)

    handles = [module.get_submodule(name).register_forward_hook(measure) for name in names]
    try:
        yield lambda: torch.cat([*means, *spreads], 1)
    finally:
        for handle in handles:
            handle.remove()
