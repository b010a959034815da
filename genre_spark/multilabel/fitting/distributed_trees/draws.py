"""Keys of rows and a bootstrap drawn by them: the same draws whatever the partitions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

__all__ = [
    "Occurrences",
    "count_draws",
    "draw_limits",
    "mix",
    "nth_keys",
    "number_rows",
    "row_keys",
]

Keys = NDArray[np.uint64]

_ODD = np.uint64(0x9E3779B97F4A7C15)  # of the golden ratio, as in SplitMix64
_MOST_DRAWS = 64  # a Poisson number above has no probability that 32 bits could hold


def mix(values: Keys) -> Keys:
    """Return a hash of 64-bit numbers: the finalizer of SplitMix64 (Steele et al., 2014)."""
    mixed = values ^ (values >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def number_rows(count: int, salt: int = 0) -> Keys:
    """Return `count` 64-bit numbers that look random, the same ones in every process."""
    first = np.uint64(salt * int(_ODD) % 2**64)
    numbers = np.arange(1, count + 1, dtype=np.uint64) + first
    return mix(numbers * _ODD)


def row_keys(
    features: NDArray[np.float32] | csr_matrix,
    labels: NDArray[np.floating],
    weights: NDArray[np.float64],
) -> Keys:
    """Return a key of the content of each row, (rows,): a dense row has that of its sparse form.

    It is a sum over the features of their bits times a number of the feature, so that zeros, which
    sparse rows do not store, add nothing.

    Args:
        features: (rows, features), float32.
        labels: 0 or 1, (rows, labels).
        weights: (rows,).
    """
    factors = number_rows(features.shape[1], salt=1) | np.uint64(1)
    if isinstance(features, csr_matrix):
        terms = _bits(features.data) * factors[features.indices]
        shape = features.shape
        sums = _sum_rows(terms, features.indptr, shape[0])
    else:
        sums = np.zeros(len(features), dtype=np.uint64)
        for start in range(0, features.shape[1], 64):  # a copy of some columns at a time
            block = _bits(features[:, start : start + 64])
            sums += (block * factors[start : start + 64]).sum(axis=1, dtype=np.uint64)
    sums += labels.astype(np.uint64) @ number_rows(labels.shape[1], salt=2)
    return mix(sums + mix((weights + 0.0).view(np.uint64)))


def _bits(values: NDArray[np.float32]) -> Keys:
    """Return the bits of floats, those of 0 for -0 and the same ones for every NaN."""
    clean = values + np.float32(0)
    clean[np.isnan(clean)] = np.nan
    return clean.view(np.uint32).astype(np.uint64)


def _sum_rows(terms: Keys, starts: NDArray[Any], n_rows: int) -> Keys:
    """Return the sums of the terms of each row, modulo 2^64."""
    below = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)])
    return np.asarray(below[starts[1:]] - below[starts[:n_rows]], dtype=np.uint64)


class Occurrences:
    """Numbers equal rows, so that each is drawn by itself; equal rows come to one place."""

    def __init__(self) -> None:
        self._keys = np.zeros(0, dtype=np.uint64)
        self._counts = np.zeros(0, dtype=np.int64)

    def tell_apart(self, keys: Keys) -> Keys:
        """Return keys that differ among equal rows: the n-th one's depends on n."""
        found, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
        order = np.argsort(inverse, kind="stable")
        numbers = np.empty(len(keys), dtype=np.int64)
        starts = np.cumsum(counts) - counts
        numbers[order] = np.arange(len(keys)) - np.repeat(starts, counts)
        place = np.searchsorted(self._keys, found)
        known = place < len(self._keys)
        known[known] = self._keys[place[known]] == found[known]
        before = np.zeros(len(found), dtype=np.int64)
        before[known] = self._counts[place[known]]
        self._counts[place[known]] += counts[known]
        self._keys = np.insert(self._keys, place[~known], found[~known])
        self._counts = np.insert(self._counts, place[~known], counts[~known])
        numbers += before[inverse]
        return nth_keys(keys, numbers)


def nth_keys(keys: Keys, numbers: NDArray[np.integer]) -> Keys:
    """Return the keys of the n-th of equal rows, from 0 on."""
    return mix(keys + numbers.astype(np.uint64) * _ODD)


def draw_limits(rate: float) -> NDArray[np.uint32]:
    """Return the cumulated probabilities of a Poisson number, as 32-bit numbers.

    Args:
        rate: mean number of times that a row is drawn, > 0.
    """
    probabilities = [float(np.exp(-rate))]
    while len(probabilities) < _MOST_DRAWS:
        probabilities.append(probabilities[-1] * rate / len(probabilities))
    limits = np.round(np.cumsum(probabilities) * 2.0**32)
    return limits[limits < 2**32].astype(np.uint32)


def count_draws(keys: Keys, tree: np.uint64, limits: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return how often a tree draws each row, (rows,): a Poisson number by the row's key.

    Args:
        keys: of the rows, (rows,).
        tree: key of the tree.
        limits: of `draw_limits`; without any, every row is drawn once.
    """
    if not len(limits):
        return np.ones(len(keys), dtype=np.uint8)
    chance = (mix(keys ^ tree) >> np.uint64(32)).astype(np.uint32)
    counts = np.zeros(len(keys), dtype=np.uint8)
    for limit in limits:
        counts += chance >= limit
    return counts
