"""Estimators, pipelines and validators in a session of Spark Connect."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import DecisionTreeClassifier, GBTClassifier, RandomForestClassifier
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder, TrainValidationSplit
from pyspark.sql import functions as F

import genre_spark.multilabel as ml
from genre_spark.errors import InvalidInputError, InvalidLabelsError
from genre_spark.multilabel.columns import stored_label_names
from genre_spark.multilabel.models.parts import SparkPart
from genre_spark.spark.session import task_counts
from genre_spark.storage.caching import SCRATCH
from tests.multilabel.tables import ESTIMATORS, LABELS, ON_SPARK, forest, frame, matrices, scored
from tests.places.connect_server import connect_session


def on_trees(classifier):
    return lambda **k: ml.BinaryRelevance(classifier=classifier(), **k)


TREES = {
    "RandomForest": on_trees(lambda: RandomForestClassifier(numTrees=2, maxDepth=3, seed=1)),
    "DecisionTree": on_trees(lambda: DecisionTreeClassifier(maxDepth=3)),
    "GBT": on_trees(lambda: GBTClassifier(maxIter=2, maxDepth=2, seed=1)),
}
DISTRIBUTED = {
    "MultilabelRandomForest": lambda **k: ml.MultilabelRandomForest(
        classifier=forest(), mode="distributed", **k
    )
}
# one of each kind that Connect could treat differently; the others are as slow as they are alike
QUICK = ("local-MultilabelRandomForest", "spark-ClassifierChain", "trees-RandomForest")
KINDS = [
    pytest.param(make, id=f"{base}-{name}")
    if f"{base}-{name}" in QUICK
    else pytest.param(make, id=f"{base}-{name}", marks=pytest.mark.slow)
    for base, kinds in (
        ("local", ESTIMATORS),
        ("spark", ON_SPARK),
        ("trees", TREES),
        ("distributed", DISTRIBUTED),
    )
    for name, make in kinds.items()
]


@pytest.fixture(scope="module")
def spark(spark, tmp_path_factory):
    """A Connect session, served by the JVM of the other tests' session."""
    with pytest.MonkeyPatch.context() as patch, connect_session(spark) as session:
        patch.setenv(SCRATCH, str(tmp_path_factory.mktemp("scratch")))
        yield session


@pytest.fixture(scope="module")
def data(spark):
    return frame(spark, *matrices(), partitions=1)


@pytest.mark.parametrize("make", KINDS)
def test_fit_score_save_and_load(spark, data, tmp_path, make):
    names = [f"label{index}" for index in range(LABELS)]
    model = make(seed=7, labelNames=names).fit(data)
    answered = model.transform(data)
    probabilities, prediction = scored(answered)
    for column in ("probabilities", "prediction"):
        assert stored_label_names(answered, column) == names
    assert probabilities.shape == prediction.shape == (80, LABELS)
    x, _ = matrices()
    assert model.predict_proba(x) == pytest.approx(probabilities, abs=1e-12)
    for _ in range(2):  # the second one replaces the first
        model.write().overwrite().save(str(tmp_path / "model"))
    loaded = type(model).load(str(tmp_path / "model"))
    assert (loaded.predict_proba(x) == model.predict_proba(x)).all()
    assert loaded.getLabelNames() == names


def test_trees_read_from_files_are_what_spark_applies_with_categories_too(spark):
    x, y = matrices()
    x[:, 0] = np.arange(len(x)) % 6
    y[:, 1] = np.isin(x[:, 0], [1, 4])
    first = {"idx": 0, "vals": [str(value) for value in range(6)], "type": "nominal"}
    about = {"ml_attr": {"attrs": {"nominal": [first]}, "num_attrs": x.shape[1]}}
    data = frame(spark, x, y, partitions=1)
    described = F.col("features").alias("features", metadata=about)
    data = data.select("id", described, "labels")
    model = TREES["RandomForest"]().fit(data)
    assert any(part.scorer.arrays.categories is not None for part in model.parts)
    for part, column in zip(model.parts, model.predict_proba(x).T, strict=True):
        applied = part.model.setFeaturesCol("features").transform(data).orderBy("id")
        assert column == pytest.approx([row["probability"][1] for row in applied.collect()])


def test_without_a_folder_for_trees_spark_applies_them(spark, data, tmp_path, monkeypatch):
    model = TREES["DecisionTree"]()
    expected = scored(model.fit(data).transform(data))[0]
    monkeypatch.delenv(SCRATCH)
    applied = model.fit(data)
    assert applied.parts[0].kind == "spark"
    assert scored(applied.transform(data))[0] == pytest.approx(expected)
    with pytest.raises(InvalidInputError, match=r"DecisionTreeC.* set GENRE_SPARK_SCRATCH to one"):
        applied.predict_proba(matrices()[0])
    assert SparkPart(applied.parts[0].model, 4, np.eye(4)).importances() is None
    applied.write().save(str(tmp_path / "model"))
    loaded = type(applied).load(str(tmp_path / "model"))
    assert scored(loaded.transform(data))[0] == pytest.approx(expected)


def test_the_server_reports_the_tasks_of_a_running_query(spark):
    spark.conf.set("spark.connect.progress.reportInterval", "100ms")
    ask, seen = task_counts(spark), []
    spark.registerProgressHandler(lambda **_: seen.append(ask()))
    waiting = F.expr("reflect('java.lang.Thread', 'sleep', 300 + 0 * id)")
    spark.range(0, 4, 1, 4).select(waiting).collect()
    assert max(seen)[1] == 4, seen
    assert ask() == (0, 0)


def test_a_bad_row_has_its_own_error(spark, data):
    x, y = matrices(rows=6)
    y[3, 2] = 2
    with pytest.raises(InvalidLabelsError, match="labels: value 2 of label 2, expected 0 or 1"):
        ESTIMATORS["BinaryRelevance"]().fit(frame(spark, x, y))


def test_pipelines_and_estimators_are_saved_and_loaded(spark, data, tmp_path):
    stages = [
        ON_SPARK["BinaryRelevance"](predictionCol="", threshold=0.4),
        ml.ThresholdTuner(rule="f1_micro", predictionCol="prediction"),
    ]
    Pipeline(stages=stages).write().save(str(tmp_path / "stages"))
    first, _ = Pipeline.load(str(tmp_path / "stages")).getStages()
    assert first.getThreshold() == 0.4
    assert first.getClassifier().getMaxIter() == 3
    model = Pipeline(stages=stages).fit(data)
    model.write().save(str(tmp_path / "pipeline"))
    loaded = PipelineModel.load(str(tmp_path / "pipeline"))
    expected, found = scored(model.transform(data)), scored(loaded.transform(data))
    assert (expected[1] == found[1]).all()


@pytest.mark.parametrize(
    "kind", [CrossValidator, pytest.param(TrainValidationSplit, marks=pytest.mark.slow)]
)
def test_validators_fit_in_threads(spark, data, kind):
    estimator = ON_SPARK["BinaryRelevance"](parallelism=2)
    grid = ParamGridBuilder().addGrid(estimator.threshold, [0.01, 0.5]).build()
    measure = ml.MultilabelEvaluator(metricName="hamming_loss")
    options = {"numFolds": 2} if kind is CrossValidator else {}
    search = kind(
        estimator=estimator,
        estimatorParamMaps=grid,
        evaluator=measure,
        seed=1,
        parallelism=2,
        **options,
    )
    assert search.fit(data).bestModel.getThreshold() == 0.5
