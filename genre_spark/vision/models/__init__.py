"""Architectures, one file each; importing this package registers them."""

from genre_spark.vision.models import efficientnet, lenet, libraries, resnet, scratch_cnn, vgg
from genre_spark.vision.models.architectures import (
    Architecture,
    Backbone,
    architecture_names,
    find_architecture,
)
from genre_spark.vision.models.network import PosterNetwork, build_network

__all__ = [
    "Architecture",
    "Backbone",
    "PosterNetwork",
    "architecture_names",
    "build_network",
    "efficientnet",
    "find_architecture",
    "lenet",
    "libraries",
    "resnet",
    "scratch_cnn",
    "vgg",
]
