"""ResNet-18 and ResNet-50 (He et al., 2016), torchvision's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn

from genre_spark.vision.models.architectures import (
    IMAGENET,
    Architecture,
    Backbone,
    PretrainedWeights,
    register,
)
from genre_spark.vision.models.heads import small_head
from genre_spark.vision.models.torchvision_networks import torchvision_models


def residual_blocks(_height: int, _width: int, *, name: str) -> Backbone:
    """Return everything up to the mean over the last maps.

    That is 512 (18 layers) or 2,048 (50 layers) features at any size.
    """
    network = torchvision_models().get_model(name, weights=None)
    features = int(network.fc.in_features)
    network.fc = nn.Identity()
    return Backbone(network, features, ("layer4",))


def _convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.startswith("fc.")}


for _name, _weights in (
    ("resnet18", "ResNet18_Weights.IMAGENET1K_V1"),
    ("resnet50", "ResNet50_Weights.IMAGENET1K_V2"),
):
    register(
        Architecture(
            _name,
            partial(residual_blocks, name=_name),
            small_head,
            normalisation=IMAGENET,
            weights=PretrainedWeights(_convert, torchvision=_weights),
            minimum=(32, 32),
        )
    )
