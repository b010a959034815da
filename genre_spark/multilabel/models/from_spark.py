"""Turn fitted Spark ML classifiers into scorers: predicting takes one pass, however many models."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import numpy as np
from pyspark.ml import Estimator, Model
from pyspark.ml.classification import (
    DecisionTreeClassificationModel,
    GBTClassificationModel,
    GBTClassifier,
    LogisticRegressionModel,
    NaiveBayesModel,
    RandomForestClassificationModel,
    RandomForestClassifier,
)
from pyspark.ml.linalg import DenseMatrix, Matrix
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.utils import is_remote

from genre_spark.errors import text_of
from genre_spark.multilabel.matrices import Labels
from genre_spark.multilabel.models.forests import (
    CategoricalSplits,
    ForestArrays,
    ForestScorer,
    TreeNodes,
)
from genre_spark.multilabel.models.importances import (
    SplitGains,
    measure_splits,
    subtree_sums,
)
from genre_spark.multilabel.models.scorers import LinearScorer, StoredScorer
from genre_spark.spark.session import json_of_java, literal_path
from genre_spark.storage.caching import remove_scratch, scratch_folder

__all__ = ["TreeModel", "export_model", "fitted_model"]

_logger = logging.getLogger(__name__)
_decoder = json.JSONDecoder()
TreeModel = (
    DecisionTreeClassificationModel | RandomForestClassificationModel | GBTClassificationModel
)
_Set = tuple[int, tuple[float, ...], bool]  # feature, categories, whether all others go left
_NODES = 20_000  # nodes, about, that come from the JVM at a time: some 2 MB of JSON

_UNREAD = {  # fields of Spark's trees: more than half of their JSON
    "org.apache.spark.ml.tree.InternalNode": ("prediction", "impurity", "gain", "impurityStats"),
    "org.apache.spark.ml.tree.LeafNode": ("impurity",),
    **{
        f"org.apache.spark.mllib.tree.impurity.{kind}Calculator": ("rawCount",)
        for kind in ("Gini", "Entropy")
    },
}
_ENSEMBLES: dict[type[Estimator], type[Model]] = {
    RandomForestClassifier: RandomForestClassificationModel,
    GBTClassifier: GBTClassificationModel,
}


def fitted_model(classifier: Estimator, data: DataFrame) -> Model:
    """Return `classifier.fit(data)`, without a Python object for each tree of a forest.

    Gains a third of the fit of a small forest of 100 trees. To switch it off, empty `_ENSEMBLES`.

    PySpark looks for a new model's Params in all its attributes. Since 4.0 `trees` is one of them
    (SPARK-50843 made it a cached_property), and takes 5 ms per tree. While the model is made, an
    empty list stands in the place of its trees; they appear when they are asked for.
    """
    kind = _ENSEMBLES.get(type(classifier))
    if kind is None or is_remote():
        return classifier.fit(data)
    model = kind.__new__(kind)
    model.__dict__["trees"] = []
    model.__init__(classifier._fit_java(data))  # type: ignore[misc, attr-defined]
    del model.__dict__["trees"]
    return classifier._copyValues(model)


def export_model(model: Model, classes: Labels | None = None) -> StoredScorer | None:
    """Return the scorer that gives the same probabilities as a fitted Spark ML classifier.

    None for classifiers that have no such form here (they are kept and applied as they are), and
    where the trees cannot be read: a Spark whose inside has changed, or a Connect server that
    shares no folder with this process.

    Args:
        model: fitted.
        classes: label combination of each class of a multi-class target, (classes, labels).
    """
    if isinstance(model, LogisticRegressionModel):
        coefficients = model.coefficientMatrix
        sparse = not isinstance(coefficients, DenseMatrix)
        return LinearScorer(_dense(coefficients), model.interceptVector.toArray(), sparse)
    if isinstance(model, NaiveBayesModel) and model.getOrDefault("modelType") == "multinomial":
        return LinearScorer(_dense(model.theta), model.pi.toArray())
    if isinstance(model, TreeModel):
        try:
            if is_remote() and scratch_folder() is None:
                return None
            return _export_trees(model, classes)
        except Exception as error:  # whatever the JVM's private classes raise: apply it as it is
            _logger.warning(
                "%s: cannot read its trees (%s), it is applied by Spark itself",
                model.uid,
                text_of(error),
            )
    return None


def _dense(matrix: Matrix) -> np.ndarray:
    if isinstance(matrix, DenseMatrix):
        return matrix.toArray()
    return matrix.toDense().toArray()  # type: ignore[attr-defined]


def _export_trees(model: TreeModel, classes: Labels | None) -> ForestScorer:
    boosted = isinstance(model, GBTClassificationModel)
    single = isinstance(model, DecisionTreeClassificationModel)
    weights = model.treeWeights if isinstance(model, GBTClassificationModel) else repeat(1.0)
    n_features, sets = model.numFeatures, dict[_Set, int]()
    java: Any = model._java_obj
    if is_remote():
        roots = _stored_roots(model)
    else:
        # not model.trees, which makes a Python object with all Params of each tree (10 times
        # slower)
        parts = [java] if single else list(java.trees())
        roots = _roots(parts, java.numNodes() if single else java.totalNumNodes())
    trees = [
        _flatten(root, n_features, sets, weight, boosted, classes)
        for root, weight in zip(roots, weights, strict=False)
    ]
    arrays = ForestArrays.from_trees(trees, n_features, _categories(sets))
    return ForestScorer(arrays, n_classes=model.numClasses, link="boosted" if boosted else "mean")


def _roots(parts: list[Any], n_nodes: int) -> Iterator[dict[str, Any]]:
    """Yield the nodes of each tree, nested: one call per large tree, or per many small ones."""
    at_once = max(1, len(parts) * _NODES // max(n_nodes, 1))
    for start in range(0, len(parts), at_once):
        roots = [one.rootNode() for one in parts[start : start + at_once]]
        text, end = json_of_java(roots, without=_UNREAD), 0
        # one at a time: Python's collector visits all nodes again and again while they are many
        for _ in roots:
            root, end = _decoder.raw_decode(text, end + 1)  # after the bracket or a comma
            yield root


def _stored_roots(model: Any) -> Iterator[dict[str, Any]]:
    """Yield the nodes of each tree as `_roots` does, from what the model's own writer stores."""
    place = f"{scratch_folder()}/trees-{uuid.uuid4().hex[:12]}"
    try:
        model.write().save(place)
        table = SparkSession.active().read.parquet(literal_path(f"{place}/data"))
        if "nodeData" in table.columns:  # of an ensemble
            table = table.select("treeID", "nodeData.*")
        else:
            table = table.selectExpr("0 AS treeID", "*")
        rows = table.collect()  # as large as the model
    finally:
        remove_scratch(place)
    nodes = {(row["treeID"], row["id"]): _stored_node(row) for row in rows}
    for row in rows:
        if row["leftChild"] >= 0:
            node = nodes[row["treeID"], row["id"]]
            node["leftChild"] = nodes[row["treeID"], row["leftChild"]]
            node["rightChild"] = nodes[row["treeID"], row["rightChild"]]
    yield from (nodes[tree, 0] for tree in sorted({row["treeID"] for row in rows}))


def _stored_node(row: Row) -> dict[str, Any]:
    node = {"prediction": row["prediction"], "impurityStats": {"stats": row["impurityStats"]}}
    if row["leftChild"] < 0:
        return node
    split = row["split"]
    values, categories = list(split["leftCategoriesOrThreshold"]), split["numCategories"]
    decides: dict[str, Any] = (
        {"threshold": values[0]}
        if categories < 0
        else {"_leftCategories": values, "numCategories": categories}
    )
    return {**node, "split": {"featureIndex": split["featureIndex"], **decides}}


def _categories(sets: dict[_Set, int]) -> CategoricalSplits | None:
    if not sets:
        return None
    others_left = np.array([others for _, _, others in sets], dtype=np.uint8)
    return CategoricalSplits(
        feature=np.array([feature for feature, _, _ in sets], dtype=np.int32),
        starts=np.cumsum([0, *(len(members) for _, members, _ in sets)], dtype=np.int64),
        members=np.concatenate([members for _, members, _ in sets]),
        others_left=others_left if others_left.any() else None,
    )


def _category_set(split: dict[str, Any]) -> _Set:
    """Return what decides a categorical split, as Spark's CategoricalSplit.shouldGoLeft does.

    Of the categories that go left and those that go right it keeps the fewer ones; a category that
    training did not have, and NaN, are in neither and go the other way.
    """
    left, count = set(split["_leftCategories"]), int(split["numCategories"])
    if len(left) <= count // 2:
        return split["featureIndex"], tuple(sorted(left)), False
    right = {float(category) for category in range(count)} - left
    return split["featureIndex"], tuple(sorted(right)), True


def _flatten(
    root: dict[str, Any],
    n_features: int,
    sets: dict[_Set, int],
    weight: float,
    boosted: bool,
    classes: Labels | None = None,
) -> TreeNodes:
    """Return the nodes of a tree in preorder.

    Args:
        root: fields of Spark's node classes, children nested.
        n_features: number of features; categorical splits are numbered from there on.
        sets: (feature, categories, whether all others go left) -> number of the split; grows.
        weight: weight of the tree in a boosted sum.
        boosted: whether leaves answer with a number instead of class counts.
        classes: label combination of each class of a multi-class target, (classes, labels).
    """
    feature: list[int] = []
    threshold: list[float] = []
    right: list[int] = []
    values: list[list[float]] = []
    stats: list[list[float]] = []
    waiting: list[tuple[dict[str, Any], int]] = [(root, -1)]
    while waiting:
        node, parent = waiting.pop()
        index = len(feature)
        if parent >= 0:
            right[parent] = index
        split = node.get("split")
        right.append(0)
        if split is None:
            feature.append(-1)
            threshold.append(0.0)
            stats.append(node["impurityStats"]["stats"])
            values.append([node["prediction"] * weight] if boosted else _distribution(stats[-1]))
            continue
        if "threshold" in split:
            feature.append(split["featureIndex"])
            threshold.append(split["threshold"])
        else:
            feature.append(n_features + sets.setdefault(_category_set(split), len(sets)))
            threshold.append(0.5)
        waiting.append((node["rightChild"], index))
        waiting.append((node["leftChild"], -1))  # popped first: the left child follows its parent
    nodes = TreeNodes(
        feature=np.array(feature, dtype=np.int32),
        threshold=np.array(threshold, dtype=np.float64),
        right=np.array(right, dtype=np.int32),
        values=np.array(values, dtype=np.float64),
    )
    of_sets = np.array([found[0] for found in sets], dtype=np.int32)
    compared = np.concatenate([np.arange(n_features), of_sets])[nodes.feature]
    nodes.gains = _split_gains(nodes, compared, np.array(stats, dtype=np.float64), boosted, classes)
    return nodes


def _split_gains(
    nodes: TreeNodes, compared: Labels, stats: np.ndarray, boosted: bool, classes: Labels | None
) -> SplitGains:
    """Return the decreases of impurity of a tree from the statistics of its leaves.

    Those of an inner node, which are the sums of its leaves', are not read from the JVM.

    Args:
        nodes: of the tree.
        compared: the input that each node compares, (nodes,).
        stats: weights of the classes at the leaves; boosted: weight, sum and sum of squares of
            the target, (leaves, 3).
        boosted: whether the tree is of a boosted sum.
        classes: label combination of each class, (classes, labels).
    """
    on = stats[:, 1:] if classes is None else stats @ classes
    weight = stats[:, :1] if boosted else stats.sum(axis=1, keepdims=True)
    sums = subtree_sums(nodes.feature, nodes.right, np.hstack([weight, on]))
    inner = np.flatnonzero(nodes.feature >= 0)
    rows, first = np.maximum(sums[:, :1], np.finfo(float).tiny), sums[:, 1:]
    variance = first[:, 1:2] - first[:, :1] ** 2 / rows if boosted else None
    impurity = first * (1.0 - first / rows) if variance is None else variance
    left, right = impurity[inner + 1], impurity[nodes.right[inner]]
    return measure_splits(compared[inner], impurity[inner], left, right, normalised=not boosted)


def _distribution(stats: list[float]) -> list[float]:
    """Return a leaf's class counts as p(class); of two classes only the second is kept."""
    total = sum(stats)
    shares = [count / total for count in stats] if total > 0 else [1.0 / len(stats)] * len(stats)
    return [shares[1]] if len(shares) == 2 else shares
