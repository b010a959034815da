"""Titles and small print on posters, in the fonts that matplotlib carries."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from genre_spark.synthesis.drawing.canvas import HEIGHT, WIDTH, Canvas, Colour

__all__ = ["letter"]

_MARGIN = 18  # pixels without letters on either side
_SMALL_PRINT = "DejaVuSans.ttf"


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def letter(
    canvas: Canvas, *, title: str, font: str, on_top: bool, people: tuple[str, ...], tagline: str
) -> None:
    """Write the title, the tagline beside it and the credits at the foot.

    Args:
        canvas: canvas to write on.
        title: title, written as large as fits, on two lines if it is long.
        font: file name of the title's font.
        on_top: whether the title is at the top instead of above the credits.
        people: names for the credits.
        tagline: tagline, which may be empty.
    """
    picture = PilImage.fromarray(canvas.pixels)
    draw = ImageDraw.Draw(picture)
    lines, face = _fit(title.upper(), font)
    height = round(face.size * 1.08)
    top = 24 if on_top else HEIGHT - 58 - height * len(lines)
    ink = _readable_on(canvas, top, top + height * len(lines))
    for number, line in enumerate(lines):
        left = (WIDTH - face.getlength(line)) / 2
        draw.text((left + 1, top + number * height + 1), line, font=face, fill=_opposite(ink))
        draw.text((left, top + number * height), line, font=face, fill=ink)
    small = _font(_SMALL_PRINT, 9)
    if tagline:
        text = _cut(tagline, small)
        level = top + height * len(lines) + 5 if on_top else top - 15
        draw.text(
            ((WIDTH - small.getlength(text)) / 2, level),
            text,
            font=small,
            fill=_readable_on(canvas, level, level + 12),
        )
    tiny = _font(_SMALL_PRINT, 7)
    foot = _readable_on(canvas, HEIGHT - 40, HEIGHT - 16)
    for number in range(2):
        text = _cut("   ".join(people[number::2]).upper(), tiny)
        draw.text(
            ((WIDTH - tiny.getlength(text)) / 2, HEIGHT - 36 + 11 * number),
            text,
            font=tiny,
            fill=foot,
        )
    canvas.pixels = np.asarray(picture).copy()


def _fit(title: str, font: str) -> tuple[list[str], ImageFont.FreeTypeFont]:
    """Break a title into lines and choose the largest size that fits."""
    words = title.split()
    lines = (
        [title]
        if len(title) <= 11
        else [
            " ".join(words[: len(words) // 2 + len(words) % 2]),
            " ".join(words[len(words) // 2 + len(words) % 2 :]),
        ]
    )
    lines = [line for line in lines if line]
    for size in range(46, 13, -4):
        face = _font(font, size)
        if max(face.getlength(line) for line in lines) <= WIDTH - 2 * _MARGIN:
            break
    return lines, face


def _cut(text: str, font: ImageFont.FreeTypeFont) -> str:
    """Return as many words as fit on a line."""
    words = text.split(" ")
    while len(words) > 1 and font.getlength(" ".join(words)) > WIDTH - 2 * _MARGIN:
        words.pop()
    return " ".join(words)


def _readable_on(canvas: Canvas, top: int, bottom: int) -> Colour:
    """Return near-white or near-black, whichever is readable on a band of the picture."""
    band = canvas.pixels[max(0, top) : min(HEIGHT, bottom) : 4, 30:270:4]
    return (22, 20, 24) if float(band.mean()) > 128 else (245, 242, 235)


def _opposite(ink: Colour) -> Colour:
    return (22, 20, 24) if ink[0] > 128 else (245, 242, 235)
