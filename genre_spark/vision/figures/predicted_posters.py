"""Pictures of predictions on posters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

__all__ = ["PredictedPoster", "draw_most_certain", "draw_predicted_posters"]


@dataclass(frozen=True)
class PredictedPoster:
    """A poster with its genres and those predicted.

    Attributes:
        movie_id: id of its movie.
        pixels: pixels, uint8 (H, W, 3), RGB.
        true: genres that the movie has.
        predicted: genres at or above the threshold, the most probable first.
        probability: probability of the genre that the poster is shown for, 0..1.
    """

    movie_id: int
    pixels: np.ndarray
    true: tuple[str, ...]
    predicted: tuple[str, ...]
    probability: float = 0.0


def draw_predicted_posters(posters: Sequence[PredictedPoster]) -> Figure:
    """Draw posters in a row, true and predicted genres below each, as the study's figure 5."""
    figure = Figure(figsize=(2.4 * len(posters), 4.4), layout="constrained")
    for axes, poster in zip(np.atleast_1d(figure.subplots(1, len(posters))), posters, strict=True):
        axes.imshow(poster.pixels)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(
            f"true: {_listed(poster.true)}\n\npredicted: {_listed(poster.predicted)}",
            fontsize=8,
            wrap=True,
        )
    return figure


def draw_most_certain(
    genres: Sequence[tuple[str, Sequence[PredictedPoster]]], *, columns: int
) -> Figure:
    """Draw the posters that the network is most certain of, one row per genre.

    A green frame means that the movie has the genre, a red one that it has not.
    """
    figure = Figure(figsize=(1.5 * columns + 1.2, 2.35 * len(genres)), layout="constrained")
    grid = figure.subplots(len(genres), columns, squeeze=False)
    for row, (genre, posters) in zip(grid, genres, strict=True):
        for place, axes in enumerate(row):
            axes.set_xticks([])
            axes.set_yticks([])
            if place >= len(posters):
                axes.axis("off")
                continue
            poster = posters[place]
            axes.imshow(poster.pixels)
            colour = "#3a8f4d" if genre in poster.true else "#c2553c"
            axes.spines[:].set(color=colour, linewidth=3)
            axes.set_xlabel(f"{poster.probability:.2f}", fontsize=8, color=colour)
        row[0].set_ylabel(genre, fontsize=9)
        row[0].axis("on")
    return figure


def _listed(genres: Sequence[str]) -> str:
    return ", ".join(genres) if genres else "none"
