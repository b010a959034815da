"""Logistic regression of all labels at once, with a penalty towards weights that are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import expit, logit

__all__ = [
    "LogisticFit",
    "Matrix",
    "fit_by_products",
    "fit_logistic",
    "log_loss",
    "products_of_rows",
]

Matrix = NDArray[np.float64]
_RAREST = 1e-4  # share of a label at which its intercept starts, where training has (nearly) none
_FULL = 0.03  # share of the rows that have a value, above which a dense product is the faster one
_COLUMNS_AT_ONCE = 2_000
_JITTER = 1e-9  # of a row's squared length, so that equal rows do not make the products singular


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
    row_weights: Matrix | None = None,
    correlated: bool = False,
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
        row_weights: how much each row counts, (rows,); None for 1 each.
        correlated: whether a few hundred dense features tell nearly the same: steps are then taken
            in coordinates in which the curvature at the centre is 1 (a tenth of the iterations).
        iterations: at most.
    """
    rows, count = labels.shape
    size = features.shape[1]
    strength = np.broadcast_to(np.asarray(penalty, np.float64), (size, count))
    middle = np.broadcast_to(np.asarray(centre, np.float64), (size, count))
    turned = sparse.csr_matrix(features.T) if sparse.issparse(features) else features.T
    sign = np.where(labels > 0, 1.0, -1.0)
    counted = np.ones((rows, 1)) if row_weights is None else row_weights[:, None]

    def objective(weights: Matrix, intercepts: Matrix) -> tuple[float, Matrix]:
        margins = -sign * (features @ weights + intercepts)
        distance = weights - middle
        value = (counted * np.logaddexp(0.0, margins)).sum() + 0.5 * (strength * distance**2).sum()
        value += 0.5 * intercept_penalty * (intercepts**2).sum()
        slopes = counted * -sign * expit(margins)
        gradient = np.asarray(turned @ slopes + strength * distance)
        of_intercepts = slopes.sum(axis=0) + intercept_penalty * intercepts
        return float(value), np.vstack([gradient, of_intercepts])

    shares = np.clip((counted * labels).sum(axis=0) / counted.sum(), _RAREST, 1 - _RAREST)
    intercepts = np.zeros(count) if intercept_penalty or middle.any() else logit(shares)
    start = np.vstack([middle, intercepts])
    steps = None
    if correlated:
        curvature = np.concatenate([strength, np.full((1, count), intercept_penalty)])
        steps = _round_steps(np.asarray(features), counted, start, curvature)

    def moved(point: Matrix) -> Matrix:
        change = point.reshape(size + 1, count)
        return start + (
            change if steps is None else np.matmul(steps, change.T[:, :, None])[:, :, 0].T
        )

    def at(point: Matrix) -> tuple[float, Matrix]:
        value, gradient = objective(moved(point)[:-1], moved(point)[-1])
        if steps is not None:
            gradient = np.matmul(gradient.T[:, None, :], steps)[:, 0, :].T
        return value, gradient.ravel()

    found = minimize(
        at,
        np.zeros((size + 1) * count),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": iterations, "gtol": 1e-4 * rows**0.5, "ftol": 1e-9},
    )
    return LogisticFit(moved(found.x)[:-1], moved(found.x)[-1])


def _round_steps(features: Matrix, counted: Matrix, start: Matrix, penalty: Matrix) -> Matrix:
    """Return, per label, coordinates in which the objective is nearly round.

    Args:
        features: (rows, features).
        counted: weight of each row, (rows, 1).
        start: weights and, in the last row, intercepts, (features + 1, labels).
        penalty: of each of them, (features + 1, labels).

    Returns:
        (labels, features + 1, features + 1): the inverse of the transposed Cholesky root of the
        second derivatives at the start, with their mean over the rows for each row's.
    """
    full = np.hstack([features, np.ones((len(features), 1))])
    chances = expit(full @ start)
    spread = np.average(chances * (1 - chances), axis=0, weights=counted[:, 0])
    products = full.T @ (counted * full)
    jitter = _JITTER * np.trace(products) / len(products)
    steps = np.empty((start.shape[1], *products.shape))
    for label in range(start.shape[1]):
        curvature = spread[label] * products
        curvature[np.diag_indices_from(curvature)] += penalty[:, label] + jitter
        root = cholesky(curvature, lower=True, overwrite_a=True)
        steps[label] = solve_triangular(root, np.eye(len(root)), lower=True).T
    return steps


def fit_by_products(
    features: sparse.csr_matrix,
    labels: Matrix,
    *,
    penalty: float,
    products: Matrix | None = None,
) -> LogisticFit:
    """Return what `fit_logistic` does, for fewer rows than features have values in a row.

    The best weights are a mixture of the training rows (the representer theorem), so that the fit
    needs no more of the rows than their products with each other: two thousand rows of seven
    thousand values each are fitted in seconds.

    Args:
        features: CSR (rows, features).
        labels: 0 or 1, (rows, labels).
        penalty: of the weights' squares, > 0.
        products: of the rows with each other, (rows, rows), where they are known; overwritten.
    """
    products = products_of_rows(features) if products is None else products
    scale = np.trace(products) / len(products)
    products[np.diag_indices_from(products)] += max(scale, 1.0) * _JITTER
    root = cholesky(products, lower=True, overwrite_a=True)
    inner = fit_logistic(root, labels, penalty=penalty)
    shares = solve_triangular(root, inner.weights, lower=True, trans="T")
    return LogisticFit(np.asarray(features.T @ shares), inner.intercepts)


def products_of_rows(matrix: sparse.csr_matrix) -> Matrix:
    """Return the products of rows with each other, (rows, rows); full columns by dense ones."""
    features = matrix.tocsc()
    full = np.diff(features.indptr) > _FULL * features.shape[0]
    rare = features[:, ~full].tocsr()
    total = np.asarray((rare @ rare.T).toarray(), np.float64)
    columns = np.flatnonzero(full)
    for start in range(0, len(columns), _COLUMNS_AT_ONCE):
        part = features[:, columns[start : start + _COLUMNS_AT_ONCE]].toarray()
        total += part @ part.T
    return total


def log_loss(labels: Matrix, logits: Matrix, row_weights: Matrix | None = None) -> float:
    """Return the mean over rows of the log loss summed over labels."""
    sign = np.where(labels > 0, -1.0, 1.0)
    losses = np.logaddexp(0.0, sign * logits).sum(axis=1)
    return float(np.average(losses, weights=row_weights))
