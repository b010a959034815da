"""Check that the trees of a stored scikit-learn model lead nowhere but to their own nodes.

scikit-learn walks its trees without looking at bounds: a crafted archive would read, or end the
process, where no type is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.ensemble._forest import BaseForest
from sklearn.ensemble._gb import BaseGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree._tree import Tree

from genre_spark.errors import InvalidInputError

__all__ = ["check_trees"]

# ensembles whose trees get the rows as they came, without a check of their width
_UNCHECKED = (BaseForest, BaseGradientBoosting, BaseHistGradientBoosting)
_Nodes = NDArray[np.int64]


def check_trees(model: Any, role: str) -> None:
    """Look at every tree below a model.

    Args:
        model: what was read from an archive.
        role: name of the model in messages.

    Raises:
        InvalidInputError: a node's child or feature is not there.
    """
    for tree, n_features in _trees(model, None, set()):
        left, right, feature = _inner_nodes(tree)
        size = tree.node_count if isinstance(tree, Tree) else len(tree.nodes)
        here = np.arange(size)[_is_inner(tree)]
        inside = all(((child > here) & (child < size)).all() for child in (left, right))
        limit = tree.n_features if n_features is None and isinstance(tree, Tree) else n_features
        known = limit is not None and ((feature >= 0) & (feature < limit)).all()
        if size == 0 or not inside or (len(feature) and not known):
            raise InvalidInputError(
                f"{role}: nodes that do not make trees, expected a fitted model"
            )


def _trees(
    value: Any, n_features: int | None, seen: set[int]
) -> Iterator[tuple[Tree | TreePredictor, int | None]]:
    """Yield the trees below a value, each with the number of features that its rows have."""
    if id(value) in seen or isinstance(value, str | bytes | int | float | None):
        return
    seen.add(id(value))
    if isinstance(value, Tree | TreePredictor):
        yield value, n_features
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _trees(inner, n_features, seen)
    elif isinstance(value, list | tuple) or (
        isinstance(value, np.ndarray) and value.dtype == np.dtype(object)
    ):
        for inner in np.ravel(value) if isinstance(value, np.ndarray) else value:
            yield from _trees(inner, n_features, seen)
    elif hasattr(value, "__dict__"):
        own = vars(value).get("n_features_in_") if isinstance(value, BaseEstimator) else None
        limits = [int(limit) for limit in (own, n_features) if isinstance(limit, int | np.integer)]
        below = min(limits) if limits else None
        for inner in vars(value).values():
            passed = below if isinstance(value, _UNCHECKED) or isinstance(inner, Tree) else None
            yield from _trees(inner, passed, seen)


def _is_inner(tree: Tree | TreePredictor) -> NDArray[np.bool_]:
    if isinstance(tree, Tree):
        return np.asarray(tree.children_left != -1)
    return np.asarray(tree.nodes["is_leaf"] == 0)


def _inner_nodes(tree: Tree | TreePredictor) -> tuple[_Nodes, _Nodes, _Nodes]:
    """Return children and features of the nodes that are no leaves."""
    inner = _is_inner(tree)
    if isinstance(tree, Tree):
        found = (tree.children_left, tree.children_right, tree.feature)
    else:
        nodes = tree.nodes
        found = (nodes["left"], nodes["right"], nodes["feature_idx"])
    left, right, feature = (np.asarray(values)[inner].astype(np.int64) for values in found)
    return left, right, feature
