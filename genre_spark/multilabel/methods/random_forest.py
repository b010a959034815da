"""A random forest that learns all labels at once, its trees grown across the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from genre_spark.caching import cached
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.multilabel.base import MultilabelEstimator, MultilabelModel
from genre_spark.multilabel.classifiers import ClassifierParams, HasClassifier
from genre_spark.multilabel.fitting.plan import derive_seed
from genre_spark.multilabel.fitting.statistics import RowCheck, summarise_rows
from genre_spark.multilabel.fitting.training_data import (
    Payload,
    TrainingMatrix,
    pack_training,
    summarise_blocks,
    training_rows,
    unpack_training,
    with_matrix,
)
from genre_spark.multilabel.fitting.with_sklearn import run_tasks
from genre_spark.multilabel.models.feature_block import FeatureBlock
from genre_spark.multilabel.models.forests import ForestArrays, ForestScorer
from genre_spark.multilabel.models.from_sklearn import label_tree
from genre_spark.multilabel.models.parts import FittedPart
from genre_spark.multilabel.models.predictors import ForestPredictor, Predictor
from genre_spark.multilabel.persistence import read_scorer
from genre_spark.session import check_workers
from genre_spark.workers import short_task

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["MultilabelRandomForest", "MultilabelRandomForestModel"]

_PIECES = 32  # tasks of a fit; a constant, so that the forest does not depend on the cluster


def _draws(forest: Any, rows: int, seed: int, tree: int) -> NDArray[np.float64]:
    """Return how often each row is drawn for a tree, (rows,)."""
    if not forest.bootstrap:
        return np.ones(rows)
    share = forest.max_samples
    size = (
        rows if share is None else share if isinstance(share, int) else max(1, round(share * rows))
    )
    drawn = np.random.default_rng(derive_seed(seed, tree)).integers(0, rows, size)
    return np.bincount(drawn, minlength=rows).astype(np.float64)


def grow_trees(
    forest: Any, matrix: TrainingMatrix, trees: Iterable[int], seed: int
) -> ForestScorer:
    """Grow some trees of the forest: each tree depends on the seed and its number alone.

    Splits minimise the mean impurity over all labels, leaves hold the share of each label.
    """
    grown = []
    labels = matrix.labels.astype(np.int8)
    for number in trees:
        weights = _draws(forest, len(labels), seed, number)
        if matrix.weights is not None:
            weights = weights * matrix.weights
        settings = {
            name: getattr(forest, name)
            for name in forest.estimator_params
            if name != "random_state"
        }
        tree = clone(forest.estimator).set_params(
            **settings, random_state=derive_seed(seed, number, 1)
        )
        grown.append(label_tree(tree.fit(matrix.features, labels, sample_weight=weights)))
    return ForestScorer(
        ForestArrays.from_trees(grown, matrix.features.shape[1]), n_classes=labels.shape[1]
    )


class MultilabelRandomForestModel(MultilabelModel):
    """A fitted forest in pieces; `structure` has the settings that out-of-bag scores need."""

    def _predictor(self) -> Predictor:
        return ForestPredictor(
            [part.scorer for part in self.parts if isinstance(part.scorer, ForestScorer)]
        )

    def outOfBag(self, dataset: DataFrame) -> DataFrame:
        """Return labels and out-of-bag probabilities of the rows that the forest was fitted on.

        A row is scored by the trees that did not draw it: an honest place to fit thresholds without
        a validation set. Rows that every tree drew are left out. Both columns are Vectors named as
        in the model's Params.

        Args:
            dataset: the training data, in any order and partitioning.

        Raises:
            InvalidInputError: when it is not the training data, or the forest draws no bootstrap.
        """
        settings = self.structure
        check = RowCheck(
            self.getFeaturesCol(), self.getLabelsCol(), None, self.getHandleInvalid() == "keep"
        )
        training = training_rows(dataset, self)
        if not settings["bootstrap"]:
            raise InvalidInputError(
                "outOfBag: the forest was grown without bootstrap, expected bootstrap=True"
            )
        forest = RandomForestClassifier(max_samples=settings["max_samples"])
        trees, seed = [part.scorer for part in self.parts], settings["seed"]
        slices, expected = settings["slices"], settings["rows"]
        found = summarise_rows(
            training, check
        )  # a pass of its own: what is wrong is told here, not in a worker
        if (found.rows, found.features, found.labels) != (
            expected,
            self.numFeatures,
            self.numLabels,
        ):
            raise InvalidInputError(
                f"outOfBag: {found.rows} rows of {found.features} features and {found.labels} "
                "labels, expected the "
                f"{expected} rows of {self.numFeatures} and {self.numLabels} of the fit"
            )

        def score(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            rows = [row for batch in batches for row in batch.to_pylist()]
            if not rows:
                return
            matrix = unpack_training(rows, single=True, weighted=False)
            count = len(matrix.labels)
            chosen = np.arange(rows[0]["id"], count, slices)
            scores, counts = np.zeros((len(chosen), matrix.labels.shape[1])), np.zeros(len(chosen))
            block, number = FeatureBlock(matrix.features[chosen]), 0
            for piece in trees:
                for answer in piece.each_tree(block):  # type: ignore[union-attr]
                    unseen = _draws(forest, count, seed, number)[chosen] == 0
                    scores[unseen] += answer[unseen]
                    counts += unseen
                    number += 1
            known = counts > 0
            yield pa.RecordBatch.from_pydict(
                {
                    "labels": pa.array(
                        list(matrix.labels[chosen][known].astype(np.float64)),
                        pa.list_(pa.float64()),
                    ),
                    "probabilities": pa.array(
                        list(scores[known] / counts[known, None]), pa.list_(pa.float64())
                    ),
                }
            )

        blocks = pack_training(training, check, single=True)
        scored = with_matrix(blocks, slices).mapInArrow(
            short_task(score), "labels array<double>, probabilities array<double>"
        )
        return scored.select(
            array_to_vector(F.col("labels")).alias(self.getLabelsCol()),
            array_to_vector(F.col("probabilities")).alias(self.getProbabilitiesCol()),
        )


class MultilabelRandomForest(MultilabelEstimator, HasClassifier):
    """A random forest for many labels: one set of trees, whose splits minimise the mean impurity over all labels.

    The cheapest method by far: one forest instead of one a label, at somewhat lower recall of rare
    labels, which thresholds fitted on `model.outOfBag(train)` mend. `classifier` gives the
    settings: scikit-learn's RandomForestClassifier or ExtraTreesClassifier. Trees are grown in 32
    tasks (fewer with fewer trees).
    """

    model_class: ClassVar[type[MultilabelModel]] = MultilabelRandomForestModel

    def __init__(self, **params: Unpack[ClassifierParams]) -> None:
        super().__init__(**params)

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
        check = self._row_check(dataset)
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
                blocks, len(pieces), task, statistics=statistics, single=True, weighted=weighted
            )
        parts = [FittedPart(read_scorer(kind, payload)) for kind, payload, _ in results]
        structure = {
            "seed": seed,
            "rows": statistics.rows,
            "bootstrap": bool(forest.bootstrap),
            "max_samples": forest.max_samples,
            "slices": max(1, min(_PIECES, statistics.rows // 2000)),
        }
        return self._finish(parts, structure, statistics)
