"""Fit a plan with a scikit-learn classifier: each fit one Spark task, an ensemble one job.

The training data is packed into a few binary blocks and broadcast: it reaches each executor once,
whatever the number of fits. Workers put the rows in an order that depends on their content alone,
so that the same seed gives the same model whatever the number of cores, executors and partitions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from scipy.sparse import csr_matrix, hstack
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from genre_spark.errors import InvalidInputError, StageFailedError
from genre_spark.multilabel.classifiers import weight_argument
from genre_spark.multilabel.fitting.encoding import encode, keep_negatives
from genre_spark.multilabel.fitting.plan import AnyLabel, RowSample, Subproblem, derive_seed
from genre_spark.multilabel.fitting.statistics import RowCheck, TrainingStatistics
from genre_spark.multilabel.fitting.training_data import (
    Payload,
    TrainingMatrix,
    unpack_training,
    with_matrix,
)
from genre_spark.multilabel.matrices import Labels, is_sparse
from genre_spark.multilabel.models.archives import pack_arrays, unpack_arrays
from genre_spark.multilabel.models.forests import ForestArrays, ForestScorer
from genre_spark.multilabel.models.from_sklearn import (
    compares_in_single,
    export_sklearn,
    takes_sparse,
    tree_nodes,
)
from genre_spark.multilabel.models.parts import FittedPart
from genre_spark.multilabel.models.scorers import ConstantScorer, StoredScorer
from genre_spark.progress import counting
from genre_spark.workers.errors import describe_error
from genre_spark.workers.tasks import short_task

__all__ = ["fit_locally", "fit_part", "fit_scorer", "fits_a_task", "run_tasks", "stays_sparse"]

_logger = logging.getLogger(__name__)

_RESULTS = "id long, kind string, payload binary, classes binary"
_LARGEST = 2**31 - 2**20  # bytes of a binary column of one Arrow batch
_LEAF_MEMORY = 2**28  # bytes of leaf values that scikit-learn may hold at a time


def run_tasks(
    blocks: DataFrame,
    count: int,
    task: Callable[[int, TrainingMatrix], Payload],
    *,
    statistics: TrainingStatistics,
    single: bool,
    weighted: bool,
    sparse: bool = False,
) -> list[Payload]:
    """Call `task` for 0..count-1, each in a Spark task of its own, with the whole training matrix.

    Raises:
        InvalidInputError: the training data is too large for one task.
        StageFailedError: a call failed; the message has its number and what it raised.
    """
    _check_size(statistics, 4 if single else 8, sparse=sparse)

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = [row for batch in batches for row in batch.to_pylist()]
        if not rows:
            return
        index = rows[0]["id"]
        try:
            matrix = unpack_training(rows, single=single, weighted=weighted, sparse=sparse)
            with threadpool_limits(1):  # a task has one core
                kind, payload, classes = task(index, matrix)
        except Exception as error:  # whatever a classifier raises
            raise StageFailedError(f"fit {index} of {count}: {describe_error(error)}") from error
        yield pa.RecordBatch.from_pydict(
            {
                "id": pa.array([index], pa.int64()),
                "kind": pa.array([kind], pa.string()),
                "payload": pa.array([payload], pa.binary()),
                "classes": pa.array([classes], pa.binary()),
            }
        )

    with counting("fits", count, by_tasks=True):
        results = with_matrix(blocks, count).mapInArrow(short_task(run), _RESULTS).collect()
    found = {row["id"]: row for row in results}
    return [
        (
            row["kind"],
            bytes(row["payload"]),
            None if row["classes"] is None else bytes(row["classes"]),
        )
        for row in (found[index] for index in range(count))
    ]


def stays_sparse(classifier: Any, statistics: TrainingStatistics, check: RowCheck) -> bool:
    """Return whether a classifier is fitted on csr.

    That depends on the whole of the training data, not on its partitions. Trees take no NaN there.
    """
    sizes = (statistics.stored_values, statistics.n_rows, statistics.n_features)
    return is_sparse(*sizes) and not check.allow_invalid and takes_sparse(classifier)


def fits_a_task(statistics: TrainingStatistics, bytes_each: int, *, sparse: bool) -> bool:
    """Return whether one task can hold the training matrix."""
    return _held_bytes(statistics, bytes_each, sparse=sparse) <= _LARGEST


def _held_bytes(statistics: TrainingStatistics, bytes_each: int, *, sparse: bool) -> int:
    if sparse:
        return statistics.stored_values * (bytes_each + 4)
    return statistics.n_rows * statistics.n_features * bytes_each


def _check_size(statistics: TrainingStatistics, bytes_each: int, *, sparse: bool) -> None:
    """Check that the training matrix fits a task, and warn where sparse rows become dense."""
    cells = f"{statistics.n_rows:,} rows x {statistics.n_features:,} features"
    held = _held_bytes(statistics, bytes_each, sparse=sparse)
    size = f"{cells} x {bytes_each} bytes = {held / 2**30:.1f} GiB, dense"
    if sparse:
        size = f"{cells}, {statistics.stored_values:,} stored: {held / 2**30:.1f} GiB"
    elif is_sparse(statistics.stored_values, statistics.n_rows, statistics.n_features):
        _logger.warning("training data: %s: the classifier takes no sparse rows", size)
    if held > _LARGEST:
        raise InvalidInputError(
            f"training data: {size}, a scikit-learn classifier takes up to 2 GiB: use a Spark ML "
            "classifier"
        )


def fit_locally(
    blocks: DataFrame,
    subproblems: Sequence[Subproblem],
    classifier: Any,
    read: Callable[[str, bytes], StoredScorer],
    *,
    statistics: TrainingStatistics,
    weighted: bool,
    sparse: bool = False,
) -> list[FittedPart]:
    """Fit every subproblem with a clone of a scikit-learn classifier.

    Args:
        blocks: of `pack_training`, cached.
        subproblems: the fits.
        classifier: the classifier, not fitted.
        read: builds a scorer from its kind and bytes.
        statistics: of the training data.
        weighted: whether rows have weights.
        sparse: whether the classifier is fitted on csr.
    """
    fits = list(subproblems)

    def task(index: int, matrix: TrainingMatrix) -> Payload:
        scorer, classes = fit_part(fits[index], matrix, classifier)
        return (
            scorer.kind,
            scorer.to_bytes(),
            None if classes is None else pack_arrays({"classes": classes}),
        )

    single = compares_in_single(classifier)
    results = run_tasks(
        blocks,
        len(fits),
        task,
        statistics=statistics,
        single=single,
        weighted=weighted,
        sparse=sparse,
    )
    return [
        FittedPart(
            read(kind, payload), None if classes is None else unpack_arrays(classes)["classes"]
        )
        for kind, payload, classes in results
    ]


def fit_part(
    subproblem: Subproblem, matrix: TrainingMatrix, classifier: Any
) -> tuple[StoredScorer, Labels | None]:
    """Fit one subproblem on the training matrix, in this process."""
    encoded = keep_negatives(encode(subproblem, matrix.labels), subproblem)
    if matrix.weights is not None and not matrix.weights[encoded.rows].any():
        # a sample without weight takes all rows, a node of HOMER whose rows have none is empty
        every = replace(subproblem, sample=RowSample(any_of=subproblem.sample.any_of))
        encoded = keep_negatives(encode(every, matrix.labels), subproblem)
        if not matrix.weights[encoded.rows].any():
            encoded = replace(encoded, rows=encoded.rows[:0], target=encoded.target[:0])
    binary = isinstance(subproblem.target, AnyLabel)
    present = np.unique(encoded.target)
    if len(present) <= 1:
        if binary:
            on = float(len(present) == 1 and present[0] == 1)
            return ConstantScorer(np.array([1.0 - on, on])), None
        classes = None if encoded.classes is None else encoded.classes[:1]
        return ConstantScorer(np.ones(1)), classes
    # all rows in their order need no copy
    everything = len(encoded.rows) == len(matrix.labels) and subproblem.sample.kind == "all"
    features = matrix.features if everything and binary else matrix.features[encoded.rows]
    if subproblem.appended:
        links = matrix.labels[encoded.rows][:, list(subproblem.appended)].astype(features.dtype)
        features = (
            hstack([features, links], format="csr")
            if isinstance(features, csr_matrix)
            else np.hstack([features, links])
        )
    weights = None if matrix.weights is None else matrix.weights[encoded.rows]
    factors = (subproblem.negative_weight, subproblem.positive_weight)
    if binary and factors != (1.0, 1.0):
        weights = np.asarray(factors)[encoded.target] * (1.0 if weights is None else weights)
    scorer = fit_scorer(
        classifier, features, encoded.target, weights, subproblem.seed, encoded.classes
    )
    return scorer, encoded.classes


def fit_scorer(
    classifier: Any,
    features: NDArray[np.floating] | csr_matrix,
    target: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    seed: int,
    classes: Labels | None = None,
) -> StoredScorer:
    """Fit a clone of the classifier and return it as a scorer.

    Args:
        classifier: not fitted.
        features: (rows, features).
        target: class of each row, (rows,).
        weights: of the rows, (rows,).
        seed: random state of the fit.
        classes: label combination of each class of a multi-class target, (classes, labels).
    """
    argument = None if weights is None else weight_argument(classifier)
    extra = {} if argument is None else {argument: weights}
    n_classes = int(target.max()) + 1
    kind = type(classifier)
    bytes_per_tree = 16 * len(target) * n_classes
    if (
        kind in (RandomForestClassifier, ExtraTreesClassifier)
        and bytes_per_tree * classifier.n_estimators > _LEAF_MEMORY
    ):
        # scikit-learn keeps a number per class in each node: grow a few trees at a time, and store
        # the classes that their leaves hold
        trees, step = [], max(1, _LEAF_MEMORY // bytes_per_tree)
        for start in range(0, classifier.n_estimators, step):
            part = _seeded(classifier, derive_seed(seed, start))
            part.set_params(
                n_estimators=min(step, classifier.n_estimators - start), oob_score=False
            )
            trees += [
                tree_nodes(tree.tree_, classes)
                for tree in part.fit(features, target, **extra).estimators_
            ]
        return ForestScorer(ForestArrays.from_trees(trees, features.shape[1]), n_classes=n_classes)
    fitted = _seeded(classifier, seed).fit(features, target, **extra)
    return export_sklearn(fitted, features.shape[1], classes)


def _seeded(classifier: Any, seed: int) -> Any:
    """Return a clone with the seed as random state and one thread, in its nested parts too.

    One thread is `n_jobs=None`: scikit-learn warns of any number where it has no effect.
    """
    copy = clone(classifier)
    names = copy.get_params(deep=True)
    values: dict[str, Any] = {
        name: seed for name in names if name.split("__")[-1] == "random_state"
    }
    values |= {name: None for name in names if name.split("__")[-1] == "n_jobs"}
    return copy.set_params(**values)
