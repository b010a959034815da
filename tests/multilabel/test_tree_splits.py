"""Values that a tree's thresholds do not depend on can be merged: Spark ML grows the same trees."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml.classification import (
    DecisionTreeClassifier,
    GBTClassifier,
    LogisticRegression,
    RandomForestClassifier,
)
from pyspark.ml.feature import VectorIndexer

from genre_spark.multilabel import BinaryRelevance, ClassifierChain, RAkEL
from genre_spark.multilabel.fitting.plan import AnyLabel, RowSample, Subproblem
from genre_spark.multilabel.fitting.tree_splits import merge_values, searched_bins
from tests.multilabel.tables import frame


def table():
    """Return features of every kind (normal, rounded, skewed, mostly 0, few values) and three labels."""
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
    x, _ = table()
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
    x, y = table()
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
