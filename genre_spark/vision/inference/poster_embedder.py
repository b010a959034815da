"""Several networks side by side that describe a poster by one vector, and their file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from genre_spark.errors import InvalidInputError
from genre_spark.vision.inference.network_file import TrainedNetwork, pack_network, unpack_network
from genre_spark.vision.models import PosterNetwork
from genre_spark.vision.models.depths import find_depths
from genre_spark.vision.plans.poster_form import PosterForm
from genre_spark.vision.storage import load_tensors, save_tensors
from genre_spark.workers.gpus import assigned_gpu
from genre_spark.workers.task_device import task_device

__all__ = ["PosterEmbedder", "load_embedder", "save_embedder", "worker_embedder"]


@dataclass(frozen=True)
class PosterEmbedder:
    """Frozen networks whose features stand one behind the other.

    Attributes:
        networks: in the order of their features.
    """

    networks: tuple[TrainedNetwork, ...]

    @property
    def device(self) -> torch.device:
        """Device that all of them compute on."""
        return self.networks[0].device

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the features, float32 (N, D), of uint8 posters (N, 3, H, W), RGB."""
        return np.concatenate([network.features(images) for network in self.networks], axis=1)


def save_embedder(
    path: str,
    networks: Sequence[PosterNetwork],
    posters: PosterForm,
    *,
    mirror: bool,
    depths: bool,
    precision: str = "auto",
) -> int:
    """Write networks, whole or not at all, and return the length of their features.

    Args:
        path: of the file.
        networks: with their weights.
        posters: form of the posters that they will get.
        mirror: whether features are the mean of the poster's and its mirror image's.
        depths: whether means and standard deviations of maps of several depths follow the features
            of each network.
        precision: auto, float32 or bf16.
    """
    states = []
    for network in networks:
        names = _depths_of(network) if depths else ()
        states.append(
            pack_network(network, ["-"], posters, mirror=mirror, depths=names, precision=precision)
        )
    save_tensors(path, {"networks": states})
    blank = np.zeros((1, 3, posters.height, posters.width), np.uint8)
    return int(load_embedder(path).features(blank).shape[1])


def load_embedder(path: str, *, device: torch.device | None = None) -> PosterEmbedder:
    """Read what `save_embedder` or `save_network` wrote.

    Raises:
        InvalidInputError: no such file, or another one.
    """
    state = load_tensors(path)
    if state is None:
        raise InvalidInputError(f"{path}: no such file, expected networks that embed posters")
    states = state.get("networks", [state])
    return PosterEmbedder(tuple(unpack_network(each, path, device=device) for each in states))


def worker_embedder(path: str, version: str, threads: int, device: str) -> PosterEmbedder:
    """Return the networks of this worker process, which Spark keeps for many tasks.

    Args:
        path: file of `save_embedder` or `save_network`.
        version: digest that changes when the file does; a part of the cache's key.
        threads: CPU threads; Spark runs one task per core, so more than one would fight for it.
        device: auto, cpu or cuda; a GPU is the one that Spark has assigned to the task.
    """
    return _loaded(path, version, threads, device, assigned_gpu())


@lru_cache(maxsize=1)
def _loaded(path: str, version: str, threads: int, device: str, gpu: int | None) -> PosterEmbedder:  # noqa: ARG001
    """Return the networks on a device; the next task's GPU may be another one."""
    torch.set_num_threads(threads)
    return load_embedder(path, device=task_device(device))


def _depths_of(network: PosterNetwork) -> tuple[str, ...]:
    return network.depths or find_depths(network.backbone, *network.size)
