"""The emblem of each genre: a figure, drawn large as a poster's motif or small at its side.

Every function draws inside a spot, in a main colour `ink` and a second one `accent`.
"""

from __future__ import annotations

from collections.abc import Callable

from genre_spark.synthesis.drawing.canvas import Canvas, Colour
from genre_spark.synthesis.drawing.emblem_beings import (
    draw_cactus,
    draw_creature,
    draw_crosshair,
    draw_figure,
    draw_fingerprint,
    draw_hearts,
    draw_skull,
    draw_smile,
)
from genre_spark.synthesis.drawing.emblem_things import (
    draw_blast,
    draw_castle,
    draw_compass,
    draw_house,
    draw_magnifier,
    draw_planes,
    draw_planet,
    draw_record,
    draw_television,
    draw_temple,
    draw_viewfinder,
)
from genre_spark.synthesis.drawing.shapes import Random, Spot

__all__ = ["EMBLEMS", "Emblem"]

Emblem = Callable[[Canvas, Spot, Colour, Colour, Random], None]

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
