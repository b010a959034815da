"""A random forest that learns all labels at once, its trees grown across the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from pyspark import keyword_only
from pyspark.ml.functions import array_to_vector
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.multilabel.base import MultilabelEstimator, MultilabelModel
from genre_spark.multilabel.classifiers import Classifier, HasClassifier
from genre_spark.multilabel.fitting.multilabel_trees import (
    OUT_OF_BAG_SCHEMA,
    OutOfBag,
    grow_trees,
)
from genre_spark.multilabel.fitting.statistics import summarise_rows
from genre_spark.multilabel.fitting.training_data import (
    Payload,
    TrainingMatrix,
    pack_training,
    row_check,
    summarise_blocks,
    training_rows,
    with_matrix,
)
from genre_spark.multilabel.fitting.with_sklearn import run_tasks, stays_sparse
from genre_spark.multilabel.models.parts import FittedPart
from genre_spark.multilabel.models.predictors import ForestPredictor, Predictor
from genre_spark.multilabel.params import params_setter
from genre_spark.multilabel.persistence import read_scorer
from genre_spark.spark.session import check_workers
from genre_spark.storage.caching import cached
from genre_spark.workers.errors import worker_errors
from genre_spark.workers.tasks import short_task

__all__ = ["MultilabelRandomForest", "MultilabelRandomForestModel"]

_PIECES = 32  # tasks of a fit; a constant, so that the forest does not depend on the cluster


class MultilabelRandomForestModel(MultilabelModel):
    """A fitted forest in pieces; `structure` has the settings that out-of-bag scores need."""

    def _predictor(self, scorers: Sequence[Any]) -> Predictor:
        return ForestPredictor(scorers)

    def outOfBag(self, dataset: DataFrame) -> DataFrame:
        """Return labels and out-of-bag probabilities of the rows that the forest was fitted on.

        A row is scored by the trees that did not draw it: an unbiased way to fit thresholds without
        a validation set. Rows that every tree drew are left out. Both columns are Vectors named as
        in the model's Params.

        Args:
            dataset: the training data, in any order and partitioning.

        Raises:
            InvalidInputError: it is not the training data, or the forest draws no bootstrap.
        """
        settings = self.structure
        if not settings["bootstrap"]:
            raise InvalidInputError(
                "outOfBag: the forest was grown without bootstrap, expected bootstrap=True"
            )
        training = training_rows(dataset, self)
        check = row_check(dataset, self)
        with worker_errors():
            found = summarise_rows(training, check)
        size = (found.n_rows, found.n_features, found.n_labels)
        if size != (settings["rows"], self.numFeatures, self.numLabels):
            raise InvalidInputError(
                f"outOfBag: {found.n_rows} rows of {found.n_features} features and "
                f"{found.n_labels} labels, expected the {settings['rows']} rows of "
                f"{self.numFeatures} and {self.numLabels} of the fit"
            )
        scorer = OutOfBag(
            self._scorers(),
            settings["seed"],
            settings["max_samples"],
            settings["slices"],
            weighted=self.getWeightCol() is not None,
            sparse=stays_sparse(RandomForestClassifier(), found, check),
        )
        blocks = with_matrix(pack_training(training, check, single=True), scorer.slices)
        scored = blocks.mapInArrow(short_task(scorer.score), OUT_OF_BAG_SCHEMA)
        return scored.select(
            array_to_vector(F.col("labels")).alias(self.getLabelsCol()),
            array_to_vector(F.col("probabilities")).alias(self.getProbabilitiesCol()),
        )


class MultilabelRandomForest(MultilabelEstimator, HasClassifier):
    """A random forest for many labels: one set of trees for all of them.

    Splits minimise the mean impurity over all labels. The cheapest method by far: one forest
    instead of one per label, at somewhat lower recall of rare labels, which thresholds fitted on
    `model.outOfBag(train)` repair. Trees are grown in 32 tasks (fewer with fewer trees).
    """

    model_class: ClassVar[type[MultilabelModel]] = MultilabelRandomForestModel

    classifier: Param[Classifier] = Param(
        Params._dummy(),
        "classifier",
        "settings of the forest: scikit-learn's RandomForestClassifier or ExtraTreesClassifier; "
        "RandomForestClassifier(n_estimators=100) where it is not set",
    )
    parallelism: Param[int] = Param(
        Params._dummy(),
        "parallelism",
        "not used: all trees are grown in one Spark job, >= 1",
        TypeConverters.toInt,
    )

    @keyword_only
    def __init__(
        self,
        *,
        classifier: Classifier | None = None,
        featuresCol: str = "features",
        labelsCol: str = "labels",
        probabilitiesCol: str = "probabilities",
        predictionCol: str = "prediction",
        weightCol: str | None = None,
        labelNames: list[str] | None = None,
        threshold: float = 0.5,
        handleInvalid: str = "error",
        parallelism: int = 4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._set_given()

    setParams = params_setter(__init__)

    def _check_params(self) -> None:
        super()._check_params()
        forest = self.getClassifier()
        name = "MultilabelRandomForest.classifier"
        if type(forest) not in (RandomForestClassifier, ExtraTreesClassifier):
            raise InvalidConfigError(
                f"{name}: {forest!r}, expected RandomForestClassifier or ExtraTreesClassifier"
            )
        if forest.class_weight is not None:
            raise InvalidConfigError(
                f"{name}.class_weight: {forest.class_weight!r}, expected None (use weightCol)"
            )

    def _fit(self, dataset: DataFrame) -> Any:
        self._check_params()
        check_workers(dataset.sparkSession)
        forest, seed = self.getClassifier(), self.getSeed()
        check = row_check(dataset, self)
        weighted = self.getWeightCol() is not None
        count = forest.n_estimators
        pieces = np.array_split(np.arange(count), min(_PIECES, count))

        def task(index: int, matrix: TrainingMatrix) -> Payload:
            piece = grow_trees(forest, matrix, pieces[index].tolist(), seed)
            return piece.kind, piece.to_bytes(), None

        with cached(pack_training(training_rows(dataset, self), check, single=True)) as blocks:
            statistics = summarise_blocks(blocks, check)
            self._check_label_names(statistics)
            results = run_tasks(
                blocks,
                len(pieces),
                task,
                statistics=statistics,
                single=True,
                weighted=weighted,
                sparse=stays_sparse(forest, statistics, check),
            )
        parts = [FittedPart(read_scorer(kind, payload)) for kind, payload, _ in results]
        structure = {
            "seed": seed,
            "rows": statistics.n_rows,
            "bootstrap": bool(forest.bootstrap),
            "max_samples": forest.max_samples,
            "slices": max(1, min(_PIECES, statistics.n_rows // 2000)),
        }
        return self._finish(parts, structure, statistics)
