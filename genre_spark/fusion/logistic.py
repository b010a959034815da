"""Logistic regression of all labels at once, with a penalty towards weights that are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit, logit

__all__ = ["LogisticFit", "Matrix", "fit_logistic", "log_loss"]

Matrix = NDArray[np.float64]
_RAREST = 1e-4  # share of a label at which its intercept starts, where training has (nearly) none


@dataclass(frozen=True)
class LogisticFit:
    """One logistic regression per label.

    Attributes:
        weights: (features, labels).
        intercepts: (labels,).
    """

    weights: Matrix
    intercepts: Matrix

    def logits(self, features: Matrix | sparse.csr_matrix) -> Matrix:
        """Return the log-odds of each label, (rows, labels)."""
        return np.asarray(features @ self.weights) + self.intercepts

    def probabilities(self, features: Matrix | sparse.csr_matrix) -> Matrix:
        """Return p(label | row), (rows, labels)."""
        return np.asarray(expit(self.logits(features)))


def fit_logistic(
    features: Matrix | sparse.csr_matrix,
    labels: Matrix,
    *,
    penalty: ArrayLike,
    centre: ArrayLike = 0.0,
    intercept_penalty: float = 0.0,
    iterations: int = 300,
) -> LogisticFit:
    """Minimise the log loss summed over rows + penalty / 2 * (weights - centre)^2 by L-BFGS.

    All labels share each product with the features, so that a fit of twenty takes about the time of
    a few. Features should have about the same scale.

    Args:
        features: (rows, features), dense or CSR; not copied.
        labels: 0 or 1, (rows, labels).
        penalty: of each weight, > 0, of a shape that (features, labels) can be broadcast from.
        centre: weights that no row speaks against, likewise.
        intercept_penalty: of the intercepts' distance from 0; 0 for none, and then intercepts
            start at the labels' shares.
        iterations: at most.
    """
    rows, count = labels.shape
    size = features.shape[1]
    strength = np.broadcast_to(np.asarray(penalty, np.float64), (size, count))
    middle = np.broadcast_to(np.asarray(centre, np.float64), (size, count))
    turned = sparse.csr_matrix(features.T) if sparse.issparse(features) else features.T
    sign = np.where(labels > 0, 1.0, -1.0)

    def objective(point: Matrix) -> tuple[float, Matrix]:
        weights, intercepts = point[: size * count].reshape(size, count), point[size * count :]
        margins = -sign * (features @ weights + intercepts)
        distance = weights - middle
        value = np.logaddexp(0.0, margins).sum() + 0.5 * (strength * distance**2).sum()
        value += 0.5 * intercept_penalty * (intercepts**2).sum()
        slopes = -sign * expit(margins)
        gradient = turned @ slopes + strength * distance
        of_intercepts = slopes.sum(axis=0) + intercept_penalty * intercepts
        return float(value), np.concatenate([np.asarray(gradient).ravel(), of_intercepts])

    shares = np.clip(labels.mean(axis=0), _RAREST, 1 - _RAREST)
    intercepts = np.zeros(count) if intercept_penalty or middle.any() else logit(shares)
    found = minimize(
        objective,
        np.concatenate([middle.ravel(), intercepts]),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": iterations, "gtol": 1e-4 * rows**0.5, "ftol": 1e-9},
    )
    return LogisticFit(found.x[: size * count].reshape(size, count), found.x[size * count :])


def log_loss(labels: Matrix, logits: Matrix) -> float:
    """Return the mean over rows of the log loss summed over labels."""
    sign = np.where(labels > 0, -1.0, 1.0)
    return float(np.logaddexp(0.0, sign * logits).sum(axis=1).mean())
