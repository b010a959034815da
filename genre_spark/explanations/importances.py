"""What was found about one model: rows of the importances table, and tables for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genre_spark.explanations.measures import (
    AVERAGE_PRECISION,
    F1,
    MICRO_F1,
    measure_names,
)
from genre_spark.explanations.permutation import Drop

__all__ = ["Explained", "genre_table", "group_table", "importance_rows", "input_table"]

Matrix = NDArray[np.float64]
_DIGITS = 4
_LISTED = 5  # inputs per genre in `genre_table`


@dataclass(frozen=True)
class Explained:
    """What a model looks at.

    Attributes:
        model: its name.
        labels: names of the genres, L.
        groups: names of the groups of inputs: blocks of features, or the models of a stack.
        sizes: number of inputs of each group.
        group_drops: what the model loses without each group.
        inputs: group and name of each single input that was permuted.
        input_drops: what the model loses without each of them.
        first_look: what chose them: impurity or correlation.
        looks: by that, (L, inputs).
        values: of the model on rows as they are, (2 L + 2,); see `measures.measure`.
        support: number of rows that have each genre, (L,).
        rows: number of movies.
    """

    model: str
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    sizes: tuple[int, ...]
    group_drops: Sequence[Drop]
    inputs: Sequence[tuple[str, str]]
    input_drops: Sequence[Drop]
    first_look: str
    looks: Matrix
    values: Matrix
    support: Matrix
    rows: int

    def position(self, measure: str, label: str | None) -> int:
        """Return where a measure is among the numbers of a drop."""
        return measure_names(self.labels).index((measure, label))

    def by_label(self, drops: Sequence[Drop], measure: str = AVERAGE_PRECISION) -> Matrix:
        """Return the mean drop of a measure for each label, (drops, L)."""
        start = self.position(measure, self.labels[0])
        found = [drop.mean[start : start + len(self.labels)] for drop in drops]
        return np.array(found).reshape(len(drops), len(self.labels))

    def overall(self, drops: Sequence[Drop], measure: str) -> tuple[Matrix, Matrix]:
        """Return mean and deviation of the drops of a measure of all labels, (drops,) each."""
        place = self.position(measure, None)
        return (
            np.array([drop.mean[place] for drop in drops]),
            np.array([drop.deviation[place] for drop in drops]),
        )


Row = tuple[str, str, str, str | None, str | None, str, float | None, float | None]


def importance_rows(found: Explained) -> Iterator[Row]:
    """Yield the rows of IMPORTANCES_SCHEMA."""
    names = measure_names(found.labels)
    places: list[tuple[str, str, str | None]] = [("block", group, None) for group in found.groups]
    places += [("feature", group, name) for group, name in found.inputs]
    drops = [*found.group_drops, *found.input_drops]
    for place, drop in zip(places, drops, strict=True):
        for (measure, label), mean, deviation in zip(
            names, drop.mean.tolist(), drop.deviation.tolist(), strict=True
        ):
            yield found.model, *place, label, measure, _finite(mean), _finite(deviation)
    for (group, name), looks in zip(found.inputs, found.looks.T.tolist(), strict=True):
        for label, value in zip(found.labels, looks, strict=True):
            yield found.model, "feature", group, name, label, found.first_look, value, None


def group_table(found: Explained) -> dict[str, list[object]]:
    """Return one row per group, the one that the model loses most without first."""
    order = _descending(found.overall(found.group_drops, AVERAGE_PRECISION)[0])
    columns: dict[str, list[object]] = {
        "block": [found.groups[place] for place in order],
        "features": [found.sizes[place] for place in order],
    }
    return columns | _drop_columns(found, [found.group_drops[place] for place in order])


def input_table(found: Explained) -> dict[str, list[object]]:
    """Return one row per single input, the one that the model loses most without first."""
    order = _descending(found.overall(found.input_drops, AVERAGE_PRECISION)[0])
    columns: dict[str, list[object]] = {
        "feature": [found.inputs[place][1] for place in order],
        "block": [found.inputs[place][0] for place in order],
        found.first_look: [_rounded(found.looks[:, place].mean()) for place in order],
    }
    return columns | _drop_columns(found, [found.input_drops[place] for place in order])


def genre_table(found: Explained) -> dict[str, list[object]]:
    """Return one row per genre, the most frequent first: what its average precision needs."""
    order = _descending(found.support)
    groups = found.by_label(found.group_drops)
    inputs = found.by_label(found.input_drops)
    precision = found.values[: len(found.labels)]
    return {
        "genre": [found.labels[place] for place in order],
        "movies": [int(found.support[place]) for place in order],
        "average precision": [_rounded(precision[place]) for place in order],
        "blocks": [_listed(groups[:, place], found.groups) for place in order],
        "features": [
            _listed(inputs[:, place], [f"{group}: {name}" for group, name in found.inputs])
            for place in order
        ],
    }


def _drop_columns(found: Explained, drops: Sequence[Drop]) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {}
    for measure, name in ((AVERAGE_PRECISION, "mean average precision"), (MICRO_F1, "micro-F1")):
        mean, deviation = found.overall(drops, measure)
        columns[f"loss of {name}"] = [_rounded(value) for value in mean]
        columns[f"sd {name}"] = [_rounded(value) for value in deviation]
    by_label = found.by_label(drops)
    for place in _descending(found.support):
        columns[found.labels[place]] = [_rounded(value) for value in by_label[:, place]]
    f1 = found.by_label(drops, F1)
    for place in _descending(found.support):
        columns[f"F1 {found.labels[place]}"] = [_rounded(value) for value in f1[:, place]]
    return columns


def _listed(drops: Matrix, names: Sequence[str]) -> str:
    """Return the names with the largest drops above 0, in words."""
    order = [place for place in _descending(drops)[:_LISTED] if drops[place] > 0]
    return ", ".join(f"{names[place]} ({drops[place]:.3f})" for place in order)


def _descending(values: Matrix) -> NDArray[np.int64]:
    return np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _rounded(value: float) -> float | None:
    return round(float(value), _DIGITS) if math.isfinite(value) else None
