"""Random changes of training posters on the device that trains."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from genre_spark.config import AugmentationConfig

__all__ = ["augment"]


def augment(images: Tensor, config: AugmentationConfig) -> Tensor:
    """Mirror, crop and recolour posters, each one in its own way, all in one operation.

    Randomness comes from the global generator of the CPU, so that it does not depend on the device.
    torchvision's transforms draw once per batch; its definitions of brightness, contrast and
    saturation are kept.

    Args:
        images: uint8 or float, (N, 3, H, W), RGB, 0..255.
        config: kinds and strengths of the changes.

    Returns:
        Posters of the same shape and type.
    """
    kind = images.dtype
    if config.flip:
        mirrored = (torch.rand(len(images)) < 0.5).to(images.device, non_blocking=True)
        images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)
    if config.crop:
        images = _crop(images.float(), config.crop)
    if config.colour:
        images = _recolour(images.float(), config.colour)
    return images if images.dtype == kind else images.round_().to(kind)


def _crop(images: Tensor, share: float) -> Tensor:
    """Cut away up to a share of height and width, anywhere, and enlarge the rest to full size."""
    kept = 1 - torch.rand(len(images)) * share
    # the middle of the window, in -1..1 of the poster
    middle = (2 * torch.rand(2, len(images)) - 1) * (1 - kept)
    window = torch.zeros(len(images), 2, 3)
    window[:, 0, 0] = window[:, 1, 1] = kept
    window[:, :, 2] = middle.T
    window = window.to(images.device, non_blocking=True)
    grid = F.affine_grid(window, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _recolour(images: Tensor, share: float) -> Tensor:
    """Change brightness, contrast and saturation by factors of 1 - share to 1 + share."""
    from torchvision.transforms.v2.functional import (  # noqa: PLC0415 - seconds
        rgb_to_grayscale,
    )

    factors = 1 + (2 * torch.rand(3, len(images), 1, 1, 1) - 1) * share
    factors = factors.to(images.device, non_blocking=True)
    images = (images * factors[0]).clamp_(0, 255)
    mean = rgb_to_grayscale(images).mean(dim=(1, 2, 3), keepdim=True)
    images = mean.lerp(images, factors[1]).clamp_(0, 255)
    return rgb_to_grayscale(images).lerp(images, factors[2]).clamp_(0, 255)
