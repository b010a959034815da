"""Fits by Spark ML classifiers: the same trees whatever the partitions, and no fit without rows."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
from pyspark.ml.classification import (
    DecisionTreeClassifier,
    GBTClassifier,
    LogisticRegression,
    RandomForestClassifier,
)
from pyspark.ml.feature import VectorIndexer
from pyspark.sql import functions as F

from genre_spark.multilabel import (
    BinaryRelevance,
    ClassifierChain,
    EnsembleOfClassifierChains,
    EnsembleOfPrunedSets,
    LabelPowerset,
    RAkEL,
)
from genre_spark.multilabel.fitting import with_spark as fit_spark
from genre_spark.multilabel.fitting.plan import AnyLabel, RowSample, Subproblem
from genre_spark.multilabel.fitting.tree_splits import merge_values, searched_bins
from genre_spark.multilabel.models.from_spark import fitted_model
from genre_spark.spark.connect import is_connect
from tests.multilabel.tables import frame


@pytest.fixture(scope="module")
def points():
    random = np.random.default_rng(0)
    x = random.normal(size=(120, 4))
    return x, np.stack([x[:, 0] > 0.8, x[:, 1] + x[:, 2] > 0], axis=1).astype(float)


def test_the_same_seed_gives_the_same_trees_whatever_the_partitions(spark, points) -> None:
    forest = RandomForestClassifier(numTrees=3, maxDepth=3)
    found = [
        BinaryRelevance(classifier=forest, seed=5, parallelism=parallelism).fit(
            frame(spark, *points, partitions)
        )
        for partitions, parallelism in ((1, 1), (5, 2))
    ]
    one, other = (model.predict_proba(points[0]) for model in found)
    np.testing.assert_array_equal(one, other)


def test_balanced_fits_are_those_of_a_weight_column(spark, points) -> None:
    x, y = points
    data = frame(spark, x, y)
    model = BinaryRelevance(classifier=LogisticRegression(regParam=0.1), balanced=True).fit(data)
    for label in range(2):
        on = y[:, label].sum()
        weight = F.when(F.col("label") > 0, len(y) / (2 * on)).otherwise(
            len(y) / (2 * (len(y) - on))
        )
        single = data.select("features", F.col("labels")[label].alias("label")).withColumn(
            "w", weight
        )
        plain = LogisticRegression(regParam=0.1, weightCol="w").fit(single)
        logits = x @ plain.coefficients.toArray() + plain.intercept
        np.testing.assert_allclose(
            model.predict_proba(x)[:, label], 1 / (1 + np.exp(-logits)), atol=1e-6
        )


def test_a_fit_sees_about_the_wanted_share_of_its_negatives_and_all_positives(
    spark, points, monkeypatch
) -> None:
    x, y = points
    seen = []
    original = LogisticRegression.fit

    def count(self, data, params=None):
        seen.append(
            {row["_target"]: row["count"] for row in data.groupBy("_target").count().collect()}
        )
        return original(self, data, params)

    monkeypatch.setattr(LogisticRegression, "fit", count)
    estimator = BinaryRelevance(
        classifier=LogisticRegression(), negativesPerPositive=1.0, parallelism=1
    )
    estimator.fit(frame(spark, x, y))
    on = int(y[:, 0].sum())
    assert seen[0][1.0] == on
    assert 0 < seen[0][0.0] < len(y) - on
    assert abs(seen[0][0.0] - on) <= 4 * np.sqrt(on)


def test_drawing_negatives_leaves_at_least_one(spark) -> None:
    x = np.array(
        [[0.0]] * 30 + [[1.0]]
    )  # equal negatives are drawn together, at a rate of 1 in 3000
    data = frame(spark, x, (x == 1.0).astype(float))
    balanced = BinaryRelevance(
        classifier=LogisticRegression(regParam=0.01), negativesPerPositive=0.01
    ).fit(data)
    off, on = balanced.predict_proba([[0.0], [1.0]]).ravel()
    assert off < 0.2
    assert on > off


@pytest.mark.parametrize("method", [EnsembleOfClassifierChains, EnsembleOfPrunedSets])
def test_equal_rows_are_drawn_together_but_no_fit_is_left_without(spark, method) -> None:
    data = frame(spark, np.ones((20, 2)), np.tile([1.0, 0.0], (20, 1)))
    model = method(classifier=LogisticRegression(maxIter=2), numModels=4, seed=1).fit(data)
    np.testing.assert_array_equal(model.predict_proba([[1.0, 1.0]]), [[1.0, 0.0]])


def test_a_forest_takes_more_than_a_hundred_labelsets(spark) -> None:
    y = np.array([[number >> bit & 1 for bit in range(7)] for number in range(120)], float)
    model = LabelPowerset(classifier=RandomForestClassifier(numTrees=1, maxDepth=2)).fit(
        frame(spark, y, y)
    )
    assert model.predict_proba(y[:2]).shape == (2, 7)


def test_constant_targets_and_known_shares_need_no_pass(spark, points, monkeypatch) -> None:
    x, y = points
    estimator = BinaryRelevance(classifier=LogisticRegression())
    monkeypatch.setattr(
        "genre_spark.multilabel.fitting.with_spark._draws",
        lambda sample: pytest.fail("a pass over the data"),
    )
    estimator.fit(frame(spark, x, np.column_stack([y[:, 0], np.ones(len(x))])))


@pytest.mark.parametrize(
    ("kind", "size"), [(RandomForestClassifier, {"numTrees": 3}), (GBTClassifier, {"maxIter": 2})]
)
def test_models_of_fits_are_those_of_pyspark_and_make_their_trees_when_asked(
    spark, points, kind, size
) -> None:
    classifier = kind(**size)
    data = frame(spark, *points).select("features", F.col("labels")[0].alias("label"))
    model, plain = fitted_model(classifier, data), classifier.fit(data)
    assert is_connect(spark) or "trees" not in model.__dict__
    assert (
        model.toDebugString.split("\n")[1:] == plain.toDebugString.split("\n")[1:]
    )  # the first line has the uid
    assert [tree.numNodes for tree in model.trees] == [tree.numNodes for tree in plain.trees]
    assert {param.name for param in model.params} == {param.name for param in plain.params}
    assert model.extractParamMap().keys() >= {model.getParam("maxDepth"), model.getParam("seed")}
    assert model.copy().transform(data).columns == plain.transform(data).columns


def test_small_tables_are_kept_by_as_many_executors_as_there_are_fits_at_once(
    spark, points, monkeypatch
) -> None:
    kept = []

    @contextmanager
    def cached(data, copies=1, **_):
        kept.append(copies)
        yield data

    monkeypatch.setattr(fit_spark, "cached", cached)
    data = frame(spark, *points)
    values = len(points[0]) * points[0].shape[1]
    for executors, parallelism, partitions in (
        (1, 4, 1),
        (8, 4, 1),
        (2, 1, 1),
        (8, 4, 32),
        (8, 4, 64),
    ):
        monkeypatch.setattr(fit_spark, "count_executors", lambda _, number=executors: number)
        monkeypatch.setattr(fit_spark, "_VALUES", values / partitions)
        one = LogisticRegression(maxIter=1)
        BinaryRelevance(classifier=one, parallelism=parallelism).fit(data)
    assert kept == [1, 2, 1, 2, 1]  # there are two labels, and copies make up to 64 partitions


def test_a_table_is_kept_for_more_executors_than_spark_makes_copies(classic) -> None:
    with fit_spark.cached(classic.range(3), copies=100) as kept:
        assert kept.count() == 3
        assert kept.storageLevel.replication == 39
    assert kept.storageLevel.replication == 1
    assert not kept.storageLevel.useMemory


# Values that a tree's thresholds do not depend on can be merged: Spark ML grows the same trees.


def features_of_every_kind():
    """Return features (normal, rounded, skewed, mostly 0, few values) and three labels."""
    random = np.random.default_rng(0)
    normal = random.normal(size=(300, 2))
    others = [
        np.round(random.normal(size=300), 1),
        np.exp(2 * random.normal(size=300)),
        np.where(random.random(300) < 0.7, 0.0, random.normal(size=300)),
        random.integers(0, 4, 300).astype(float),
        np.full(300, 2.0),
    ]
    x = np.column_stack([normal, *others])
    noise = random.normal(size=(300, 3)) / 2
    return x, (x[:, [0, 2, 4]] + 0.3 * x[:, [1, 5, 3]] / 3 + noise > 0.4).astype(float)


def test_merged_features_have_few_values_that_were_there_in_the_same_order() -> None:
    x, _ = features_of_every_kind()
    merged = merge_values(x, 8)
    for column, before in zip(merged.T, x.T, strict=True):
        assert set(column) <= set(before)
        order = np.argsort(before, kind="stable")
        assert (np.diff(column[order]) >= 0).all()
    assert len(np.unique(merged[:, 0])) <= 16
    assert (merged[:, 5:] == x[:, 5:]).all()
    assert (
        merge_values(np.full((5, 1), np.nan), 2) != merge_values(np.full((5, 1), np.nan), 2)
    ).all()


@pytest.mark.parametrize(
    ("method", "classifier"),
    [
        (BinaryRelevance, lambda: RandomForestClassifier(numTrees=5)),
        (
            ClassifierChain,
            lambda: RandomForestClassifier(numTrees=3, maxBins=7, subsamplingRate=0.7),
        ),
        (BinaryRelevance, lambda: DecisionTreeClassifier(maxDepth=8, maxBins=11)),
        (BinaryRelevance, lambda: GBTClassifier(maxIter=3)),
        (RAkEL, lambda: RandomForestClassifier(numTrees=3, maxDepth=7)),
    ],
)
def test_the_trees_are_those_of_the_unmerged_features(
    spark, monkeypatch, method, classifier
) -> None:
    x, y = features_of_every_kind()
    data = VectorIndexer(inputCol="features", outputCol="indexed", maxCategories=4).fit(
        frame(spark, x, y)
    )
    data = (
        data.transform(frame(spark, x, y)).drop("features").withColumnRenamed("indexed", "features")
    )
    estimator = method(classifier=classifier(), seed=3)
    merged = estimator.fit(data)
    monkeypatch.setattr("genre_spark.multilabel.fitting.with_spark.searched_bins", lambda *_: None)
    plain = estimator.fit(data)
    for one, other in zip(merged.models, plain.models, strict=True):
        assert one.toDebugString.split("\n")[1:] == other.toDebugString.split("\n")[1:]


def test_values_are_merged_only_where_all_fits_of_trees_search_all_rows(spark) -> None:
    assert spark, "classifiers of Spark need a session"
    forest = RandomForestClassifier(maxBins=16)
    fits = [Subproblem(AnyLabel((label,))) for label in range(3)]
    assert searched_bins(forest, fits, 10_000) == 16
    assert searched_bins(forest, fits, 10_001) is None
    assert searched_bins(forest, fits[:1], 100) is None
    assert searched_bins(LogisticRegression(), fits, 100) is None
    for other in (
        Subproblem(AnyLabel((0,)), RowSample("bootstrap")),
        Subproblem(AnyLabel((0,)), RowSample(any_of=(1,))),
        Subproblem(AnyLabel((0,)), negative_rate=0.5),
        Subproblem(AnyLabel((0,)), positive_weight=2.0),
    ):
        assert searched_bins(forest, [*fits, other], 100) is None
