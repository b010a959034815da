"""The Letterboxd study's wider LeNet-5 (after LeCun et al., 1998), ending in logits."""

from __future__ import annotations

from torch import nn

from genre_spark.vision.models.architectures import Architecture, Backbone, register
from genre_spark.vision.plans.from_scratch import FROM_SCRATCH

_MAPS = (6, 16, 16, 16)


def convolutions(height: int, width: int) -> Backbone:
    """Return four times a 5x5 convolution, ReLU and 2x2 average pooling.

    345x230 pixels become 16 maps of 17x10.
    """
    layers: list[nn.Module] = []
    channels = 3
    for maps in _MAPS:
        layers += [nn.Conv2d(channels, maps, 5), nn.ReLU(), nn.AvgPool2d(2)]
        height, width, channels = (height - 4) // 2, (width - 4) // 2, maps
    return Backbone(nn.Sequential(*layers, nn.Flatten()), channels * height * width)


def dense_layers(features: int, labels: int, dropout: float, _hidden: int) -> nn.Module:
    """Return fully connected layers of 240, 168 and `labels` units.

    Dropout comes before the activations, as in the study.
    """
    return nn.Sequential(
        nn.Linear(features, 240),
        nn.Dropout(dropout),
        nn.ReLU(),
        nn.Linear(240, 168),
        nn.Dropout(dropout),
        nn.ReLU(),
        nn.Linear(168, labels),
    )


register(Architecture("lenet", convolutions, dense_layers, minimum=FROM_SCRATCH["lenet"]))
