"""Stacking: one logistic regression per label on the log-odds of several models (Wolpert, 1992).

The weights of a label's own log-odds are drawn towards their mean over the models, those of the
other labels' log-odds towards 0: a few hundred rows can only pull them where that pays. Rows that
some of the models cannot judge, as they lack a poster or a text, get weights of their own.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from genre_spark.errors import InvalidInputError, explained_damage, made_again_by
from genre_spark.fusion.logistic import LogisticFit, Matrix, fit_logistic, log_loss

__all__ = [
    "PENALTIES",
    "Pattern",
    "Penalty",
    "StackedModel",
    "choose_penalty",
    "fit_stack",
    "log_odds",
    "patterns_of",
]

Flags = NDArray[np.bool_]
Pattern = tuple[bool, ...]

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
        fits: which of the models have judged a row -> weights of (models x labels) log-odds, model
            by model, and intercepts; weights of the others are 0. With all of them comes first.
        penalty: what it was fitted with.
    """

    models: tuple[str, ...]
    fits: Mapping[Pattern, LogisticFit]
    penalty: Penalty

    @property
    def fit(self) -> LogisticFit:
        """Weights of rows that all models have judged."""
        return next(iter(self.fits.values()))

    def logits(self, inputs: Matrix) -> Matrix:
        """Return the log-odds of each label, (rows, labels).

        Args:
            inputs: log-odds, (rows, models x labels); NaN where a model has not judged a row.
        """
        count = len(self.fit.intercepts)
        judged = _judged(inputs, len(self.models))
        if judged.all():
            return self.fit.logits(inputs)
        found = np.empty((len(inputs), count))
        cleared = np.nan_to_num(inputs)
        seen, place = np.unique(judged, axis=0, return_inverse=True)
        for number, pattern in enumerate(seen):
            mine = place.ravel() == number
            found[mine] = self.fits[self._best_pattern(pattern)].logits(cleared[mine])
        return found

    def probabilities(self, inputs: Matrix) -> Matrix:
        """Return p(label | row), (rows, labels); see `logits`."""
        return np.asarray(expit(self.logits(inputs)))

    def _best_pattern(self, judged: Flags) -> Pattern:
        """Return the pattern that asks for most models, all of which have judged."""
        able = [
            pattern for pattern in self.fits if not (np.array(pattern, np.bool_) & ~judged).any()
        ]
        return max(able, key=sum)

    def to_bytes(self) -> bytes:
        """Return the stack as an npz archive; it is read without unpickling anything."""
        head = {
            "models": self.models,
            "own": self.penalty.own,
            "others": self.penalty.others,
            "patterns": [list(pattern) for pattern in self.fits],
        }
        file = io.BytesIO()
        np.savez_compressed(
            file,
            head=np.array(json.dumps(head)),
            weights=np.stack([fit.weights for fit in self.fits.values()]),
            intercepts=np.stack([fit.intercepts for fit in self.fits.values()]),
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, payload: bytes) -> StackedModel:
        """Read what `to_bytes` wrote.

        Raises:
            InvalidInputError: the bytes are no such archive, or of an older version.
        """
        with explained_damage("stack", made_again_by("train-stack")):
            stored = np.load(io.BytesIO(payload), allow_pickle=False)
            head = json.loads(str(stored["head"]))
            patterns = [tuple(map(bool, pattern)) for pattern in head["patterns"]]
            fits = map(LogisticFit, stored["weights"], stored["intercepts"])
            penalty = Penalty(head["own"], head["others"])
            return cls(tuple(head["models"]), dict(zip(patterns, fits, strict=True)), penalty)


def log_odds(probabilities: Sequence[NDArray[np.floating]]) -> Matrix:
    """Return the log-odds of some models side by side, (rows, models x labels).

    Args:
        probabilities: of each model, (rows, labels); NaN where it has not judged a row.
    """
    limits = (_MOST_CERTAIN, 1 - _MOST_CERTAIN)
    return np.hstack([logit(np.clip(np.asarray(p, np.float64), *limits)) for p in probabilities])


def patterns_of(senses: Sequence[Sequence[str]]) -> tuple[Pattern, ...]:
    """Return which models can judge a row for each set of senses that it may lack.

    Args:
        senses: of each model, what a row must not lack.
    """
    known = sorted({sense for needed in senses for sense in needed})
    found: dict[Pattern, None] = {}
    for count in range(len(known) + 1):
        for missing in combinations(known, count):
            found[tuple(not set(needed) & set(missing) for needed in senses)] = None
    found[(False,) * len(senses)] = None
    return tuple(found)


def fit_stack(
    inputs: Matrix,
    labels: Matrix,
    *,
    models: Sequence[str],
    penalty: Penalty,
    patterns: Sequence[Pattern] = (),
    row_weights: Matrix | None = None,
) -> StackedModel:
    """Fit a stack on predictions of rows that the models have not been trained on.

    Args:
        inputs: of `log_odds`, (rows, models x labels).
        labels: 0 or 1, (rows, labels).
        models: names, in the order of the inputs.
        penalty: how strongly weights are held.
        patterns: of `patterns_of`; those of some models are fitted on all rows that these have
            judged, as if the others did not exist.
        row_weights: how much each row counts, (rows,); None for 1 each.

    Raises:
        InvalidInputError: there is no model, or no row that all models have judged.
    """
    judged = _judged(inputs, len(models)) if models else np.zeros((len(inputs), 0), np.bool_)
    if not len(labels) or not models or not judged.all(axis=1).any():
        raise InvalidInputError(
            f"stack: {int(judged.all(axis=1).sum())} rows that all of {len(models)} models have "
            "judged, expected at least one row and one model"
        )
    everything = (True,) * len(models)
    fits: dict[Pattern, LogisticFit] = {}
    for pattern in dict.fromkeys((everything, *patterns, (False,) * len(models))):
        rows = judged[:, np.array(pattern)].all(axis=1)
        if rows.any():
            weights = None if row_weights is None else row_weights[rows]
            fits[pattern] = _fit_pattern(
                inputs[rows], labels[rows], np.array(pattern), penalty, weights
            )
    return StackedModel(tuple(models), fits, penalty)


def choose_penalty(
    inputs: Matrix,
    labels: Matrix,
    folds: NDArray[np.integer],
    *,
    models: Sequence[str],
    penalties: Sequence[Penalty] = PENALTIES,
    row_weights: Matrix | None = None,
) -> tuple[Penalty, float]:
    """Return the penalty with the least log loss on rows that its fits did not see, and that loss.

    Args:
        inputs: of `log_odds`; rows that a model has not judged are left out.
        labels: 0 or 1, (rows, labels).
        folds: fold of each row, (rows,).
        models: names, in the order of the inputs.
        penalties: to choose from.
        row_weights: how much each row counts, (rows,); None for 1 each.
    """
    whole = _judged(inputs, len(models)).all(axis=1)
    inputs, labels, folds = inputs[whole], labels[whole], folds[whole]
    weights = None if row_weights is None else row_weights[whole]
    losses = []
    for penalty in penalties:
        logits = np.empty_like(labels, dtype=np.float64)
        for fold in np.unique(folds):
            held = folds == fold
            if held.all():
                raise InvalidInputError(
                    f"stack: all {len(labels)} rows in one fold, expected at least two folds"
                )
            fitted = fit_stack(
                inputs[~held],
                labels[~held],
                models=models,
                penalty=penalty,
                row_weights=None if weights is None else weights[~held],
            )
            logits[held] = fitted.logits(inputs[held])
        losses.append(log_loss(labels, logits, weights))
    best = int(np.argmin(losses))
    return penalties[best], losses[best]


def _judged(inputs: Matrix, models: int) -> Flags:
    """Return which models have judged each row, (rows, models)."""
    return ~np.isnan(inputs.reshape(len(inputs), models, inputs.shape[1] // models)).any(axis=2)


def _fit_pattern(
    inputs: Matrix, labels: Matrix, pattern: Flags, penalty: Penalty, row_weights: Matrix | None
) -> LogisticFit:
    """Fit the weights of the models of a pattern; those of the others are 0."""
    count, judging = labels.shape[1], int(pattern.sum())
    size = len(pattern) * count
    weights = np.zeros((size, count))
    columns = np.flatnonzero(np.repeat(pattern, count))
    own = np.tile(np.eye(count), (judging, 1))
    if penalty.others is not None and judging:
        fit = fit_logistic(
            inputs[:, columns],
            labels,
            penalty=np.where(own > 0, penalty.own, penalty.others),
            centre=own / judging,
            row_weights=row_weights,
            correlated=True,
        )
        weights[columns] = fit.weights
        return LogisticFit(weights, fit.intercepts)
    intercepts = np.zeros(count)
    for label in range(count):  # each on its own log-odds alone
        mine = np.flatnonzero(pattern) * count + label
        fit = fit_logistic(
            inputs[:, mine],
            labels[:, [label]],
            penalty=penalty.own,
            centre=1 / max(1, judging),
            row_weights=row_weights,
        )
        weights[mine, label], intercepts[label] = fit.weights[:, 0], fit.intercepts[0]
    return LogisticFit(weights, intercepts)
