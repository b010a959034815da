"""Small pictures as file bytes, whole and flawed."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image


def picture(width: int = 40, height: int = 60, seed: int = 0) -> Image.Image:
    """Return smooth colours with an asymmetric mark, so that turns and flips show."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (5, 4, 3), dtype=np.uint8))
    image = small.resize((width, height), Image.Resampling.BICUBIC)
    image.paste((255, 0, 0), (0, 0, max(1, width // 4), max(1, height // 8)))
    return image


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """Return a picture as the bytes of a file."""
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def jpeg(width: int = 40, height: int = 60, seed: int = 0, **options: object) -> bytes:
    """Return a JPEG."""
    return encoded(picture(width, height, seed), "JPEG", **{"quality": 90, **options})


def jpeg_of_claimed_size(width: int, height: int) -> bytes:
    """Return a small JPEG whose header claims another size."""
    content = bytearray(jpeg())
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def png_of_claimed_size(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes whose header claims a size."""

    def block(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = block(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + block(b"IDAT", zlib.compress(b"\0" * 100))
        + block(b"IEND", b"")
    )


def pixels_of(content: bytes) -> np.ndarray:
    """Return what Pillow sees, uint8 (H, W, 3), RGB."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
