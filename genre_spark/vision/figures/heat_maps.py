"""Pictures of where a network looks."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["LookedAt", "draw_heat_maps"]

_COLUMNS = 6
_CHARACTERS = 24  # of a line below a poster
_STRONGEST = 0.75  # how much of the poster the heat may hide


@dataclass(frozen=True)
class LookedAt:
    """A poster and where the network looked.

    Attributes:
        pixels: uint8, (H, W, 3), RGB.
        heat: 0..1, (h, w), of any size.
        genre: what the network was asked for.
        probability: its answer, 0..1.
        true: genres of the movie.
    """

    pixels: NDArray[np.uint8]
    heat: NDArray[np.floating]
    genre: str
    probability: float
    true: tuple[str, ...]


def draw_heat_maps(posters: Sequence[LookedAt], *, title: str) -> Figure:
    """Draw each poster above itself in gray with the heat over it, and the genres below.

    A green name is of a genre that the movie has, a red one of one that it has not.
    """
    columns = min(_COLUMNS, len(posters))
    rows = -(-len(posters) // columns)
    figure = Figure(figsize=(1.75 * max(3, columns), 5.5 * rows + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    grid = figure.subplots(2 * rows, max(3, columns), squeeze=False)
    for axes in grid.ravel():
        axes.axis("off")
    for place, poster in enumerate(posters):
        row, column = divmod(place, columns)
        _draw(grid[2 * row][column], grid[2 * row + 1][column], poster)
    return figure


def _draw(above: Axes, below: Axes, poster: LookedAt) -> None:
    for axes in (above, below):
        axes.axis("on")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    above.imshow(poster.pixels)
    gray = poster.pixels.mean(axis=2).astype(np.uint8)
    height, width = gray.shape
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    below.imshow(gray, cmap="gray", vmin=0, vmax=255, extent=extent)
    coloured = colormaps["inferno"](poster.heat)
    coloured[..., 3] = _STRONGEST * np.clip(poster.heat, 0, 1)
    below.imshow(coloured, extent=extent, interpolation="bilinear")
    right = poster.genre in poster.true
    above.set_title(
        f"{poster.genre} {poster.probability:.2f}",
        fontsize=9,
        color="#2e7a40" if right else "#b3432b",
    )
    listed = ", ".join(poster.true) if poster.true else "none"
    below.set_xlabel("\n".join(textwrap.wrap(f"true: {listed}", _CHARACTERS)), fontsize=8)
