"""Turn fitted scikit-learn classifiers into scorers: forests into arrays, others into archives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from genre_spark.multilabel.models.archives import (
    dump_sklearn,
    load_sklearn,
    trust_types,
    trusted_types,
)
from genre_spark.multilabel.models.feature_block import FeatureBlock
from genre_spark.multilabel.models.forests import ForestArrays, ForestScorer, TreeNodes
from genre_spark.multilabel.models.importances import SplitGains, measure_splits
from genre_spark.multilabel.models.scorers import StoredScorer

__all__ = [
    "SkopsScorer",
    "compares_in_single",
    "export_sklearn",
    "label_shares",
    "label_tree",
    "takes_sparse",
    "tree_nodes",
]

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class SkopsScorer:
    """A fitted scikit-learn classifier, stored as a skops archive.

    Attributes:
        archive: the classifier as skops writes it.
        n_classes: number of classes.
        n_features: number of inputs.
    """

    archive: bytes
    n_classes: int
    n_features: int
    kind: ClassVar[str] = "skops"
    _loaded: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Travel as the archive, with the types that this process trusts: a worker knows none."""
        return {
            "archive": self.archive,
            "n_classes": self.n_classes,
            "n_features": self.n_features,
            "_loaded": {},
            "trusted": trusted_types(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive, trusting what the sender trusts."""
        trust_types(*state.pop("trusted"))
        self.__dict__.update(state)

    @property
    def estimator(self) -> Any:
        """The fitted scikit-learn classifier."""
        if "estimator" not in self._loaded:
            self._loaded["estimator"] = load_sklearn(self.archive, "model")
        return self._loaded["estimator"]

    @property
    def dense_columns(self) -> int:
        """Number of columns that become dense where sparse rows are scored."""
        return 0 if takes_sparse(self.estimator) else self.n_features

    def probabilities(self, block: FeatureBlock) -> Matrix:
        """Return p(class | row), (rows, n_classes)."""
        stays = block.is_sparse and takes_sparse(self.estimator)
        inputs = block.sparse(self.n_features) if stays else block.double(self.n_features)
        return np.asarray(self.estimator.predict_proba(inputs), dtype=np.float64)

    def importances(self) -> Matrix | None:
        """Return the classifier's own importances of its inputs, (1, inputs), where it has any."""
        found = getattr(self.estimator, "feature_importances_", None)
        return None if found is None else np.asarray(found, dtype=np.float64)[None, :]

    def to_bytes(self) -> bytes:
        """Return the archive, the sizes in front."""
        return f"{self.n_classes},{self.n_features}\n".encode() + self.archive

    @classmethod
    def from_bytes(cls, payload: bytes) -> SkopsScorer:
        """Read what `to_bytes` wrote."""
        head, _, archive = payload.partition(b"\n")
        n_classes, _, n_features = head.decode().partition(",")
        return cls(archive, int(n_classes), int(n_features))


def takes_sparse(classifier: Any) -> bool:
    """Return whether a scikit-learn classifier is fitted on csr, and scores it.

    Its tags say so since scikit-learn 1.6; the classifier of an earlier one gets dense matrices.
    """
    try:
        from sklearn.utils import get_tags  # noqa: PLC0415

        return bool(get_tags(classifier).input_tags.sparse)
    except (ImportError, AttributeError, TypeError, ValueError):  # no tags, or not its own
        return False


def compares_in_single(classifier: BaseEstimator) -> bool:
    """Return whether a classifier works on float32 anyway: its training matrix travels as such."""
    return isinstance(
        classifier, RandomForestClassifier | ExtraTreesClassifier | DecisionTreeClassifier
    )


def export_sklearn(
    classifier: Any, n_features: int, classes: NDArray[np.uint8] | None = None
) -> StoredScorer:
    """Return the scorer of a classifier fitted on classes 0..C-1.

    Args:
        classifier: fitted.
        n_features: number of inputs.
        classes: label combination of each class of a multi-class target, (C, labels).
    """
    n_classes = len(classifier.classes_)
    if type(classifier) in (RandomForestClassifier, ExtraTreesClassifier):
        trees = [tree_nodes(tree.tree_, classes) for tree in classifier.estimators_]
    elif type(classifier) is DecisionTreeClassifier:
        trees = [tree_nodes(classifier.tree_, classes)]
    else:
        return SkopsScorer(dump_sklearn(classifier), n_classes, n_features)
    return ForestScorer(ForestArrays.from_trees(trees, n_features), n_classes=n_classes)


def tree_nodes(tree: Any, classes: NDArray[np.uint8] | None = None) -> TreeNodes:
    """Return the nodes of a single-output tree; of two classes only the second's share is kept.

    Args:
        tree: scikit-learn's tree, fitted.
        classes: label combination of each class of a multi-class target, (C, labels).
    """
    values = tree.value[:, 0, :]
    shares = values / values.sum(axis=1, keepdims=True)
    second = shares[:, 1:2] if shares.shape[1] == 2 else shares
    return _nodes(tree, second, second if classes is None else shares @ classes)


def label_tree(tree: Any) -> TreeNodes:
    """Return the nodes of a fitted tree whose outputs are labels, 0 or 1.

    Leaves hold the share of each label.
    """
    shares = label_shares(tree)
    return _nodes(tree.tree_, shares, shares)


def label_shares(tree: Any) -> Matrix:
    """Return the share of each label at the nodes of such a tree, (nodes, labels)."""
    classes = [tree.classes_] if tree.n_outputs_ == 1 else tree.classes_
    value = tree.tree_.value
    second = value[:, :, min(1, value.shape[2] - 1)] / value.sum(axis=2)
    constant = np.array([len(known) == 1 for known in classes])
    return np.where(constant, [float(known[-1]) for known in classes], second)


def _nodes(tree: Any, shares: Matrix, label_shares: Matrix) -> TreeNodes:
    """Return the nodes of a tree.

    Args:
        tree: scikit-learn's tree, fitted.
        shares: values of the nodes, (nodes, width).
        label_shares: share of each label of the target at the nodes, (nodes, labels).
    """
    gains = _split_gains(tree, label_shares)
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    inner = left >= 0
    missing = tree.missing_go_to_left if hasattr(tree, "missing_go_to_left") else None
    if not np.array_equal(left[inner], np.flatnonzero(inner) + 1):
        order = _preorder(left, right)  # trees that grow best leaf first are numbered otherwise
        position = np.empty(len(order), dtype=np.int64)
        position[order] = np.arange(len(order))
        right = np.where(inner, position[right], -1)[order]
        feature, inner, shares = feature[order], inner[order], shares[order]
        threshold = tree.threshold[order]
        missing = None if missing is None else missing[order]
    else:
        threshold = tree.threshold
    return TreeNodes(
        feature=np.where(inner, feature, -1).astype(np.int32),
        threshold=np.where(inner, _floor_to_single(threshold), 0).astype(np.float32),
        right=np.where(inner, right, 0).astype(np.int32),
        values=shares[~inner],
        missing_left=np.asarray(missing, dtype=np.uint8)
        if missing is not None and np.any(missing)
        else None,
        gains=gains,
    )


def _split_gains(tree: Any, shares: Matrix) -> SplitGains:
    inner = np.flatnonzero(tree.children_left >= 0)
    impurity = tree.weighted_n_node_samples[:, None] * shares * (1.0 - shares)
    left, right = (impurity[child[inner]] for child in (tree.children_left, tree.children_right))
    return measure_splits(tree.feature[inner], impurity[inner], left, right)


def _floor_to_single(threshold: Matrix) -> NDArray[np.float32]:
    """Return the largest float32 that is not above: for float32 features, x <= t stays the same."""
    single = threshold.astype(np.float32)
    return np.where(single > threshold, np.nextafter(single, np.float32(-np.inf)), single)


def _preorder(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    order, waiting = [], [0]
    while waiting:
        node = waiting.pop()
        order.append(node)
        if left[node] >= 0:
            waiting += [right[node], left[node]]
    return np.array(order)
