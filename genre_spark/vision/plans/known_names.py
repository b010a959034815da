"""Names of architectures that come with the package, without torch."""

from __future__ import annotations

from genre_spark.vision.plans.from_scratch import FROM_SCRATCH

__all__ = ["FAMILIES", "KNOWN"]

KNOWN: frozenset[str] = frozenset(
    {*FROM_SCRATCH, "efficientnet_lite0", "efficientnet_lite2", "resnet18", "resnet50", "vgg16"}
)
"""Architectures that are there for certain; a module may have registered others."""

FAMILIES = ("torchvision_", "timm_")
"""What the names of other libraries' networks begin with."""
