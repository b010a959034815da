"""The evaluation table on the driver: a few hundred numbers per model, looked up and compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from genre_spark.evaluation.text_tables import align_columns

__all__ = [
    "EXACT_MATCH",
    "FIXED",
    "MICRO_F1",
    "NO_RULE",
    "PER_LABEL",
    "RULES",
    "SHOWN",
    "SMALLER_IS_BETTER",
    "Candidate",
    "Score",
    "choose_best",
    "format_table",
    "gather_candidates",
    "label_matrix",
    "table_rows",
    "thresholds_of",
]

FIXED, EXACT_MATCH, MICRO_F1 = "fixed", "exact_match", "f1_micro"
PER_LABEL, NO_RULE = "f1_per_label", "none"
RULES = {
    FIXED: "the fixed threshold",
    EXACT_MATCH: "one threshold, tuned on validation for exact match",
    MICRO_F1: "one threshold, tuned on validation for micro-F1",
    PER_LABEL: "one threshold per genre, tuned on validation for its F1",
    NO_RULE: "no probabilities",
}
"""The decision rules, by which probabilities become labels, and their descriptions."""

_TUNED_FOR = {EXACT_MATCH: " (exact match)", MICRO_F1: " (micro-F1)"}

SHOWN = {
    "hamming_loss": "Hamming",
    "jaccard_samples": "Jaccard",
    "subset_accuracy": "exact",
    "f1_micro": "micro-F1",
    "f1_macro": "macro-F1",
}
"""The metrics by which models are compared, and their short names."""

SMALLER_IS_BETTER = frozenset({"hamming_loss"})


@dataclass(frozen=True)
class Score:
    """One number of the evaluation table; see schemas.EVALUATION_SCHEMA."""

    model: str
    family: str
    method: str
    split: str
    rule: str
    metric: str
    label: str | None
    value: float | None


@dataclass(frozen=True)
class Candidate:
    """A model under one decision rule.

    Attributes:
        model: model, as in the evaluation table; family and method likewise.
        rule: rule by which its probabilities become labels.
        metrics: split -> metric -> value.
    """

    model: str
    family: str
    method: str
    rule: str
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def metric(self, split: str, name: str) -> float:
        """Return a metric, NaN where it was not measured."""
        return self.metrics.get(split, {}).get(name, math.nan)


def gather_candidates(scores: Iterable[Score]) -> list[Candidate]:
    """Group the numbers that hold for all labels together by model and rule.

    Baselines come first, then models by name.
    """
    found: dict[tuple[str, str], Candidate] = {}
    metrics: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    for score in scores:
        if score.label is not None or score.value is None:
            continue
        key = (score.model, score.rule)
        values = metrics.setdefault(key, {})
        found.setdefault(
            key, Candidate(score.model, score.family, score.method, score.rule, values)
        )
        values.setdefault(score.split, {})[score.metric] = score.value
    order = {rule: number for number, rule in enumerate(RULES)}
    return sorted(
        found.values(),
        key=lambda c: (c.family != "baseline", c.model, order.get(c.rule, len(order))),
    )


def choose_best(candidates: Sequence[Candidate], *, by: str) -> Candidate | None:
    """Return the model and rule that are best on validation, baselines excepted.

    The test set plays no part in it.
    """
    sign = -1.0 if by in SMALLER_IS_BETTER else 1.0
    able = [
        c
        for c in candidates
        if c.family != "baseline" and math.isfinite(c.metric("validation", by))
    ]
    return max(able, key=lambda c: sign * c.metric("validation", by), default=None)


def label_matrix(
    scores: Iterable[Score],
    *,
    split: str,
    metric: str,
    columns: Sequence[tuple[str, str]],
    labels: Sequence[str],
) -> npt.NDArray[np.float64]:
    """Return a metric of each label (rows) for each model and rule (columns).

    It is NaN where it was not measured.
    """
    places = {column: number for number, column in enumerate(columns)}
    rows = {label: number for number, label in enumerate(labels)}
    values = np.full((len(labels), len(columns)), np.nan)
    for score in scores:
        column = places.get((score.model, score.rule))
        row = rows.get(score.label) if score.label is not None else None
        if (
            score.split == split
            and score.metric == metric
            and column is not None
            and row is not None
        ):
            values[row, column] = math.nan if score.value is None else score.value
    return values


def thresholds_of(
    scores: Iterable[Score], candidate: Candidate, labels: Sequence[str]
) -> list[float]:
    """Return the thresholds of a model's rule: one for all labels, or one per label."""
    found = {
        score.label: score.value
        for score in scores
        if (score.model, score.rule, score.metric) == (candidate.model, candidate.rule, "threshold")
    }
    if None in found:
        return [float(found[None] or 0.0)]
    return [float(found[label] or 0.0) for label in labels if label in found]


def format_table(candidates: Sequence[Candidate], *, split: str) -> str:
    """Return the candidates as a text table, the best value of each metric marked with `*`."""
    first, *lines = align_columns(table_rows(candidates, split=split), left=2)
    rule = "-" * max(map(len, (first, *lines)))
    return "\n".join([first, rule, *lines])


def table_rows(candidates: Sequence[Candidate], *, split: str) -> list[list[str]]:
    """Return the cells of a table of candidates, its header first."""
    header = ["model", "threshold", *(f"{name}{_arrow(metric)}" for metric, name in SHOWN.items())]
    best = {metric: _best_value(candidates, split, metric) for metric in SHOWN}
    rows = [header]
    for candidate in candidates:
        cells = [candidate.model, _threshold_text(candidate)]
        for metric in SHOWN:
            value = candidate.metric(split, metric)
            cells.append(
                "" if math.isnan(value) else f"{value:.4f}{'*' if value == best[metric] else ' '}"
            )
        rows.append(cells)
    return rows


def _arrow(metric: str) -> str:
    return " ↓" if metric in SMALLER_IS_BETTER else " ↑"


def _best_value(candidates: Sequence[Candidate], split: str, metric: str) -> float:
    values = [value for c in candidates if not math.isnan(value := c.metric(split, metric))]
    if not values:
        return math.nan
    return min(values) if metric in SMALLER_IS_BETTER else max(values)


def _threshold_text(candidate: Candidate) -> str:
    if candidate.rule == PER_LABEL:
        return "per genre"
    threshold = candidate.metric("validation", "threshold")
    if math.isnan(threshold):
        return "-"
    return f"{threshold:.3f}{_TUNED_FOR.get(candidate.rule, '')}"
