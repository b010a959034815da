"""Emblems of genres that show someone, or something alive."""

# ruff: noqa: ARG001 - they share one signature, and not every one needs all of it

from __future__ import annotations

import numpy as np

from genre_spark.synthesis.drawing.canvas import Canvas, Colour, blend
from genre_spark.synthesis.drawing.shapes import Random, Spot, around, polar

__all__ = [
    "draw_cactus",
    "draw_creature",
    "draw_crosshair",
    "draw_figure",
    "draw_fingerprint",
    "draw_hearts",
    "draw_skull",
    "draw_smile",
]


def draw_figure(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """Drama: someone stands alone, a long shadow behind."""
    x, y, r = spot
    lean = random.uniform(-0.5, 0.5)
    c.polygon(
        around(spot, [(-0.16, 0.85), (0.16, 0.85), (0.35 + lean, 1.3), (-0.1 + lean, 1.3)]),
        ink,
        0.35,
    )
    c.disc(x, y - 0.72 * r, 0.2 * r, ink)
    coat = [
        (-0.08, -0.56),
        (0.08, -0.56),
        (0.3, -0.4),
        (0.36, 0.2),
        (0.24, 0.24),
        (0.3, 0.5),
        (0.14, 0.52),
    ]
    legs = [(0.16, 0.9), (0.03, 0.9), (0.0, 0.5), (-0.03, 0.9), (-0.16, 0.9)]
    c.polygon(around(spot, coat + legs + [(-dx, dy) for dx, dy in reversed(coat)]), ink)
    c.line(around(spot, [(-0.1, -0.5), (0.0, -0.3), (0.1, -0.5)]), accent, 0.03 * r)


def draw_smile(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """Comedy: a laughing face, sometimes behind glasses."""
    x, y, r = spot
    c.disc(x, y, 0.9 * r, accent)
    c.ring(x, y, 0.9 * r, ink, 0.06 * r)
    c.ellipse(x, y + 0.12 * r, (0.55 * r, 0.5 * r), ink, arc=(0, 180))
    c.ellipse(x, y + 0.45 * r, (0.25 * r, 0.13 * r), (214, 69, 65))
    for side in (-1, 1):
        if random.random() < 0.5:
            c.disc(x + side * 0.34 * r, y - 0.25 * r, 0.12 * r, ink)
        else:
            c.ring(x + side * 0.36 * r, y - 0.25 * r, 0.27 * r, ink, 0.07 * r)
            c.disc(x + side * 0.36 * r, y - 0.25 * r, 0.09 * r, ink)


def draw_creature(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """Animation: a round creature with big eyes."""
    x, y, r = spot
    for side in (-1, 1):
        tip = (x + side * 0.5 * r, y - 0.95 * r)
        c.line([(x + side * 0.25 * r, y - 0.4 * r), tip], accent, 0.09 * r)
        c.disc(*tip, 0.13 * r, ink)
        c.ellipse(x + side * 0.45 * r, y + 0.82 * r, (0.25 * r, 0.13 * r), ink)
    c.ellipse(x, y + 0.1 * r, (0.72 * r, 0.75 * r), accent)
    c.ellipse(x, y + 0.35 * r, (0.42 * r, 0.4 * r), blend(accent, (255, 255, 255), 0.45))
    gaze = random.uniform(-0.08, 0.08)
    for side in (-1, 1):
        c.disc(x + side * 0.27 * r, y - 0.15 * r, 0.25 * r, (255, 255, 255))
        c.disc(x + (side * 0.25 + gaze) * r, y - 0.12 * r, 0.12 * r, (25, 25, 35))
        c.disc(x + (side * 0.25 + gaze + 0.04) * r, y - 0.17 * r, 0.04 * r, (255, 255, 255))
    c.ellipse(x, y + 0.2 * r, (0.2 * r, 0.14 * r), (60, 25, 40), arc=(0, 180))


def draw_skull(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """Horror: a skull with something alive in its eyes."""
    x, y, r = spot
    c.ellipse(x, y - 0.15 * r, (0.68 * r, 0.7 * r), ink)
    c.polygon(around(spot, [(-0.42, 0.3), (0.42, 0.3), (0.34, 0.85), (-0.34, 0.85)]), ink)
    dark = blend(ink, (0, 0, 0), 0.9)
    for side in (-1, 1):
        c.ellipse(x + side * 0.3 * r, y - 0.08 * r, (0.2 * r, 0.23 * r), dark, angle=side * 15.0)
        c.disc(x + side * 0.28 * r, y - 0.05 * r, 0.06 * r, accent)
    c.polygon(around(spot, [(0, 0.16), (0.1, 0.38), (-0.1, 0.38)]), dark)
    for tooth in (-0.2, -0.07, 0.07, 0.2):
        c.line(around(spot, [(tooth, 0.52), (tooth, 0.85)]), dark, 0.035 * r)


def draw_hearts(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """Romance: two hearts, one leaning on the other."""
    x, y, r = spot
    t = np.linspace(0, 2 * np.pi, 40)
    heart_x = 16 * np.sin(t) ** 3 / 17
    heart_y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 17
    turn = random.uniform(0.15, 0.4)
    for colour, dx, dy, size, tilt in (
        (accent, 0.28, -0.12, 0.6, turn),
        (ink, -0.22, 0.12, 0.7, -turn),
    ):
        rotated_x = heart_x * np.cos(tilt) - heart_y * np.sin(tilt)
        rotated_y = heart_x * np.sin(tilt) + heart_y * np.cos(tilt)
        c.polygon(
            zip(x + r * (dx + size * rotated_x), y + r * (dy + size * rotated_y), strict=True),
            colour,
            0.92,
        )


def draw_crosshair(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """Thriller: a crosshair on someone far away."""
    x, y, r = spot
    draw_figure(c, Spot(x, y + 0.1 * r, 0.42 * r), ink, accent, random)
    c.ring(x, y, 0.82 * r, accent, 0.05 * r)
    c.ring(x, y, 0.5 * r, accent, 0.02 * r)
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        c.line(around(spot, [(0.55 * dx, 0.55 * dy), (dx, dy)]), accent, 0.045 * r)


def draw_fingerprint(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """Crime: a fingerprint."""
    x, y, r = spot
    tilt = float(random.uniform(-20, 20))
    for ridge in range(8):
        size = 0.1 + 0.105 * ridge
        gap = float(random.uniform(20, 80))
        colour = accent if ridge == 3 else ink
        for start, end in ((gap - 230, gap - 20), (gap, 110.0 - 4 * ridge)):
            axes = (size * 0.72 * r, size * r)
            c.ellipse(
                x, y, axes, colour, angle=tilt, arc=(start, max(end, start + 30)), width=0.055 * r
            )


def draw_cactus(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """Western: a cactus, and a sheriff's star."""
    x, y, r = spot
    pen = 0.22 * r
    c.line(around(spot, [(0, 0.95), (0, -0.7)]), ink, pen)
    c.disc(x, y - 0.7 * r, pen / 2, ink)
    for side, low, high in ((-1, 0.3, -0.25), (1, random.uniform(0.0, 0.2), -0.45)):
        c.line(around(spot, [(0, low), (side * 0.5, low), (side * 0.5, high)]), ink, 0.17 * r)
        c.disc(x + side * 0.5 * r, y + high * r, 0.085 * r, ink)
        c.disc(x + side * 0.5 * r, y + low * r, 0.085 * r, ink)
    c.polygon(polar(x + 0.62 * r, y + 0.68 * r, [0.26 * r, 0.11 * r] * 5), accent)
