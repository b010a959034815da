"""Fit a plan with a scikit-learn classifier: each fit one Spark task, the whole ensemble in one job.

The training data is packed into a few binary blocks and broadcast: it reaches each executor once, whatever the number
of fits. Workers put the rows in an order that depends on their content alone, so that the same seed gives the same
model whatever the number of cores, executors and partitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from genre_spark.errors import InvalidInputError, StageFailedError, UserError
from genre_spark.multilabel.classifiers import weight_argument
from genre_spark.multilabel.columns import array_column, number_column, vector_column
from genre_spark.multilabel.encoding import encode, keep_negatives
from genre_spark.multilabel.fit_spark import FittedPart
from genre_spark.multilabel.forests import ForestArrays, ForestScorer
from genre_spark.multilabel.params import MultilabelParams
from genre_spark.multilabel.plan import AnyLabel, Labels, Subproblem, derive_seed
from genre_spark.multilabel.scorers import ConstantScorer, Scorer, pack_arrays, unpack_arrays
from genre_spark.multilabel.sklearn_export import compares_in_single, export_sklearn, tree_nodes
from genre_spark.multilabel.statistics import (
    SUMMARY_SCHEMA,
    PartitionSummary,
    RowCheck,
    TrainingStatistics,
    merge_summaries,
)
from genre_spark.workers import short_task

__all__ = [
    "TrainingMatrix",
    "fit_locally",
    "fit_part",
    "pack_training",
    "run_tasks",
    "summarise_blocks",
    "training_rows",
    "unpack_training",
    "with_matrix",
]

_BLOCKS = f"{SUMMARY_SCHEMA}, x binary, y binary, w binary, h binary"
_LARGEST = 2**31 - 2**20  # bytes of a binary column of one Arrow batch
_LEAF_MEMORY = 2**28  # bytes of leaf values that scikit-learn may hold at a time

Payload = tuple[str, bytes, bytes | None]


@dataclass(frozen=True)
class TrainingMatrix:
    """The training data of model-parallel fits.

    Attributes:
        features: (rows, features), float32 where the classifier compares in float32, else float64.
        labels: 0 or 1, (rows, labels).
        weights: (rows,); None where rows are not weighted.
    """

    features: NDArray[np.floating]
    labels: Labels
    weights: NDArray[np.float64] | None


def training_rows(dataset: DataFrame, params: MultilabelParams) -> DataFrame:
    """Return features (unwrapped Vector), labels (array<double>), weight (double) and row_hash (long) of training data.

    Raises:
        InvalidInputError: when a column is missing or has a wrong type.
    """
    projected = dataset.select(
        vector_column(dataset, params.getFeaturesCol(), "featuresCol").alias("features"),
        array_column(dataset, params.getLabelsCol(), "labelsCol").alias("labels"),
        number_column(dataset, params.getWeightCol(), "weightCol").alias("weight"),
    )
    return projected.withColumn("row_hash", F.xxhash64("features", "labels"))


def pack_training(projected: DataFrame, check: RowCheck, *, single: bool) -> DataFrame:
    """Return the projected training data as one row of binary columns for each Arrow batch, checked.

    Args:
        projected: features (unwrapped Vector), labels (array<double>), weight (double), row_hash (long).
        check: how rows are checked; the first bad row makes its block carry a message instead.
        single: keep features as float32.
    """

    def pack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            for batch in batches:
                if batch.num_rows:
                    yield _pack(batch, check, np.float32 if single else np.float64)
        except UserError as error:
            empty = PartitionSummary().to_batch(error)
            yield _with_blocks(empty, [b"", b"", b"", b""])

    return projected.mapInArrow(short_task(pack), _BLOCKS)


def _pack(batch: pa.RecordBatch, check: RowCheck, kind: Any) -> pa.RecordBatch:
    features, labels, weights = check.decode(batch)
    summary = PartitionSummary.of_rows(features, labels, weights)
    hashes = batch.column(batch.schema.names.index("row_hash")).to_numpy(zero_copy_only=False)
    arrays = [features.astype(kind), np.packbits(labels.astype(np.uint8)), weights, hashes.astype(np.int64)]
    return _with_blocks(summary.to_batch(), [np.ascontiguousarray(array).tobytes() for array in arrays])


def _with_blocks(summary: pa.RecordBatch, blocks: Sequence[bytes]) -> pa.RecordBatch:
    columns = [*summary.columns, *(pa.array([block], pa.binary()) for block in blocks)]
    return pa.RecordBatch.from_arrays(columns, names=[*summary.schema.names, "x", "y", "w", "h"])


def summarise_blocks(blocks: DataFrame, check: RowCheck) -> TrainingStatistics:
    """Return the statistics of packed training data: one row a partition comes to the driver.

    Raises:
        InvalidInputError, InvalidLabelsError: for the first bad row; also when there is no row.
    """

    def add_up(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        summary = PartitionSummary()
        try:
            for batch in batches:
                for row in batch.to_pylist():
                    if row["message"] is not None:
                        yield pa.RecordBatch.from_pylist([row], schema=batch.schema)
                        return
                    summary.add(PartitionSummary.of_row(row), check)
        except UserError as error:
            yield summary.to_batch(error)
            return
        yield summary.to_batch()

    names = [field.strip().split(" ")[0] for field in SUMMARY_SCHEMA.split(",")]
    return merge_summaries(blocks.select(*names).mapInArrow(short_task(add_up), SUMMARY_SCHEMA), check)


def unpack_training(rows: Sequence[dict[str, Any]], *, single: bool, weighted: bool) -> TrainingMatrix:
    """Return the training matrix of all blocks, rows in the order of their hash.

    Raises:
        InvalidInputError: when a block brings a message instead of rows.
    """
    for row in rows:
        if row["message"] is not None:
            raise InvalidInputError(row["message"])
    kind = np.float32 if single else np.float64
    features = np.concatenate([np.frombuffer(row["x"], kind).reshape(row["rows"], row["features"]) for row in rows])
    labels = np.concatenate(
        [
            np.unpackbits(np.frombuffer(row["y"], np.uint8), count=row["rows"] * row["labels"]).reshape(row["rows"], -1)
            for row in rows
        ]
    )
    weights = np.concatenate([np.frombuffer(row["w"], np.float64) for row in rows])
    hashes = np.concatenate([np.frombuffer(row["h"], np.int64) for row in rows])
    order = np.lexsort((weights, hashes))
    return TrainingMatrix(features[order], labels[order], weights[order] if weighted else None)


def with_matrix(blocks: DataFrame, count: int) -> DataFrame:
    """Return `count` partitions, `id` 0..count-1, each with all blocks: they are broadcast, not shuffled."""
    matrix = F.broadcast(blocks.select("rows", "features", "labels", "message", "x", "y", "w", "h"))
    return blocks.sparkSession.range(0, count, 1, count).crossJoin(matrix)


def run_tasks(
    blocks: DataFrame,
    count: int,
    task: Callable[[int, TrainingMatrix], Payload],
    *,
    statistics: TrainingStatistics,
    single: bool,
    weighted: bool,
) -> list[Payload]:
    """Call `task` for 0..count-1, each in a Spark task of its own, with the whole training matrix.

    Raises:
        InvalidInputError: when the training data is too large for one task.
        StageFailedError: when a call failed, with its number and message.
    """
    held = statistics.rows * statistics.features * (4 if single else 8)
    if held > _LARGEST:
        raise InvalidInputError(
            f"training data: {held / 2**30:.1f} GiB of features, a scikit-learn classifier takes up to 2 GiB: "
            "use a Spark ML classifier"
        )

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = [row for batch in batches for row in batch.to_pylist()]
        if not rows:
            return
        index = rows[0]["id"]
        try:
            with threadpool_limits(1):  # a task has one core
                kind, payload, classes = task(index, unpack_training(rows, single=single, weighted=weighted))
        except Exception as error:  # sent as a value: retrying a fit that cannot work helps nobody
            kind, payload, classes = "error", f"{type(error).__name__}: {error}".encode(), None
        yield pa.RecordBatch.from_arrays(
            [
                pa.array([index], pa.int64()),
                pa.array([kind], pa.string()),
                pa.array([payload], pa.binary()),
                pa.array([classes], pa.binary()),
            ],
            names=["id", "kind", "payload", "classes"],
        )

    results = (
        with_matrix(blocks, count)
        .mapInArrow(short_task(run), "id long, kind string, payload binary, classes binary")
        .collect()
    )
    found = {row["id"]: row for row in results}
    failed = [row for row in results if row["kind"] == "error"]
    if failed:
        raise StageFailedError(f"fit {failed[0]['id']} of {count}: {bytes(failed[0]['payload']).decode()}")
    return [
        (row["kind"], bytes(row["payload"]), None if row["classes"] is None else bytes(row["classes"]))
        for row in (found[index] for index in range(count))
    ]


def fit_locally(
    blocks: DataFrame,
    subproblems: Sequence[Subproblem],
    classifier: Any,
    read: Callable[[str, bytes], Scorer],
    *,
    statistics: TrainingStatistics,
    weighted: bool,
) -> list[FittedPart]:
    """Fit every subproblem with a clone of a scikit-learn classifier.

    Args:
        blocks: of `pack_training`, cached.
        subproblems: the fits.
        classifier: not fitted.
        read: builds a scorer from its kind and bytes.
        statistics: of the training data.
        weighted: rows have weights.
    """
    fits = list(subproblems)

    def task(index: int, matrix: TrainingMatrix) -> Payload:
        scorer, classes = fit_part(fits[index], matrix, classifier)
        return scorer.kind, scorer.to_bytes(), None if classes is None else pack_arrays({"classes": classes})

    single = compares_in_single(classifier)
    results = run_tasks(blocks, len(fits), task, statistics=statistics, single=single, weighted=weighted)
    return [
        FittedPart(read(kind, payload), None if classes is None else unpack_arrays(classes)["classes"])
        for kind, payload, classes in results
    ]


def fit_part(subproblem: Subproblem, matrix: TrainingMatrix, classifier: Any) -> tuple[Scorer, Labels | None]:
    """Fit one subproblem on the training matrix, in this process."""
    encoded = keep_negatives(encode(subproblem, matrix.labels), subproblem)
    binary = isinstance(subproblem.target, AnyLabel)
    present = np.unique(encoded.target)
    if len(present) <= 1:
        if binary:
            on = float(len(present) == 1 and present[0] == 1)
            return ConstantScorer(np.array([1.0 - on, on])), None
        return ConstantScorer(np.ones(1)), encoded.classes if encoded.classes is None else encoded.classes[:1]
    everything = len(encoded.rows) == len(matrix.labels) and subproblem.sample.kind == "all"  # in their order
    features = matrix.features if everything and binary else matrix.features[encoded.rows]
    if subproblem.appended:
        links = matrix.labels[encoded.rows][:, list(subproblem.appended)]
        features = np.hstack([features, links.astype(features.dtype)])
    weights = None if matrix.weights is None else matrix.weights[encoded.rows]
    factors = (subproblem.negative_weight, subproblem.positive_weight)
    if binary and factors != (1.0, 1.0):
        weights = np.asarray(factors)[encoded.target] * (1.0 if weights is None else weights)
    scorer = fit_scorer(classifier, features, encoded.target, weights, subproblem.seed)
    return scorer, encoded.classes


def fit_scorer(
    classifier: Any,
    features: NDArray[np.floating],
    target: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    seed: int,
) -> Scorer:
    """Fit a clone of the classifier and return it as a scorer."""
    argument = None if weights is None else weight_argument(classifier)
    extra = {} if argument is None else {argument: weights}
    classes = int(target.max()) + 1
    kind = type(classifier)
    bytes_a_tree = 16 * len(target) * classes
    if kind in (RandomForestClassifier, ExtraTreesClassifier) and bytes_a_tree * classifier.n_estimators > _LEAF_MEMORY:
        # scikit-learn keeps a number for each class in each node; a few trees at a time, stored by what they hold
        trees, step = [], max(1, _LEAF_MEMORY // bytes_a_tree)
        for start in range(0, classifier.n_estimators, step):
            part = seeded(classifier, derive_seed(seed, start))
            part.set_params(n_estimators=min(step, classifier.n_estimators - start), oob_score=False)
            trees += [tree_nodes(tree.tree_) for tree in part.fit(features, target, **extra).estimators_]
        return ForestScorer(ForestArrays.from_trees(trees, features.shape[1]), n_classes=classes)
    return export_sklearn(seeded(classifier, seed).fit(features, target, **extra), features.shape[1])


def seeded(classifier: Any, seed: int) -> Any:
    """Return a clone whose random states are the seed's and that works in this thread alone, nested parts too."""
    copy = clone(classifier)
    names = copy.get_params(deep=True)
    values: dict[str, Any] = {name: seed for name in names if name.split("__")[-1] == "random_state"}
    values |= {name: 1 for name in names if name.split("__")[-1] == "n_jobs"}
    return copy.set_params(**values)
