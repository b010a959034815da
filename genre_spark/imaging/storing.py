"""Pixels to the bytes of a stored poster, and back."""

from __future__ import annotations

from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from genre_spark.errors import InvalidInputError
from genre_spark.imaging.decoding import Pixels, check_image, decode_bgr
from genre_spark.imaging.headers import ImageHeader
from genre_spark.imaging.resizing import Fit, fit_pixels

__all__ = [
    "CHANNELS",
    "Encoding",
    "StoredPoster",
    "decode_stored",
    "encode_pixels",
    "store_poster",
    "to_chw",
]

Encoding = Literal["jpeg", "png", "raw"]

CHANNELS = 3


class StoredPoster(NamedTuple):
    """A poster as it is stored.

    Attributes:
        content: JPEG or PNG bytes, or uint8 pixels in CHW order, RGB.
        header: header of the original.
        bgr: pixels before encoding, uint8, (height, width, 3).
        kept: whether the original's bytes are stored as they are.
    """

    content: bytes | memoryview
    header: ImageHeader
    bgr: Pixels
    kept: bool


def store_poster(
    data: bytes,
    *,
    height: int,
    width: int,
    fit: Fit = "stretch",
    encoding: Encoding = "jpeg",
    quality: int = 90,
    keep_originals: bool = True,
    max_pixels: int = 50_000_000,
    min_side: int = 1,
    out: npt.NDArray[np.uint8] | None = None,
) -> StoredPoster:
    """Decode a poster, bring it to a size and encode it.

    Args:
        data: content of the original file: JPEG, PNG, WebP or GIF.
        height: pixels wanted.
        width: pixels wanted.
        fit: see `fit_pixels`.
        encoding: encoding of the result.
        quality: quality of a JPEG result, 1..100.
        keep_originals: whether to store the original's bytes when they already are an upright
            colour JPEG of the size wanted.
        max_pixels: largest number of pixels; larger originals are rejected before decoding.
        min_side: shortest side in pixels; originals with a shorter one are rejected.
        out: array that raw pixels go to, uint8 (3, height, width), contiguous; None makes one.

    Raises:
        RejectedImage: the original cannot be used.
    """
    header = check_image(data, max_pixels=max_pixels, min_side=min_side)
    # A fit that keeps proportions may use only a part of one side: the other side limits how far
    # decoding may reduce.
    bgr = fit_pixels(
        decode_bgr(data, header, height=height, width=width), height=height, width=width, fit=fit
    )
    if keep_originals and encoding == "jpeg" and _fits(header, height, width):
        return StoredPoster(data, header, bgr, kept=True)
    return StoredPoster(
        encode_pixels(bgr, encoding=encoding, quality=quality, out=out), header, bgr, kept=False
    )


def _fits(header: ImageHeader, height: int, width: int) -> bool:
    seen = header.format, header.height, header.width, header.channels, header.orientation
    return seen == ("jpeg", height, width, CHANNELS, 1)


def encode_pixels(
    bgr: Pixels, *, encoding: Encoding, quality: int = 90, out: npt.NDArray[np.uint8] | None = None
) -> memoryview:
    """Encode pixels.

    Args:
        bgr: pixels, uint8, (H, W, 3).
        encoding: encoding of the result; `raw` gives the pixels, RGB in CHW order.
        quality: quality of a JPEG, 1..100.
        out: array that raw pixels go to, uint8 (3, H, W), contiguous; None makes one.
    """
    if encoding == "raw":
        return to_chw(bgr, out).reshape(-1).data
    if encoding == "jpeg":
        return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].reshape(-1).data
    return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].reshape(-1).data


def to_chw(bgr: Pixels, out: npt.NDArray[np.uint8] | None = None) -> npt.NDArray[np.uint8]:
    """Return the RGB planes (3, H, W) of BGR pixels (H, W, 3), in `out` (contiguous) when given."""
    if out is None:
        out = np.empty((CHANNELS, *bgr.shape[:2]), np.uint8)
    cv2.split(bgr, [out[2], out[1], out[0]])
    return out


def decode_stored(
    image: bytes | memoryview | npt.NDArray[np.uint8],
    encoding: str,
    height: int,
    width: int,
    channels: int = CHANNELS,
    out: npt.NDArray[np.uint8] | None = None,
) -> npt.NDArray[np.uint8]:
    """Return the pixels of a stored poster.

    Args:
        image: value of the column `image`.
        encoding: value of the column `encoding`: jpeg, png or raw.
        height: value of the column `height`, pixels.
        width: value of the column `width`, pixels.
        channels: value of the column `channels`.
        out: array that is filled and returned when given, uint8, (channels, height, width),
            contiguous.

    Returns:
        uint8, (channels, height, width), RGB, 0..255.

    Raises:
        InvalidInputError: the bytes do not fit the other columns.
    """
    shape = (channels, height, width)
    flat = np.frombuffer(image, np.uint8)
    if encoding == "raw":
        if flat.size != channels * height * width:
            raise InvalidInputError(
                f"image: {flat.size} bytes, expected {channels * height * width} of raw {shape}"
            )
        if out is None:
            return flat.reshape(shape).copy()
        np.copyto(out, flat.reshape(shape))
        return out
    bgr = (
        cv2.imdecode(flat, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) if flat.size else None
    )
    if bgr is None or bgr.shape != (height, width, channels):
        seen = "nothing decodable" if bgr is None else f"{bgr.shape[1]}x{bgr.shape[0]} pixels"
        raise InvalidInputError(
            f"image: {seen} in {flat.size} bytes, expected {encoding} of {width}x{height} pixels"
        )
    return to_chw(bgr, out)
