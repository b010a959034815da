"""The sign of each genre: a figure that can be drawn large as a poster's motif or small at its side.

Every function draws inside a circle of radius `r` around (x, y), in a main colour `ink` and a
second one `accent`.
"""

# ruff: noqa: ARG001 - they share one signature, and not every one needs all of it

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from genre_spark.synthesis.canvas import Canvas, Colour, Point, blend

Emblem = Callable[[Canvas, float, float, float, Colour, Colour, np.random.Generator], None]


def _around(x: float, y: float, r: float, corners: list[Point]) -> list[Point]:
    """Place corners given in units of the radius."""
    return [(x + r * dx, y + r * dy) for dx, dy in corners]


def _polar(x: float, y: float, radii: list[float], turn: float = 0.0) -> list[Point]:
    """Return the corners of a star: one for each radius, evenly spaced around (x, y)."""
    angles = turn + np.arange(len(radii)) * 2 * np.pi / len(radii)
    return [
        (x + radius * float(np.sin(a)), y - radius * float(np.cos(a)))
        for radius, a in zip(radii, angles, strict=True)
    ]


def draw_figure(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """Drama: someone stands alone, a long shadow behind."""
    lean = random.uniform(-0.5, 0.5)
    c.polygon(
        _around(x, y, r, [(-0.16, 0.85), (0.16, 0.85), (0.35 + lean, 1.3), (-0.1 + lean, 1.3)]),
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
    c.polygon(_around(x, y, r, coat + legs + [(-dx, dy) for dx, dy in reversed(coat)]), ink)
    c.line(_around(x, y, r, [(-0.1, -0.5), (0.0, -0.3), (0.1, -0.5)]), accent, 0.03 * r)


def draw_viewfinder(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """Documentary: the corners of a viewfinder and the red light of a recording."""
    for sx in (-1, 1):
        for sy in (-1, 1):
            corner = [(0.45 * sx, 0.7 * sy), (0.9 * sx, 0.7 * sy), (0.9 * sx, 0.35 * sy)]
            c.line(_around(x, y, r, corner), ink, 0.06 * r)
    c.line(_around(x, y, r, [(-0.15, 0), (0.15, 0)]), ink, 0.04 * r)
    c.line(_around(x, y, r, [(0, -0.15), (0, 0.15)]), ink, 0.04 * r)
    c.disc(x + 0.62 * r, y - 0.45 * r, 0.1 * r, accent)


def draw_smile(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """Comedy: a laughing face, sometimes behind glasses."""
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


def draw_creature(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """Animation: a round creature with big eyes."""
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


def draw_skull(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """Horror: a skull with something alive in its eyes."""
    c.ellipse(x, y - 0.15 * r, (0.68 * r, 0.7 * r), ink)
    c.polygon(_around(x, y, r, [(-0.42, 0.3), (0.42, 0.3), (0.34, 0.85), (-0.34, 0.85)]), ink)
    dark = blend(ink, (0, 0, 0), 0.9)
    for side in (-1, 1):
        c.ellipse(x + side * 0.3 * r, y - 0.08 * r, (0.2 * r, 0.23 * r), dark, angle=side * 15.0)
        c.disc(x + side * 0.28 * r, y - 0.05 * r, 0.06 * r, accent)
    c.polygon(_around(x, y, r, [(0, 0.16), (0.1, 0.38), (-0.1, 0.38)]), dark)
    for tooth in (-0.2, -0.07, 0.07, 0.2):
        c.line(_around(x, y, r, [(tooth, 0.52), (tooth, 0.85)]), dark, 0.035 * r)


def draw_hearts(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """Romance: two hearts, one leaning on the other."""
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


def draw_crosshair(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """Thriller: a crosshair on someone far away."""
    draw_figure(c, x, y + 0.1 * r, 0.42 * r, ink, accent, random)
    c.ring(x, y, 0.82 * r, accent, 0.05 * r)
    c.ring(x, y, 0.5 * r, accent, 0.02 * r)
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        c.line(_around(x, y, r, [(0.55 * dx, 0.55 * dy), (dx, dy)]), accent, 0.045 * r)


def draw_record(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """Music: a record, and the bars of its sound."""
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


def draw_blast(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """Action: an explosion."""
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
        c.polygon(_polar(x, y, radii, random.uniform(0, 1)), colour)
    for _ in range(7):
        angle, far = random.uniform(0, 2 * np.pi), random.uniform(0.9, 1.35) * r
        shard = _polar(
            x + far * np.cos(angle), y + far * np.sin(angle), [0.09 * r, 0.05 * r, 0.1 * r], angle
        )
        c.polygon(shard, ink)


def draw_fingerprint(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """Crime: a fingerprint."""
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


def draw_house(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """Family: a house with light in its windows."""
    c.box(x + 0.3 * r, y - 0.75 * r, x + 0.48 * r, y - 0.2 * r, ink)
    c.box(x - 0.6 * r, y - 0.15 * r, x + 0.6 * r, y + 0.75 * r, blend(accent, (255, 255, 255), 0.5))
    c.polygon(_around(x, y, r, [(-0.85, -0.1), (0, -0.9), (0.85, -0.1)]), ink)
    for left in (-0.45, 0.17):
        c.box(x + left * r, y + 0.02 * r, x + (left + 0.28) * r, y + 0.3 * r, (255, 224, 120))
        c.line(_around(x, y, r, [(left + 0.14, 0.02), (left + 0.14, 0.3)]), ink, 0.03 * r)
    c.box(x - 0.13 * r, y + 0.35 * r, x + 0.13 * r, y + 0.75 * r, accent)


def draw_television(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """TV Movie: a television set with its aerial."""
    for side in (-1, 1):
        c.line(
            _around(x, y, r, [(0, -0.45), (side * random.uniform(0.3, 0.6), -1.0)]), ink, 0.04 * r
        )
        c.line(_around(x, y, r, [(side * 0.5, 0.6), (side * 0.62, 0.9)]), ink, 0.07 * r)
    c.box(x - 0.95 * r, y - 0.5 * r, x + 0.95 * r, y + 0.65 * r, ink)
    c.box(
        x - 0.8 * r, y - 0.36 * r, x + 0.45 * r, y + 0.5 * r, blend(accent, (230, 240, 245), 0.55)
    )
    for row in range(7):
        level = y + (-0.3 + 0.12 * row) * r
        c.line([(x - 0.8 * r, level), (x + 0.45 * r, level)], accent, 0.025 * r, 0.6)
    for knob in (-0.15, 0.15):
        c.disc(x + 0.7 * r, y + knob * r, 0.09 * r, accent)


def draw_compass(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """Adventure: a compass rose."""
    c.ring(x, y, 0.85 * r, ink, 0.06 * r)
    c.ring(x, y, 0.72 * r, ink, 0.02 * r)
    c.polygon(_polar(x, y, [0.6 * r, 0.12 * r] * 4, np.pi / 4), ink, 0.8)
    c.polygon(_polar(x, y, [0.98 * r, 0.14 * r] * 4), accent)
    needle = random.uniform(-0.6, 0.6)
    c.polygon(_polar(x, y, [0.66 * r, 0.08 * r, 0.0, 0.08 * r], needle), (200, 40, 40))


def draw_castle(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """Fantasy: a castle with pointed towers below a crescent moon."""
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
        c.polygon(_around(x, y, r, roof), blend(ink, accent, 0.3))
        c.disc(x + (left + width / 2) * r, y + (height + 0.2) * r, 0.05 * r, accent)
    c.box(x - 0.8 * r, y + 0.5 * r, x + 0.8 * r, y + 0.9 * r, ink)


def draw_magnifier(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """Mystery: a magnifying glass over a keyhole."""
    c.line(_around(x, y, r, [(0.33, 0.33), (0.9, 0.9)]), ink, 0.16 * r)
    c.disc(x - 0.12 * r, y - 0.12 * r, 0.6 * r, accent, 0.45)
    c.ring(x - 0.12 * r, y - 0.12 * r, 0.62 * r, ink, 0.1 * r)
    c.disc(x - 0.12 * r, y - 0.24 * r, 0.17 * r, ink)
    c.polygon(_around(x, y, r, [(-0.18, -0.2), (-0.06, -0.2), (0.04, 0.25), (-0.28, 0.25)]), ink)


def draw_planet(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """Science Fiction: a planet with its ring."""
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


def draw_temple(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """History: a temple with columns, one of them broken."""
    c.polygon(_around(x, y, r, [(-0.9, -0.4), (0, -0.85), (0.9, -0.4)]), ink)
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


def draw_planes(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """War: planes in formation."""
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
        c.polygon(_around(x + dx * r, y + dy * r, size * r, turned), ink)
        c.disc(x + dx * r, y + (dy + 0.03) * r, 0.06 * r, accent)


def draw_cactus(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    ink: Colour,
    accent: Colour,
    random: np.random.Generator,
) -> None:
    """Western: a cactus, and a sheriff's star."""
    pen = 0.22 * r
    c.line(_around(x, y, r, [(0, 0.95), (0, -0.7)]), ink, pen)
    c.disc(x, y - 0.7 * r, pen / 2, ink)
    for side, low, high in ((-1, 0.3, -0.25), (1, random.uniform(0.0, 0.2), -0.45)):
        c.line(_around(x, y, r, [(0, low), (side * 0.5, low), (side * 0.5, high)]), ink, 0.17 * r)
        c.disc(x + side * 0.5 * r, y + high * r, 0.085 * r, ink)
        c.disc(x + side * 0.5 * r, y + low * r, 0.085 * r, ink)
    c.polygon(_polar(x + 0.62 * r, y + 0.68 * r, [0.26 * r, 0.11 * r] * 5), accent)


EMBLEMS: dict[str, Emblem] = {
    "Drama": draw_figure,
    "Documentary": draw_viewfinder,
    "Comedy": draw_smile,
    "Animation": draw_creature,
    "Horror": draw_skull,
    "Romance": draw_hearts,
    "Thriller": draw_crosshair,
    "Music": draw_record,
    "Action": draw_blast,
    "Crime": draw_fingerprint,
    "Family": draw_house,
    "TV Movie": draw_television,
    "Adventure": draw_compass,
    "Fantasy": draw_castle,
    "Mystery": draw_magnifier,
    "Science Fiction": draw_planet,
    "History": draw_temple,
    "War": draw_planes,
    "Western": draw_cactus,
}
"""The emblem of each genre."""
