"""The few numbers that stand for a model: test metrics under the rule that validation chose."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genre_spark.evaluation.bootstrap import Interval, paired_bootstrap
from genre_spark.evaluation.scores import (
    EXACT_MATCH,
    FIXED,
    MICRO_F1,
    NO_RULE,
    PER_LABEL,
    SHOWN,
    SMALLER_IS_BETTER,
    Candidate,
    Score,
    choose_best,
)
from genre_spark.evaluation.text_tables import align_columns

__all__ = [
    "SHORT_NAMES",
    "Spread",
    "bootstrap_scores",
    "choose_rules",
    "format_spreads",
    "gain_of_best",
    "headline",
    "interval_of",
    "rank",
    "spread_over_seeds",
]

Matrix = npt.NDArray[np.float64]

SHORT_NAMES = {
    "f1_micro": "f1_micro",
    "f1_macro": "f1_macro",
    "jaccard_samples": "jaccard",
    "subset_accuracy": "exact_match",
    "hamming_loss": "hamming",
}
"""Metric -> its name in MLflow's table of runs, in the order of the columns."""

_RULES = {
    FIXED: "fixed",
    EXACT_MATCH: "for exact match",
    MICRO_F1: "for micro-F1",
    PER_LABEL: "per genre",
    NO_RULE: "-",
}
_DIGITS = 4  # the noise of some thousand movies is in the second one
_LOW, _HIGH, _GAIN = "_low", "_high", "best_gain_"


def choose_rules(candidates: Iterable[Candidate], *, by: str) -> dict[str, Candidate]:
    """Return each model under its best rule on validation, baselines under their only one."""
    by_model: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_model.setdefault(candidate.model, []).append(candidate)
    return {
        model: choose_best(rules, by=by) or rules[0] for model, rules in sorted(by_model.items())
    }


def headline(candidate: Candidate) -> dict[str, float]:
    """Return the test metrics by their short names, and those of validation as `val_...`."""
    named = {
        f"{prefix}{short}": candidate.metric(split, name)
        for prefix, split in (("", "test"), ("val_", "validation"))
        for name, short in SHORT_NAMES.items()
    }
    return {name: round(value, _DIGITS) for name, value in named.items() if math.isfinite(value)}


@dataclass(frozen=True)
class Spread:
    """Test metrics of a model under a rule, over several seeds.

    Attributes:
        candidate: of the first seed.
        means: metric -> mean over the seeds.
        deviations: metric -> standard deviation over the seeds.
        seeds: how many there are.
    """

    candidate: Candidate
    means: Mapping[str, float]
    deviations: Mapping[str, float]
    seeds: int


def spread_over_seeds(by_seed: Sequence[Sequence[Candidate]]) -> list[Spread]:
    """Return the spread of each model and rule that every seed has, in the first one's order.

    Args:
        by_seed: candidates of each seed.
    """
    found = [{(c.model, c.rule): c for c in candidates} for candidates in by_seed]
    spreads = []
    for key, first in found[0].items():
        if not all(key in others for others in found):
            continue
        values = {m: [other[key].metric("test", m) for other in found] for m in SHOWN}
        spreads.append(
            Spread(
                first,
                {metric: float(np.mean(each)) for metric, each in values.items()},
                {metric: float(np.std(each, ddof=1)) for metric, each in values.items()},
                len(found),
            )
        )
    return spreads


def format_spreads(spreads: Sequence[Spread]) -> str:
    """Return a text table of means and deviations, the best mean of each metric with a `*`."""
    header = ["model", "threshold"]
    header += [f"{name} {'↓' if m in SMALLER_IS_BETTER else '↑'}" for m, name in SHOWN.items()]
    choose = {metric: min if metric in SMALLER_IS_BETTER else max for metric in SHOWN}
    best = {
        metric: choose[metric](
            (s.means[metric] for s in spreads if math.isfinite(s.means[metric])), default=math.nan
        )
        for metric in SHOWN
    }
    rows = [header]
    for spread in spreads:
        cells = [spread.candidate.model, _RULES[spread.candidate.rule]]
        for metric in SHOWN:
            mean, star = spread.means[metric], "*" if spread.means[metric] == best[metric] else " "
            shown = f"{mean:.4f} ±{spread.deviations[metric]:.4f}{star}"
            cells.append(shown if math.isfinite(mean) else "")
        rows.append(cells)
    first, *lines = align_columns(rows, left=2)
    return "\n".join([first, "-" * max(map(len, (first, *lines))), *lines])


def rank(candidates: Iterable[Candidate], *, by: str) -> list[Candidate]:
    """Return candidates by quality on test, the best first."""
    sign = 1.0 if by in SMALLER_IS_BETTER else -1.0

    def place(candidate: Candidate) -> tuple[bool, float, str]:
        value = candidate.metric("test", by)
        return math.isnan(value), sign * value if math.isfinite(value) else 0.0, candidate.model

    return sorted(candidates, key=place)


def bootstrap_scores(
    chosen: Mapping[str, Candidate],
    sums: Mapping[str, Matrix],
    *,
    best: str | None,
    seed: int,
) -> list[Score]:
    """Return intervals of the test metrics, and by how much the best model is better, as scores.

    Args:
        chosen: model -> its candidate.
        sums: model -> sums of groups of the same test movies, (G, 3 L + 3).
        best: the model that validation chose.
        seed: seed of the draws.

    Returns:
        For each model the 95 % intervals `f1_micro_low`, `f1_micro_high`, ...; and the gains of the
        best model over it, `best_gain_f1_micro` with its interval, where they share movies.
    """
    scores = []
    for models in _on_equal_movies(sums):
        found = paired_bootstrap({model: sums[model] for model in models}, seed=seed)
        for model in models:
            values: dict[str, float] = {}
            for metric in SHOWN:
                values |= _bounds(metric, found.interval(model, metric))
                if best is not None and best in models and model != best:
                    gain = found.gain(best, model, metric)
                    name = f"{_GAIN}{metric}"
                    values |= {name: gain.value, **_bounds(name, gain)}
            c = chosen[model]
            start = (c.model, c.family, c.method, "test", c.rule)
            scores += [Score(*start, name, None, value) for name, value in values.items()]
    return scores


def interval_of(candidate: Candidate, metric: str) -> Interval | None:
    """Return the 95 % interval of a test metric, or None where it was not worked out."""
    value, low, high = (candidate.metric("test", f"{metric}{end}") for end in ("", _LOW, _HIGH))
    return Interval(value, low, high) if math.isfinite(low + high) else None


def gain_of_best(candidate: Candidate, metric: str) -> Interval | None:
    """Return by how much the best model is better than this one on the same test movies."""
    return interval_of(candidate, f"{_GAIN}{metric}")


def _bounds(name: str, interval: Interval) -> dict[str, float]:
    return {f"{name}{_LOW}": interval.low, f"{name}{_HIGH}": interval.high}


def _on_equal_movies(sums: Mapping[str, Matrix]) -> list[Sequence[str]]:
    """Put models together that were measured on the same movies with the same true labels."""
    together: list[list[str]] = []
    for model, matrix in sums.items():
        labels = (matrix.shape[1] - 3) // 3
        truth = [*range(labels), -3]
        for group in together:
            other = sums[group[0]]
            if other.shape == matrix.shape and np.array_equal(other[:, truth], matrix[:, truth]):
                group.append(model)
                break
        else:
            together.append([model])
    return list(together)
