"""The exponential kernel: a model of all products of features, linear in landmarks.

With k(x, z) = exp(<x, z>) - 1 a logistic regression has weights for features, products of two,
products of three and so on, each order counting less than the one before (the Taylor series of the
exponential function). Up to as many training rows as there are landmarks the fit is the kernel
machine's own; beyond that it is its Nystroem approximation (Williams and Seeger, Using the Nystroem
method to speed up kernel machines, 2001), in which a fit grows with rows x landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import cholesky, solve_triangular

from genre_spark.errors import InvalidInputError
from genre_spark.fusion.logistic import LogisticFit, Matrix, fit_logistic

__all__ = ["Landmarks", "check_products", "choose_landmarks", "fit_on_landmarks"]

_JITTER = 1e-6  # of the kernel's diagonal, so that equal landmarks do not make it singular
_MOST_PRODUCTS = 1.5e8  # rows x landmarks of a fit: 1.2 GB


@dataclass(frozen=True)
class Landmarks:
    """Training rows that others are compared with.

    Attributes:
        rows: scaled features of the landmarks, float16 (landmarks, features): half a digit of
            theirs moves a probability by less than .001.
    """

    rows: NDArray[np.float16]

    def compare(self, scaled: sparse.csr_matrix) -> Matrix:
        """Return the kernel of scaled rows with each landmark, (rows, landmarks)."""
        products = scaled.toarray() @ self._columns  # dense blocks: ten times a sparse product
        return np.asarray(np.expm1(products, out=products))

    @cached_property
    def _columns(self) -> Matrix:
        return np.ascontiguousarray(self.rows.T, np.float64)

    def __getstate__(self) -> dict[str, object]:
        """Leave the wide copy out of what goes to tasks."""
        return {"rows": self.rows}


def choose_landmarks(scaled: sparse.csr_matrix, most: int) -> Landmarks:
    """Return landmarks: all rows, or as many as wanted, drawn without regard to their labels.

    Args:
        scaled: training rows, scaled, in an order that does not depend on partitions.
        most: how many at most.
    """
    rows = scaled.shape[0]
    chosen = np.arange(rows)
    if rows > most:
        chosen = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
    return Landmarks(scaled[chosen].toarray().astype(np.float16))


def fit_on_landmarks(
    compared: Matrix, labels: Matrix, landmarks: Landmarks, *, penalty: float
) -> LogisticFit:
    """Fit one logistic regression per label on what `Landmarks.compare` returned.

    Args:
        compared: (rows, landmarks).
        labels: 0 or 1, (rows, labels).
        landmarks: those that the rows were compared with.
        penalty: of the squared length of the weights, > 0, in the space of the kernel.

    Returns:
        Weights of the landmarks, (landmarks, labels).
    """
    kernel = landmarks.compare(sparse.csr_matrix(landmarks.rows.astype(np.float64)))
    kernel[np.diag_indices_from(kernel)] += _JITTER * max(1.0, np.trace(kernel) / len(kernel))
    root = cholesky(kernel, lower=True, overwrite_a=True)
    coordinates = solve_triangular(root, compared.T, lower=True).T
    fit = fit_logistic(coordinates, labels, penalty=penalty)
    weights = solve_triangular(root, fit.weights, lower=True, trans="T")
    return LogisticFit(weights, fit.intercepts)


def check_products(rows: int, landmarks: int) -> None:
    """Raise InvalidInputError where rows x landmarks are more than a task can hold."""
    if rows * landmarks > _MOST_PRODUCTS:
        raise InvalidInputError(
            f"linear: {rows:,} training movies x {landmarks:,} landmarks, expected at most "
            f"{_MOST_PRODUCTS:,.0f}; lower the model's landmarks, or leave its kernel out"
        )
