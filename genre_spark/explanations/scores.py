"""The models that are explained, as functions from inputs to probabilities that travel to tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from genre_spark.features.specification import FeatureSpecification
from genre_spark.fusion.calibration.calibrators import Calibrator
from genre_spark.fusion.linear.model import LinearModel
from genre_spark.fusion.stacks.stacking import StackedModel
from genre_spark.multilabel.models.predictors import Predictor
from genre_spark.multilabel.models.transform import score_features

if TYPE_CHECKING:
    from genre_spark.fusion.network.model import FusedModel

__all__ = ["CalibratedScore", "FusedScore", "LinearScore", "MultilabelScore", "StackScore"]

Matrix = NDArray[np.float64]
_CELLS = 2**22  # numbers of a dense batch: 32 MB


@dataclass(frozen=True)
class MultilabelScore:
    """A multi-label model, scored in batches of dense rows.

    Attributes:
        predictor: of the model.
        threshold: by which links of a chain pass their labels on.
    """

    predictor: Predictor
    threshold: float

    def __call__(self, inputs: sparse.csr_matrix) -> Matrix:
        """Return probabilities, (rows, labels)."""
        rows, width = inputs.shape
        step = max(1, _CELLS // max(1, width))
        return np.concatenate(
            [
                _rounded(score_features(self.predictor, part.toarray(), self.threshold)[0])
                for part in (inputs[start : start + step] for start in range(0, rows, step))
            ]
        )


@dataclass(frozen=True)
class LinearScore:
    """A linear model on blocks of features.

    Attributes:
        model: fitted.
    """

    model: LinearModel

    def __call__(self, inputs: sparse.csr_matrix) -> Matrix:
        """Return probabilities, (rows, labels)."""
        return _rounded(self.model.probabilities(inputs))


@dataclass(frozen=True)
class FusedScore:
    """A network over posters, texts and metadata, which reads feature vectors.

    Attributes:
        model: trained.
        specification: of the features.
    """

    model: FusedModel
    specification: FeatureSpecification

    def __call__(self, inputs: sparse.csr_matrix) -> Matrix:
        """Return probabilities, (rows, labels)."""
        from genre_spark.vision.devices import limited_threads  # noqa: PLC0415 - torch, seconds

        with limited_threads(1):  # a task has one core
            return _rounded(self.model.probabilities(self.specification, inputs))


@dataclass(frozen=True)
class CalibratedScore:
    """A model whose probabilities are calibrated, as the evaluation has it.

    Attributes:
        score: the model.
        curves: fitted on validation.
    """

    score: Callable[[sparse.csr_matrix], Matrix]
    curves: Calibrator

    def __call__(self, inputs: sparse.csr_matrix) -> Matrix:
        """Return probabilities, (rows, labels)."""
        return _rounded(self.curves.apply(self.score(inputs)))


@dataclass(frozen=True)
class StackScore:
    """A stack, whose inputs are the log-odds of other models.

    Attributes:
        model: fitted.
    """

    model: StackedModel

    def __call__(self, inputs: sparse.csr_matrix) -> Matrix:
        """Return probabilities, (rows, labels)."""
        return _rounded(self.model.probabilities(inputs.toarray()))


def _rounded(probabilities: Matrix) -> Matrix:
    """Round to what a predictions table stores: thresholds were tuned on such numbers."""
    return probabilities.astype(np.float32).astype(np.float64)
