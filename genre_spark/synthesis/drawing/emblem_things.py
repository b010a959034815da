"""Emblems of genres that show a thing."""

# ruff: noqa: ARG001 - they share one signature, and not every one needs all of it

from __future__ import annotations

import numpy as np

from genre_spark.synthesis.drawing.canvas import Canvas, Colour, blend
from genre_spark.synthesis.drawing.shapes import Random, Spot, around, polar

__all__ = [
    "draw_blast",
    "draw_castle",
    "draw_compass",
    "draw_house",
    "draw_magnifier",
    "draw_planes",
    "draw_planet",
    "draw_record",
    "draw_television",
    "draw_temple",
    "draw_viewfinder",
]


def draw_viewfinder(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """Documentary: the corners of a viewfinder and the red light of a recording."""
    x, y, r = spot
    for sx in (-1, 1):
        for sy in (-1, 1):
            corner = [(0.45 * sx, 0.7 * sy), (0.9 * sx, 0.7 * sy), (0.9 * sx, 0.35 * sy)]
            c.line(around(spot, corner), ink, 0.06 * r)
    c.line(around(spot, [(-0.15, 0), (0.15, 0)]), ink, 0.04 * r)
    c.line(around(spot, [(0, -0.15), (0, 0.15)]), ink, 0.04 * r)
    c.disc(x + 0.62 * r, y - 0.45 * r, 0.1 * r, accent)


def draw_record(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """Music: a record, and the bars of its sound."""
    x, y, r = spot
    dark = blend(ink, (0, 0, 0), 0.75)
    c.disc(x, y, 0.85 * r, dark)
    for groove in (0.75, 0.66, 0.57, 0.48, 0.4):
        c.ring(x, y, groove * r, blend(dark, (255, 255, 255), 0.2), 0.012 * r)
    start = float(random.uniform(0, 360))
    c.ellipse(
        x,
        y,
        (0.65 * r, 0.65 * r),
        (255, 255, 255),
        angle=start,
        arc=(0, 28),
        width=0.25 * r,
        alpha=0.15,
    )
    c.disc(x, y, 0.3 * r, accent)
    c.disc(x, y, 0.05 * r, dark)
    for bar in range(9):
        height = random.uniform(0.05, 0.28) * r
        left = x + (bar - 4.5) * 0.2 * r
        c.box(left, y + 1.2 * r - height, left + 0.13 * r, y + 1.2 * r, accent)


def draw_blast(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """Action: an explosion."""
    x, y, r = spot
    c.glow(x, y, 1.5 * r, accent, 0.9)
    for size, colour in (
        (1.0, blend(accent, (190, 40, 0), 0.5)),
        (0.75, accent),
        (0.45, (255, 240, 190)),
    ):
        radii = [
            size * r * (random.uniform(0.8, 1.0) if spike % 2 else random.uniform(0.42, 0.55))
            for spike in range(26)
        ]
        c.polygon(polar(x, y, radii, random.uniform(0, 1)), colour)
    for _ in range(7):
        angle, far = random.uniform(0, 2 * np.pi), random.uniform(0.9, 1.35) * r
        shard = polar(
            x + far * np.cos(angle), y + far * np.sin(angle), [0.09 * r, 0.05 * r, 0.1 * r], angle
        )
        c.polygon(shard, ink)


def draw_house(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """Family: a house with light in its windows."""
    x, y, r = spot
    c.box(x + 0.3 * r, y - 0.75 * r, x + 0.48 * r, y - 0.2 * r, ink)
    c.box(x - 0.6 * r, y - 0.15 * r, x + 0.6 * r, y + 0.75 * r, blend(accent, (255, 255, 255), 0.5))
    c.polygon(around(spot, [(-0.85, -0.1), (0, -0.9), (0.85, -0.1)]), ink)
    for left in (-0.45, 0.17):
        c.box(x + left * r, y + 0.02 * r, x + (left + 0.28) * r, y + 0.3 * r, (255, 224, 120))
        c.line(around(spot, [(left + 0.14, 0.02), (left + 0.14, 0.3)]), ink, 0.03 * r)
    c.box(x - 0.13 * r, y + 0.35 * r, x + 0.13 * r, y + 0.75 * r, accent)


def draw_television(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """TV Movie: a television set with its aerial."""
    x, y, r = spot
    for side in (-1, 1):
        c.line(around(spot, [(0, -0.45), (side * random.uniform(0.3, 0.6), -1.0)]), ink, 0.04 * r)
        c.line(around(spot, [(side * 0.5, 0.6), (side * 0.62, 0.9)]), ink, 0.07 * r)
    c.box(x - 0.95 * r, y - 0.5 * r, x + 0.95 * r, y + 0.65 * r, ink)
    c.box(
        x - 0.8 * r, y - 0.36 * r, x + 0.45 * r, y + 0.5 * r, blend(accent, (230, 240, 245), 0.55)
    )
    for row in range(7):
        level = y + (-0.3 + 0.12 * row) * r
        c.line([(x - 0.8 * r, level), (x + 0.45 * r, level)], accent, 0.025 * r, 0.6)
    for knob in (-0.15, 0.15):
        c.disc(x + 0.7 * r, y + knob * r, 0.09 * r, accent)


def draw_compass(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """Adventure: a compass rose."""
    x, y, r = spot
    c.ring(x, y, 0.85 * r, ink, 0.06 * r)
    c.ring(x, y, 0.72 * r, ink, 0.02 * r)
    c.polygon(polar(x, y, [0.6 * r, 0.12 * r] * 4, np.pi / 4), ink, 0.8)
    c.polygon(polar(x, y, [0.98 * r, 0.14 * r] * 4), accent)
    needle = random.uniform(-0.6, 0.6)
    c.polygon(polar(x, y, [0.66 * r, 0.08 * r, 0.0, 0.08 * r], needle), (200, 40, 40))


def draw_castle(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """Fantasy: a castle with pointed towers below a crescent moon."""
    x, y, r = spot
    c.disc(x + 0.5 * r, y - 0.72 * r, 0.24 * r, accent)
    c.disc(x + 0.6 * r, y - 0.78 * r, 0.2 * r, blend(ink, accent, 0.15))
    for left, width, top in (
        (-0.75, 0.3, -0.1),
        (0.45, 0.3, 0.0),
        (-0.28, 0.34, -0.5),
        (0.1, 0.26, -0.25),
    ):
        height = top + random.uniform(-0.1, 0.1)
        c.box(x + left * r, y + height * r, x + (left + width) * r, y + 0.9 * r, ink)
        roof = [
            (left - 0.06, height),
            (left + width / 2, height - 0.42),
            (left + width + 0.06, height),
        ]
        c.polygon(around(spot, roof), blend(ink, accent, 0.3))
        c.disc(x + (left + width / 2) * r, y + (height + 0.2) * r, 0.05 * r, accent)
    c.box(x - 0.8 * r, y + 0.5 * r, x + 0.8 * r, y + 0.9 * r, ink)


def draw_magnifier(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """Mystery: a magnifying glass over a keyhole."""
    x, y, r = spot
    c.line(around(spot, [(0.33, 0.33), (0.9, 0.9)]), ink, 0.16 * r)
    c.disc(x - 0.12 * r, y - 0.12 * r, 0.6 * r, accent, 0.45)
    c.ring(x - 0.12 * r, y - 0.12 * r, 0.62 * r, ink, 0.1 * r)
    c.disc(x - 0.12 * r, y - 0.24 * r, 0.17 * r, ink)
    c.polygon(around(spot, [(-0.18, -0.2), (-0.06, -0.2), (0.04, 0.25), (-0.28, 0.25)]), ink)


def draw_planet(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """Science Fiction: a planet with its ring."""
    x, y, r = spot
    tilt = float(random.uniform(-30, 30))
    c.ellipse(x, y, (r, 0.28 * r), accent, angle=tilt, arc=(180, 360), width=0.08 * r)
    c.disc(x, y, 0.6 * r, ink)
    c.ellipse(x, y - 0.15 * r, (0.56 * r, 0.1 * r), blend(ink, accent, 0.4), angle=tilt)
    c.ellipse(x, y + 0.18 * r, (0.52 * r, 0.07 * r), blend(ink, (255, 255, 255), 0.3), angle=tilt)
    c.ellipse(x, y, (r, 0.28 * r), accent, angle=tilt, arc=(0, 180), width=0.08 * r)
    moon = random.uniform(0, 2 * np.pi)
    c.disc(
        x + 0.95 * r * float(np.cos(moon)), y - 0.75 * r * abs(float(np.sin(moon))), 0.1 * r, accent
    )


def draw_temple(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """History: a temple with columns, one of them broken."""
    x, y, r = spot
    c.polygon(around(spot, [(-0.9, -0.4), (0, -0.85), (0.9, -0.4)]), ink)
    c.box(x - 0.85 * r, y - 0.38 * r, x + 0.85 * r, y - 0.26 * r, accent)
    broken = int(random.integers(5))
    for column in range(5):
        left = -0.75 + column * 0.335
        top = 0.25 if column == broken else -0.24
        c.box(x + left * r, y + top * r, x + (left + 0.17) * r, y + 0.62 * r, ink)
    for step in range(3):
        half = 0.85 + 0.07 * step
        c.box(
            x - half * r,
            y + (0.62 + 0.1 * step) * r,
            x + half * r,
            y + (0.71 + 0.1 * step) * r,
            ink,
        )


def draw_planes(c: Canvas, spot: Spot, ink: Colour, accent: Colour, random: Random) -> None:
    """War: planes in formation."""
    x, y, r = spot
    shape = [
        (0, -1),
        (0.12, -0.7),
        (0.12, -0.25),
        (1, 0.1),
        (1, 0.28),
        (0.12, 0.2),
        (0.08, 0.7),
        (0.35, 0.88),
        (0.35, 1),
        (0, 0.93),
    ]
    outline = shape + [(-dx, dy) for dx, dy in reversed(shape[1:-1])]
    tilt = random.uniform(-0.5, 0.5)
    turned = [
        (dx * np.cos(tilt) - dy * np.sin(tilt), dx * np.sin(tilt) + dy * np.cos(tilt))
        for dx, dy in outline
    ]
    for dx, dy, size in ((0.0, -0.4, 0.5), (-0.58, 0.4, 0.38), (0.58, 0.4, 0.38)):
        c.polygon(around(Spot(x + dx * r, y + dy * r, size * r), turned), ink)
        c.disc(x + dx * r, y + (dy + 0.03) * r, 0.06 * r, accent)
