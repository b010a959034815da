"""A multi-label method as a list of single-target fits: what each fit sees and what it learns, whoever fits it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

__all__ = [
    "AnyLabel",
    "Labelsets",
    "Pruning",
    "RowSample",
    "Subproblem",
    "derive_seed",
    "plain_seed",
]


def derive_seed(*parts: int) -> int:
    """Return a seed in 0..2^31-1 for one fit out of many: a hash, so that neighbours share nothing."""
    return int(np.random.SeedSequence([part % 2**63 for part in parts]).generate_state(1)[0] >> 1)


def plain_seed(seed: int) -> int:
    """Return a seed that numpy and scikit-learn take, 0..2^32-1: any other one that Spark takes becomes a hash."""
    return seed if 0 <= seed < 2**32 else derive_seed(seed)


@dataclass(frozen=True)
class RowSample:
    """The training rows of one fit.

    Attributes:
        kind: all rows; a bootstrap (N draws with replacement); or a subsample without replacement.
        fraction: share of the rows that a subsample keeps, 0..1.
        seed: of the draws.
        any_of: keep only rows with at least one of these labels on (a node of HOMER); empty keeps
            every row.
    """

    kind: Literal["all", "bootstrap", "subsample"] = "all"
    fraction: float = 1.0
    seed: int = 0
    any_of: tuple[int, ...] = ()


@dataclass(frozen=True)
class AnyLabel:
    """Binary target: 1 where at least one of the labels is on (a label itself, or HOMER's meta-label)."""

    labels: tuple[int, ...]


@dataclass(frozen=True)
class Pruning:
    """How pruned sets treat rows whose labelset occurs at most `threshold` times (Read et al.

    2008).

    Attributes:
        threshold: p, a labelset is kept when it occurs more often.
        strategy: "A" keeps the `keep` best frequent subsets by size, then count; "B" all those
            larger than `keep`.
        keep: b.
    """

    threshold: int = 3
    strategy: Literal["A", "B"] = "A"
    keep: int = 2


@dataclass(frozen=True)
class Labelsets:
    """Multi-class target: the combination of these labels, each distinct one in training being a class."""

    labels: tuple[int, ...]
    pruning: Pruning | None = None


@dataclass(frozen=True)
class Subproblem:
    """One fit of the base classifier.

    Attributes:
        target: what it learns.
        sample: from which rows.
        appended: labels that follow the features as further inputs, in this order (a link of a
            classifier chain).
        seed: of the base classifier, and of the negatives that a fit keeps.
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
