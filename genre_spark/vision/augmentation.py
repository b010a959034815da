"""Random changes of training posters on the device that trains (torchvision's v2 functions)."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as T

from genre_spark.config import AugmentationConfig


def augment(images: Tensor, config: AugmentationConfig) -> Tensor:
    """Mirror, crop and recolour posters; randomness comes from the global generator of the CPU.

    Mirroring is drawn for each poster; the crop and the colours for the batch, since one operation on the batch is
    many times faster than one on each poster, and batches are many.

    Args:
        images: uint8 or float, (N, 3, H, W), RGB, 0..255.
        config: what to change and how much.

    Returns:
        Posters of the same shape and type.
    """
    if config.flip:
        mirrored = (torch.rand(len(images)) < 0.5).to(images.device)
        images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)
    if config.crop:
        images = _crop(images, config.crop)
    if config.colour:
        factors = (1 + (torch.rand(3) * 2 - 1) * config.colour).tolist()
        images = T.adjust_brightness(images, factors[0])
        images = T.adjust_contrast(images, factors[1])
        images = T.adjust_saturation(images, factors[2])
    return images


def _crop(images: Tensor, share: float) -> Tensor:
    height, width = images.shape[-2:]
    kept = 1 - float(torch.rand(1)) * share
    inner = max(1, round(height * kept)), max(1, round(width * kept))
    top, left = (
        int(torch.randint(0, size - part + 1, (1,))) for size, part in zip((height, width), inner, strict=True)
    )
    return T.resized_crop(images, top, left, inner[0], inner[1], [height, width], antialias=True)
