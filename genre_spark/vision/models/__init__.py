"""Architectures, one small file each; importing this package registers them."""

from genre_spark.vision.models import efficientnet, lenet, resnet, scratch_cnn, vgg
from genre_spark.vision.models.network import PosterNetwork, build_network
from genre_spark.vision.models.registry import Architecture, Backbone, architecture_names, find_architecture

__all__ = [
    "Architecture",
    "Backbone",
    "PosterNetwork",
    "architecture_names",
    "build_network",
    "efficientnet",
    "find_architecture",
    "lenet",
    "resnet",
    "scratch_cnn",
    "vgg",
]
