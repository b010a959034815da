"""Posters of any size to the size wanted: stretched, cropped or padded."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from genre_spark.imaging.decoding import Pixels

__all__ = ["Fit", "fit_pixels", "resize_pixels"]

Fit = Literal["stretch", "cover", "contain"]


def fit_pixels(pixels: Pixels, *, height: int, width: int, fit: Fit) -> Pixels:
    """Bring an image to a size.

    Args:
        pixels: image, uint8, (H, W, 3), 0..255.
        height: pixels wanted.
        width: pixels wanted.
        fit: `stretch` changes the proportions; `cover` keeps them and crops evenly on both sides;
            `contain` keeps them and pads with black, evenly on both sides.

    Returns:
        uint8, (height, width, 3), contiguous.
    """
    tall, wide = pixels.shape[:2]
    if (tall, wide) == (height, width):
        return pixels
    if fit == "stretch":
        return resize_pixels(pixels, height=height, width=width)
    if fit == "cover":
        scale = max(height / tall, width / wide)
        rows, columns = min(tall, round(height / scale)), min(wide, round(width / scale))
        top, left = (tall - rows) // 2, (wide - columns) // 2
        return resize_pixels(
            pixels[top : top + rows, left : left + columns], height=height, width=width
        )
    scale = min(height / tall, width / wide)
    rows, columns = (
        max(1, min(height, round(tall * scale))),
        max(1, min(width, round(wide * scale))),
    )
    top, left = (height - rows) // 2, (width - columns) // 2
    framed = np.zeros((height, width, 3), np.uint8)
    framed[top : top + rows, left : left + columns] = resize_pixels(
        pixels, height=rows, width=columns
    )
    return framed


def resize_pixels(pixels: Pixels, *, height: int, width: int) -> Pixels:
    """Resize without moire: means of blocks of pixels, then linear or (to enlarge) cubic.

    OpenCV's area interpolation at a ratio that is no integer takes five times as long for the same
    picture.
    """
    tall, wide = pixels.shape[:2]
    rows, columns = max(1, tall // height), max(1, wide // width)
    if rows > 1 or columns > 1:
        pixels = cv2.resize(
            pixels[: tall // rows * rows, : wide // columns * columns],
            (wide // columns, tall // rows),
            interpolation=cv2.INTER_AREA,
        )
        tall, wide = pixels.shape[:2]
    if (tall, wide) == (height, width):
        return pixels
    enlarge = height > tall or width > wide
    return cv2.resize(
        pixels, (width, height), interpolation=cv2.INTER_CUBIC if enlarge else cv2.INTER_LINEAR
    )
