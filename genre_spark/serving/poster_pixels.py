"""Posters as they come, brought to the form that those of training were stored in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genre_spark.errors import InvalidInputError
from genre_spark.features.blocks import PosterForm
from genre_spark.features.poster_summary import restore_poster
from genre_spark.features.raw_fields import to_bytes
from genre_spark.imaging import RejectedImage

__all__ = ["read_posters"]


def read_posters(
    images: Sequence[Any], form: PosterForm, notes: list[list[str]]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Decode the posters that can be read.

    Args:
        images: bytes of an image file per movie, or None.
        form: form in which the posters of training were stored, and which are read.
        notes: one list per movie; a poster that cannot be read adds the reason.

    Returns:
        Pixels, uint8 (N, 3, H, W), RGB, and the N positions among the movies that they belong to.
    """
    pixels, rows = [], []
    for row, image in enumerate(images):
        try:
            data = to_bytes(image)
            if data is None:
                continue
            pixels.append(restore_poster(data, form))
        except (RejectedImage, InvalidInputError) as flaw:
            note = f"image not used: {flaw}"
            if note not in notes[row]:
                notes[row].append(note)
            continue
        rows.append(row)
    shape = (0, 3, form.height, form.width)
    stacked = np.stack(pixels) if pixels else np.zeros(shape, np.uint8)
    return stacked, np.array(rows, np.int64)
