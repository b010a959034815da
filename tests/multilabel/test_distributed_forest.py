"""The forest that is grown over partitions: its trees, in this process and on Spark."""

from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.metrics import average_precision_score
from sklearn.tree import DecisionTreeClassifier

import genre_spark.multilabel as ml
from genre_spark.errors import InvalidConfigError
from genre_spark.multilabel.fitting.distributed_trees import forest as fitting
from genre_spark.multilabel.fitting.distributed_trees import growing
from genre_spark.multilabel.fitting.distributed_trees.binning import find_bins
from genre_spark.multilabel.fitting.distributed_trees.draws import (
    Occurrences,
    count_draws,
    draw_limits,
    number_rows,
)
from genre_spark.multilabel.fitting.distributed_trees.settings import GrowthSettings
from genre_spark.multilabel.fitting.distributed_trees.split_search import best_splits, purity
from genre_spark.multilabel.fitting.statistics import RowCheck, TrainingStatistics
from genre_spark.multilabel.models.feature_block import FeatureBlock
from tests.multilabel.partitioned import training_batches
from tests.multilabel.tables import fit_in_process, frame, matrices


@pytest.fixture
def grow(monkeypatch):
    """Grow a forest in this process; every node by histograms unless `small` says otherwise."""

    @contextmanager
    def not_cached(data, **_):
        yield data

    def run(
        x, y, forest, weights=None, *, small=0, slots=2, seed=3, max_bins=64, keep=False, **cut
    ):
        patched = {"_SMALL": small, "cached": not_cached, "count_task_slots": lambda _: slots}
        w = np.ones(len(x)) if weights is None else np.asarray(weights, float)
        stored = int((x != 0).sum()) if cut.get("sparse") else x.size
        sizes = (len(x), x.shape[1], y.shape[1], y.sum(axis=0), float(w.sum()), w @ y)
        with monkeypatch.context() as patch:
            for name, value in patched.items():
                patch.setattr(fitting, name, value)
            scorer, _ = fitting.fit_distributed(
                training_batches(x, y, weights, **cut),
                RowCheck("features", "labels", None, keep),
                forest,
                TrainingStatistics(*sizes, lambda: y.T @ y, stored),
                seed=seed,
                max_bins=max_bins,
                weighted=weights is not None,
            )
        return scorer

    return run


def leaves(scorer, x):
    return scorer.leaf_means(FeatureBlock(np.asarray(x, float)))


def single_tree(**settings):
    return RandomForestClassifier(
        n_estimators=1, bootstrap=False, max_features=None, random_state=0, **settings
    )


@pytest.mark.parametrize("small", [0, 40, 10**6])
@pytest.mark.parametrize("criterion", ["gini", "entropy"])
def test_without_draws_a_tree_is_that_of_scikit_learn(grow, small, criterion):
    x, y = matrices(rows=120, features=4)
    settings = {"criterion": criterion, "max_depth": 4, "min_samples_leaf": 3}
    scorer = grow(x, y, single_tree(**settings), small=small, max_bins=256)
    tree = DecisionTreeClassifier(random_state=0, **settings).fit(x.astype(np.float32), y)
    assert len(scorer.arrays.feature) == tree.tree_.node_count
    on = np.column_stack([p[:, 1] for p in tree.predict_proba(x.astype(np.float32))])
    assert leaves(scorer, x) == pytest.approx(on)


def test_the_best_split_is_that_of_trying_every_one():
    rng = np.random.default_rng(0)
    bins, on = rng.integers(0, 4, 50), rng.integers(0, 2, (50, 3)).astype(float)
    weights = rng.integers(1, 4, 50).astype(float)
    rows = np.column_stack([np.ones(50), weights, on * weights[:, None]])
    sums = np.stack([rows[bins == b].sum(axis=0) for b in range(4)])[None, None]
    settings = GrowthSettings(1, False, 5, 2, 1, 0.0, 0.0, 1, 1, 0.0, False, 0)
    found = best_splits(sums, settings)[0]

    def impurity(part):
        w = weights[part]
        p = (on[part] * w[:, None]).sum(axis=0) / w.sum()
        return w.sum() * (2 * p * (1 - p)).sum()

    after = [impurity(bins <= b) + impurity(bins > b) for b in range(3)]
    assert found["bin"] == int(np.argmin(after))
    assert 2 * found["gain"] == pytest.approx(impurity(bins >= 0) - min(after))
    assert found["left"] + found["right"] == pytest.approx(rows.sum(axis=0))
    assert purity(rows[:1], entropy=True) == pytest.approx(0)


@pytest.mark.parametrize("kind", [RandomForestClassifier, ExtraTreesClassifier])
@pytest.mark.parametrize("weighted", [False, True])
def test_partitions_batches_and_groups_change_nothing(grow, monkeypatch, kind, weighted):
    x, y = matrices(rows=300)
    x[200:], y[200:] = x[:100], y[:100]  # equal rows are drawn one by one wherever they are
    weights = np.tile(np.random.default_rng(1).random(100), 3) if weighted else None
    forest = kind(n_estimators=4, max_depth=6, bootstrap=True)
    one = grow(x, y, forest, weights, partitions=1, slots=1, small=30)
    order = np.random.default_rng(2).permutation(300)
    monkeypatch.setattr(growing, "_GROUP", 2**15)
    monkeypatch.setattr(growing, "_BUCKET", 2**13)
    shuffled = weights[order] if weighted else None
    cut = {"partitions": 5, "slots": 3, "batch": 11}
    other = grow(x[order], y[order], forest, shuffled, small=30, **cut)
    assert one.to_bytes() == other.to_bytes()


@pytest.mark.parametrize("small", [0, 60])
def test_sparse_rows_grow_the_trees_of_dense_ones(grow, small):
    rng = np.random.default_rng(0)
    x = np.where(rng.random((200, 300)) < 0.05, rng.integers(-2, 4, (200, 300)), 0).astype(float)
    y = (x[:, :60] @ rng.normal(size=(60, 3)) > 0).astype(float)
    forest = RandomForestClassifier(n_estimators=3, max_depth=5)
    dense, sparse = (grow(x, y, forest, small=small, sparse=kind) for kind in (False, True))
    assert dense.to_bytes() == sparse.to_bytes()


def test_a_weight_of_two_is_a_row_twice_and_one_of_zero_none(grow):
    x, y = matrices(rows=90)
    weights = np.repeat([0.0, 1.0, 2.0], 30)
    weighted = grow(x, y, single_tree(max_depth=5), weights, max_bins=256)
    twice = np.r_[x[30:], x[60:]], np.r_[y[30:], y[60:]]
    repeated = grow(*twice, single_tree(max_depth=5), max_bins=256)
    assert leaves(weighted, x[30:]) == pytest.approx(leaves(repeated, x[30:]))


def test_draws_are_poisson_numbers_and_equal_rows_have_their_own():
    keys = number_rows(20_000)
    for rate in (1.0, 0.3):
        drawn = count_draws(keys, np.uint64(5), draw_limits(rate))
        assert drawn.mean() == pytest.approx(rate, abs=0.03)
        assert (drawn == 0).mean() == pytest.approx(np.exp(-rate), abs=0.02)
    seen = Occurrences()
    first, second = seen.tell_apart(keys[[0, 1, 0]]), seen.tell_apart(keys[[2, 0]])
    assert len({*first.tolist(), *second.tolist()}) == 5
    alone = Occurrences().tell_apart(keys[[0, 0, 0]])
    assert {*first[[0, 2]].tolist(), int(second[1])} == set(alone.tolist())


def test_bins_lie_between_values_or_at_quantiles_and_nan_is_above_all():
    values = np.array([[1, 5], [1, 5], [2, 5], [4, np.nan]], dtype=np.float32)
    bins = find_bins(values, 8, with_missing=True)
    assert bins.thresholds.tolist() == [1.5, 3.0]
    assert bins.dense(values).tolist() == [[0, 0], [0, 0], [1, 0], [2, 1]]
    assert bins.threshold(np.array([0, 1]), np.array([1, 0])).tolist() == [3.0, np.inf]
    many = find_bins(np.arange(1000, dtype=np.float32)[:, None], 4)
    assert (
        np.bincount(many.dense(np.arange(1000, dtype=np.float32)[:, None]).ravel()).tolist()
        == [pytest.approx(250, abs=2)] * 4
    )


def test_nan_goes_right_in_training_and_scoring(grow):
    x, y = matrices(rows=150)
    x[:50, 0] = np.nan
    y[:, 0] = np.isnan(x[:, 0])
    scorer = grow(x, y, single_tree(max_depth=6), keep=True)
    assert leaves(scorer, x)[:, 0] == pytest.approx(y[:, 0])


def test_rows_that_no_tree_draws_are_taken_once(grow):
    x, y = matrices(rows=2)
    for small in (0, 100):
        scorer = grow(x, y, RandomForestClassifier(n_estimators=30), small=small)
        assert np.isfinite(leaves(scorer, x)).all()
        assert (scorer.arrays.values.sum(axis=1) > 0).any() == bool(y.any())


def test_the_quality_is_that_of_whole_trees_on_emotions(grow, real_data):
    folder = real_data / "multilabel" / "emotions"
    tables = [pd.read_parquet(folder / f"{part}.parquet") for part in ("train", "test")]
    names = [[c for c in tables[0] if c[0] == kind and c[1:].isdigit()] for kind in "xl"]
    (x, y), (test, truth) = ([table[n].to_numpy(float) for n in names] for table in tables)
    forest = RandomForestClassifier(n_estimators=30)
    found = {"distributed": [], "local": []}
    for seed in range(4):
        found["distributed"].append(leaves(grow(x, y, forest, seed=seed, small=100), test))
        model = fit_in_process(ml.MultilabelRandomForest(classifier=forest, seed=seed), x, y)
        found["local"].append(model.predict_proba(test))
    scores = {
        kind: [average_precision_score(truth, one) for one in each] for kind, each in found.items()
    }
    spread = max(np.std(scores["local"]), 0.005)
    assert np.mean(scores["distributed"]) >= np.mean(scores["local"]) - 2 * spread, scores


def test_spark_grows_the_same_forest_and_scores_out_of_bag(spark, grow, monkeypatch, tmp_path):
    x, y = matrices(rows=400)
    data = frame(spark, x, y, partitions=3)
    monkeypatch.setattr(fitting, "_SMALL", 150)
    forest = RandomForestClassifier(n_estimators=5, max_depth=6)
    model = ml.MultilabelRandomForest(classifier=forest, mode="distributed", seed=3).fit(data)
    here = grow(x, y, forest, small=150, seed=3)
    assert model.parts[0].scorer.to_bytes() == here.to_bytes()
    assert model.featureImportances.values.sum() == pytest.approx(1)
    model.write().overwrite().save(str(tmp_path / "model"))
    loaded = ml.MultilabelRandomForestModel.load(str(tmp_path / "model"))
    assert loaded.predict_proba(x) == pytest.approx(model.predict_proba(x))
    rows = loaded.outOfBag(data).toPandas()
    truth, unseen = (np.stack([v.toArray() for v in rows[c]]) for c in ("labels", "probabilities"))
    assert 300 < len(rows) < 400  # of five trees, one row in ten is drawn by each
    assert (
        0.6
        < average_precision_score(truth, unseen)
        < average_precision_score(y, model.predict_proba(x))
    )


def test_settings_that_only_whole_trees_have_are_rejected():
    for setting, value in (("max_leaf_nodes", 8), ("ccp_alpha", 0.1)):
        forest = RandomForestClassifier(**{setting: value})
        stage = ml.MultilabelRandomForest(classifier=forest, mode="distributed")
        with pytest.raises(InvalidConfigError, match=f"{setting}: {value}, expected"):
            stage.fit(None)
