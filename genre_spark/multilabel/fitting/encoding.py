"""Apply a plan to matrices: the rows, inputs and target classes of one fit. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from genre_spark.multilabel.fitting.plan import (
    AnyLabel,
    Labelsets,
    Pruning,
    RowSample,
    Subproblem,
    derive_seed,
)
from genre_spark.multilabel.matrices import Labels

__all__ = [
    "Encoded",
    "choose_subsets",
    "distinct_labelsets",
    "encode",
    "frequent_threshold",
    "keep_negatives",
    "sample_rows",
]

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Encoded:
    """What one fit sees.

    Attributes:
        rows: positions of the training rows, with repetitions, (n,).
        target: class of each of these rows, 0..C-1, (n,).
        classes: label combination of each class, (C, labels of the target); None for a binary
            target.
    """

    rows: Rows
    target: NDArray[np.int64]
    classes: Labels | None


def sample_rows(sample: RowSample, labels: Labels) -> Rows:
    """Return the positions of the rows that a fit draws."""
    count = len(labels)
    generator = np.random.default_rng(sample.seed)
    if sample.kind == "bootstrap":
        rows = np.sort(generator.integers(0, count, count))
    elif sample.kind == "subsample":
        rows = np.sort(generator.permutation(count)[: max(1, round(sample.fraction * count))])
    else:
        rows = np.arange(count)
    if sample.any_of:
        rows = rows[labels[rows][:, list(sample.any_of)].any(axis=1)]
    return rows


def distinct_labelsets(labels: Labels) -> tuple[Labels, NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct rows, the number of each row's labelset, and how often each occurs."""
    packed = np.packbits(labels, axis=1)
    keys = np.ascontiguousarray(packed).view([("", f"V{packed.shape[1]}")]).ravel()
    _, first, number, counts = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True
    )
    return labels[first], number.ravel(), counts


def choose_subsets(
    sets: Labels, frequent: Labels, counts: NDArray[np.int64], pruning: Pruning
) -> list[NDArray[np.int64]]:
    """Return for each labelset which of the frequent ones its rows become.

    A frequent labelset becomes itself. Another becomes its chosen frequent subsets, found by
    scanning the frequent labelsets and never by enumerating subsets.

    Args:
        sets: distinct labelsets, (S, labels).
        frequent: labelsets that are kept, (F, labels).
        counts: number of rows of each frequent labelset, (F,).
        pruning: the rule.
    """
    position = {row.tobytes(): index for index, row in enumerate(frequent)}
    sizes = frequent.sum(axis=1, dtype=np.int64)
    best_first = np.lexsort((np.arange(len(frequent)), -counts, -sizes))
    best_first = best_first[sizes[best_first] > (pruning.keep if pruning.strategy == "B" else 0)]
    ordered = frequent[best_first].astype(np.float32)
    becomes: list[NDArray[np.int64]] = []
    for start in range(0, len(sets), 1024):
        chunk = sets[start : start + 1024]
        # labels of the frequent set that the labelset lacks
        outside = (1 - chunk).astype(np.float32) @ ordered.T
        for labelset, lacking in zip(chunk, outside, strict=True):
            itself = position.get(labelset.tobytes())
            if itself is not None:
                becomes.append(np.array([itself]))
                continue
            subsets = best_first[lacking == 0]
            becomes.append(subsets[: pruning.keep] if pruning.strategy == "A" else subsets)
    return becomes


def frequent_threshold(pruning: Pruning, most: int) -> int:
    """Return the number of rows that a frequent labelset exceeds.

    Where no labelset exceeds the rule's threshold, the most frequent ones count as frequent.

    Args:
        pruning: the rule.
        most: number of rows of the most frequent labelset.
    """
    return min(pruning.threshold, most - 1)


def encode(subproblem: Subproblem, labels: Labels) -> Encoded:
    """Return the rows and classes of a fit.

    Args:
        subproblem: the fit.
        labels: labels of all training rows, 0 or 1, (rows, labels).
    """
    rows = sample_rows(subproblem.sample, labels)
    target = subproblem.target
    chosen = labels[rows][:, list(target.labels)]
    if isinstance(target, AnyLabel):
        return Encoded(rows, chosen.any(axis=1).astype(np.int64), None)
    return _encode_labelsets(target, rows, chosen)


def _encode_labelsets(target: Labelsets, rows: Rows, chosen: Labels) -> Encoded:
    sets, number, counts = distinct_labelsets(chosen)
    if target.pruning is None:
        return Encoded(rows, number, sets)
    frequent = np.flatnonzero(
        counts > frequent_threshold(target.pruning, int(counts.max(initial=1)))
    )
    kept = sets[frequent]
    becomes = choose_subsets(sets, kept, counts[frequent], target.pruning)
    copies = np.array([len(classes) for classes in becomes])
    starts = np.cumsum([0, *copies])
    flat = np.concatenate([*becomes, np.empty(0, dtype=np.int64)])
    repeats = copies[number]
    first = np.repeat(starts[number], repeats)
    within = np.arange(len(first)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    return Encoded(np.repeat(rows, repeats), flat[first + within], kept)


def keep_negatives(encoded: Encoded, subproblem: Subproblem) -> Encoded:
    """Return the rows of a binary fit: all positives and a share of the negatives, at least one.

    Which ones depends on the fit's seed and on the rows' order, which depends on their content.
    """
    if subproblem.negative_rate >= 1.0 or encoded.classes is not None or encoded.target.all():
        return encoded
    drawn = np.random.default_rng(derive_seed(subproblem.seed, 2)).random(len(encoded.rows))
    negative = encoded.target == 0
    limit = max(subproblem.negative_rate, float(drawn[negative].min()) + 1e-12)
    kept = ~negative | (drawn < limit)
    return replace(encoded, rows=encoded.rows[kept], target=encoded.target[kept])
