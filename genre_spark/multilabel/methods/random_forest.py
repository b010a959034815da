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
from genre_spark.multilabel.fitting.distributed_trees.forest import fit_distributed
from genre_spark.multilabel.fitting.distributed_trees.out_of_bag import score_out_of_bag
from genre_spark.multilabel.fitting.distributed_trees.settings import check_growth, count_draws
from genre_spark.multilabel.fitting.multilabel_trees import (
    OUT_OF_BAG_SCHEMA,
    OutOfBag,
    grow_trees,
)
from genre_spark.multilabel.fitting.statistics import (
    RowCheck,
    TrainingStatistics,
    summarise_rows,
)
from genre_spark.multilabel.fitting.training_data import (
    Payload,
    TrainingMatrix,
    pack_training,
    row_check,
    summarise_blocks,
    training_rows,
    with_matrix,
)
from genre_spark.multilabel.fitting.with_sklearn import fits_a_task, run_tasks, stays_sparse
from genre_spark.multilabel.models.parts import FittedPart
from genre_spark.multilabel.models.predictors import ForestPredictor, Predictor
from genre_spark.multilabel.params import params_setter, set_params
from genre_spark.multilabel.persistence import read_scorer
from genre_spark.spark.session import check_workers
from genre_spark.storage.caching import cached
from genre_spark.workers.errors import worker_errors
from genre_spark.workers.tasks import short_task

__all__ = ["MultilabelRandomForest", "MultilabelRandomForestModel"]

_MODES = ("local", "distributed", "auto")
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
        if settings.get("mode") == "distributed":
            scored = self._score_distributed(training, check)
        else:
            scored = self._score_of_tasks(training, check, found)
        return scored.select(
            array_to_vector(F.col("labels")).alias(self.getLabelsCol()),
            array_to_vector(F.col("probabilities")).alias(self.getProbabilitiesCol()),
        )

    def _score_distributed(self, training: DataFrame, check: RowCheck) -> DataFrame:
        settings = self.structure
        return score_out_of_bag(
            training,
            check,
            self._scorers()[0],
            seed=settings["seed"],
            draws=count_draws(settings["max_samples"], settings["rows"]),
            whole=settings["whole"],
        )

    def _score_of_tasks(
        self, training: DataFrame, check: RowCheck, found: TrainingStatistics
    ) -> DataFrame:
        settings = self.structure
        scorer = OutOfBag(
            self._scorers(),
            settings["seed"],
            settings["max_samples"],
            settings["slices"],
            weighted=self.getWeightCol() is not None,
            sparse=stays_sparse(RandomForestClassifier(), found, check),
        )
        blocks = with_matrix(pack_training(training, check, single=True), scorer.slices)
        return blocks.mapInArrow(short_task(scorer.score), OUT_OF_BAG_SCHEMA)


class MultilabelRandomForest(MultilabelEstimator, HasClassifier):
    """A random forest for many labels: one set of trees for all of them.

    Splits minimise the mean impurity over all labels. The cheapest method by far: one forest
    instead of one per label, at somewhat lower recall of rare labels, which thresholds fitted on
    `model.outOfBag(train)` repair.

    `mode` says where it is grown. "local" grows whole trees in 32 tasks (fewer with fewer trees),
    each of which holds all features, up to 2 GiB of them. "distributed" grows them level by level
    over the partitions of data of any size. Features become at most `maxBins` bins each; a node
    adds up the labels of its rows in every bin, as Spark ML's forest does for one label; nodes of
    up to a thousand rows are finished by one task each. Rows are drawn by a hash of their content,
    a Poisson number of times, so that the same seed gives the same forest whatever the partitions.
    NaN (`handleInvalid="keep"`) goes right there. "auto" is distributed where the features do not
    fit a task.
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

    mode: Param[str] = Param(
        Params._dummy(),
        "mode",
        "where trees are grown: 'local' (each in one task, which holds all features), "
        "'distributed' (over the partitions, data of any size) or 'auto' (distributed where the "
        "features take more than 2 GiB)",
        TypeConverters.toString,
    )
    maxBins: Param[int] = Param(
        Params._dummy(),
        "maxBins",
        "most bins of a feature where trees are grown distributed, 2..256",
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
        mode: str = "auto",
        maxBins: int = 64,
    ) -> None:
        super().__init__()
        self._setDefault(mode="auto", maxBins=64)
        self._set_given()

    setParams = params_setter(__init__)

    def getMode(self) -> str:
        """Return where trees are grown: local, distributed or auto."""
        return self.getOrDefault(self.mode)

    def setMode(self, value: str) -> MultilabelRandomForest:
        """Set where trees are grown: local, distributed or auto."""
        return set_params(self, {"mode": value})

    def getMaxBins(self) -> int:
        """Return the most bins of a feature where trees are grown distributed."""
        return self.getOrDefault(self.maxBins)

    def setMaxBins(self, value: int) -> MultilabelRandomForest:
        """Set the most bins of a feature where trees are grown distributed, 2..256."""
        return set_params(self, {"maxBins": value})

    def _check_params(self) -> None:
        super()._check_params()
        self._require("mode", self.getMode() in _MODES, f"must be one of {', '.join(_MODES)}")
        self._require("maxBins", 2 <= self.getMaxBins() <= 256, "must be in 2..256")
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
        if self.getMode() == "distributed":
            check_growth(forest, name)

    def _fit(self, dataset: DataFrame) -> Any:
        self._check_params()
        check_workers(dataset.sparkSession)
        check = row_check(dataset, self)
        training = training_rows(dataset, self)
        if self.getMode() == "distributed":
            return self._fit_distributed(training, check, summarise_rows(training, check))
        with cached(pack_training(training, check, single=True)) as blocks:
            statistics = summarise_blocks(blocks, check)
            sparse = stays_sparse(self.getClassifier(), statistics, check)
            if self.getMode() == "local" or fits_a_task(statistics, 4, sparse=sparse):
                return self._fit_in_tasks(blocks, statistics, sparse=sparse)
        return self._fit_distributed(training, check, statistics)

    def _fit_in_tasks(
        self, blocks: DataFrame, statistics: TrainingStatistics, *, sparse: bool
    ) -> MultilabelModel:
        """Grow whole trees in tasks that hold all rows."""
        self._check_label_names(statistics)
        forest, seed = self.getClassifier(), self.getSeed()
        count = forest.n_estimators
        pieces = np.array_split(np.arange(count), min(_PIECES, count))

        def task(index: int, matrix: TrainingMatrix) -> Payload:
            piece = grow_trees(forest, matrix, pieces[index].tolist(), seed)
            return piece.kind, piece.to_bytes(), None

        results = run_tasks(
            blocks,
            len(pieces),
            task,
            statistics=statistics,
            single=True,
            weighted=self.getWeightCol() is not None,
            sparse=sparse,
        )
        parts = [FittedPart(read_scorer(kind, payload)) for kind, payload, _ in results]
        return self._finish(parts, self._structure(statistics), statistics)

    def _fit_distributed(
        self, training: DataFrame, check: RowCheck, statistics: TrainingStatistics
    ) -> MultilabelModel:
        """Grow trees level by level over the partitions."""
        self._check_label_names(statistics)
        forest = self.getClassifier()
        check_growth(forest, "MultilabelRandomForest.classifier")
        scorer, whole = fit_distributed(
            training,
            check,
            forest,
            statistics,
            seed=self.getSeed(),
            max_bins=self.getMaxBins(),
            weighted=self.getWeightCol() is not None,
        )
        structure = {**self._structure(statistics), "mode": "distributed", "whole": whole}
        return self._finish([FittedPart(scorer)], structure, statistics)

    def _structure(self, statistics: TrainingStatistics) -> dict[str, Any]:
        """Return the settings that out-of-bag scores need."""
        forest = self.getClassifier()
        return {
            "seed": self.getSeed(),
            "rows": statistics.n_rows,
            "bootstrap": bool(forest.bootstrap),
            "max_samples": forest.max_samples,
            "slices": max(1, min(_PIECES, statistics.n_rows // 2000)),
        }
