"""Bytes to pixels: JPEG, PNG, WebP or GIF (first frame) as 8-bit colour, within a bound on pixels.

OpenCV decodes ordinary JPEG (libjpeg-turbo, the bulk of any collection of posters); Pillow decodes
what needs care: CMYK, 16 bits, palettes, GIF.
"""

from __future__ import annotations

import io
import warnings

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from genre_spark.imaging.headers import ImageHeader, read_header, without_texts
from genre_spark.imaging.rejected import (
    NO_PIXELS,
    NOT_DECODABLE,
    TOO_MANY_PIXELS,
    TOO_MANY_SCANS,
    TOO_SMALL,
    TRUNCATED,
    RejectedImage,
)

__all__ = ["MAX_SCANS", "Pixels", "check_image", "decode_bgr", "reduction", "turn_upright"]

Pixels = npt.NDArray[np.uint8]

# libjpeg-turbo's own tests stop there: a small progressive file can cost minutes of decoding
MAX_SCANS = 500
_ORIENTATION = 0x0112
_STRIP_PIXELS = 4_000_000
# Pillow's guard against bombs in a profile or a text, which say nothing about the pixels
_LONG_TEXTS = ("MAX_TEXT_CHUNK", "Too much memory used in text chunks")
_HEADROOM = 2  # reduced decoding keeps at least this factor of the pixels wanted, on each side
_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def check_image(data: bytes, *, max_pixels: int, min_side: int = 1) -> ImageHeader:
    """Check an image by its header and its end, without decoding it.

    Args:
        data: content of the file.
        max_pixels: largest number of pixels; larger images are rejected.
        min_side: shortest side in pixels; images with a shorter one are rejected.

    Raises:
        RejectedImage: it is no image, truncated, or of a size that is out of bounds.
    """
    header = read_header(data)
    if header.height == 0 or header.width == 0:
        raise RejectedImage(NO_PIXELS, f"{header.width}x{header.height} pixels")
    if header.height * header.width > max_pixels:
        raise RejectedImage(
            TOO_MANY_PIXELS, f"{header.width}x{header.height} pixels, at most {max_pixels}"
        )
    if min(header.height, header.width) < min_side:
        raise RejectedImage(
            TOO_SMALL, f"{header.width}x{header.height} pixels, at least {min_side} per side"
        )
    if not _has_end(data, header):
        raise RejectedImage(TRUNCATED, f"{header.format} of {len(data)} bytes without its end")
    if header.progressive and data.count(b"\xff\xda") > MAX_SCANS:
        raise RejectedImage(TOO_MANY_SCANS, f"more than {MAX_SCANS} scans in {len(data)} bytes")
    return header


def decode_bgr(
    data: bytes, header: ImageHeader, *, height: int | None = None, width: int | None = None
) -> Pixels:
    """Decode a checked image, upright.

    Args:
        data: content of the file.
        header: header that `check_image` returned for it.
        height: pixels wanted; with `width`, lets a large JPEG be decoded at 1/2, 1/4 or 1/8 of its
            size, never below twice what is wanted. None decodes at full size.
        width: pixels wanted.

    Returns:
        uint8, (H, W, 3), BGR, 0..255. Gray is repeated, CMYK converted, alpha dropped, 16 bits are
        reduced to 8.

    Raises:
        RejectedImage: the decoder fails.
    """
    if header.format == "jpeg" and header.channels in (1, 3):
        scale = (
            1 if height is None or width is None else reduction(header, height=height, width=width)
        )
        pixels = cv2.imdecode(
            np.frombuffer(data, np.uint8), _REDUCED[scale] | cv2.IMREAD_IGNORE_ORIENTATION
        )
        if pixels is not None:
            return turn_upright(pixels, header.orientation)
    try:
        return _decode_carefully(data, header, height=height, width=width)
    except RejectedImage as flaw:
        if header.format != "png" or not any(text in flaw.detail for text in _LONG_TEXTS):
            raise
        return _decode_carefully(without_texts(data), header, height=height, width=width)


def reduction(header: ImageHeader, *, height: int, width: int) -> int:
    """Return by which factor (1, 2, 4 or 8) a JPEG may be reduced for the size wanted."""
    tall, wide = header.height, header.width
    if header.orientation >= 5:
        tall, wide = wide, tall
    for scale in (8, 4, 2):
        if tall >= _HEADROOM * scale * height and wide >= _HEADROOM * scale * width:
            return scale
    return 1


def turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation (1..8); the result is contiguous."""
    if orientation == 1:
        return pixels
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(pixels[::rows, ::columns])


def _has_end(data: bytes, header: ImageHeader) -> bool:
    """Return whether the marker that ends a file of this format is there."""
    # decoders fill what is missing with gray
    if header.format == "jpeg":
        return data.endswith(b"\xff\xd9") or data.rfind(b"\xff\xd9", header.scan_start) >= 0
    if header.format == "png":
        return data.rfind(b"IEND") >= 0
    if header.format == "webp":
        return len(data) >= int.from_bytes(data[4:8], "little") + 8
    return True  # the first frame of a GIF may be whole though the file is not; its decoder knows


def _decode_carefully(
    data: bytes, header: ImageHeader, *, height: int | None, width: int | None
) -> Pixels:
    try:
        with warnings.catch_warnings():
            # of transparency in palettes, of malformed EXIF blocks
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=(header.format,)) as image:
                if image.width * image.height > header.width * header.height:
                    raise RejectedImage(
                        TOO_MANY_PIXELS,
                        f"{image.width}x{image.height} pixels, its header says less",
                    )
                orientation = image.getexif().get(_ORIENTATION, 1) if header.format != "gif" else 1
                orientation = orientation if orientation in range(1, 9) else 1
                pixels = _read_in_strips(image, _shrinking(image, orientation, height, width))
                return turn_upright(pixels, orientation)
    except RejectedImage:
        raise
    except (
        UnidentifiedImageError,
        Image.DecompressionBombError,
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
    ) as error:
        reason = (
            TRUNCATED
            if "truncated" in str(error).lower() or isinstance(error, EOFError)
            else NOT_DECODABLE
        )
        raise RejectedImage(reason, f"{header.format}: {error}") from None
    except (
        ArithmeticError,
        LookupError,
        TypeError,
        AttributeError,
        MemoryError,
        RuntimeError,
    ) as error:
        # Pillow's parsers raise all kinds of errors for damaged bytes; none may fail the job
        raise RejectedImage(
            NOT_DECODABLE, f"{header.format}: {type(error).__name__}: {error}"
        ) from None


def _shrinking(image: Image.Image, orientation: int, height: int | None, width: int | None) -> int:
    """Return the integer factor that leaves twice the pixels wanted on each side."""
    if height is None or width is None:
        return 1
    tall, wide = (image.width, image.height) if orientation >= 5 else (image.height, image.width)
    return max(1, min(tall // (_HEADROOM * height), wide // (_HEADROOM * width)))


def _read_in_strips(image: Image.Image, factor: int) -> Pixels:
    """Return an image's pixels, BGR, reduced by an integer factor.

    It is converted in strips: beside Pillow's own copy there is never a second one.
    """
    rows = max(1, _STRIP_PIXELS // max(1, image.width * factor)) * factor
    image.load()
    strips = []
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(image.height, top + rows)))
        bgr = _to_bgr(strip)
        if factor > 1 and bgr.shape[0] >= factor and bgr.shape[1] >= factor:
            size = bgr.shape[1] // factor, bgr.shape[0] // factor
            bgr = cv2.resize(
                bgr[: size[1] * factor, : size[0] * factor], size, interpolation=cv2.INTER_AREA
            )
        elif factor > 1:
            continue  # the last rows are fewer than one row of the result
        strips.append(bgr)
    return strips[0] if len(strips) == 1 else np.concatenate(strips)


def _to_bgr(image: Image.Image) -> Pixels:
    if image.mode.startswith("I") or image.mode == "F":
        gray = np.asarray(image, dtype=np.float32)
        # 16-bit gray; convert("RGB") would clip it
        scale = 1 / 256 if image.mode.startswith("I") else 1
        return np.repeat(np.clip(gray * scale, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
    if image.mode in ("RGBA", "RGBX"):
        return np.ascontiguousarray(np.asarray(image)[:, :, 2::-1])
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])
