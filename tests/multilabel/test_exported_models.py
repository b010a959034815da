"""Models as arrays answer what their originals answer, also for rows that training did not have."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.ml.classification import (
    DecisionTreeClassifier,
    FMClassifier,
    GBTClassifier,
    LogisticRegression,
    NaiveBayes,
    RandomForestClassifier,
)
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.ml.util import DefaultParamsReader
from pyspark.sql import Observation
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, StructField, StructType
from scipy.sparse import csr_matrix
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.ensemble import RandomForestClassifier as LocalForest
from sklearn.tree import DecisionTreeClassifier as LocalTree

from genre_spark.multilabel import BinaryRelevance
from genre_spark.multilabel.models.feature_block import FeatureBlock
from genre_spark.multilabel.models.forests import ForestArrays, ForestScorer, share_grid
from genre_spark.multilabel.models.from_sklearn import export_sklearn, label_tree, tree_nodes
from genre_spark.multilabel.models.from_spark import export_model

LARGEST = np.finfo(np.float32).max
EDGES = [0.0, -0.0, 1.5, -1.0, 1e-45, LARGEST, -LARGEST]


def probes(rng, thresholds, features, extra):
    """Return rows at, just below and just above thresholds, and rows of other values."""
    values = np.concatenate([np.asarray(thresholds, dtype=np.float64), EDGES, extra])
    single = values.astype(np.float32)
    with np.errstate(over="ignore"):
        near = [np.nextafter(single, np.float32(side)) for side in (-np.inf, np.inf)]
    finer = [np.nextafter(values, side) for side in (-np.inf, np.inf)]
    pool = np.concatenate([values, single, *near, *finer, rng.normal(size=20)]).astype(np.float64)
    pool = np.unique(np.clip(pool, -LARGEST, LARGEST))
    return rng.choice(pool, size=(200, features))


def trees_of(model):
    found = getattr(model, "estimators_", [model])
    return np.concatenate([tree.tree_.threshold[tree.tree_.feature >= 0] for tree in found])


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from([LocalForest, ExtraTreesClassifier, LocalTree]),
    missing=st.sampled_from([0.0, 0.02, 0.4]),
    positives=st.sampled_from([2, 20]),
    classes=st.sampled_from([2, 3]),
    leaves=st.sampled_from([None, 4]),
)
def test_trees_of_scikit_learn_answer_the_same(seed, kind, missing, positives, classes, leaves):
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=(60, 3)), 1)
    x[rng.random(x.shape) < missing] = np.nan
    y = np.zeros(60, dtype=int)
    y[rng.permutation(60)[:positives]] = rng.integers(1, classes, positives)
    y[:classes] = range(classes)
    ensemble = {} if kind is LocalTree else {"n_estimators": 5, "bootstrap": True}
    model = kind(max_leaf_nodes=leaves, random_state=int(seed), **ensemble).fit(x, y)
    scorer = export_sklearn(model, 3)
    again = ForestScorer.from_bytes(scorer.to_bytes())
    rows = probes(rng, trees_of(model), 3, [np.nan, np.nan, np.nan])
    expected = model.predict_proba(rows)
    for one in (scorer, again):
        assert one.probabilities(FeatureBlock(rows)) == pytest.approx(expected, abs=1e-12)
        assert one.probabilities(FeatureBlock(csr_matrix(rows))) == pytest.approx(expected)
    infinite = np.where(np.abs(rows) == LARGEST, np.copysign(np.inf, rows), rows)
    assert scorer.probabilities(FeatureBlock(infinite)) == pytest.approx(expected)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1), missing=st.sampled_from([0.0, 0.2]))
def test_trees_for_many_labels_answer_the_same(seed, missing):
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=(50, 3)), 1)
    x[rng.random(x.shape) < missing] = np.nan
    y = np.column_stack([rng.random(50) < share for share in (0.5, 0.05, 0.0)]).astype(int)
    trees = [LocalTree(max_features=1, random_state=n).fit(x, y) for n in range(4)]
    rows = probes(rng, np.concatenate([trees_of(tree) for tree in trees]), 3, [np.nan] * 5)
    arrays = ForestArrays.from_trees([label_tree(tree) for tree in trees], 3)
    found = ForestScorer(arrays, n_classes=3).leaf_means(FeatureBlock(rows))
    expected = np.zeros((len(rows), 3))
    for tree in trees:
        for label, shares in enumerate(tree.predict_proba(rows)):
            if shares.shape[1] == 2:
                expected[:, label] += shares[:, 1] / len(trees)
    assert found == pytest.approx(expected, abs=1e-12)


def test_a_tree_without_missing_values_leaves_those_of_the_others_their_way():
    x = np.array([[0.0], [1.0], [np.nan], [np.nan]])
    left = LocalTree(random_state=0).fit(x, [1, 0, 1, 1])  # NaN goes with 0.0
    leaf = LocalTree(min_samples_leaf=4).fit(x, [1, 0, 1, 1])
    forest = ForestArrays.from_trees([tree_nodes(tree.tree_) for tree in (left, leaf)], 1)
    shares = ForestScorer(forest, n_classes=2).leaf_means(FeatureBlock(x))[:, 0]
    assert shares.tolist() == [0.875, 0.375, 0.875, 0.875]


CATEGORIES = 6
ABOUT = {
    "ml_attr": {
        "attrs": {
            "nominal": [{"idx": 0, "name": "country", "vals": list("abcdef")}],
            "numeric": [{"idx": 1, "name": "x"}, {"idx": 2, "name": "z"}],
        },
        "num_attrs": 3,
    }
}
SCHEMA = StructType([StructField("features", VectorUDT()), StructField("label", DoubleType())])
BASES = {
    "tree": lambda: DecisionTreeClassifier(maxDepth=4),
    "forest": lambda: RandomForestClassifier(numTrees=4, maxDepth=3, seed=5),
    "deep forest": lambda: RandomForestClassifier(numTrees=3, maxDepth=10, seed=5),
    "boosted trees": lambda: GBTClassifier(maxIter=2, maxDepth=3),
    "logistic regression": lambda: LogisticRegression(maxIter=4),
    "sparse logistic regression": lambda: LogisticRegression(
        maxIter=4, regParam=0.2, elasticNetParam=1.0
    ),
    "softmax": lambda: LogisticRegression(maxIter=3, family="multinomial"),
    "naive Bayes": NaiveBayes,
}


@pytest.fixture(scope="module")
def training(spark):
    rng = np.random.default_rng(0)
    category = rng.choice([0, 1, 3, 5], 90)  # not 2 and 4
    numbers = np.abs(np.round(rng.normal(size=(90, 2)), 2))
    label = (np.isin(category, [1, 5]) ^ (numbers[:, 0] > 0.7)).astype(float)
    rows = [
        (Vectors.dense([c, *two]), float(y))
        for c, two, y in zip(category.astype(float), numbers, label, strict=True)
    ]
    table = spark.createDataFrame(rows, SCHEMA).coalesce(1)
    table = table.withColumn("features", F.col("features").alias("features", metadata=ABOUT))
    table = table.cache()
    table.observe(Observation(), F.count("*").alias("rows")).collect()
    yield table, numbers
    table.unpersist()


@pytest.mark.parametrize("name", BASES)
def test_models_of_spark_answer_the_same(spark, training, name, tmp_path):
    table, numbers = training
    # A model with a training summary cannot be applied by Spark once its session has observed
    # anything (the summary holds the session); a loaded one has none.
    BASES[name]().fit(table).save(str(tmp_path / "model"))
    model = DefaultParamsReader.loadParamsInstance(str(tmp_path / "model"), spark)
    rng = np.random.default_rng(1)
    rows = probes(rng, (numbers[:-1, 0] + numbers[1:, 0])[:30] / 2, 3, [np.nan, np.nan])
    rows[rng.random(rows.shape) < 0.03] = np.inf
    rows[rng.random(rows.shape) < 0.03] = -np.inf
    strange = [*range(CATEGORIES), 6.0, 7.0, -1.0, 2.5, np.nan, np.inf]
    rows[:, 0] = rng.choice(strange, len(rows))
    if name == "naive Bayes":  # Spark's stops at negative numbers and at NaN
        rows = np.nan_to_num(np.abs(rows), nan=1.0, posinf=LARGEST)
    probe = spark.createDataFrame([(Vectors.dense(row),) for row in rows], ["features"])
    answers = model.transform(probe.coalesce(1)).select(vector_to_array("probability")).collect()
    expected = np.array([row[0] for row in answers])
    # Spark's softmax leaves NaN for the other classes where the margin of one is infinite
    certain = (expected == 1.0).any(axis=1)
    expected[certain] = np.nan_to_num(expected[certain], nan=0.0)
    scorer = export_model(model)
    share_grid([scorer])
    found = scorer.probabilities(FeatureBlock(rows))
    assert found == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert scorer.from_bytes(scorer.to_bytes()).probabilities(FeatureBlock(rows)) == pytest.approx(
        found, nan_ok=True
    )


def test_a_classifier_that_spark_applies_answers_in_a_session_that_has_observed(training):
    table, _ = training
    data = table.withColumn("labels", F.array("label"))
    model = BinaryRelevance(classifier=FMClassifier(maxIter=2)).fit(data)
    assert model.models[0].hasSummary  # its own transform would fail
    assert model.transform(data).select("probabilities").first() is not None
