"""Where a figure stands on a poster, and the corners that it is drawn from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genre_spark.synthesis.drawing.canvas import Point

__all__ = [
    "Random",
    "Spot",
    "around",
    "polar",
]

Random = np.random.Generator


class Spot(NamedTuple):
    """A circle that a figure is drawn in, in units of the poster's width.

    Attributes:
        x: centre, from the left edge.
        y: centre, from the upper edge.
        r: radius.
    """

    x: float
    y: float
    r: float


def around(spot: Spot, corners: list[Point]) -> list[Point]:
    """Return corners on the poster from corners in units of the spot's radius."""
    return [(spot.x + spot.r * dx, spot.y + spot.r * dy) for dx, dy in corners]


def polar(x: float, y: float, radii: list[float], turn: float = 0.0) -> list[Point]:
    """Return the corners of a star: one for each radius, evenly spaced around (x, y)."""
    angles = turn + np.arange(len(radii)) * 2 * np.pi / len(radii)
    return [
        (x + radius * float(np.sin(a)), y - radius * float(np.cos(a)))
        for radius, a in zip(radii, angles, strict=True)
    ]
