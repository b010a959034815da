"""A trained network as one file, with everything that is needed to use it.

Loadable without Spark.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from genre_spark.errors import InvalidInputError
from genre_spark.vision.devices import autocast, explained_memory_errors
from genre_spark.vision.models import PosterNetwork, build_network
from genre_spark.vision.models.depths import observe_maps
from genre_spark.vision.plans.poster_form import PosterForm
from genre_spark.vision.storage import load_tensors, save_tensors

__all__ = [
    "TrainedNetwork",
    "load_network",
    "pack_network",
    "prepare_for_inference",
    "save_network",
    "unpack_network",
]

_FORMAT = 1


@dataclass(frozen=True)
class TrainedNetwork:
    """A network in evaluation mode and the genres that its outputs stand for.

    Attributes:
        network: uint8 posters of any size -> logits.
        vocabulary: genres in the order of the outputs.
        device: device that the network computes on.
        posters: form of the posters that it was trained on.
        mirror: whether features are the mean of the poster's and its mirror image's.
        precision: precision of the arithmetic, `float32` or `bf16`; `auto` as in training.
        depths: submodules of the backbone whose maps' means and standard deviations follow the
            features; none where the head is used.
    """

    network: PosterNetwork
    vocabulary: tuple[str, ...]
    device: torch.device
    posters: PosterForm
    mirror: bool = False
    precision: str = "auto"
    depths: tuple[str, ...] = ()

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the backbone's features, float32 (N, D), of uint8 posters (N, 3, H, W), RGB."""
        with self._inference(len(images)):
            return self._features(images).float().cpu().numpy()

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return probabilities, float32 (N, L), 0..1, of uint8 posters (N, 3, H, W), RGB."""
        with self._inference(len(images)):
            logits: Tensor = self.network.head(self._features(images))
            return torch.sigmoid(logits.float()).cpu().numpy()

    def probabilities_of_features(self, features: np.ndarray) -> np.ndarray:
        """Return probabilities, float32 (N, L), of features (N, D) that were computed before."""
        with torch.inference_mode():
            logits: Tensor = self.network.head(torch.from_numpy(features).to(self.device))
            return torch.sigmoid(logits.float()).cpu().numpy()

    @contextmanager
    def _inference(self, batch_size: int) -> Iterator[None]:
        memory = explained_memory_errors("embeddings.batch_size", batch_size, self.network.size)
        with memory, torch.inference_mode(), autocast(self.device, self.precision):
            yield

    def _features(self, images: np.ndarray) -> Tensor:
        posters = torch.from_numpy(images).to(self.device, non_blocking=True)
        features = self._of_depths(posters)
        return (features + self._of_depths(posters.flip(3))) / 2 if self.mirror else features

    def _of_depths(self, posters: Tensor) -> Tensor:
        if not self.depths:
            return self.network.features(posters)
        with observe_maps(self.network.backbone, self.depths) as observed:
            last = self.network.features(posters)
            return torch.cat([last.float(), observed()], 1)


def save_network(
    path: str,
    network: PosterNetwork,
    vocabulary: Sequence[str],
    posters: PosterForm,
    *,
    mirror: bool = False,
) -> None:
    """Write a network, whole or not at all."""
    save_tensors(path, pack_network(network, vocabulary, posters, mirror=mirror))


def pack_network(
    network: PosterNetwork,
    vocabulary: Sequence[str],
    posters: PosterForm,
    *,
    mirror: bool = False,
    depths: Sequence[str] = (),
    precision: str = "auto",
) -> dict[str, Any]:
    """Return what a file has of a network."""
    return {
        "format": _FORMAT,
        "architecture": network.architecture,
        "vocabulary": list(vocabulary),
        "height": network.size[0],
        "width": network.size[1],
        "hidden": network.hidden,
        "mirror": mirror,
        "depths": list(depths),
        "precision": precision,
        "posters": list(posters),
        "network": network.state_dict(),
    }


def load_network(path: str, *, device: torch.device | None = None) -> TrainedNetwork:
    """Read a network and make it ready to predict.

    Raises:
        InvalidInputError: no such file, or not one of `save_network`.
    """
    state = load_tensors(path)
    if state is None:
        raise InvalidInputError(f"{path}: no such file, expected a trained network")
    return unpack_network(state, path, device=device)


def unpack_network(
    state: Mapping[str, Any], path: str, *, device: torch.device | None = None
) -> TrainedNetwork:
    """Return the network that `pack_network` packed, ready to predict.

    Raises:
        InvalidInputError: it is none.
    """
    if state.get("format") != _FORMAT or "vocabulary" not in state:
        raise InvalidInputError(f"{path}: not a trained network of format {_FORMAT}")
    network = build_network(
        state["architecture"],
        len(state["vocabulary"]),
        state["height"],
        state["width"],
        seed=0,
        hidden=state["hidden"],
    )
    network.load_state_dict(state["network"])
    chosen = device or torch.device("cpu")
    with explained_memory_errors("embeddings.batch_size", None, network.size):
        prepare_for_inference(network.to(chosen))
    return TrainedNetwork(
        network,
        tuple(state["vocabulary"]),
        chosen,
        PosterForm(*state["posters"]),
        mirror=state["mirror"],
        precision=state.get("precision", "auto"),
        depths=tuple(state.get("depths", ())),
    )


def prepare_for_inference(network: PosterNetwork) -> None:
    """Fold batch normalisation into the convolutions before it: its work is then done at once."""
    network.eval()
    if _fold(network.backbone):
        network.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _fold(module: nn.Module) -> bool:
    folded, previous = False, None
    for name, child in list(module.named_children()):
        if (
            isinstance(child, nn.BatchNorm2d)
            and previous is not None
            and isinstance(previous[1], nn.Conv2d)
        ):
            setattr(module, previous[0], fuse_conv_bn_eval(previous[1], child))
            setattr(module, name, nn.Identity())
            folded = True
        else:
            folded = _fold(child) or folded
        previous = (name, child)
    return folded
