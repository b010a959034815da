"""The backdrops of posters: skies, ridges, skylines, stripes, stars and paper.

Every function draws over the whole canvas in a dark colour `shade` and a luminous one `light`.
"""

# ruff: noqa: ARG001 - they share one signature, and not every one needs all of it

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from genre_spark.synthesis.drawing.canvas import TALL, Canvas, Colour, blend

__all__ = [
    "Backdrop",
    "draw_blinds",
    "draw_bokeh",
    "draw_city",
    "draw_confetti",
    "draw_desert",
    "draw_drips",
    "draw_floor",
    "draw_fog",
    "draw_hills",
    "draw_mountains",
    "draw_paper",
    "draw_photograph",
    "draw_plain",
    "draw_rays",
    "draw_scanlines",
    "draw_smoke",
    "draw_spotlights",
    "draw_stars",
    "draw_sun",
]

Backdrop = Callable[[Canvas, Colour, Colour, np.random.Generator], None]


def draw_sun(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """A large low sun over a calm horizon."""
    x, y, radius = random.uniform(0.3, 0.7), random.uniform(0.5, 0.8), random.uniform(0.2, 0.34)
    c.glow(x, y, radius * 2.6, light, 0.8)
    c.disc(x, y, radius, light)
    horizon = random.uniform(1.0, 1.15)
    c.box(0, horizon, 1, TALL, shade, 0.9)
    for level in np.linspace(horizon + 0.02, TALL, 9):
        half = random.uniform(0.02, 0.22)
        c.line([(x - half, float(level)), (x + half, float(level))], light, 0.005, 0.3)


def draw_hills(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """Round hills, one behind the other."""
    c.disc(random.uniform(0.15, 0.85), random.uniform(0.2, 0.45), random.uniform(0.09, 0.15), light)
    xs = np.linspace(0, 1, 40)
    for layer in range(4):
        base = 0.85 + 0.15 * layer
        ridge = base + 0.09 * np.sin(xs * random.uniform(3, 8) + random.uniform(0, 7))
        colour = blend(light, shade, 0.35 + 0.2 * layer)
        c.polygon([(0, TALL), *zip(xs.tolist(), ridge.tolist(), strict=True), (1, TALL)], colour)


def draw_mountains(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """Jagged ranges in the haze."""
    c.glow(random.uniform(0.2, 0.8), 0.5, 0.9, light, 0.6)
    for layer in range(4):
        xs = np.linspace(-0.1, 1.1, 9 + 4 * layer)
        ridge = 0.7 + 0.17 * layer + random.uniform(-0.16, 0.1, len(xs)) * (1 - 0.15 * layer)
        colour = blend(light, shade, 0.3 + 0.23 * layer)
        c.polygon(
            [(-0.1, TALL), *zip(xs.tolist(), ridge.tolist(), strict=True), (1.1, TALL)], colour
        )


def draw_city(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """A skyline at night, some windows lit."""
    c.glow(0.5, 1.1, 0.9, light, 0.5)
    for layer, tone in ((0, 0.45), (1, 0.95)):
        left = -0.05
        while left < 1.0:
            width = random.uniform(0.07, 0.17)
            top = random.uniform(0.72, 1.05) + 0.18 * layer
            colour = blend(light, shade, tone)
            c.box(left, top, left + width, TALL, colour)
            for _ in range(int(random.integers(0, 7)) * layer):
                wx, wy = left + random.uniform(0.15, 0.75) * width, random.uniform(top + 0.03, TALL)
                c.box(wx, wy, wx + 0.012, wy + 0.02, light)
            left += width + random.uniform(0, 0.015)


def draw_rays(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """Rays from a point."""
    x, y = random.uniform(0.35, 0.65), random.uniform(0.55, 0.85)
    count, turn = int(random.integers(9, 16)), random.uniform(0, 1)
    for ray in range(count):
        first, second = ((ray + turn + half) * 2 * np.pi / count for half in (0.0, 0.5))
        corners = [
            (x, y),
            *((x + 2 * float(np.cos(a)), y + 2 * float(np.sin(a))) for a in (first, second)),
        ]
        c.polygon(corners, light, 0.4)
    c.glow(x, y, 0.7, light, 0.8)


def draw_blinds(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """Light through venetian blinds."""
    slope = random.uniform(-0.35, 0.35)
    pitch = random.uniform(0.09, 0.14)
    for slat in np.arange(-0.5, TALL + 0.5, pitch):
        level = float(slat)
        c.polygon(
            [
                (0, level),
                (1, level + slope),
                (1, level + slope + pitch * 0.45),
                (0, level + pitch * 0.45),
            ],
            light,
            0.5,
        )
    c.glow(random.uniform(0, 1), 0.6, 0.8, light, 0.4)


def draw_stars(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """Stars and a nebula."""
    for _ in range(3):
        c.glow(random.uniform(0, 1), random.uniform(0, 1.3), random.uniform(0.3, 0.6), light, 0.45)
    for x, y, size in random.random((90, 3)).tolist():
        c.disc(x, y * TALL, 0.0012 + 0.005 * size**6, blend(light, (255, 255, 255), 0.7))


def draw_floor(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """A luminous grid that runs to the horizon."""
    draw_stars(c, shade, light, random)
    horizon, vanish = random.uniform(0.9, 1.05), random.uniform(0.35, 0.65)
    c.box(0, horizon, 1, TALL, shade)
    c.glow(vanish, horizon, 0.6, light, 0.7)
    for column in np.linspace(-2, 3, 22):
        c.line(
            [(vanish + (float(column) - vanish) * 0.05, horizon), (float(column), TALL)],
            light,
            0.004,
            0.8,
        )
    for row in np.linspace(0, 1, 8) ** 2:
        level = horizon + float(row) * (TALL - horizon)
        c.line([(0, level), (1, level)], light, 0.004, 0.8)


def draw_fog(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """Bare trees in fog."""
    for layer in range(3):
        colour = blend(light, shade, 0.3 + 0.3 * layer)
        for _ in range(4):
            x, width = random.uniform(0, 1), random.uniform(0.015, 0.03) * (1 + layer)
            c.polygon(
                [(x - width / 4, 0), (x + width / 4, 0), (x + width, TALL), (x - width, TALL)],
                colour,
            )
            for _ in range(3):
                y, reach = (
                    random.uniform(0.1, 0.9),
                    random.choice([-1, 1]) * random.uniform(0.08, 0.25),
                )
                c.line([(x, y), (x + reach, y - abs(reach) * 0.8)], colour, width * 0.4)
        c.mist(random, light, 0.35)


def draw_drips(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """Something runs down from the top."""
    c.glow(0.5, 0.8, 0.7, light, 0.35)
    blood = blend(light, (140, 0, 0), 0.6)
    c.box(0, 0, 1, 0.07, blood)
    x = 0.0
    while x < 1.0:
        width, length = random.uniform(0.015, 0.035), random.uniform(0.05, 0.5) ** 1.3
        c.box(x - width, 0, x + width, 0.06 + length, blood)
        c.disc(x, 0.06 + length, width, blood)
        x += random.uniform(0.05, 0.12)


def draw_confetti(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """Coloured dots thrown about."""
    tones = (light, shade, blend(light, (255, 255, 255), 0.6), blend(shade, light, 0.5))
    for x, y, size, tone in random.random((38, 4)).tolist():
        c.disc(x, y * TALL, 0.01 + 0.045 * size**2, tones[int(tone * 4)], 0.85)


def draw_bokeh(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """Lights out of focus."""
    for x, y, size, glow in random.random((16, 4)).tolist():
        c.disc(x, y * TALL, 0.04 + 0.13 * size, blend(light, (255, 255, 255), 0.4 * glow), 0.25)


def draw_photograph(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """A documentary photograph: unsharp areas of gray over a page."""
    top, bottom = random.uniform(0.1, 0.3), random.uniform(0.95, 1.15)
    page = c.pixels.copy()
    c.box(0, 0, 1, TALL, blend(shade, (95, 95, 95), 0.55))
    c.mist(random, light, 0.75, cells=3)
    c.mist(random, shade, 0.7, cells=7)
    rows = slice(int(top * 300), int(bottom * 300))
    page[rows, 21:279] = c.pixels[rows, 21:279]
    c.pixels = page


def draw_paper(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """An old page inside a border."""
    c.mist(random, shade, 0.3, cells=5)
    c.mist(random, light, 0.4, cells=9)
    for inset, width in ((0.04, 0.008), (0.06, 0.003)):
        corners = [
            (inset, inset),
            (1 - inset, inset),
            (1 - inset, TALL - inset),
            (inset, TALL - inset),
            (inset, inset),
        ]
        c.line(corners, shade, width, 0.8)


def draw_scanlines(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """The lines of a picture tube."""
    c.glow(0.5, 0.7, 0.9, light, 0.7)
    for row in np.arange(0, TALL, 0.02):
        c.line([(0, float(row)), (1, float(row))], shade, 0.005, 0.5)
    band = random.uniform(0.2, 1.2)
    c.box(0, band, 1, band + 0.06, (255, 255, 255), 0.2)


def draw_desert(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """Mesas under a hard sun."""
    x = random.uniform(0.25, 0.75)
    c.glow(x, 0.55, 0.8, light, 0.7)
    c.disc(x, 0.6, random.uniform(0.13, 0.22), blend(light, (255, 255, 255), 0.4))
    for _ in range(2):
        left, width, top = (
            random.uniform(-0.2, 0.8),
            random.uniform(0.2, 0.45),
            random.uniform(0.75, 0.92),
        )
        c.polygon(
            [(left, 1.1), (left + 0.05, top), (left + width, top), (left + width + 0.06, 1.1)],
            blend(light, shade, 0.6),
        )
    c.box(0, 1.05, 1, TALL, blend(light, shade, 0.75))
    c.ellipse(random.uniform(0.2, 0.8), 1.5, (0.9, 0.3), shade)


def draw_spotlights(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """A stage in the light of its lamps."""
    for lamp in np.linspace(0.1, 0.9, int(random.integers(3, 6))):
        aim, spread = random.uniform(0.2, 0.8), random.uniform(0.1, 0.2)
        c.polygon([(float(lamp), -0.05), (aim + spread, TALL), (aim - spread, TALL)], light, 0.3)
    c.ellipse(0.5, 1.35, (0.6, 0.14), light, alpha=0.5)


def draw_smoke(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """Smoke over trampled ground."""
    c.mist(random, light, 0.7, cells=3)
    c.mist(random, shade, 0.6, cells=6)
    xs = np.linspace(0, 1, 30)
    ridge = 1.12 + 0.03 * random.standard_normal(30)
    c.polygon([(0, TALL), *zip(xs.tolist(), ridge.tolist(), strict=True), (1, TALL)], shade)
    for x in random.uniform(0, 1, 4).tolist():
        c.line([(x - 0.04, 1.15), (x + 0.02, 1.03)], shade, 0.012)
        c.line([(x + 0.04, 1.15), (x - 0.02, 1.03)], shade, 0.012)


def draw_plain(c: Canvas, shade: Colour, light: Colour, random: np.random.Generator) -> None:
    """Two fields of colour and nothing else."""
    level = random.uniform(0.5, 1.1)
    tilt = random.uniform(-0.2, 0.2)
    c.polygon(
        [(0, level - tilt), (1, level + tilt), (1, TALL), (0, TALL)], blend(shade, light, 0.25), 0.8
    )
