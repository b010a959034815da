"""The posters that a network takes: their form on storage, and the statistics of their pixels."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Normalisation", "PosterForm"]


class PosterForm(NamedTuple):
    """The form in which posters were stored for training.

    Other posters have to be brought to this form first.

    Attributes:
        height: height in pixels.
        width: width in pixels.
        fit: how posters were brought to that size; see `imaging.fit_pixels`.
    """

    height: int
    width: int
    fit: Literal["stretch", "cover", "contain"] = "stretch"


class Normalisation(NamedTuple):
    """Mean and standard deviation per channel (R, G, B) of pixels 0..255."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
