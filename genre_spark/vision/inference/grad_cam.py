"""Where a network looks for a genre: Grad-CAM on the last convolution, of any architecture.

After Selvaraju et al., Grad-CAM, 2017. Maps and gradients are multiplied place by place, as in
Draelos and Carin, HiResCAM, 2020: behind a mean over the maps that is the same, and where places
have weights of their own (LeNet) only then does the map show what the answer depends on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genre_spark.errors import InvalidInputError
from genre_spark.vision.devices import choose_device, explained_memory_errors
from genre_spark.vision.inference.network_file import TrainedNetwork, load_network

__all__ = ["heat_maps", "heat_maps_of_file", "last_convolution"]

_BATCH = 16


def heat_maps(
    trained: TrainedNetwork, images: NDArray[np.uint8], labels: Sequence[int]
) -> NDArray[np.float32]:
    """Return how much each place of each poster speaks for a genre.

    The posters pass once, as they are, also where the network's features are means over mirror
    images.

    Args:
        trained: the network.
        images: uint8 posters, (N, 3, H, W), RGB.
        labels: position of the genre that each poster is asked for, N.

    Returns:
        (N, h, w), of the size of the last convolution's maps, 0..1: the largest of a poster is 1,
        and what speaks against the genre is 0.

    Raises:
        InvalidInputError: the network has no convolution.
    """
    layer = last_convolution(trained.network, images[:1], trained.device)
    parts = []
    for start in range(0, len(images), _BATCH):
        posters = torch.from_numpy(images[start : start + _BATCH]).to(trained.device)
        asked = torch.tensor(labels[start : start + _BATCH], device=trained.device)
        with (
            explained_memory_errors("explanations.posters", len(posters), trained.network.size),
            _watched(layer) as watched,
            torch.enable_grad(),
        ):
            logits = trained.network(posters)
            chosen = logits.gather(1, asked[:, None]).sum()
            (slopes,) = torch.autograd.grad(chosen, watched.maps)
        heat = (slopes * watched.maps.detach()).sum(dim=1).clamp(min=0).float()
        largest = heat.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)
        parts.append((heat / largest).cpu().numpy())
    return np.concatenate(parts)


def heat_maps_of_file(
    path: str, images: NDArray[np.uint8], labels: Sequence[int], *, device: str
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Return the vocabulary of a stored network and its `heat_maps`.

    Args:
        path: file that `save_network` wrote.
        images: uint8 posters, (N, 3, H, W), RGB.
        labels: position of the genre that each poster is asked for, N.
        device: auto, cpu or cuda.

    Raises:
        InvalidInputError: no such file, or a network without convolution.
        InvalidConfigError: `cuda` where there is no GPU.
    """
    trained = load_network(path, device=choose_device(device))
    return trained.vocabulary, heat_maps(trained, images, labels)


def last_convolution(
    network: nn.Module, images: NDArray[np.uint8], device: torch.device
) -> nn.Module:
    """Return the convolution that computes last for a poster; found by asking the network.

    Args:
        network: uint8 posters (N, 3, H, W) -> logits.
        images: a poster, (1, 3, H, W).
        device: of the network.

    Raises:
        InvalidInputError: the network has no convolution.
    """
    seen: list[nn.Module] = []

    def note(module: nn.Module, _inputs: object, _output: object) -> None:
        seen.append(module)

    handles = [
        module.register_forward_hook(note)
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    try:
        with torch.inference_mode():
            network(torch.from_numpy(images).to(device))
    finally:
        for handle in handles:
            handle.remove()
    if not seen:
        raise InvalidInputError(f"{type(network).__name__}: no convolution, expected one")
    return seen[-1]


@dataclass
class _Watched:
    maps: Tensor = field(default_factory=lambda: torch.empty(0))


@contextmanager
def _watched(layer: nn.Module) -> Iterator[_Watched]:
    """Cut the graph behind a layer, so that gradients reach its maps and no parameter."""
    watched = _Watched()

    def cut(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        watched.maps = output.detach().requires_grad_()
        return watched.maps * 1.0  # what follows may change its input in place (torchvision's ReLU)

    handle = layer.register_forward_hook(cut)
    try:
        yield watched
    finally:
        handle.remove()
