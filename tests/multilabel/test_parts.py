"""The pieces that need no JVM: encoding, clustering, predictors, against brute force."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from genre_spark.multilabel.evaluation.metrics import curve_points, ranking_sums
from genre_spark.multilabel.fitting.cooccurrence import balanced_kmeans
from genre_spark.multilabel.fitting.encoding import (
    choose_subsets,
    distinct_labelsets,
    encode,
    sample_rows,
)
from genre_spark.multilabel.fitting.plan import AnyLabel, Labelsets, Pruning, RowSample, Subproblem
from genre_spark.multilabel.fitting.training_data import TrainingMatrix
from genre_spark.multilabel.fitting.with_sklearn import fit_part
from genre_spark.multilabel.methods.homer import label_hierarchy
from genre_spark.multilabel.methods.rakel import disjoint_labelsets, overlapping_labelsets
from genre_spark.multilabel.models.feature_block import FeatureBlock
from genre_spark.multilabel.models.from_sklearn import SkopsScorer, export_sklearn
from genre_spark.multilabel.models.predictors import (
    ChainsPredictor,
    HierarchyPredictor,
    LabelsetsPredictor,
)
from genre_spark.multilabel.models.scorers import ConstantScorer


def sets(*rows):
    return np.array([[int(mark) for mark in row] for row in rows], dtype=np.uint8)


# labelsets
# -------------------------------------------------------------------------------------------------


def test_rows_of_rare_labelsets_become_copies_with_their_best_frequent_subsets():
    labels = np.repeat(sets("1100", "1000", "0100", "0010", "1110"), [5, 6, 4, 7, 1], axis=0)
    encoded = encode(Subproblem(Labelsets((0, 1, 2, 3), Pruning(3, "A", 2))), labels)
    copies = encoded.classes[encoded.target[encoded.rows == 22]]
    # 1110 is rare: its frequent subsets are 1100, then 0010 (7 rows), 1000 (6), 0100 (4): by size,
    # then count
    assert copies.tolist() == sets("1100", "0010").tolist()
    assert len(encoded.rows) == 5 + 6 + 4 + 7 + 2


def test_strategy_b_keeps_every_frequent_subset_that_is_large_enough():
    frequent, counts = sets("1100", "1010", "1000"), np.array([9, 5, 9])
    chosen = choose_subsets(sets("1110"), frequent, counts, Pruning(3, "B", 1))
    assert [frequent[index].tolist() for index in chosen[0]] == sets("1100", "1010").tolist()


def test_a_rare_labelset_without_frequent_subsets_is_dropped_and_the_empty_set_is_no_substitute():
    labels = np.repeat(sets("1000", "0000", "0110"), [5, 5, 1], axis=0)
    encoded = encode(Subproblem(Labelsets((0, 1, 2, 3), Pruning())), labels)
    assert encoded.rows.tolist() == list(range(10))


def test_where_no_labelset_is_frequent_the_most_frequent_are_kept():
    encoded = encode(Subproblem(Labelsets((0, 1), Pruning(3))), sets("10", "01", "11"))
    assert len(encoded.classes) == 3


@given(st.integers(2, 6), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_scanning_frequent_sets_finds_what_enumerating_subsets_would(labels, seed):
    rng = np.random.default_rng(seed)
    y = (rng.random((30, labels)) < 0.4).astype(np.uint8)
    distinct, _, counts = distinct_labelsets(y)
    frequent = np.flatnonzero(counts > 2)
    if not len(frequent):
        return
    kept = {
        tuple(np.flatnonzero(distinct[index]).tolist()): int(counts[index]) for index in frequent
    }
    chosen = choose_subsets(distinct, distinct[frequent], counts[frequent], Pruning(2, "A", 2))
    for labelset, found in zip(distinct, chosen, strict=True):
        on = tuple(np.flatnonzero(labelset).tolist())
        if on in kept:
            expected = [on]
        else:
            subsets = [
                s for size in range(len(on) - 1, 0, -1) for s in combinations(on, size) if s in kept
            ]
            subsets.sort(key=lambda s: (-len(s), -kept[s]))
            expected = subsets[:2]
        got = [tuple(np.flatnonzero(distinct[frequent][index]).tolist()) for index in found]
        assert [(len(s), kept[s]) for s in got] == [(len(s), kept[s]) for s in expected]
        assert all(set(s) <= set(on) for s in got)


@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_random_labelsets_cover_every_label_and_are_distinct(labels, size, seed):
    generator = np.random.default_rng(seed)
    parts = disjoint_labelsets(labels, size, generator)
    assert sorted(label for part in parts for label in part) == list(range(labels))
    assert all(len(part) == size for part in parts[:-1])
    drawn = overlapping_labelsets(labels, min(size, labels), 2 * labels, generator)
    assert {label for part in drawn for label in part} == set(range(labels))
    assert len({tuple(part) for part in drawn}) == len(drawn)
    assert all(len(part) == min(size, labels) for part in drawn)


# sampling
# -------------------------------------------------------------------------------------------------


def test_samples_depend_on_the_seed_alone_and_keep_their_size():
    labels = np.zeros((1000, 2), dtype=np.uint8)
    bootstrap = sample_rows(RowSample("bootstrap", seed=3), labels)
    assert len(bootstrap) == 1000
    assert 0.6 < len(np.unique(bootstrap)) / 1000 < 0.66
    assert (bootstrap == sample_rows(RowSample("bootstrap", seed=3), labels)).all()
    part = sample_rows(RowSample("subsample", 0.63, seed=3), labels)
    assert len(part) == len(np.unique(part)) == 630


# hierarchy
# -------------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(2, 5), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_the_hierarchy_reaches_every_label_once_and_clusters_are_balanced(labels, clusters, seed):
    rng = np.random.default_rng(seed)
    y = (rng.random((50, labels)) < 0.3).astype(float)
    nodes = label_hierarchy(y.T @ y, clusters, rng)
    assert sorted(below[0] for _, below in nodes if len(below) == 1) == list(range(labels))
    for index, (parent, below) in enumerate(nodes):
        siblings = nodes[parent][1] if parent >= 0 else list(range(labels))
        assert parent < index
        assert set(below) <= set(siblings)
        assert len(below) <= max(1, -(-len(siblings) // clusters))


def test_labels_that_occur_together_share_a_cluster():
    y = np.repeat([[1, 1, 0, 0], [0, 0, 1, 1]], 20, axis=0).astype(float)
    for seed in range(5):
        groups = balanced_kmeans(y.T @ y, [0, 1, 2, 3], 2, np.random.default_rng(seed))
        if sorted(groups) == [[0, 1], [2, 3]]:
            return
    pytest.fail("no start finds the two pairs")


def test_a_label_is_predicted_exactly_where_every_node_on_its_path_is_on():
    scorers = [ConstantScorer(np.array([1 - p, p])) for p in (0.9, 0.4, 0.7, 0.3)]
    nodes = [(-1, [0, 1]), (-1, [2]), (0, [0]), (0, [1])]
    scores, decided = HierarchyPredictor(3, nodes, scorers).predict(
        FeatureBlock(np.zeros((1, 1))), 0.5
    )
    assert scores.tolist() == [[0.7, 0.3, 0.4]]
    assert decided.tolist() == [[1, 0, 0]]


# chains and labelsets
# -------------------------------------------------------------------------------------------------


class CopyFeature:
    """Answers with one of its inputs: shows which ones it gets."""

    n_classes = 2
    kind = "copy"

    def __init__(self, column):
        self.column = column

    def probabilities(self, block):
        value = block.double(self.column + 1)[:, self.column]
        return np.column_stack([1 - value, value])


def test_a_chain_passes_predicted_labels_on_and_answers_in_the_order_of_the_labels():
    # order 1, 0: the first link copies the feature, the second its own first appended input: label
    # 1 as predicted
    chain = ChainsPredictor([[1, 0]], [CopyFeature(0), CopyFeature(1)])
    scores, decided = chain.predict(FeatureBlock(np.array([[0.6], [0.2]]), chain.room), 0.5)
    assert scores.tolist() == [[1.0, 0.6], [0.0, 0.2]]
    assert decided.tolist() == [[1, 1], [0, 0]]


def test_a_score_is_the_sum_of_labelsets_and_the_prediction_the_most_probable_one():
    member = ConstantScorer(np.array([0.4, 0.3, 0.3]))
    powerset = LabelsetsPredictor(
        2, [[0, 1]], [member], [sets("00", "10", "11")], votes=False, whole=True
    )
    scores, decided = powerset.predict(FeatureBlock(np.zeros((1, 1))), 0.5)
    assert scores == pytest.approx(np.array([[0.6, 0.3]]))
    assert decided.tolist() == [[0, 0]]


def test_a_target_with_one_class_gets_a_constant_answer():
    matrix = TrainingMatrix(np.zeros((4, 1)), sets("10", "10", "10", "10"), None)
    for label, answer in ((0, 1.0), (1, 0.0)):
        scorer, _ = fit_part(Subproblem(AnyLabel((label,))), matrix, LogisticRegression())
        assert scorer.probabilities(FeatureBlock(np.zeros((1, 1))))[0, 1] == answer


def test_other_classifiers_are_stored_with_skops():
    scorer = export_sklearn(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), 1)
    assert isinstance(scorer, SkopsScorer)
    assert scorer.to_bytes().partition(b"\n")[2][:2] == b"PK"  # a zip archive, not a pickle


# metrics
# -------------------------------------------------------------------------------------------------


@given(st.integers(2, 7), st.integers(1, 25), st.integers(0, 2), st.integers(0, 100_000))
@settings(max_examples=80, deadline=None)
def test_ranking_metrics_equal_those_of_scikit_learn_with_ties(labels, rows, decimals, seed):
    rng = np.random.default_rng(seed)
    truth = (rng.random((rows, labels)) < 0.4).astype(float)
    scores = np.round(rng.random((rows, labels)), decimals)
    weight = rng.random(rows) + 0.1
    found = {
        name: total / weight.sum() for name, total in ranking_sums(truth, scores, weight).items()
    }
    assert found["coverage"] == pytest.approx(
        sk.coverage_error(truth, scores, sample_weight=weight), abs=1e-9
    )
    assert found["ranking_loss"] == pytest.approx(
        sk.label_ranking_loss(truth, scores, sample_weight=weight), abs=1e-9
    )
    assert found["label_ranking_average_precision"] == pytest.approx(
        sk.label_ranking_average_precision_score(truth, scores, sample_weight=weight), abs=1e-9
    )


def test_points_of_curves_add_up_equal_scores():
    curve, score, on, off = curve_points(
        np.array([[1.0], [0.0], [1.0]]), np.array([[0.5], [0.5], [0.2]]), np.ones(3)
    )
    assert curve.tolist() == [0, 0, 1, 1]
    assert score.tolist() == [0.2, 0.5, 0.2, 0.5]
    assert on.tolist() == [1, 1, 1, 1]
    assert off.tolist() == [0, 1, 0, 1]
