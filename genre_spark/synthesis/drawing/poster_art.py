"""Draws the poster of a synthetic movie: its genres show in colours, composition and shapes."""

from __future__ import annotations

import cv2
import numpy as np

from genre_spark.synthesis.drawing.canvas import WIDTH, Canvas, Colour, Image, blend
from genre_spark.synthesis.drawing.emblems import EMBLEMS
from genre_spark.synthesis.drawing.lettering import letter
from genre_spark.synthesis.drawing.looks import LOOKS
from genre_spark.synthesis.drawing.shapes import Spot
from genre_spark.synthesis.draws import generator, pick
from genre_spark.synthesis.genre_counts import GENRES
from genre_spark.synthesis.movies import Movie

__all__ = ["draw_poster", "encode_jpeg"]

# Width and height in pixels of published posters, and the share of each.
_SIZES = ((230, 345), (182, 268), (300, 445), (300, 450), (160, 240), (500, 735))
_SHARES = (0.4, 0.25, 0.25, 0.04, 0.03, 0.03)
_MISLEADING = 0.12  # share of posters that look like another genre's
_EMBLEM_SHOWN = 0.8  # probability that a genre other than the leading one shows its emblem
_GRAYSCALE = 0.03
# Places of small emblems: below a title at the top, above one at the bottom.
_PLACES_BELOW = ((0.2, 0.62), (0.8, 0.62), (0.2, 1.16), (0.8, 1.16), (0.5, 1.2))
_PLACES_ABOVE = ((0.2, 0.24), (0.8, 0.24), (0.2, 0.86), (0.8, 0.86), (0.5, 0.18))


def draw_poster(movie: Movie, *, seed: int) -> Image:
    """Draw a movie's poster.

    One of its genres leads: it decides backdrop, lettering, the large emblem and most colours. The
    others tint the colours and add small emblems. Some posters mislead, as some real ones do.

    Returns:
        uint8, (H, W, 3) in RGB or (H, W) for a grayscale poster, in one of the usual sizes.
    """
    random = generator(seed, "poster", movie.movie_id)
    leading = pick(movie.genres, random)
    shown_as = pick(GENRES, random) if random.random() < _MISLEADING else leading
    look = LOOKS[shown_as]
    others = tuple(genre for genre in movie.genres if genre != leading)
    top, bottom, shade, light, accent = _mix_colours(shown_as, others, random)

    canvas = Canvas(top, bottom)
    pick(look.backdrops, random)(canvas, shade, light, random)
    on_top = bool(random.random() < look.title_on_top)
    x, y = (
        random.uniform(0.38, 0.62),
        random.uniform(0.78, 0.94) if on_top else random.uniform(0.46, 0.62),
    )
    size = random.uniform(0.22, 0.36)
    ink = _stand_out(canvas, x, y, shade, blend(light, (255, 255, 255), 0.3))
    EMBLEMS[shown_as](canvas, Spot(x, y, size), ink, accent, random)
    places = _PLACES_BELOW if on_top else _PLACES_ABOVE
    for genre, place in zip(others, random.permutation(len(places)), strict=False):
        if random.random() < _EMBLEM_SHOWN:
            _draw_small_emblem(canvas, genre, *places[place], random)
    canvas.darken_edges(random.uniform(0.1, 0.6))
    credits = (*movie.directors, *movie.actors)
    letter(
        canvas,
        title=movie.name,
        font=look.font,
        on_top=on_top,
        people=credits,
        tagline=movie.tagline,
    )
    canvas.grain(random, random.uniform(1, 5))
    return _print_copy(canvas.pixels, random)


def _draw_small_emblem(
    canvas: Canvas, genre: str, x: float, y: float, random: np.random.Generator
) -> None:
    _, _, shade, light, accent = pick(LOOKS[genre].palettes, random).colours()
    ink = _stand_out(canvas, x, y, shade, light)
    EMBLEMS[genre](canvas, Spot(x, y, random.uniform(0.1, 0.16)), ink, accent, random)


def _stand_out(canvas: Canvas, x: float, y: float, dark: Colour, bright: Colour) -> Colour:
    """Return the colour that is visible on what is already painted around a point."""
    column, row = int(x * WIDTH), int(y * WIDTH)
    around = canvas.pixels[max(0, row - 40) : row + 40 : 4, max(0, column - 40) : column + 40 : 4]
    return dark if float(around.mean()) > 100 else bright


def _mix_colours(
    leading: str, others: tuple[str, ...], random: np.random.Generator
) -> list[Colour]:
    """Return the leading genre's colours, tinted with the others' and shifted a little."""
    colours = list(pick(LOOKS[leading].palettes, random).colours())
    for genre in others:
        tints = pick(LOOKS[genre].palettes, random).colours()
        colours = [blend(own, tint, 0.25) for own, tint in zip(colours, tints, strict=True)]
    shifted = np.clip(np.asarray(colours) + random.normal(0.0, 9.0, (5, 3)), 0, 255).astype(int)
    return [(red, green, blue) for red, green, blue in shifted.tolist()]


def _print_copy(pixels: Image, random: np.random.Generator) -> Image:
    """Return the picture in a usual size; a few copies are grayscale."""
    width, height = _SIZES[int(random.choice(len(_SIZES), p=_SHARES))]
    if random.random() < _GRAYSCALE:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    way = cv2.INTER_AREA if width < pixels.shape[1] else cv2.INTER_LINEAR
    return cv2.resize(pixels, (width, height), interpolation=way)


def encode_jpeg(image: Image, *, quality: int = 88) -> bytes:
    """Return an RGB (H, W, 3) or grayscale (H, W) picture as JPEG."""
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    _, data = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()
