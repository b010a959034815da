"""VGG-16 (Simonyan and Zisserman, 2015): bottleneck features under a small perceptron.

The TMDb study's transfer network.
"""

from __future__ import annotations

from collections.abc import Mapping

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

_LAST_BLOCK = 24  # torchvision numbers the layers of `features`; block 5 is 24 to 30


def bottleneck(_height: int, _width: int) -> Backbone:
    """Return thirteen convolutions and a mean over their last maps: 512 features at any size."""
    layers = torchvision_models().vgg16(weights=None, init_weights=False).features
    module = nn.Sequential(layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    top = tuple(f"0.{number}" for number in range(_LAST_BLOCK, len(layers)))
    return Backbone(module, 512, top)


def _convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = "features."
    return {
        f"0.{name[len(prefix) :]}": value
        for name, value in state.items()
        if name.startswith(prefix)
    }


register(
    Architecture(
        "vgg16",
        bottleneck,
        small_head,
        normalisation=IMAGENET,
        weights=PretrainedWeights(_convert, torchvision="VGG16_Weights.IMAGENET1K_V1"),
        minimum=(32, 32),
    )
)
