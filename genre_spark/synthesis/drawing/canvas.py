"""A canvas to draw posters on: shapes, light and texture in units of the poster's width."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from genre_spark.synthesis.draws import generator

__all__ = [
    "HEIGHT",
    "TALL",
    "WIDTH",
    "Canvas",
    "Colour",
    "Image",
    "Point",
    "blend",
]

Colour = tuple[int, int, int]
Point = tuple[float, float]
Image = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 300, 450
TALL = HEIGHT / WIDTH
"""Height of the canvas in widths: y runs from 0 (top) to 1.5."""

_FILM_DEVIATION = 30.0
_SHIFT = 4  # OpenCV draws at sub-pixel positions given in sixteenths
_SCALE = WIDTH * (1 << _SHIFT)


@cache
def _grid() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return x and y of a quarter-size raster, enough for soft light."""
    ys, xs = np.mgrid[0 : HEIGHT // 4, 0 : WIDTH // 4].astype(np.float32)
    return (xs + 0.5) * 4 / WIDTH, (ys + 0.5) * 4 / WIDTH


@cache
def _film() -> Image:
    """Return a noisy picture, larger than a poster, that posters take their film grain from."""
    noise = (
        generator("film")
        .normal(128.0, _FILM_DEVIATION, (HEIGHT * 2, WIDTH * 2))
        .clip(0, 255)
        .astype(np.uint8)
    )
    return cv2.cvtColor(noise, cv2.COLOR_GRAY2RGB)


def blend(first: Colour, second: Colour, share: float) -> Colour:
    """Return the colour that lies `share` of the way from the first to the second."""
    mixed = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return tuple(min(255, max(0, value)) for value in mixed)  # type: ignore[return-value]


class Canvas:
    """An RGB picture of 300 x 450 pixels, with the strokes that posters are made of.

    Attributes:
        pixels: picture, uint8, (450, 300, 3), RGB, 0..255.
    """

    def __init__(self, top: Colour, bottom: Colour) -> None:
        ramp = np.linspace(0.0, 1.0, HEIGHT, dtype=np.float32)[:, None]
        column = np.asarray(top, np.float32) * (1 - ramp) + np.asarray(bottom, np.float32) * ramp
        self.pixels: Image = np.ascontiguousarray(
            np.repeat(column.astype(np.uint8)[:, None, :], WIDTH, axis=1)
        )

    def polygon(self, points: Iterable[Point], colour: Colour, alpha: float = 1.0) -> None:
        """Fill a polygon."""
        corners = np.rint(np.asarray(list(points), np.float64) * _SCALE).astype(np.int32)
        with _Overlay(self, alpha) as pixels:
            cv2.fillPoly(pixels, [corners], colour, cv2.LINE_AA, _SHIFT)

    def disc(self, x: float, y: float, radius: float, colour: Colour, alpha: float = 1.0) -> None:
        """Fill a circle."""
        with _Overlay(self, alpha) as pixels:
            cv2.circle(
                pixels, _fixed(x, y), round(radius * _SCALE), colour, -1, cv2.LINE_AA, _SHIFT
            )

    def ring(
        self, x: float, y: float, radius: float, colour: Colour, width: float, alpha: float = 1.0
    ) -> None:
        """Draw the outline of a circle, of the given width."""
        with _Overlay(self, alpha) as pixels:
            cv2.circle(
                pixels,
                _fixed(x, y),
                round(radius * _SCALE),
                colour,
                _pen(width),
                cv2.LINE_AA,
                _SHIFT,
            )

    def ellipse(
        self,
        x: float,
        y: float,
        radii: Point,
        colour: Colour,
        *,
        angle: float = 0.0,
        arc: Point = (0.0, 360.0),
        width: float | None = None,
        alpha: float = 1.0,
    ) -> None:
        """Fill an ellipse (width None) or draw an arc of its outline.

        Angles are in degrees, clockwise.
        """
        axes = (round(radii[0] * _SCALE), round(radii[1] * _SCALE))
        pen = -1 if width is None else _pen(width)
        with _Overlay(self, alpha) as pixels:
            cv2.ellipse(
                pixels, _fixed(x, y), axes, angle, arc[0], arc[1], colour, pen, cv2.LINE_AA, _SHIFT
            )

    def line(
        self, points: Sequence[Point], colour: Colour, width: float, alpha: float = 1.0
    ) -> None:
        """Draw a line through points."""
        corners = np.rint(np.asarray(points, np.float64) * _SCALE).astype(np.int32)
        with _Overlay(self, alpha) as pixels:
            cv2.polylines(pixels, [corners], False, colour, _pen(width), cv2.LINE_AA, _SHIFT)

    def box(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        colour: Colour,
        alpha: float = 1.0,
    ) -> None:
        """Fill a rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour, alpha)

    def glow(
        self, x: float, y: float, radius: float, colour: Colour, strength: float = 1.0
    ) -> None:
        """Add light of a colour around a point; it decreases to nothing at the radius."""
        xs, ys = _grid()
        light = np.clip(1.0 - np.hypot(xs - x, ys - y) / radius, 0.0, 1.0) ** 2 * strength
        self._mix(light, colour)

    def darken_edges(self, strength: float) -> None:
        """Darken the picture toward its corners, from 0 (not at all) to 1 (black)."""
        xs, ys = _grid()
        away = np.hypot((xs - 0.5) / 0.5, (ys - TALL / 2) / (TALL / 2)) / np.sqrt(2.0)
        # products are exact on every processor; numpy rounds powers otherwise with AVX-512
        self._mix(np.clip(away * away * away * strength, 0.0, 1.0), (0, 0, 0))

    def mist(
        self, random: np.random.Generator, colour: Colour, strength: float, cells: int = 4
    ) -> None:
        """Add clouds of a colour over the picture; more cells make smaller clouds."""
        coarse = random.random((cells * 3 // 2 + 1, cells + 1), dtype=np.float32)
        clouds = cv2.resize(coarse, (WIDTH // 4, HEIGHT // 4), interpolation=cv2.INTER_CUBIC)
        self._mix(np.clip(clouds, 0.0, 1.0) * strength, colour)

    def grain(self, random: np.random.Generator, strength: float) -> None:
        """Add film grain with a standard deviation of `strength` gray levels."""
        film = _film()
        top, left = (
            int(random.integers(film.shape[0] - HEIGHT)),
            int(random.integers(film.shape[1] - WIDTH)),
        )
        piece = film[top : top + HEIGHT, left : left + WIDTH]
        share = strength / _FILM_DEVIATION
        self.pixels = cv2.addWeighted(self.pixels, 1.0, piece, share, -128.0 * share)

    def _mix(self, share: npt.NDArray[np.float32], colour: Colour) -> None:
        """Mix a colour in with the given share, float32, (112, 75), 0..1."""
        weight = cv2.resize(
            share.astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR
        )
        np.clip(weight, 0.0, 1.0, out=weight)
        flat = np.empty_like(self.pixels)
        # many times faster than numpy's fill of triples
        cv2.rectangle(flat, (0, 0), (WIDTH, HEIGHT), colour, -1)
        self.pixels = cv2.blendLinear(self.pixels, flat, 1.0 - weight, weight)


class _Overlay:
    """Provides pixels to draw on, and blends them into the canvas with an opacity at the end."""

    def __init__(self, canvas: Canvas, alpha: float) -> None:
        self.canvas, self.alpha = canvas, alpha

    def __enter__(self) -> Image:
        self.target = self.canvas.pixels if self.alpha >= 1.0 else self.canvas.pixels.copy()
        return self.target

    def __exit__(self, *_: object) -> None:
        if self.alpha < 1.0:
            under = self.canvas.pixels
            cv2.addWeighted(self.target, self.alpha, under, 1.0 - self.alpha, 0.0, dst=under)


def _fixed(x: float, y: float) -> tuple[int, int]:
    return round(x * _SCALE), round(y * _SCALE)


def _pen(width: float) -> int:
    return max(1, round(width * WIDTH))
