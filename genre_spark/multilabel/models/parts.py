"""What a fit leaves behind: a model in numpy, or a Spark ML model that Spark applies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.ml import Model
from pyspark.sql import SparkSession
from pyspark.sql.utils import is_remote

from genre_spark.multilabel.matrices import Labels, Matrix
from genre_spark.multilabel.models.from_spark import TreeModel
from genre_spark.multilabel.models.scorers import StoredScorer
from genre_spark.spark.connect import is_connect
from genre_spark.storage.caching import SCRATCH

__all__ = ["FittedPart", "Part", "SparkPart", "save_spark_stage"]


@dataclass(frozen=True)
class FittedPart:
    """What became of a Subproblem, where the model has a form in numpy.

    Attributes:
        scorer: the model, which gives p(class | row).
        classes: label combination of each class of a multi-class target, (classes, labels of the
            target).
        model: the fitted Spark ML model, where one was fitted in this session.
    """

    scorer: StoredScorer
    classes: Labels | None = None
    model: Model | None = None

    @property
    def kind(self) -> str:
        """Name of the scorer's type in a stored model."""
        return self.scorer.kind

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.scorer.n_classes

    def to_bytes(self) -> bytes:
        """Return what a stored model keeps in its table of parts."""
        return self.scorer.to_bytes()

    def importances(self) -> Matrix | None:
        """Return how much the fit looks at its inputs, (1 or labels of the target, inputs)."""
        return self.scorer.importances()

    def save_beside(self, path: str, spark: SparkSession) -> None:
        """Write what the table of parts cannot hold: nothing."""


@dataclass(frozen=True)
class SparkPart:
    """What became of a Subproblem, where the model has no form in numpy: Spark applies it.

    Attributes:
        model: the fitted Spark ML model.
        n_classes: number of classes.
        classes: label combination of each class of a multi-class target, (classes, labels of the
            target).
    """

    model: Model
    n_classes: int
    classes: Labels | None = None
    kind = "spark"

    def to_bytes(self) -> bytes:
        """Return what a stored model keeps in its table of parts."""
        return str(self.n_classes).encode()

    def importances(self) -> Matrix | None:
        """Return the Spark ML model's `featureImportances`, (1, inputs), where it has any.

        Those of a multi-class target do not tell its labels apart: None.
        """
        if self.classes is not None:
            return None
        found = getattr(self.model, "featureImportances", None)
        return None if found is None else np.asarray(found.toArray(), dtype=np.float64)[None, :]

    def describe(self) -> str:
        """Return what the model is and what would give it a form in numpy, for messages."""
        name = type(self.model).__name__
        if not (isinstance(self.model, TreeModel) and is_remote()):
            return name
        return (
            f"{name} (fitted through Spark Connect without a folder for its trees: set {SCRATCH} "
            "to one that the server writes and this process reads, then fit again)"
        )

    def save_beside(self, path: str, spark: SparkSession) -> None:
        """Write what the table of parts cannot hold: the model, by its own writer."""
        save_spark_stage(self.model, path, spark)


def save_spark_stage(stage: Any, path: str, spark: SparkSession) -> None:
    """Write a classifier or model of Spark ML by its own writer."""
    writer = stage.write()
    # the writer of a Connect session takes the active one
    (writer if is_connect(spark) else writer.session(spark)).save(path)


Part = FittedPart | SparkPart
