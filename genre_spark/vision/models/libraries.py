"""Any network of torchvision or timm, without its last layer; its weights come from a file."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from genre_spark.errors import InvalidConfigError, MissingExtraError
from genre_spark.vision.models.architectures import (
    IMAGENET,
    Architecture,
    Backbone,
    register_family,
)
from genre_spark.vision.models.heads import small_head
from genre_spark.vision.models.torchvision_networks import torchvision_models
from genre_spark.vision.plans.poster_form import Normalisation

__all__ = ["find_in_timm", "find_in_torchvision"]

_TORCHVISION, _TIMM = "torchvision_", "timm_"
_SMALLEST = (32, 32)


def find_in_torchvision(name: str) -> Architecture:
    """Return a classifier of torchvision: everything before its last linear layer.

    Raises:
        InvalidConfigError: it has no such classifier.
    """
    known = torchvision_models().list_models(module=torchvision_models())
    if name not in known:
        raise InvalidConfigError(
            f"cnn.architecture: {_TORCHVISION}{name}, expected a classifier of torchvision: "
            f"{', '.join(known[:5])}, ..."
        )
    build = partial(torchvision_models().get_model, name, weights=None)
    return _architecture(_TORCHVISION + name, build, IMAGENET)


def find_in_timm(name: str) -> Architecture:
    """Return a network of timm without its classifier.

    Raises:
        MissingExtraError: timm is not installed.
        InvalidConfigError: it has no network of this name.
    """
    try:
        import timm  # noqa: PLC0415 - not every installation has it
    except ImportError:
        raise MissingExtraError(
            f"cnn.architecture: {_TIMM}{name}: timm is not installed, expected `pip install timm`"
        ) from None
    if not timm.is_model(name):
        raise InvalidConfigError(
            f"cnn.architecture: {_TIMM}{name}, expected a network that timm.list_models() names"
        )
    settings = timm.get_pretrained_cfg(name)
    mean, std = (settings.mean, settings.std) if settings is not None else (None, None)
    normalisation = (
        IMAGENET
        if mean is None or std is None
        else Normalisation(
            tuple(255 * value for value in mean), tuple(255 * value for value in std)
        )
    )
    return _architecture(_TIMM + name, partial(timm.create_model, name), normalisation)


def _architecture(
    name: str, build: Callable[[], nn.Module], normalisation: Normalisation
) -> Architecture:
    def backbone(_height: int, _width: int) -> Backbone:
        network = build()
        return Backbone(network, _drop_last_linear(network, name))

    return Architecture(name, backbone, small_head, normalisation=normalisation, minimum=_SMALLEST)


def _drop_last_linear(network: nn.Module, name: str) -> int:
    """Replace the last linear layer by nothing and return the length of what came into it."""
    found = [(path, module) for path, module in network.named_modules() if _is_linear(module)]
    if not found:
        raise InvalidConfigError(
            f"cnn.architecture: {name} has no linear layer, expected a classifier"
        )
    path, last = found[-1]
    parent, _, child = path.rpartition(".")
    setattr(network.get_submodule(parent), child, nn.Identity())
    return int(last.in_features)


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)


register_family(_TORCHVISION, find_in_torchvision)
register_family(_TIMM, find_in_timm)
