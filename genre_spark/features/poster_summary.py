"""A poster as a few numbers: a thumbnail and colour histograms. No Spark."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from genre_spark.features.blocks import PosterForm, PosterSummaryBlock
from genre_spark.imaging import decode_stored, store_poster
from genre_spark.imaging.rejected import RejectedImage

__all__ = ["restore_poster", "summarise_bytes", "summarise_image"]


def summarise_image(image: NDArray[np.uint8], *, thumbnail: int, bins: int) -> NDArray[np.float32]:
    """Return a thumbnail and colour histograms of an image as one vector.

    Args:
        image: uint8, (3, H, W), RGB, 0..255.
        thumbnail: side of the thumbnail in pixels; 0 for none.
        bins: bins of each channel's histogram; 0 for none.

    Returns:
        float32, (3 * thumbnail^2 + 3 * bins,); thumbnail values 0..1 in CHW order, histograms that
        sum to 1 per channel.
    """
    parts = [np.zeros(0, np.float32)]
    if thumbnail:
        small = cv2.resize(
            image.transpose(1, 2, 0), (thumbnail, thumbnail), interpolation=cv2.INTER_AREA
        )
        parts.append(small.transpose(2, 0, 1).astype(np.float32).ravel() / 255)
    if bins:
        pixels = image.shape[1] * image.shape[2]
        for channel in image:
            counts = np.bincount(channel.ravel(), minlength=256)
            edges = np.arange(bins) * 256 // bins
            parts.append((np.add.reduceat(counts, edges) / pixels).astype(np.float32))
    return np.concatenate(parts)


def summarise_bytes(data: bytes, block: PosterSummaryBlock) -> NDArray[np.float32]:
    """Return the summary of a poster as it comes, which is brought to its stored form first.

    Args:
        data: a JPEG, PNG, WebP or GIF file.
        block: the summary's size, and the form that the training movies' posters had.

    Raises:
        RejectedImage: it cannot be read.
    """
    return summarise_image(
        restore_poster(data, block.form), thumbnail=block.thumbnail, bins=block.bins
    )


def restore_poster(data: bytes, form: PosterForm) -> NDArray[np.uint8]:
    """Return the pixels that a poster has after it was stored; uint8 (3, H, W), RGB.

    Args:
        data: a JPEG, PNG, WebP or GIF file.
        form: the form that the training movies' posters had.

    Raises:
        RejectedImage: it cannot be read.
    """
    if len(data) > form.max_bytes:
        raise RejectedImage("too large", f"{len(data)} bytes, at most {form.max_bytes}")
    poster = store_poster(
        data,
        height=form.height,
        width=form.width,
        fit=form.fit,
        encoding=form.encoding,
        quality=form.quality,
        keep_originals=form.keep_originals,
        max_pixels=form.max_pixels,
        min_side=form.min_side,
    )
    return decode_stored(poster.content, form.encoding, form.height, form.width)
