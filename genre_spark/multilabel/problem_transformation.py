"""What the methods have in common that turn into single-target fits of a base classifier."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, TypeVar

from pyspark.ml.classification import FMClassifier, GBTClassifier, LogisticRegression
from pyspark.ml.param import Param
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.errors import InvalidConfigError
from genre_spark.multilabel.base import MultilabelEstimator, MultilabelModel
from genre_spark.multilabel.classifiers import HasClassifier
from genre_spark.multilabel.columns import array_column, find_column, number_column
from genre_spark.multilabel.fitting.plan import Subproblem
from genre_spark.multilabel.fitting.statistics import RowCheck, TrainingStatistics, summarise_rows
from genre_spark.multilabel.fitting.training_data import (
    pack_training,
    row_check,
    summarise_blocks,
    training_rows,
)
from genre_spark.multilabel.fitting.with_sklearn import fit_locally, stays_sparse
from genre_spark.multilabel.fitting.with_spark import fit_with_spark
from genre_spark.multilabel.models.from_sklearn import compares_in_single
from genre_spark.multilabel.models.predictors import Structure
from genre_spark.multilabel.persistence import read_scorer
from genre_spark.spark.session import check_workers
from genre_spark.storage.caching import cached

__all__ = ["ProblemTransformation"]

T = TypeVar("T", bound="ProblemTransformation")


class ProblemTransformation(MultilabelEstimator, HasClassifier):
    """A multi-label method that turns into single-target fits of a base classifier."""

    multi_class: ClassVar[bool] = False  # whether classes are labelsets, more than two of them

    def _check_params(self) -> None:
        super()._check_params()
        classifier = self.getClassifier()
        binary = isinstance(classifier, GBTClassifier | FMClassifier) or (
            isinstance(classifier, LogisticRegression) and classifier.getFamily() == "binomial"
        )
        if self.multi_class and binary:
            raise InvalidConfigError(
                f"{type(self).__name__}.classifier: {type(classifier).__name__} knows two classes "
                "only, expected a multi-class classifier (each combination of labels is a class), "
                "for example RandomForestClassifier; BinaryRelevance and chains take this one"
            )

    def copy(self: T, extra: dict[Param, Any] | None = None) -> T:
        """Return a copy with the same uid and the extra Params.

        Those of a Spark ML base classifier reach it.
        """
        copied = super().copy(extra)
        if copied.fits_on_spark:
            copied.setClassifier(copied.getClassifier().copy(extra))
        return copied

    @abstractmethod
    def _plan(self, statistics: TrainingStatistics) -> tuple[list[Subproblem], Structure]:
        """Return the fits, and how the model combines them."""

    def _fit(self, dataset: DataFrame) -> Any:
        self._check_params()
        check_workers(dataset.sparkSession)
        fit = self._fit_on_spark if self.fits_on_spark else self._fit_locally
        return fit(dataset, row_check(dataset, self))

    def _fit_locally(self, dataset: DataFrame, check: RowCheck) -> MultilabelModel:
        classifier = self.getClassifier()
        single = compares_in_single(classifier)
        with cached(pack_training(training_rows(dataset, self), check, single=single)) as blocks:
            statistics = summarise_blocks(blocks, check)
            self._check_label_names(statistics)
            subproblems, structure = self._plan(statistics)
            parts = fit_locally(
                blocks,
                subproblems,
                classifier,
                read_scorer,
                statistics=statistics,
                weighted=self.getWeightCol() is not None,
                sparse=stays_sparse(classifier, statistics, check),
            )
        return self._finish(parts, structure, statistics)

    def _fit_on_spark(self, dataset: DataFrame, check: RowCheck) -> MultilabelModel:
        unwrapped = training_rows(dataset, self).columns
        # Spark's classifiers read the vectors themselves; their metadata has the categorical ones
        column, _ = find_column(dataset, self.getFeaturesCol(), "featuresCol")
        vectors = column.alias("features")
        others = [
            array_column(dataset, self.getLabelsCol(), "labelsCol").alias("labels"),
            number_column(dataset, self.getWeightCol(), "weightCol").alias("weight"),
        ]
        row_hash = F.xxhash64(F.unwrap_udt("features"), "labels")
        with cached(dataset.select(vectors, *others).withColumn("row_hash", row_hash)) as training:
            rows = training.withColumn("features", F.unwrap_udt("features")).select(*unwrapped)
            statistics = summarise_rows(rows, check)
            self._check_label_names(statistics)
            subproblems, structure = self._plan(statistics)
            parts = fit_with_spark(
                training,
                subproblems,
                self.getClassifier(),
                statistics=statistics,
                parallelism=self.getParallelism(),
                weighted=self.getWeightCol() is not None,
            )
        return self._finish(parts, structure, statistics)
