"""Names of the architectures that come with the package, for installations without torch too."""

from __future__ import annotations

__all__ = ["FAMILIES", "KNOWN"]

KNOWN: frozenset[str] = frozenset(
    {
        "efficientnet_lite0",
        "efficientnet_lite2",
        "lenet",
        "resnet18",
        "resnet50",
        "scratch_cnn",
        "scratch_cnn_one",
        "vgg16",
    }
)
"""Architectures that are there for certain; a module may have registered others."""

FAMILIES = ("torchvision_", "timm_")
"""What the names of other libraries' networks begin with."""
