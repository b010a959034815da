"""Which inputs are worth a permutation: a cheap look at all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["choose_inputs", "correlate_inputs"]

Matrix = NDArray[np.float64]


def correlate_inputs(inputs: sparse.csr_matrix, probabilities: Matrix) -> Matrix:
    """Return the absolute correlation of each input with what a model says of each label.

    It needs no look into the model.

    Args:
        inputs: CSR (rows, inputs).
        probabilities: of the model, (rows, labels).

    Returns:
        (labels, inputs), 0..1; 0 where one of both is constant.
    """
    rows = max(1, inputs.shape[0])
    mean = np.asarray(inputs.mean(axis=0)).ravel()
    square = np.asarray(inputs.multiply(inputs).mean(axis=0)).ravel()
    deviation = np.sqrt(np.maximum(square - mean**2, 0.0))
    centred = probabilities - probabilities.mean(axis=0)
    covariance = np.asarray(inputs.T @ centred).T / rows
    scale = centred.std(axis=0)[:, None] * deviation
    known = scale > 1e-12
    return np.abs(np.divide(covariance, scale, out=np.zeros_like(covariance), where=known))


def choose_inputs(importances: Matrix, count: int) -> NDArray[np.int64]:
    """Return the inputs that come first for all labels together or for one of them.

    The mean over the labels and the labels take turns, so that a rare label's inputs are among
    them.

    Args:
        importances: of each input for each label, (labels, inputs), >= 0.
        count: how many at most; inputs without any importance are left out.

    Returns:
        Positions of the inputs, (chosen,), the first choices first.
    """
    lists = np.vstack([importances.mean(axis=0), importances])
    order = np.argsort(-lists, axis=1, kind="stable")[:, :count]
    useful = np.take_along_axis(lists, order, axis=1) > 0
    turns = order.T[useful.T]  # all first choices, then all second ones, ...
    _, first = np.unique(turns, return_index=True)
    return np.asarray(turns[np.sort(first)][:count], np.int64)
