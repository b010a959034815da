"""Labelsets of synthetic movies, with the real skew, co-occurrence and number of genres."""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np
import numpy.typing as npt

from genre_spark.synthesis.genre_counts import GENRES, MOVIES_BY_LABELSET_SIZE, count_together

__all__ = ["draw_labelset", "labelset_distribution"]

_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
_TOLERANCE = 1e-7


@cache
def labelset_distribution() -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Return every labelset of one to five genres and its probability.

    Of all distributions with the real pair counts and the real number of genres per movie, this is
    the one of maximum entropy (Jaynes, 1957), an Ising model whose couplings Newton's method finds:
    it adds no structure that the counts do not have. Labelsets come in an order that keeps those of
    a rare genre together.

    Returns:
        members: labelsets, bool, (16663, 19), columns as in GENRES.
        probabilities: float64, (16663,), with sum 1.
    """
    count, sizes = len(GENRES), len(MOVIES_BY_LABELSET_SIZE)
    chosen = [set_ for size in range(1, sizes + 1) for set_ in combinations(range(count), size)]
    members = np.zeros((len(chosen), count), bool)
    for row, set_ in enumerate(chosen):
        members[row, list(set_)] = True
    members = members[np.lexsort(members.T)]

    first, second = np.triu_indices(count)
    number = members.sum(axis=1)
    # a genre's own count and the number of genres are linearly dependent: hence the ridge below
    features = np.column_stack(
        [members[:, first] & members[:, second], *(number == size for size in range(1, sizes + 1))]
    ).astype(np.float64)
    movies = sum(MOVIES_BY_LABELSET_SIZE)
    wanted = np.concatenate([count_together()[first, second], MOVIES_BY_LABELSET_SIZE]) / movies

    couplings = np.zeros(features.shape[1])
    probabilities = np.full(len(members), 1.0 / len(members))
    for _ in range(100):
        gap = wanted - probabilities @ features
        if np.abs(gap).max() < _TOLERANCE:
            break
        means = probabilities @ features
        curvature = (features * probabilities[:, None]).T @ features - np.outer(means, means)
        step = np.linalg.solve(curvature + 1e-9 * np.eye(len(means)), gap)
        couplings += step * min(1.0, 2.0 / np.abs(step).max())
        energies = features @ couplings
        probabilities = np.exp(energies - energies.max())
        probabilities /= probabilities.sum()
    return members, probabilities


@cache
def _cumulated() -> npt.NDArray[np.float64]:
    return np.cumsum(labelset_distribution()[1])


def draw_labelset(index: int, *, offset: float) -> tuple[str, ...]:
    """Return the genres of the index-th movie, the most frequent genre first.

    The positions offset + index * golden ratio (modulo 1) fill the unit interval evenly (a Weyl
    sequence), so that a few hundred movies already have every genre in its share, and a movie's
    genres depend on nothing but its index.

    Args:
        index: number of the movie, from 0.
        offset: start of the sequence, 0..1, made from the seed.
    """
    members, _ = labelset_distribution()
    position = (offset + index * _GOLDEN) % 1.0
    row = min(int(np.searchsorted(_cumulated(), position, side="right")), len(members) - 1)
    return tuple(GENRES[column] for column in np.flatnonzero(members[row]))
