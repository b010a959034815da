"""Pixels as callers have them, brought to 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from genre_spark.errors import InvalidInputError

__all__ = ["eight_bits"]

_EXPECTED = "expected (height, width, 3) of RGB: whole numbers 0..255, uint16, or floats 0..1"


def eight_bits(pixels: Any) -> npt.NDArray[np.uint8]:
    """Return pixels as uint8, (H, W, 3), RGB, 0..255.

    Whole numbers up to 255 stay, whatever type they have; uint16 with larger ones is divided by
    257, floats from 0 to 1 are multiplied by 255.

    Args:
        pixels: array or nested lists, (H, W, 3).

    Raises:
        InvalidInputError: it is something else, or values are out of range or no numbers.
    """
    if isinstance(pixels, str):
        raise InvalidInputError(
            f"image: the text {pixels[:40]!r}, expected the bytes of an image file, or pixels"
        )
    try:
        values = np.asarray(pixels)
    except ValueError:
        raise InvalidInputError(f"image: lists of unequal lengths, {_EXPECTED}") from None
    if (
        values.ndim != 3
        or values.shape[2] != 3
        or not values.size
        or values.dtype.kind not in "uif"
    ):
        raise InvalidInputError(f"image: {values.dtype} of shape {values.shape}, {_EXPECTED}")
    low, high = float(values.min()), float(values.max())
    if values.dtype == np.uint8 or (low >= 0 and high <= 255 and _whole(values, high)):
        return values.astype(np.uint8, copy=False)
    if values.dtype == np.uint16:
        return np.round(values / 257).astype(np.uint8)
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.round(values * 255.0).astype(np.uint8)
    raise InvalidInputError(f"image: {values.dtype} from {low:g} to {high:g}, {_EXPECTED}")


def _whole(values: npt.NDArray[Any], high: float) -> bool:
    """Return whether the values are 0..255, and not 0..1 as floats."""
    return values.dtype.kind != "f" or (high > 1 and bool((values == np.floor(values)).all()))
