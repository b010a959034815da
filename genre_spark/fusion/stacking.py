"""Stacking: one logistic regression per label on the log-odds of several models (Wolpert, 1992).

The weights of a label's own log-odds are drawn towards their mean over the models, those of the
other labels' log-odds towards 0: a few hundred rows can only pull them where that pays.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from genre_spark.errors import InvalidInputError
from genre_spark.fusion.logistic import LogisticFit, Matrix, fit_logistic, log_loss

__all__ = ["PENALTIES", "Penalty", "StackedModel", "choose_penalty", "fit_stack", "log_odds"]

_MOST_CERTAIN = 1e-3
"""A model's probability is read as at least this and at most 1 less this: a forest says 0 and 1."""


@dataclass(frozen=True)
class Penalty:
    """How strongly the weights of a stack are held.

    Attributes:
        own: of a label's own log-odds, towards their mean over the models.
        others: of the other labels' log-odds, towards 0; None leaves those out.
    """

    own: float
    others: float | None


PENALTIES = tuple(
    Penalty(own, others) for own in (3.0, 30.0, 300.0) for others in (None, 3000.0, 300.0, 100.0)
)
"""What `choose_penalty` tries."""


@dataclass(frozen=True)
class StackedModel:
    """A fitted stack.

    Attributes:
        models: names of the models whose log-odds it reads, in this order.
        fit: weights of (models x labels) log-odds, model by model, and intercepts.
        penalty: what it was fitted with.
    """

    models: tuple[str, ...]
    fit: LogisticFit
    penalty: Penalty

    def probabilities(self, inputs: Matrix) -> Matrix:
        """Return p(label | row), (rows, labels), of the log-odds (rows, models x labels)."""
        return self.fit.probabilities(inputs)

    def to_bytes(self) -> bytes:
        """Return the stack as an npz archive; it is read without unpickling anything."""
        head = {"models": self.models, "own": self.penalty.own, "others": self.penalty.others}
        file = io.BytesIO()
        np.savez(
            file,
            head=np.array(json.dumps(head)),
            weights=self.fit.weights,
            intercepts=self.fit.intercepts,
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, payload: bytes) -> StackedModel:
        """Read what `to_bytes` wrote.

        Raises:
            InvalidInputError: the bytes are no such archive.
        """
        try:
            stored = np.load(io.BytesIO(payload), allow_pickle=False)
            head = json.loads(str(stored["head"]))
            fit = LogisticFit(stored["weights"], stored["intercepts"])
            penalty = Penalty(head["own"], head["others"])
        except (OSError, ValueError, KeyError) as error:
            raise InvalidInputError(f"stack: damaged ({error}), train it again") from None
        return cls(tuple(head["models"]), fit, penalty)


def log_odds(probabilities: Sequence[NDArray[np.floating]]) -> Matrix:
    """Return the log-odds of some models side by side, (rows, models x labels).

    Args:
        probabilities: of each model, (rows, labels).
    """
    limits = (_MOST_CERTAIN, 1 - _MOST_CERTAIN)
    return np.hstack([logit(np.clip(np.asarray(p, np.float64), *limits)) for p in probabilities])


def fit_stack(
    inputs: Matrix, labels: Matrix, *, models: Sequence[str], penalty: Penalty
) -> StackedModel:
    """Fit a stack on predictions of rows that the models have not been trained on.

    Args:
        inputs: of `log_odds`, (rows, models x labels).
        labels: 0 or 1, (rows, labels).
        models: names, in the order of the inputs.
        penalty: how strongly weights are held.

    Raises:
        InvalidInputError: there is no row or no model.
    """
    count = labels.shape[1]
    if not len(labels) or not models:
        raise InvalidInputError(
            f"stack: {len(labels)} rows and {len(models)} models, expected at least one of each"
        )
    own = np.tile(np.eye(count), (len(models), 1))
    if penalty.others is None:
        return _fit_apart(inputs, labels, models, penalty)
    strength = np.where(own > 0, penalty.own, penalty.others)
    fit = fit_logistic(inputs, labels, penalty=strength, centre=own / len(models))
    return StackedModel(tuple(models), fit, penalty)


def choose_penalty(
    inputs: Matrix,
    labels: Matrix,
    folds: NDArray[np.integer],
    *,
    models: Sequence[str],
    penalties: Sequence[Penalty] = PENALTIES,
) -> tuple[Penalty, float]:
    """Return the penalty with the least log loss on rows that its fits did not see, and that loss.

    Args:
        inputs: of `log_odds`.
        labels: 0 or 1, (rows, labels).
        folds: fold of each row, (rows,).
        models: names, in the order of the inputs.
        penalties: to choose from.
    """
    losses = []
    for penalty in penalties:
        logits = np.empty_like(labels, dtype=np.float64)
        for fold in np.unique(folds):
            held = folds == fold
            if held.all():
                raise InvalidInputError(
                    f"stack: all {len(labels)} rows in one fold, expected at least two folds"
                )
            fitted = fit_stack(inputs[~held], labels[~held], models=models, penalty=penalty)
            logits[held] = fitted.fit.logits(inputs[held])
        losses.append(log_loss(labels, logits))
    best = int(np.argmin(losses))
    return penalties[best], losses[best]


def _fit_apart(
    inputs: Matrix, labels: Matrix, models: Sequence[str], penalty: Penalty
) -> StackedModel:
    """Fit each label on its own log-odds alone."""
    count = labels.shape[1]
    weights, intercepts = np.zeros((len(models) * count, count)), np.zeros(count)
    for label in range(count):
        mine = np.arange(len(models)) * count + label
        fit = fit_logistic(
            inputs[:, mine],
            labels[:, [label]],
            penalty=penalty.own,
            centre=1 / len(models),
        )
        weights[mine, label], intercepts[label] = fit.weights[:, 0], fit.intercepts[0]
    return StackedModel(tuple(models), LogisticFit(weights, intercepts), penalty)
