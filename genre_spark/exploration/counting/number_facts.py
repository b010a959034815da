"""Numbers by genre, and what is missing: quantiles and shares, in two jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pyspark.sql import functions as F

from genre_spark.exploration.counting.known_movies import KnownMovies, has, number_of
from genre_spark.schemas import LABEL_IDS

__all__ = ["QUANTILES", "NumberFacts", "describe_numbers", "range_edges"]

Matrix = npt.NDArray[np.float64]
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_RANGES = 32
_ACCURACY = 2000
_ALL = -1


@dataclass(frozen=True)
class NumberFacts:
    """What numbers are like in each genre; the last row of each matrix is all movies.

    Attributes:
        quantiles: number -> `QUANTILES` of the movies that know it, (L + 1, 5); NaN where none
            does.
        known: number -> movies that know it, (L + 1,).
        missing: field -> share of movies without it, (L + 1,), 0..1.
    """

    quantiles: dict[str, Matrix] = field(default_factory=dict)
    known: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    missing: dict[str, Matrix] = field(default_factory=dict)


def describe_numbers(movies: KnownMovies, *, shown: Sequence[int]) -> NumberFacts:
    """Return quantiles of each number and the share of each missing field, by genre and in all.

    Quantiles are values that movies have, within 1 / 2,000 of the rank.

    Args:
        movies: what is known.
        shown: label ids, in the order wanted.
    """
    if not movies.fields:
        return NumberFacts()
    wanted = F.filter(LABEL_IDS, lambda label: label.isin(list(shown)))
    groups = F.concat(wanted, F.array(F.lit(_ALL)))
    columns = [number_of(name) for name in movies.numbers] + [has(name) for name in movies.fields]
    rows = movies.frame.select(F.explode(groups).alias("genre"), *columns)
    levels = F.array(*map(F.lit, QUANTILES))
    measured = [
        F.percentile_approx(number_of(name), levels, F.lit(_ACCURACY)).alias(name)
        for name in movies.numbers
    ]
    counted = [F.count(number_of(name)).alias(f"count_{name}") for name in movies.numbers]
    missing = [
        F.avg(F.coalesce(~F.col(has(name)), F.lit(True)).cast("double")).alias(has(name))
        for name in movies.fields
    ]
    found = rows.groupBy("genre").agg(*measured, *counted, *missing).collect()
    by_genre = {row["genre"]: row for row in found}
    order = [*shown, _ALL]
    nothing = [np.nan] * len(QUANTILES)
    known = {n: np.array([by_genre[g][f"count_{n}"] for g in order]) for n in movies.numbers}
    return NumberFacts(
        quantiles={
            name: np.array([by_genre[genre][name] or nothing for genre in order], np.float64)
            for name in movies.numbers
            if known[name][-1]
        },
        known=known,
        missing={
            name: np.array([by_genre[genre][has(name)] for genre in order], np.float64)
            for name in movies.fields
        },
    )


def range_edges(movies: KnownMovies) -> dict[str, list[float]]:
    """Return number -> ascending values that cut its movies into about equal parts, in one job."""
    if not movies.numbers:
        return {}
    levels = F.array(*[F.lit(step / _RANGES) for step in range(1, _RANGES)])
    found = movies.frame.agg(
        *[
            F.percentile_approx(number_of(name), levels, F.lit(_ACCURACY)).alias(name)
            for name in movies.numbers
        ]
    ).first()
    if found is None:
        return {}
    return {name: sorted(set(found[name] or [])) for name in movies.numbers}
