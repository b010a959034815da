"""A logistic regression per label on chosen blocks of a sparse feature vector, or on a kernel."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from genre_spark.errors import explained_damage, made_again_by
from genre_spark.fusion.block_scaling import ScaledBlocks, fit_scales
from genre_spark.fusion.linear.landmarks import (
    Landmarks,
    check_products,
    choose_landmarks,
    fit_on_landmarks,
)
from genre_spark.fusion.logistic import (
    LogisticFit,
    Matrix,
    fit_by_products,
    fit_logistic,
    products_of_rows,
)

__all__ = ["DENSE_BLOCKS", "NUMBER_BLOCKS", "LinearModel", "fit_linear", "fit_linear_in_folds"]

DENSE_BLOCKS = ("poster_embedding", "poster_summary")
NUMBER_BLOCKS = ("numbers",)
_MOST_PRODUCTS = 8_000  # rows: 0.5 GB of products with each other
_SPARSE_COST = 10  # what a value of a sparse matrix costs in a product, in those of a dense one


@dataclass(frozen=True)
class LinearModel:
    """Scaled blocks and the weights on them, or on landmarks that they are compared with.

    Attributes:
        blocks: what is read of a feature vector, and how it is scaled.
        fit: weights and intercepts of each label.
        landmarks: what rows are compared with; None: the weights are those of the features.
    """

    blocks: ScaledBlocks
    fit: LogisticFit
    landmarks: Landmarks | None = None

    def probabilities(self, features: sparse.csr_matrix) -> Matrix:
        """Return p(label | row), (rows, labels), of whole feature vectors."""
        scaled = self.blocks.apply(features)
        if self.landmarks is None:
            return self.fit.probabilities(scaled)
        return self.fit.probabilities(self.landmarks.compare(scaled))

    @property
    def nbytes(self) -> int:
        """Return the size of its weights and landmarks in memory, in bytes."""
        return self.fit.weights.nbytes + (self.landmarks.rows.nbytes if self.landmarks else 0)

    def to_bytes(self) -> bytes:
        """Return the model as an npz archive; it is read without unpickling anything."""
        fit = self.fit
        arrays: dict[str, NDArray[Any]] = {"weights": fit.weights, "intercepts": fit.intercepts}
        if self.landmarks is not None:
            arrays["landmarks"] = self.landmarks.rows
        file = io.BytesIO()
        np.savez(file, **self.blocks.to_arrays(), **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, payload: bytes) -> LinearModel:
        """Read what `to_bytes` wrote.

        Raises:
            InvalidInputError: the bytes are no such archive, or of an older version.
        """
        with explained_damage("linear model", made_again_by("train-linear")):
            stored = np.load(io.BytesIO(payload), allow_pickle=False)
            blocks = ScaledBlocks.from_arrays(stored)
            fit = LogisticFit(stored["weights"], stored["intercepts"])
            known = "landmarks" in stored
            return cls(blocks, fit, Landmarks(stored["landmarks"]) if known else None)


def fit_linear(
    features: sparse.csr_matrix,
    labels: Matrix,
    places: Mapping[str, slice],
    weights: Mapping[str, float],
    *,
    penalty: float,
) -> LinearModel:
    """Fit a model on training rows.

    Args:
        features: CSR (rows, features).
        labels: 0 or 1, (rows, labels).
        places: where each block is in the feature vector.
        weights: block -> its weight; the blocks to read.
        penalty: of the weights' squares, against the log loss summed over rows.
    """
    everything = np.zeros(len(labels), np.int64)
    return fit_linear_in_folds(features, labels, everything, 0, places, weights, penalty=penalty)[0]


def fit_linear_in_folds(
    features: sparse.csr_matrix,
    labels: Matrix,
    fold_of_row: NDArray[np.int64],
    folds: int,
    places: Mapping[str, slice],
    weights: Mapping[str, float],
    *,
    penalty: float,
    landmarks: int | None = None,
) -> list[LinearModel]:
    """Fit a model on all training rows, and one without each fold.

    The scales of the blocks, which know nothing of labels, are those of all rows; so rows are
    scaled and multiplied with each other once.

    Args:
        features: CSR (rows, features).
        labels: 0 or 1, (rows, labels).
        fold_of_row: (rows,), 0 to folds - 1.
        folds: how many; 0 for the first model alone.
        places: where each block is in the feature vector.
        weights: block -> its weight; the blocks to read.
        penalty: of the weights' squares, against the log loss summed over rows.
        landmarks: how many at most, for models of the exponential kernel; None for linear ones.

    Raises:
        InvalidInputError: rows x landmarks are more than a task can hold.
    """
    blocks = fit_scales(features, places, weights, dense=DENSE_BLOCKS, numbers=NUMBER_BLOCKS)
    scaled = blocks.apply(features)
    rows = len(labels)
    if landmarks is not None:
        check_products(rows, min(rows, landmarks))
        chosen = choose_landmarks(scaled, landmarks)
        compared = chosen.compare(scaled)
        return [
            LinearModel(
                blocks,
                fit_on_landmarks(compared[kept], labels[kept], chosen, penalty=penalty),
                chosen,
            )
            for kept in (fold_of_row != fold for fold in (-1, *range(folds)))
        ]
    few = rows <= _MOST_PRODUCTS and rows**2 < _SPARSE_COST * scaled.nnz
    products = products_of_rows(scaled) if few else None
    models = []
    for fold in (-1, *range(folds)):
        kept = np.flatnonzero(fold_of_row != fold)
        part = scaled if fold < 0 else scaled[kept]
        if products is None:
            fit = fit_logistic(part, labels[kept], penalty=penalty)
        else:
            own = products[np.ix_(kept, kept)]
            fit = fit_by_products(part, labels[kept], penalty=penalty, products=own)
        models.append(LinearModel(blocks, fit))
    return models
