"""A multi-label method as a list of single-target fits: what each fit sees and what it learns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

__all__ = [
    "SAMPLES",
    "AnyLabel",
    "Labelsets",
    "Pruning",
    "RowSample",
    "Subproblem",
    "derive_seed",
    "plain_seed",
]


def derive_seed(*parts: int) -> int:
    """Return a seed in 0..2^31-1 for one fit of many.

    It is a hash, so that the seeds of neighbours have nothing in common.
    """
    return int(np.random.SeedSequence([part % 2**63 for part in parts]).generate_state(1)[0] >> 1)


def plain_seed(seed: int) -> int:
    """Return a seed that numpy and scikit-learn take, 0..2^32-1.

    Spark takes others too: they become a hash.
    """
    return seed if 0 <= seed < 2**32 else derive_seed(seed)


SAMPLES = ("all", "bootstrap", "subsample")


@dataclass(frozen=True)
class RowSample:
    """The training rows of one fit.

    Attributes:
        kind: all rows; a bootstrap (N draws with replacement); or a subsample without replacement.
        fraction: share of the rows that a subsample keeps, 0..1.
        seed: seed of the draws.
        any_of: labels of which a row must have at least one (a node of HOMER); empty keeps every
            row.
    """

    kind: Literal["all", "bootstrap", "subsample"] = "all"
    fraction: float = 1.0
    seed: int = 0
    any_of: tuple[int, ...] = ()


@dataclass(frozen=True)
class AnyLabel:
    """Binary target: 1 where at least one of the labels is on.

    A single label is the target itself, several are a meta-label of HOMER.
    """

    labels: tuple[int, ...]


@dataclass(frozen=True)
class Pruning:
    """How pruned sets treat rows of rare labelsets (Read et al. 2008).

    Attributes:
        threshold: p, a labelset is frequent where it occurs more often.
        strategy: which frequent subsets a rare labelset becomes: "A" the `keep` best by size, then
            count; "B" all those larger than `keep`.
        keep: b, see strategy.
    """

    threshold: int = 3
    strategy: Literal["A", "B"] = "A"
    keep: int = 2


@dataclass(frozen=True)
class Labelsets:
    """Multi-class target: each distinct combination of these labels in training is a class."""

    labels: tuple[int, ...]
    pruning: Pruning | None = None


@dataclass(frozen=True)
class Subproblem:
    """One fit of the base classifier.

    Attributes:
        target: what the fit learns.
        sample: rows that it sees.
        appended: labels that follow the features as further inputs, in this order (a link of a
            classifier chain).
        seed: seed of the base classifier, and of the negatives that the fit keeps.
        positive_weight: factor of the weights of rows whose binary target is 1, > 0.
        negative_weight: factor of the weights of rows whose binary target is 0, > 0.
        negative_rate: share of the rows with a binary target of 0 that the fit sees, 0..1.
    """

    target: AnyLabel | Labelsets
    sample: RowSample = field(default_factory=RowSample)
    appended: tuple[int, ...] = ()
    seed: int = 0
    positive_weight: float = 1.0
    negative_weight: float = 1.0
    negative_rate: float = 1.0
