"""What all multi-label estimators and models have in common."""

from __future__ import annotations

import pickle
import uuid
from abc import ABCMeta, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
from pyspark.ml import Estimator, Model
from pyspark.ml.linalg import SparseVector, Vectors
from pyspark.ml.param import Param
from pyspark.ml.util import MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import DataFrame

from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.multilabel.columns import (
    check_new_column,
    feature_names,
    stored_label_names,
    vector_column,
)
from genre_spark.multilabel.fitting.statistics import TrainingStatistics
from genre_spark.multilabel.labels.label_names import NamesLabels
from genre_spark.multilabel.matrices import (
    Features,
    Labels,
    Matrix,
    as_matrix,
    check_features,
)
from genre_spark.multilabel.models.from_sklearn import SkopsScorer
from genre_spark.multilabel.models.importances import combine_parts
from genre_spark.multilabel.models.parts import FittedPart, Part
from genre_spark.multilabel.models.predictors import Predictor, Structure
from genre_spark.multilabel.models.scorers import Scorer
from genre_spark.multilabel.models.transform import (
    ScoringTask,
    append_scores,
    score_features,
    unfold_scores,
)
from genre_spark.multilabel.models.transform_spark import (
    SparkTask,
    append_scores_on_spark,
    needs_spark,
)
from genre_spark.multilabel.persistence import (
    EstimatorReader,
    EstimatorWriter,
    ModelReader,
    ModelWriter,
)
from genre_spark.multilabel.shared_params import MultilabelParams
from genre_spark.spark.session import check_workers
from genre_spark.workers.errors import worker_errors

__all__ = ["MultilabelEstimator", "MultilabelModel"]

E = TypeVar("E", bound="MultilabelEstimator")
M = TypeVar("M", bound="MultilabelModel")


class MultilabelModel(
    Model, MultilabelParams, NamesLabels, MLReadable, MLWritable, metaclass=ABCMeta
):
    """A fitted multi-label method: appends probabilities and predictions.

    Attributes:
        parts: the fitted single-target models.
        structure: how the method combines the parts, in JSON's types.
        numLabels: number of labels, L.
        numFeatures: length of the feature vectors.
    """

    def __init__(
        self,
        parts: Sequence[Part] = (),
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
    def _predictor(self, scorers: Sequence[Scorer]) -> Predictor:
        """Return the combination of the parts' scorers, as the model's Params want it."""

    def predictor(self) -> Predictor:
        """Return how the model scores features without Spark; it can be pickled.

        Raises:
            InvalidInputError: parts of the model can only be applied by Spark.
        """
        return self._predictor(self._scorers())

    @property
    def models(self) -> list[Model | None]:
        """The fitted Spark ML models, in the order of the parts.

        None where there is none (constant, scikit-learn). Models that were turned into arrays are
        here only in the session that fitted them: they are not stored. One with a training summary
        cannot transform by itself once its session has observed a DataFrame ("Task not
        serializable", Spark 4.0), nor can it without this package; `transform` can.
        """
        return [part.model for part in self.parts]

    @property
    def featureImportances(self) -> SparseVector:
        """How much the model looks at each feature: the mean over the labels, adding up to 1.

        As Spark ML's of a forest. Raises what `labelFeatureImportances` raises.
        """
        total = self.labelFeatureImportances.sum(axis=0)
        used = np.flatnonzero(total)
        return Vectors.sparse(self.numFeatures, used, total[used] / max(total.sum(), 1e-300))

    @property
    def labelFeatureImportances(self) -> Matrix:
        """How much the model looks at each feature to decide each label, (labels, features).

        By the decrease of the label's Gini impurity in the trees that decide it; a label's add up
        to 1, or are 0 where its fits look at nothing. What a chain takes from earlier labels is
        left out. A base classifier with importances of its own (boosted trees) is asked for them.

        Raises:
            InvalidInputError: the base classifier has no importances.
        """
        rows = [part.importances() for part in self.parts]
        known = [row for row in rows if row is not None]
        if not known or len(known) < len(rows):
            kind = "no fits" if not rows else _describe(self.parts[rows.index(None)])
            raise InvalidInputError(
                f"{type(self).__name__}.labelFeatureImportances: {kind}, expected trees fitted by "
                "this version; genre_spark.explanations.permutation measures any model"
            )
        targets = self._predictor(cast("list[Scorer]", self.parts)).targets
        return combine_parts(targets, known, n_labels=self.numLabels, n_features=self.numFeatures)

    def predict_proba(self, features: Features) -> Matrix:
        """Return the probabilities of rows without Spark.

        Args:
            features: a vector (features,), a matrix (rows, features), dense or a sparse one of
                scipy, or a pandas frame with one column per feature.

        Returns:
            (rows, labels), 0..1.

        Raises:
            InvalidInputError: the features have another length, or NaN or infinite ones are among
                them; or parts of the model can only be applied by Spark.
        """
        return self._score_locally(features)[0]

    def predict(self, features: Features) -> Matrix:
        """Return the predicted labels of rows without Spark, (rows, labels), 0 or 1.

        Takes what predict_proba takes, and raises what it raises.
        """
        return self._score_locally(features)[1]

    def _score_locally(self, features: Features) -> tuple[Matrix, Matrix]:
        self._check_params()
        matrix = as_matrix(features)
        if matrix.shape[1] != self.numFeatures:
            raise InvalidInputError(
                f"features: shape {matrix.shape}, expected (rows, {self.numFeatures})"
            )
        if self.getHandleInvalid() == "error":
            check_features(matrix, "features")
        return score_features(self.predictor(), matrix, self.getThreshold())

    def _scorers(self) -> list[Any]:
        """Return the scorers of the parts, which must all have a form in numpy."""
        for part in self.parts:
            if not isinstance(part, FittedPart):
                raise InvalidInputError(
                    f"{part.describe()}: can only be applied by Spark, use transform"
                )
        return [part.scorer for part in cast("list[FittedPart]", self.parts)]

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self._check_params()
        self._check_output(dataset)
        check_workers(dataset.sparkSession)
        names = feature_names(dataset, self.getFeaturesCol())
        score = self._score_on_spark if needs_spark(self.parts) else self._score_in_workers
        return unfold_scores(
            score(dataset, names),
            probabilities_col=self.getProbabilitiesCol(),
            prediction_col=self.getPredictionCol(),
            names=self.getLabelNames(),
        )

    def _score_in_workers(self, dataset: DataFrame, names: list[str] | None) -> DataFrame:
        values = sorted((param.name, repr(v)) for param, v in self.extractParamMap().items())
        task = ScoringTask(
            token=f"{self._token}{values}",
            payload=pickle.dumps(self.predictor(), protocol=pickle.HIGHEST_PROTOCOL),
            n_features=self.numFeatures,
            threshold=self.getThreshold(),
            role=self.getFeaturesCol(),
            feature_names=names,
            allow_invalid=self.getHandleInvalid() == "keep",
        )
        return append_scores(dataset, task, features_col=self.getFeaturesCol())

    def _score_on_spark(self, dataset: DataFrame, names: list[str] | None) -> DataFrame:
        task = SparkTask(
            parts=self.parts,
            links=self._links(),
            combine=self._predictor,
            features_col=self.getFeaturesCol(),
            n_features=self.numFeatures,
            feature_names=names,
            threshold=self.getThreshold(),
            link_threshold=self._link_threshold() or self.getThreshold(),
            allow_invalid=self.getHandleInvalid() == "keep",
        )
        return append_scores_on_spark(dataset, task)

    def _links(self) -> Mapping[int, Sequence[int]]:
        """Return, per part, the parts whose predictions are among its inputs (links of chains)."""
        return {}

    def _link_threshold(self) -> float | None:
        """Return the smallest probability with which a link passes its label on as predicted.

        None takes the model's threshold.
        """
        return None

    @property
    def _classes(self) -> list[Labels]:
        return [
            np.zeros((1, 0), dtype=np.uint8) if part.classes is None else part.classes
            for part in self.parts
        ]

    def _check_output(self, dataset: DataFrame) -> None:
        """Check that a DataFrame has the features and has no column of an output's name."""
        vector_column(dataset, self.getFeaturesCol(), "featuresCol")
        for param in ("probabilitiesCol", "predictionCol"):
            check_new_column(dataset, self.getOrDefault(param), param)

    def write(self) -> MLWriter:
        """Return the writer."""
        return ModelWriter(self)

    @classmethod
    def read(cls) -> MLReader[Any]:
        """Return the reader."""
        return ModelReader(cls)

    @classmethod
    def loadLocal(cls: type[M], path: str) -> M:
        """Load a model from a folder of this machine without Spark.

        It scores vectors and pandas frames (`predict_proba`). Models that hold Spark ML classifiers
        without a form in numpy need `load`.
        """
        return cast("M", ModelReader(cls).load_local(path))


def _describe(part: Part) -> str:
    """Return what a fit is, for messages."""
    if not isinstance(part, FittedPart):
        return part.describe()
    scorer = part.scorer
    return type(scorer.estimator).__name__ if isinstance(scorer, SkopsScorer) else scorer.kind


class MultilabelEstimator(Estimator, MultilabelParams, MLReadable, MLWritable, metaclass=ABCMeta):
    """A multi-label method that is fitted on a DataFrame of features and multi-hot labels."""

    model_class: ClassVar[type[MultilabelModel]]

    def fit(self, dataset: DataFrame, params: Any = None) -> Any:
        """Fit a model, or one per param map.

        Args:
            dataset: training data.
            params: a param map that goes before the estimator's own Params, or a list of them.

        Raises:
            InvalidConfigError: a Param has a value that cannot be used.
            InvalidInputError: a column is missing or of the wrong type, or a row cannot be used.
            InvalidLabelsError: a label is not 0 or 1, or labels differ in length.
            StageFailedError: the base classifier raised an error.
        """
        with worker_errors():
            fitted = super().fit(dataset, params)
        names = stored_label_names(dataset, self.getLabelsCol())
        for model in fitted if isinstance(fitted, list) else [fitted]:
            if names and len(names) == model.numLabels and model.getLabelNames() is None:
                model.setLabelNames(names)
        return fitted

    def _check_label_names(self, statistics: TrainingStatistics) -> None:
        names = self.getLabelNames()
        if names is not None and len(names) != statistics.n_labels:
            raise InvalidConfigError(
                f"{type(self).__name__}.labelNames: {len(names)} names, expected "
                f"{statistics.n_labels}, one per label"
            )

    def _finish(
        self, parts: Sequence[Part], structure: Structure, statistics: TrainingStatistics
    ) -> MultilabelModel:
        model = self.model_class(
            parts=parts,
            structure=structure,
            numLabels=statistics.n_labels,
            numFeatures=statistics.n_features,
        )
        model._resetUid(self.uid)
        return self._copyValues(model)

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
