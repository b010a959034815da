"""Fitted single-target models as they are shipped, stored and asked for class probabilities.

None of them needs Spark. What a scorer stores is plain arrays (npz without pickle) or a skops
archive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from genre_spark.multilabel.models.archives import pack_arrays, unpack_arrays
from genre_spark.multilabel.models.feature_block import FeatureBlock

__all__ = ["ConstantScorer", "LinearScorer", "Scorer", "StoredScorer", "sigmoid"]

Matrix = NDArray[np.float64]


class Scorer(Protocol):
    """A fitted single-target model."""

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        ...

    @property
    def dense_columns(self) -> int:
        """Number of columns that become dense where sparse rows are scored."""
        ...

    def probabilities(self, block: FeatureBlock) -> Matrix:
        """Return p(class | row), (rows, n_classes), each row summing to 1."""
        ...


class StoredScorer(Scorer, Protocol):
    """A scorer that can be stored."""

    kind: ClassVar[str]

    def importances(self) -> Matrix | None:
        """Return how much the model looks at its inputs, (1 or labels of the target, inputs).

        None where such a model has no importances, or none were stored.
        """
        ...

    def to_bytes(self) -> bytes:
        """Return the model as bytes without pickle."""
        ...


@dataclass(frozen=True)
class ConstantScorer:
    """The answer where training had one class only: that class, whatever the features.

    Attributes:
        distribution: probability of each class, (n_classes,).
    """

    distribution: NDArray[np.float64]
    kind: ClassVar[str] = "constant"
    dense_columns: ClassVar[int] = 0

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.distribution)

    def probabilities(self, block: FeatureBlock) -> Matrix:
        """Return the same distribution for every row."""
        return np.tile(self.distribution, (block.n_rows, 1))

    def importances(self) -> Matrix:
        """Return that it looks at none of its inputs, (1, 0)."""
        return np.zeros((1, 0))

    def to_bytes(self) -> bytes:
        """Return the distribution as npz bytes."""
        return pack_arrays({"distribution": self.distribution})

    @classmethod
    def from_bytes(cls, payload: bytes) -> ConstantScorer:
        """Read what `to_bytes` wrote."""
        return cls(unpack_arrays(payload)["distribution"])


def sigmoid(margins: Matrix) -> Matrix:
    """Return 1 / (1 + exp(-margin)).

    scipy's expit differs in the last bit, and a stored model must answer as it always did.
    """
    return 0.5 * (1.0 + np.tanh(0.5 * margins))


@dataclass(frozen=True)
class LinearScorer:
    """Logistic regression: sigmoid for two classes, softmax over the classes otherwise.

    Attributes:
        coefficients: weights of the features, (1, features) for two classes, else (classes,
            features).
        intercepts: constant part of the margins, (1,) or (classes,).
        skips_zeros: whether a coefficient of 0 leaves its feature out, as sparse coefficients do in
            Spark: 0 times infinity is NaN otherwise.
    """

    coefficients: Matrix
    intercepts: NDArray[np.float64]
    skips_zeros: bool = False
    kind: ClassVar[str] = "linear"
    dense_columns: ClassVar[int] = 0

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return max(2, len(self.intercepts))

    def probabilities(self, block: FeatureBlock) -> Matrix:
        """Return p(class | row)."""
        margins = self._margins(block)
        if margins.shape[1] == 1:
            positive = sigmoid(margins[:, 0])
            return np.column_stack([1.0 - positive, positive])
        infinite = margins == np.inf
        # The first infinite margin decides, as in Spark; which leaves NaN for the other classes.
        certain = infinite.any(axis=1)
        with np.errstate(invalid="ignore"):
            found = np.asarray(softmax(margins, axis=1))
        found[certain] = np.eye(margins.shape[1])[infinite[certain].argmax(axis=1)]
        return found

    def _margins(self, block: FeatureBlock) -> Matrix:
        width = self.coefficients.shape[1]
        inputs: Any = block.sparse(width) if block.is_sparse else block.double(width)
        with np.errstate(invalid="ignore"):
            margins = np.asarray(inputs @ self.coefficients.T) + self.intercepts
        if not self.skips_zeros or np.isfinite(margins).all():
            return margins
        rows = np.flatnonzero(~np.isfinite(margins).all(axis=1))
        strange = inputs[rows].toarray() if block.is_sparse else inputs[rows]
        for number, coefficients in enumerate(self.coefficients):
            used = np.flatnonzero(coefficients)
            margins[rows, number] = strange[:, used] @ coefficients[used] + self.intercepts[number]
        return margins

    def importances(self) -> None:
        """Return None: coefficients depend on the features' scales, as in Spark ML."""

    def to_bytes(self) -> bytes:
        """Return the coefficients as npz bytes."""
        arrays = {"coefficients": self.coefficients, "intercepts": self.intercepts}
        flags = {"skips_zeros": np.array(True)} if self.skips_zeros else {}
        return pack_arrays(arrays | flags)

    @classmethod
    def from_bytes(cls, payload: bytes) -> LinearScorer:
        """Read what `to_bytes` wrote."""
        arrays = unpack_arrays(payload)
        return cls(arrays["coefficients"], arrays["intercepts"], "skips_zeros" in arrays)
