"""What all multi-label estimators and models have in common."""

from __future__ import annotations

import pickle
import uuid
from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param
from pyspark.ml.util import MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.caching import cached
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.multilabel.classifiers import HasClassifier
from genre_spark.multilabel.columns import (
    Labels,
    array_column,
    check_features,
    feature_names,
    number_column,
    vector_column,
)
from genre_spark.multilabel.fitting.cooccurrence import Cooccurrence, count_cooccurrence
from genre_spark.multilabel.fitting.plan import Subproblem
from genre_spark.multilabel.fitting.statistics import RowCheck, TrainingStatistics, summarise_rows
from genre_spark.multilabel.fitting.training_data import (
    pack_training,
    summarise_blocks,
    training_rows,
)
from genre_spark.multilabel.fitting.with_sklearn import fit_locally
from genre_spark.multilabel.fitting.with_spark import fit_with_spark
from genre_spark.multilabel.models.from_sklearn import compares_in_single
from genre_spark.multilabel.models.parts import FittedPart, SparkModelScorer
from genre_spark.multilabel.models.predictors import Predictor, Structure
from genre_spark.multilabel.models.scorers import Scorer
from genre_spark.multilabel.models.transform import (
    CHECKED,
    HIDDEN,
    ScoringTask,
    append_scores,
    score_features,
    unfold_scores,
)
from genre_spark.multilabel.models.transform_spark import (
    append_given_scores,
    append_part_scores,
    check_rows,
    stand_in,
)
from genre_spark.multilabel.params import MultilabelParams, set_params
from genre_spark.multilabel.persistence import (
    EstimatorReader,
    EstimatorWriter,
    ModelReader,
    ModelWriter,
    read_scorer,
)
from genre_spark.session import check_workers

__all__ = ["MultilabelEstimator", "MultilabelModel"]

E = TypeVar("E", bound="MultilabelEstimator")
M = TypeVar("M", bound="MultilabelModel")
T = TypeVar("T", bound="ProblemTransformation")
Matrix = NDArray[np.float64]


class MultilabelModel(Model, MultilabelParams, MLReadable, MLWritable, metaclass=ABCMeta):
    """A fitted multi-label method: appends probabilities and predictions.

    Attributes:
        parts: the fitted single-target models.
        structure: how the method combines them, in JSON's types.
        numLabels: number of labels, L.
        numFeatures: length of the feature vectors.
    """

    def __init__(
        self,
        parts: Sequence[FittedPart] = (),
        structure: Structure | None = None,
        numLabels: int = 0,
        numFeatures: int = 0,
    ) -> None:
        super().__init__()
        self.parts = list(parts)
        self.structure = structure or {}
        self.numLabels = numLabels
        self.numFeatures = numFeatures
        self._token = uuid.uuid4().hex

    @abstractmethod
    def _predictor(self) -> Predictor:
        """Return the combination of the parts, as the model's Params want it."""

    @property
    def models(self) -> list[Model | None]:
        """The fitted Spark ML models, in the order of the parts.

        None where there is none (constant, scikit-learn).

        Models that were turned into arrays are here only in the session that fitted them: they are
        not stored.
        """
        return [part.model for part in self.parts]

    def predict_proba(self, features: ArrayLike | pd.DataFrame) -> Matrix:
        """Return the probabilities of rows without Spark.

        Args:
            features: a vector (features,), a matrix (rows, features), or a pandas frame with a
                column a feature.

        Returns:
            (rows, labels), 0..1.
        """
        return self._score_locally(features)[0]

    def predict(self, features: ArrayLike | pd.DataFrame) -> Matrix:
        """Return the predicted labels of rows without Spark, (rows, labels), 0 or 1.

        Takes what predict_proba takes.
        """
        return self._score_locally(features)[1]

    def _score_locally(self, features: ArrayLike | pd.DataFrame) -> tuple[Matrix, Matrix]:
        matrix = np.atleast_2d(np.asarray(features, dtype=np.float64))
        if matrix.ndim != 2 or matrix.shape[1] != self.numFeatures:
            raise InvalidInputError(
                f"features: shape {matrix.shape}, expected (rows, {self.numFeatures})"
            )
        if self.getHandleInvalid() == "error":
            check_features(matrix, "features")
        return score_features(self._predictor(), matrix, self.getThreshold())

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self._check_params()
        check_workers(dataset.sparkSession)
        self._check_output(dataset)
        if any(isinstance(part.scorer, SparkModelScorer) for part in self.parts):
            return self._transform_on_spark(dataset)
        task = ScoringTask(
            token=f"{self._token}{sorted((p.name, repr(v)) for p, v in self.extractParamMap().items())}",
            payload=pickle.dumps(self._predictor(), protocol=pickle.HIGHEST_PROTOCOL),
            features=self.numFeatures,
            threshold=self.getThreshold(),
            role=self.getFeaturesCol(),
            feature_names=feature_names(dataset, self.getFeaturesCol()),
            allow_invalid=self.getHandleInvalid() == "keep",
        )
        return self._unfold(append_scores(dataset, task, features_col=self.getFeaturesCol()))

    def _transform_on_spark(self, dataset: DataFrame) -> DataFrame:
        """Apply Spark models that have no form in numpy, one after the other, and combine their answers."""
        threshold = self.getThreshold()
        checked = check_rows(
            dataset,
            self.getFeaturesCol(),
            output=CHECKED,
            size=self.numFeatures,
            names=feature_names(dataset, self.getFeaturesCol()),
            allow_invalid=self.getHandleInvalid() == "keep",
        )
        scored = append_part_scores(
            checked,
            self.parts,
            self._links(),
            inputs=CHECKED,
            size=self.numFeatures,
            passed=self._link_threshold() or threshold,
        )
        given = self.copy()
        given.parts = [
            replace(part, scorer=stand_in(part, index)) for index, part in enumerate(self.parts)
        ]
        combined = append_given_scores(
            scored, given._predictor(), len(self.parts), threshold, HIDDEN
        )
        return self._unfold(combined.drop(CHECKED))

    def _unfold(self, scored: DataFrame) -> DataFrame:
        return unfold_scores(
            scored,
            probabilities_col=self.getProbabilitiesCol(),
            prediction_col=self.getPredictionCol(),
            names=self.getLabelNames(),
        )

    def _links(self) -> dict[int, list[int]]:
        """Return, for a part, the parts whose predictions are among its inputs (links of chains)."""
        return {}

    def _link_threshold(self) -> float | None:
        """Return from which probability on a link passes its label on.

        None takes the model's threshold.
        """
        return None

    @property
    def _scorers(self) -> list[Scorer]:
        return [part.scorer for part in self.parts]  # type: ignore[misc]

    @property
    def _classes(self) -> list[Labels]:
        return [
            np.zeros((1, 0), dtype=np.uint8) if part.classes is None else part.classes
            for part in self.parts
        ]

    def _check_output(self, dataset: DataFrame) -> None:
        """Refuse a DataFrame without features, or one that has the output columns already."""
        vector_column(dataset, self.getFeaturesCol(), "featuresCol")
        for param in ("probabilitiesCol", "predictionCol"):
            name = self.getOrDefault(param)
            if name and name in dataset.columns:
                raise InvalidInputError(
                    f"{param}: column {name!r} exists already, set another name"
                )

    def write(self) -> MLWriter:
        """Return the writer."""
        return ModelWriter(self)

    @classmethod
    def read(cls) -> MLReader[Any]:
        """Return the reader."""
        return ModelReader(cls)

    @classmethod
    def loadLocal(cls: type[M], path: str) -> M:
        """Load a model from a folder of this machine without Spark, to score vectors and pandas frames.

        Models that hold Spark ML classifiers without a form in numpy need `load`.
        """
        return cast("M", ModelReader(cls).load_local(path))


class MultilabelEstimator(Estimator, MultilabelParams, MLReadable, MLWritable, metaclass=ABCMeta):
    """A multi-label method that is fitted on a DataFrame of features and multi-hot labels."""

    model_class: ClassVar[type[MultilabelModel]]

    def __init__(self, **params: Any) -> None:
        super().__init__()
        set_params(self, params)

    @cached_property
    def _name(self) -> str:
        return type(self).__name__

    def _row_check(self, dataset: DataFrame) -> RowCheck:
        return RowCheck(
            features_role=self.getFeaturesCol(),
            labels_role=self.getLabelsCol(),
            feature_names=feature_names(dataset, self.getFeaturesCol()),
            allow_invalid=self.getHandleInvalid() == "keep",
        )

    def _check_label_names(self, statistics: TrainingStatistics) -> None:
        names = self.getLabelNames()
        if names is not None and len(names) != statistics.labels:
            raise InvalidConfigError(
                f"{self._name}.labelNames: {len(names)} names, expected {statistics.labels}, one a "
                "label"
            )

    def _finish(
        self, parts: Sequence[FittedPart], structure: Structure, statistics: TrainingStatistics
    ) -> MultilabelModel:
        model = self.model_class(
            parts=parts,
            structure=structure,
            numLabels=statistics.labels,
            numFeatures=statistics.features,
        )
        model._resetUid(self.uid)
        return self._copyValues(model)

    def setParams(self: E, **params: Any) -> E:
        """Set Params by name."""
        return set_params(self, params)

    def copy(self: E, extra: dict[Param, Any] | None = None) -> E:
        """Return a copy with the same uid and the extra Params."""
        return super().copy(extra)

    def write(self) -> MLWriter:
        """Return the writer."""
        return EstimatorWriter(self)

    @classmethod
    def read(cls) -> MLReader[Any]:
        """Return the reader."""
        return EstimatorReader(cls)


class ProblemTransformation(MultilabelEstimator, HasClassifier):
    """A multi-label method that turns into single-target fits of a base classifier."""

    def copy(self: T, extra: dict[Param, Any] | None = None) -> T:
        """Return a copy with the same uid and the extra Params.

        Those of a Spark ML base classifier reach it.
        """
        copied = super().copy(extra)
        if copied.fits_on_spark:
            copied.setClassifier(copied.getClassifier().copy(extra))
        return copied

    @abstractmethod
    def _plan(
        self, statistics: TrainingStatistics, cooccurrence: Cooccurrence
    ) -> tuple[list[Subproblem], Structure]:
        """Return the fits, and how the model combines them.

        Args:
            statistics: of the training data.
            cooccurrence: counts, when called, how often two labels are on together, (labels,
                labels).
        """

    def _fit(self, dataset: DataFrame) -> Any:
        self._check_params()
        check_workers(dataset.sparkSession)
        fit = self._fit_on_spark if self.fits_on_spark else self._fit_locally
        return fit(dataset, self._row_check(dataset))

    def _fit_locally(self, dataset: DataFrame, check: RowCheck) -> MultilabelModel:
        classifier = self.getClassifier()
        with cached(
            pack_training(
                training_rows(dataset, self), check, single=compares_in_single(classifier)
            )
        ) as blocks:
            statistics = summarise_blocks(blocks, check)
            self._check_label_names(statistics)
            subproblems, structure = self._plan(
                statistics, lambda: count_cooccurrence(blocks, statistics.labels)
            )
            weighted = self.getWeightCol() is not None
            parts = fit_locally(
                blocks,
                subproblems,
                classifier,
                read_scorer,
                statistics=statistics,
                weighted=weighted,
            )
        return self._finish(parts, structure, statistics)

    def _fit_on_spark(self, dataset: DataFrame, check: RowCheck) -> MultilabelModel:
        unwrapped = training_rows(dataset, self)
        # the vectors themselves, for Spark's classifiers; their metadata says which features are
        # categorical
        vectors = F.col(f"`{self.getFeaturesCol()}`").alias("features")
        others = [array_column(dataset, self.getLabelsCol(), "labelsCol").alias("labels")]
        others.append(number_column(dataset, self.getWeightCol(), "weightCol").alias("weight"))
        hashed = dataset.select(vectors, *others).withColumn(
            "row_hash", F.xxhash64(F.unwrap_udt("features"), "labels")
        )
        with cached(hashed) as training:
            rows = training.withColumn("features", F.unwrap_udt("features")).select(
                *unwrapped.columns
            )
            statistics = summarise_rows(rows, check)
            self._check_label_names(statistics)
            subproblems, structure = self._plan(
                statistics, lambda: count_cooccurrence(training, statistics.labels)
            )
            parts = fit_with_spark(
                training,
                subproblems,
                self.getClassifier(),
                statistics=statistics,
                parallelism=self.getParallelism(),
                weighted=self.getWeightCol() is not None,
            )
        return self._finish(parts, structure, statistics)
