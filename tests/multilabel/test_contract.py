"""One contract for every estimator that the package exports."""

import threading

import pytest
from pyspark import SparkContext
from pyspark.ml import Estimator

import genre_spark.multilabel as ml
from tests.multilabel.tables import (
    ESTIMATORS,
    LABELS,
    ON_SPARK,
    forest,
    matrices,
    readable_params,
    scored,
)

DISJOINT = pytest.param(
    lambda **k: ml.RAkEL(classifier=forest(), overlapping=False, labelsetSize=3, **k),
    id="local-RAkEL-disjoint",
)
DISTRIBUTED = pytest.param(
    lambda **k: ml.MultilabelRandomForest(classifier=forest(), mode="distributed", **k),
    id="distributed-MultilabelRandomForest",
)
KINDS = [
    DISJOINT,
    DISTRIBUTED,
    *(pytest.param(make, id=f"local-{name}") for name, make in ESTIMATORS.items()),
] + [pytest.param(make, id=f"spark-{name}") for name, make in ON_SPARK.items()]


def stored_tables(spark):
    """Return how many tables the session keeps; Connect's own has a JVM in this process here."""
    return SparkContext._active_spark_context._jsc.sc().getPersistentRDDs().size()


def test_the_contract_covers_every_exported_estimator():
    exported = {
        name
        for name in ml.__all__
        if isinstance(getattr(ml, name), type)
        and issubclass(getattr(ml, name), Estimator)
        and name not in ("MultilabelBinarizer", "ThresholdTuner")
    }
    assert exported == {*ESTIMATORS, "MultilabelBoosting"}  # test_boosting.py: it needs an extra


@pytest.mark.parametrize("make", KINDS)
def test_fit_score_save_load_and_save_again(spark, data, tmp_path, make):
    names = [f"label{index}" for index in range(LABELS)]
    estimator = make(seed=7, labelNames=names)
    before = stored_tables(spark), threading.active_count()
    model = estimator.fit(data)
    assert (stored_tables(spark), threading.active_count()) == before, (
        "left cached tables or threads"
    )
    assert model.uid == estimator.uid
    assert model.getLabelNames() == names

    result = model.transform(data)
    assert result.columns == [*data.columns, "probabilities", "prediction"]
    assert result.select(data.columns).collect() == data.collect(), "input columns were touched"
    probabilities, prediction = scored(result)
    assert probabilities.shape == prediction.shape == (80, LABELS)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    if not (model.hasParam("decision") and model.getOrDefault("decision") == "labelset"):
        assert (prediction == (probabilities >= 0.5)).all(), (
            "predictions do not follow from probabilities"
        )

    x, _ = matrices()
    assert model.predict_proba(x) == pytest.approx(probabilities, abs=1e-12)
    assert (model.predict(x[0]) == prediction[:1]).all()

    model.write().save(str(tmp_path / "model"))
    loaded = type(model).load(str(tmp_path / "model"))
    loaded.write().save(str(tmp_path / "again"))
    again = type(model).load(str(tmp_path / "again"))
    for other in (loaded, again):
        assert other.uid == model.uid
        assert {p.name: v for p, v in other.extractParamMap().items()} == {
            p.name: v for p, v in model.extractParamMap().items()
        }
        assert (other.predict_proba(x) == model.predict_proba(x)).all()
        assert (other.predict(x) == model.predict(x)).all()
    assert (scored(again.transform(data))[0] == probabilities).all()


@pytest.mark.parametrize("make", KINDS)
def test_the_estimator_is_saved_with_its_classifier_and_copied_with_extra_params(
    spark, tmp_path, make
):
    estimator = make(seed=11, threshold=0.4)
    estimator.write().overwrite().save(str(tmp_path / "estimator"))
    loaded = type(estimator).load(str(tmp_path / "estimator"))
    assert loaded.uid == estimator.uid
    assert (loaded.getSeed(), loaded.getThreshold()) == (11, 0.4)
    if estimator.hasParam("classifier"):
        assert type(loaded.getClassifier()) is type(estimator.getClassifier())
    copy = estimator.copy({estimator.threshold: 0.7})
    assert (copy.getThreshold(), estimator.getThreshold(), copy.uid) == (0.7, 0.4, estimator.uid)
    assert readable_params(copy) == {**readable_params(estimator), "threshold": 0.7}
    changed = copy.setParams(seed=12, predictionCol="predicted")
    assert changed is copy
    assert readable_params(copy) == readable_params(estimator) | {
        "threshold": 0.7,
        "seed": 12,
        "predictionCol": "predicted",
    }


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in ESTIMATORS.items()])
def test_the_same_seed_gives_the_same_model_whatever_the_partitions(spark, data, make):
    x, _ = matrices()
    model = make(seed=3).fit(data)
    other = make(seed=3).fit(data.repartition(5))
    assert (model.predict_proba(x) == other.predict_proba(x)).all()


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in ON_SPARK.items()])
def test_one_fit_at_a_time_gives_the_same_as_many(spark, data, make):
    x, _ = matrices()
    one, many = (make(seed=3, parallelism=number).fit(data) for number in (1, 4))
    assert one.predict_proba(x) == pytest.approx(many.predict_proba(x), abs=1e-12)
