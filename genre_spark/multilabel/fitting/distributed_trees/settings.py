"""How trees are grown: scikit-learn's settings of a forest, in numbers of this data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sklearn.ensemble import ExtraTreesClassifier

from genre_spark.errors import InvalidConfigError
from genre_spark.multilabel.fitting.statistics import TrainingStatistics

__all__ = ["GrowthSettings", "check_growth", "count_draws"]


@dataclass(frozen=True)
class GrowthSettings:
    """Settings of all trees of a forest.

    Attributes:
        trees: number of trees.
        entropy: whether impurity is the labels' entropy; their Gini impurity otherwise.
        max_depth: largest number of splits above a leaf.
        min_split: smallest number of rows of a node that is split.
        min_leaf: smallest number of rows of a leaf.
        min_leaf_weight: smallest weight of the rows of a leaf.
        min_decrease: smallest decrease of the mean impurity by a split, weighted by its rows.
        features: number of features.
        candidates: number of features that a node compares.
        draws: mean number of times that a tree draws a row; 0 where it takes each once.
        random_cuts: whether each candidate has one threshold, drawn at random (extra trees).
        seed: seed of the forest.
    """

    trees: int
    entropy: bool
    max_depth: int
    min_split: int
    min_leaf: int
    min_leaf_weight: float
    min_decrease: float
    features: int
    candidates: int
    draws: float
    random_cuts: bool
    seed: int

    @classmethod
    def of_forest(cls, forest: Any, statistics: TrainingStatistics, seed: int) -> GrowthSettings:
        """Return the settings of scikit-learn's unfitted forest on this training data."""
        rows = statistics.n_rows
        draws = count_draws(forest.max_samples, rows) if forest.bootstrap else 0.0
        share = forest.min_weight_fraction_leaf
        return cls(
            trees=forest.n_estimators,
            entropy=forest.criterion != "gini",
            max_depth=2**31 if forest.max_depth is None else forest.max_depth,
            min_split=max(2, _number_of(forest.min_samples_split, rows)),
            min_leaf=_number_of(forest.min_samples_leaf, rows),
            min_leaf_weight=share * statistics.weight * (draws or 1.0),
            min_decrease=forest.min_impurity_decrease,
            features=statistics.n_features,
            candidates=_count_candidates(forest.max_features, statistics.n_features),
            draws=draws,
            random_cuts=isinstance(forest, ExtraTreesClassifier),
            seed=seed,
        )


def count_draws(max_samples: float | None, rows: int) -> float:
    """Return the mean number of times that a tree draws a row, by scikit-learn's `max_samples`."""
    size = rows if max_samples is None else max_samples
    return size / rows if isinstance(size, int) else float(size)


def _number_of(value: int | float, rows: int) -> int:
    """Return a number of rows that is given as such, or as a share of all."""
    return value if isinstance(value, int) else math.ceil(value * rows)


def _count_candidates(value: Any, n_features: int) -> int:
    if value is None:
        return n_features
    if value == "sqrt":
        return max(1, math.isqrt(n_features))
    if value == "log2":
        return max(1, int(math.log2(n_features)))
    return max(1, min(n_features, value if isinstance(value, int) else int(value * n_features)))


def check_growth(forest: Any, name: str) -> None:
    """Raise InvalidConfigError where a forest has settings that a distributed one has not."""
    for setting, neutral in (("max_leaf_nodes", None), ("ccp_alpha", 0.0), ("monotonic_cst", None)):
        value = getattr(forest, setting, neutral)
        if value != neutral:
            raise InvalidConfigError(
                f"{name}.{setting}: {value!r}, expected {neutral!r} where mode is 'distributed'"
            )
