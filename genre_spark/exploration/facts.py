"""Everything that the page says, as plain values: charts and sentences are made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from genre_spark.exploration.counting.genre_counts import CategoryShares, GenreCounts
from genre_spark.exploration.counting.number_facts import NumberFacts
from genre_spark.exploration.counting.poster_facts import ContactSheet, PosterColours
from genre_spark.exploration.counting.repeated_movies import Repeated
from genre_spark.exploration.counting.telling_values import SureValue, TellingValue

__all__ = ["Facts", "column_name", "enough", "share_text"]

_HANDFUL = 20  # movies; what is said of fewer may be chance

_NAMES = {
    "minute": "length in minutes",
    "words": "words of the texts",
    "decade": "decade",
}


@dataclass(frozen=True)
class Facts:
    """What was found.

    Attributes:
        counts: genres, pairs, sizes.
        left_out: genres that are too rare to be shown, or have no movie.
        shares: decade, countries, languages -> how genres spread over them; only known ones.
        numbers: quantiles and missing shares.
        telling: words, people, ... -> the most telling values of each genre.
        aucs: column -> AUC of each genre, (L,).
        sure: single values that nearly decide a genre.
        titles: repeated titles, None without metadata.
        pictures: repeated posters, None without posters.
        colours: mean colours, None without posters.
        sheets: contact sheets.
        absent: why metadata or posters are not there.
        rejected: stage -> reason -> rows of the source that it could not use.
    """

    counts: GenreCounts
    left_out: tuple[str, ...] = ()
    shares: Mapping[str, CategoryShares] = field(default_factory=dict)
    numbers: NumberFacts = field(default_factory=NumberFacts)
    telling: Mapping[str, Sequence[Sequence[TellingValue]]] = field(default_factory=dict)
    aucs: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    sure: Sequence[SureValue] = ()
    titles: Repeated | None = None
    pictures: Repeated | None = None
    colours: PosterColours | None = None
    sheets: Sequence[ContactSheet] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    rejected: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def column_name(kind: str) -> str:
    """Return a column's name as people read it."""
    return _NAMES.get(kind, kind)


def enough(movies: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the places with enough movies for a sentence about them; all, where there are none."""
    places = np.flatnonzero(movies >= _HANDFUL)
    return places if len(places) else np.arange(len(movies))


def share_text(share: float) -> str:
    """Return a share of 0..1 as per cent, with a digit more where it is small."""
    if 0 < share < 0.01:
        return f"{share:.1%}" if share >= 0.001 else "under 0.1%"
    return f"{share:.0%}"
