"""The flaws of real data, planted in the synthetic data: a few of each kind."""

# ruff: noqa: ARG001, ARG005 - they share one signature, and not every one needs the picture

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from PIL import Image as PilImage

from genre_spark.synthesis.drawing.canvas import Image
from genre_spark.synthesis.drawing.poster_art import encode_jpeg
from genre_spark.synthesis.draws import generator

__all__ = [
    "MALFORMED_GENRE_ROWS",
    "MALFORMED_MOVIE_ROWS",
    "POSTER_FLAWS",
    "ROW_FLAWS",
    "STRAY_FILES",
    "plant_flaws",
]

MALFORMED_GENRE_ROWS = (
    "not-a-number,Drama",
    "9900001",
    ",Comedy",
    "9900002,Drama,Comedy,extra",
    "-,",
)
"""Lines of genres.csv that no reader can use."""

MALFORMED_MOVIE_ROWS = ("not-a-number,Nobody,1999,,,90,3.00", "9900003,Cut off")
"""Lines of movies.csv that no reader can use."""

STRAY_FILES = {"cover.jpg": b"", "Thumbs.db": b"\x00" * 64}
"""Files beside the posters that are no poster."""


def _rgb(image: Image) -> Image:
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)


def _truncated(image: Image) -> bytes:
    data = encode_jpeg(image)
    return data[: len(data) * 2 // 5]


def _huge(image: Image) -> bytes:
    """Return a grayscale scan of 54 million pixels."""
    gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return encode_jpeg(cv2.resize(gray, (6000, 9000), interpolation=cv2.INTER_NEAREST), quality=30)


def _bomb(image: Image) -> bytes:
    """Return a PNG of some 40 kB with 400 million pixels."""
    side = 20_000
    packer = zlib.compressobj(9)
    row = b"\x00" * (1 + side // 8)
    body = b"".join(packer.compress(row * 100) for _ in range(side // 100)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def _pillow(image: PilImage.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def _transparent(image: Image) -> bytes:
    alpha = np.full(image.shape[:2], 200, np.uint8)
    return _pillow(PilImage.fromarray(np.dstack([_rgb(image), alpha])), "PNG")


POSTER_FLAWS: dict[str, Callable[[Image], bytes | None]] = {
    "missing": lambda image: None,
    "empty": lambda image: b"",
    "truncated": _truncated,
    "not_an_image": lambda image: (
        b"<!DOCTYPE html><html><body><h1>404 Not Found</h1></body></html>\n"
    ),
    "huge": _huge,
    "decompression_bomb": _bomb,
    "cmyk": lambda image: _pillow(PilImage.fromarray(_rgb(image)).convert("CMYK"), "JPEG"),
    "png_named_jpg": lambda image: _pillow(PilImage.fromarray(image), "PNG"),
    "transparent": _transparent,
    "duplicate_poster": encode_jpeg,  # there is a second file whose name has the same id
}
"""From a poster to the bytes of the flawed file; None: no file.

CMYK, PNG and transparent posters can be used nevertheless.
"""

ROW_FLAWS = ("no_genres", "empty_genre", "repeated_genre", "duplicate_movie")
"""Flaws of a movie's rows in the CSV files."""

_ONCE = ("huge", "decompression_bomb")  # one of each, as they cost megabytes and seconds


@cache
def plant_flaws(movies: int, seed: int) -> dict[int, str]:
    """Choose which movies are flawed, and how.

    Returns:
        index of a movie -> a key of POSTER_FLAWS or a member of ROW_FLAWS: about 1 % of the movies,
        and at least one of each kind as long as at most half of the movies are flawed.
    """
    times = max(1, movies // 1000)
    kinds = [
        kind
        for kind in (*POSTER_FLAWS, *ROW_FLAWS)
        for _ in range(1 if kind in _ONCE else min(times + 1, 20))
    ]
    if len(kinds) > movies // 4:
        kinds = [*POSTER_FLAWS, *ROW_FLAWS][: movies // 2]
    chosen = generator(seed, "flaws").choice(movies, len(kinds), replace=False)
    return {int(index): kind for index, kind in zip(chosen, kinds, strict=True)}
