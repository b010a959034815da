"""Forests as arrays: stored and scored like the trees of the library that grew them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from genre_spark.multilabel.fitting.multilabel_trees import grow_trees
from genre_spark.multilabel.fitting.training_data import TrainingMatrix
from genre_spark.multilabel.fitting.with_sklearn import fit_scorer
from genre_spark.multilabel.models.feature_block import FeatureBlock
from genre_spark.multilabel.models.forests import (
    CategoricalSplits,
    ForestArrays,
    ForestScorer,
    TreeNodes,
    share_grid,
)
from genre_spark.multilabel.models.from_sklearn import export_sklearn


@pytest.mark.parametrize(
    "classifier",
    [
        RandomForestClassifier(n_estimators=5, random_state=0),
        RandomForestClassifier(n_estimators=5, max_leaf_nodes=9, random_state=0),
        ExtraTreesClassifier(n_estimators=5, random_state=0),
        DecisionTreeClassifier(max_depth=4, random_state=0),
        LogisticRegression(),
    ],
)
@pytest.mark.parametrize("classes", [2, 5, 40])
def test_exported_classifiers_give_the_probabilities_of_scikit_learn(classifier, classes):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    y = np.r_[np.arange(classes), rng.integers(0, classes, 300 - classes)]
    y = np.where(x[:, 0] > 0, y, y // 2)
    y = np.unique(y, return_inverse=True)[1]
    fitted = classifier.fit(x, y)
    scorer = export_sklearn(fitted, 4)
    stored = type(scorer).from_bytes(scorer.to_bytes())
    expected = fitted.predict_proba(x.astype(float))
    for other in (scorer, stored):
        assert other.probabilities(FeatureBlock(x.astype(float))) == pytest.approx(
            expected, abs=1e-12
        )


def test_forests_take_nan_as_scikit_learn_does():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 3)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    x[rng.random((300, 3)) < 0.2] = np.nan
    fitted = RandomForestClassifier(n_estimators=5, random_state=0).fit(x, y)
    scorer = export_sklearn(fitted, 3)
    stored = ForestScorer.from_bytes(scorer.to_bytes())
    assert stored.probabilities(FeatureBlock(x.astype(float))) == pytest.approx(
        fitted.predict_proba(x)
    )


def test_thresholds_on_doubles_are_compared_exactly():
    close = 1.0 + 1e-12  # the same float32 as 1
    tree = TreeNodes(
        np.array([0, -1, -1]), np.array([1.0, 0, 0]), np.array([2, 0, 0]), np.array([[0.1], [0.9]])
    )
    scorer = ForestScorer(ForestArrays.from_trees([tree], 1), 2)
    assert scorer.probabilities(FeatureBlock(np.array([[1.0], [close]])))[:, 1].tolist() == [
        0.1,
        0.9,
    ]


def test_category_sets_send_rows_left():
    tree = TreeNodes(
        np.array([1, -1, -1]), np.array([0.5, 0, 0]), np.array([2, 0, 0]), np.array([[0.1], [0.9]])
    )
    splits = CategoricalSplits(np.array([0]), np.array([0, 2]), np.array([1.0, 4.0]))
    scorer = ForestScorer(ForestArrays.from_trees([tree], 1, splits), 2)
    stored = ForestScorer.from_bytes(scorer.to_bytes())
    found = stored.probabilities(FeatureBlock(np.array([[1.0], [2.0], [4.0]])))[:, 1]
    assert found.tolist() == [0.1, 0.9, 0.1]


def test_many_classes_are_grown_a_few_trees_at_a_time_and_stored_sparsely(monkeypatch):
    monkeypatch.setattr("genre_spark.multilabel.fitting.with_sklearn._LEAF_MEMORY", 2**16)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4)).astype(np.float32)
    y = np.r_[np.arange(50), rng.integers(0, 50, 150)]
    scorer = fit_scorer(RandomForestClassifier(n_estimators=6), x, y, None, seed=1)
    assert scorer.arrays.n_trees == 6
    p = scorer.probabilities(FeatureBlock(x.astype(float)))
    assert p.sum(axis=1) == pytest.approx(np.ones(200))
    assert (p.argmax(axis=1) == y).mean() > 0.8


def test_the_forest_of_all_labels_is_that_of_scikit_learn_tree_by_tree():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 4)).astype(np.float32)
    y = np.column_stack([x[:, 0] > 0, x[:, 1] > 0, np.zeros(100)]).astype(np.uint8)
    forest = RandomForestClassifier(n_estimators=3, bootstrap=False, max_features=None)
    scorer = grow_trees(forest, TrainingMatrix(x, y, None), [0, 1, 2], seed=5)
    tree = DecisionTreeClassifier(max_features=None).fit(x, y)
    assert scorer.leaf_means(FeatureBlock(x.astype(float))) == pytest.approx(tree.predict(x))
    again = grow_trees(forest, TrainingMatrix(x, y, None), [2], seed=5)
    assert (
        again.arrays.threshold.tolist()
        == scorer.arrays.threshold[scorer.arrays.starts[2] :].tolist()
    )


def test_many_labels_share_a_forest():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3)).astype(np.float32)
    y = (x[:, :1] > rng.normal(size=40)).astype(np.uint8)
    scorer = grow_trees(
        RandomForestClassifier(n_estimators=4), TrainingMatrix(x, y, None), range(4), seed=1
    )
    block = FeatureBlock(x.astype(float))
    each = list(scorer.each_tree(block))
    assert np.mean(each, axis=0) == pytest.approx(scorer.leaf_means(block))
    assert ((scorer.leaf_means(block) >= 0.5) == y).mean() > 0.9


def random_tree(rng, depth, features, grid):
    """A tree of splits at the grid's values, some branches shorter than others."""
    nodes = []

    def grow(left):
        index = len(nodes)
        if left == 0 or rng.random() < 0.15:
            nodes.append([-1, 0.0, 0, rng.random()])
            return
        nodes.append([int(rng.integers(features)), float(rng.choice(grid)), 0, 0.0])
        grow(left - 1)
        nodes[index][2] = len(nodes)
        grow(left - 1)

    grow(depth)
    columns = list(zip(*nodes, strict=True))
    leaves = np.array([[value] for feature, _, _, value in nodes if feature < 0])
    return TreeNodes(
        np.array(columns[0], np.int32), np.array(columns[1]), np.array(columns[2], np.int32), leaves
    )


def walk(tree, row):
    node = 0
    while tree.feature[node] >= 0:
        node = node + 1 if row[tree.feature[node]] <= tree.threshold[node] else tree.right[node]
    return tree.values[int((tree.feature[:node] < 0).sum()), 0]


@given(st.integers(0, 9), st.integers(1, 4), st.integers(0, 100_000))
@settings(max_examples=40, deadline=None)
def test_shallow_and_deep_forests_are_walked_like_their_trees(depth, features, seed):
    rng = np.random.default_rng(seed)
    grid = np.round(rng.normal(size=5), 1)
    forests = [[random_tree(rng, depth, features, grid) for _ in range(3)] for _ in range(2)]
    scorers = [ForestScorer(ForestArrays.from_trees(trees, features), 2) for trees in forests]
    share_grid(scorers)
    x = rng.choice(np.r_[grid, grid + 1e-9, np.nan], size=(20, features))
    block = FeatureBlock(x)
    for trees, scorer in zip(forests, scorers, strict=True):
        expected = [np.mean([walk(tree, row) for tree in trees]) for row in x]
        assert scorer.leaf_means(block)[:, 0] == pytest.approx(expected, abs=1e-12)
