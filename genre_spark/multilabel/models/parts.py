"""What a fit leaves behind: a scorer, the classes it knows, and the Spark ML model where there is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyspark.ml import Model

from genre_spark.multilabel.columns import Labels
from genre_spark.multilabel.models.scorers import Scorer

__all__ = ["FittedPart", "SparkModelScorer"]


@dataclass(frozen=True)
class SparkModelScorer:
    """A fitted Spark ML classifier that has no form in numpy: it is applied by Spark itself.

    Attributes:
        model: the fitted model.
        n_classes: number of classes.
    """

    model: Model
    n_classes: int
    kind = "spark"

    def probabilities(self, block: Any) -> Any:
        """Refuse: the model needs Spark."""
        raise NotImplementedError(
            f"{type(self.model).__name__} can only be applied by Spark, use transform"
        )

    def to_bytes(self) -> bytes:
        """Refuse: the model has a writer of its own."""
        raise NotImplementedError(f"{type(self.model).__name__} is stored by its own writer")


@dataclass(frozen=True)
class FittedPart:
    """What became of a Subproblem.

    Attributes:
        scorer: gives p(class | row).
        classes: the label combination of each class of a multi-class target, (classes, labels of
            the target).
        model: the fitted Spark ML model, where one was fitted in this session.
    """

    scorer: Scorer | SparkModelScorer
    classes: Labels | None = None
    model: Model | None = None
