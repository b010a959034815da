"""Probabilities that mean what they say: a rising curve per label, learnt from rows with labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from genre_spark.errors import InvalidInputError, explained_damage, made_again_by
from genre_spark.fusion.logistic import Matrix, fit_logistic

__all__ = ["KINDS", "Calibrator", "fit_calibrator"]

Kind = Literal["platt", "isotonic"]
KINDS: tuple[Kind, ...] = ("platt", "isotonic")

_MOST_CERTAIN = 1e-6  # log-odds of 0 and 1 are not finite
_PRIOR = 1.0  # penalty of a slope other than 1: a genre that validation lacks stays as it is


@dataclass(frozen=True)
class Calibrator:
    """A curve per label from a model's probability to the share of rows that have the label.

    Attributes:
        kind: `platt`: a logistic curve of the log-odds (Platt, 1999); `isotonic`: the best rising
            step function, joined by lines (Zadrozny and Elkan, 2002).
        x: `platt`: slopes; `isotonic`: probabilities at which the curve bends; per label.
        y: `platt`: intercepts; `isotonic`: the curve's values there; per label.
    """

    kind: Kind
    x: tuple[tuple[float, ...], ...]
    y: tuple[tuple[float, ...], ...]

    def apply(self, probabilities: NDArray[np.floating]) -> Matrix:
        """Return calibrated probabilities, (rows, labels)."""
        given = np.asarray(probabilities, np.float64)
        if self.kind == "platt":
            slopes, intercepts = (np.array(values).ravel() for values in (self.x, self.y))
            return np.asarray(expit(slopes * _finite_logit(given) + intercepts))
        curves = zip(given.T, self.x, self.y, strict=True)
        return np.stack([np.interp(values, x, y) for values, x, y in curves], axis=1)

    def to_json(self) -> str:
        """Return the curves as JSON."""
        return json.dumps({"kind": self.kind, "x": self.x, "y": self.y})

    @classmethod
    def from_json(cls, text: str | bytes) -> Calibrator:
        """Read what `to_json` wrote.

        Raises:
            InvalidInputError: the text is no such JSON, or of an older version.
        """
        with explained_damage("calibration", made_again_by("evaluate")):
            stored = json.loads(text)
            x, y = (tuple(tuple(map(float, row)) for row in stored[name]) for name in ("x", "y"))
            if stored["kind"] not in KINDS or list(map(len, x)) != list(map(len, y)):
                raise ValueError("no curves")
            return cls(stored["kind"], x, y)


def fit_calibrator(
    kind: Kind,
    probabilities: NDArray[np.floating],
    labels: Matrix,
    *,
    row_weights: Sequence[float] | NDArray[np.float64] | None = None,
) -> Calibrator:
    """Fit a curve per label.

    Args:
        kind: of KINDS.
        probabilities: of rows that the model was not trained on, (rows, labels), 0..1.
        labels: 0 or 1, (rows, labels).
        row_weights: how much each row counts, (rows,); None for 1 each.

    Raises:
        InvalidInputError: there is no row.
    """
    if not len(labels):
        raise InvalidInputError("calibration: no row, expected some")
    given = np.asarray(probabilities, np.float64)
    weights = None if row_weights is None else np.asarray(row_weights, np.float64)
    fit = _fit_platt if kind == "platt" else _fit_isotonic
    curves = [fit(given[:, n], labels[:, n], weights) for n in range(labels.shape[1])]
    return Calibrator(kind, tuple(x for x, _ in curves), tuple(y for _, y in curves))


Curve = tuple[tuple[float, ...], tuple[float, ...]]


def _finite_logit(probabilities: Matrix) -> Matrix:
    return np.asarray(logit(np.clip(probabilities, _MOST_CERTAIN, 1 - _MOST_CERTAIN)))


def _fit_platt(values: Matrix, labels: Matrix, weights: Matrix | None) -> Curve:
    found = fit_logistic(
        _finite_logit(values)[:, None],
        labels[:, None],
        penalty=_PRIOR,
        centre=1.0,
        intercept_penalty=0.01,
        row_weights=weights,
    )
    return (float(found.weights[0, 0]),), (float(found.intercepts[0]),)


def _fit_isotonic(values: Matrix, labels: Matrix, weights: Matrix | None) -> Curve:
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415 - slow to import

    curve = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    curve.fit(values, labels, sample_weight=weights)
    return tuple(map(float, curve.X_thresholds_)), tuple(map(float, curve.y_thresholds_))
