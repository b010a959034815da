"""The TMDb study's networks from scratch: six 3x3 convolutions (84,064 parameters), one (896)."""

from __future__ import annotations

from functools import partial

from torch import nn

from genre_spark.vision.models.architectures import Architecture, Backbone, register
from genre_spark.vision.plans.from_scratch import FROM_SCRATCH

_WIDTHS = (32, 32, 32, 32, 64, 64)
# cells of the posters over which the last maps are averaged; posters are higher than wide
_GRID = (4, 3)


def convolutions(_height: int, _width: int, *, widths: tuple[int, ...]) -> Backbone:
    """Return 3x3 convolutions with ReLU, halved after every second one, averaged over a grid.

    The study does not say how its maps were connected to the dense layer; the grid makes their
    number independent of the size.
    """
    layers: list[nn.Module] = []
    channels = 3
    for position, width in enumerate(widths):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        if position % 2 == 1:
            layers.append(nn.MaxPool2d(2))
        channels = width
    layers += [nn.AdaptiveAvgPool2d(_GRID), nn.Flatten()]
    return Backbone(nn.Sequential(*layers), channels * _GRID[0] * _GRID[1])


def dense_layer(features: int, labels: int, dropout: float, _hidden: int) -> nn.Module:
    """Return dropout and one fully connected layer."""
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(features, labels))


for _name, _chosen in (("scratch_cnn", _WIDTHS), ("scratch_cnn_one", _WIDTHS[:1])):
    register(
        Architecture(
            _name,
            partial(convolutions, widths=_chosen),
            dense_layer,
            minimum=FROM_SCRATCH[_name],
        )
    )
