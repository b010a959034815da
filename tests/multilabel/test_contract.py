"""One contract for every estimator that the package exports."""

import threading

import numpy as np
import pytest
from pyspark import SparkContext
from pyspark.ml import Estimator, Pipeline, PipelineModel
from pyspark.ml.feature import VectorSlicer
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder, TrainValidationSplit

import genre_spark.multilabel as ml
from genre_spark.errors import InvalidConfigError, InvalidInputError, InvalidLabelsError
from tests.multilabel.tables import (
    ESTIMATORS,
    LABELS,
    ON_SPARK,
    fit_in_process,
    forest,
    frame,
    matrices,
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


@pytest.fixture(scope="module")
def data(spark):
    table = frame(spark, *matrices()).cache()
    table.count()
    yield table
    table.unpersist()


def stored_tables(spark):
    """Return how many tables the session keeps; Connect's own has a JVM in this process here."""
    return SparkContext._active_spark_context._jsc.sc().getPersistentRDDs().size()


def readable_params(stage):
    """Return the values of all Params by name.

    A classifier as what prints of it, its copies being objects anew.
    """
    return {
        param.name: str(value) if param.name == "classifier" else value
        for param, value in stage.extractParamMap().items()
    }


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


def test_pipelines_hold_the_stages_and_are_saved_with_them(spark, data, tmp_path):
    stages = [
        ESTIMATORS["BinaryRelevance"](predictionCol=""),
        ml.ThresholdTuner(rule="f1_micro", predictionCol="prediction"),
    ]
    model = Pipeline(stages=stages).fit(data)
    model.write().save(str(tmp_path / "pipeline"))
    loaded = PipelineModel.load(str(tmp_path / "pipeline"))
    expected, found = scored(model.transform(data)), scored(loaded.transform(data))
    assert (expected[0] == found[0]).all()
    assert (expected[1] == found[1]).all()


def test_every_model_is_a_stage_of_pipelines_that_are_saved_and_loaded(spark, data, tmp_path):
    x, y = matrices()
    stages = [
        make(probabilitiesCol=f"p_{name}", predictionCol=f"y_{name}")
        for name, make in ESTIMATORS.items()
    ]
    fitted = [
        fit_in_process(stage, x, y) if stage.hasParam("classifier") else stage.fit(data.limit(9))
        for stage in stages
    ]
    model = PipelineModel(fitted)
    model.write().save(str(tmp_path / "model"))
    loaded = PipelineModel.load(str(tmp_path / "model"))
    assert [readable_params(stage) for stage in loaded.stages] == [
        readable_params(stage) for stage in fitted
    ]
    for one, other in zip(loaded.stages, fitted, strict=True):
        assert (one.predict(x) == other.predict(x)).all()
    row = loaded.transform(data).first()
    for name, stage in zip(ESTIMATORS, fitted, strict=True):
        assert (row[f"y_{name}"].toArray() == stage.predict(row["features"].toArray())[0]).all(), (
            name
        )


@pytest.mark.parametrize(
    "make", [ESTIMATORS["PrunedSets"], ON_SPARK["ClassifierChain"], ESTIMATORS["LabelPrior"]]
)
def test_unfitted_pipelines_are_saved_and_loaded(spark, tmp_path, make):
    stages = [make(predictionCol=""), ml.ThresholdTuner()]
    Pipeline(stages=stages).write().save(str(tmp_path / "stages"))
    found = Pipeline.load(str(tmp_path / "stages")).getStages()
    assert [readable_params(stage) for stage in found] == [
        readable_params(stage) for stage in stages
    ]


def test_validation_takes_given_folds_and_param_maps_of_every_kind(spark, data):
    folds = data.withColumn("fold", (data["id"] % 2).cast("int"))
    measure = ml.MultilabelEvaluator(metricName="f1_micro")
    lowered = ON_SPARK["ClassifierChain"]()
    grid = ParamGridBuilder().addGrid(lowered.getClassifier().regParam, [0.0, 1e6]).build()
    search = CrossValidator(
        estimator=lowered,
        estimatorParamMaps=grid,
        evaluator=measure,
        numFolds=2,
        foldCol="fold",
        parallelism=2,
    ).fit(folds)
    assert search.avgMetrics[0] > search.avgMetrics[1]
    powerset = ESTIMATORS["LabelPowerset"]()
    grid = ParamGridBuilder().addGrid(powerset.classifier, [forest(1), forest(2)]).build()
    split = TrainValidationSplit(
        estimator=powerset, estimatorParamMaps=grid, evaluator=measure, seed=3
    ).fit(data)
    assert split.bestModel.numLabels == LABELS
    relevance = ESTIMATORS["BinaryRelevance"]()
    models = relevance.fit(data, [{relevance.threshold: 0.2}, {relevance.classifier: forest(1)}])
    assert [model.getThreshold() for model in models] == [0.2, 0.5]
    assert [model.parts[0].scorer.arrays.n_trees for model in models] == [3, 1]


def test_what_a_validator_can_be_saved_with(spark, data, tmp_path):
    estimator = ON_SPARK["BinaryRelevance"]()
    for param, values, error in (
        (estimator.threshold, [0.3, 0.5], None),
        (estimator.getClassifier().regParam, [0.1], "extraneous Param"),
    ):
        grid = ParamGridBuilder().addGrid(param, values).build()
        search = CrossValidator(
            estimator=estimator, estimatorParamMaps=grid, evaluator=ml.MultilabelEvaluator()
        )
        if error is None:
            search.write().save(str(tmp_path / "search"))
            loaded = CrossValidator.load(str(tmp_path / "search"))
            assert len(loaded.getEstimatorParamMaps()) == 2
            assert readable_params(loaded.getEvaluator()) == readable_params(search.getEvaluator())
        else:
            with pytest.raises(ValueError, match=error):
                search.write().save(str(tmp_path / "rejected"))


def test_names_of_labels_are_in_the_metadata_of_the_outputs(spark, data):
    names = ["a", "b", "c", "d"]
    result = ml.LabelPrior(labelNames=names).fit(data).transform(data)
    for column in ("probabilities", "prediction"):
        attributes = result.schema[column].metadata["ml_attr"]["attrs"]["numeric"]
        assert [attribute["name"] for attribute in attributes] == names
    chosen = VectorSlicer(inputCol="prediction", outputCol="c", names=["c"]).transform(result)
    assert chosen.first()["c"].size == 1


def test_cross_validation_chooses_params_by_a_multilabel_metric(spark, data):
    estimator = ESTIMATORS["BinaryRelevance"]()
    grid = ParamGridBuilder().addGrid(estimator.threshold, [0.01, 0.5]).build()
    search = CrossValidator(
        estimator=estimator,
        estimatorParamMaps=grid,
        evaluator=ml.MultilabelEvaluator(metricName="hamming_loss"),
        numFolds=2,
        seed=1,
        parallelism=2,
    )
    model = search.fit(data)
    assert model.avgMetrics[1] < model.avgMetrics[0]
    assert model.bestModel.getThreshold() == 0.5


@pytest.mark.parametrize(
    "make", [ESTIMATORS["BinaryRelevance"], ON_SPARK["BinaryRelevance"], ESTIMATORS["LabelPrior"]]
)
def test_unusable_input_is_rejected_with_a_clear_message(spark, data, make):
    x, y = matrices(rows=6)
    with pytest.raises(InvalidInputError, match="no column 'nothing'"):
        make(featuresCol="nothing").fit(data)
    with pytest.raises(InvalidInputError, match="no rows"):
        make().fit(data.limit(0))
    with pytest.raises(InvalidInputError, match="type bigint, expected a Vector"):
        make(featuresCol="id").fit(data)
    wrong = y.copy()
    wrong[3, 2] = 2
    with pytest.raises(InvalidLabelsError, match="labels: value 2 of label 2, expected 0 or 1"):
        make().fit(frame(spark, x, wrong))
    holes = x.copy()
    holes[2, 1] = np.nan
    with pytest.raises(
        InvalidInputError, match="features: nan in feature 1, expected finite numbers"
    ):
        make().fit(frame(spark, holes, y))
    with pytest.raises(InvalidConfigError, match="3 names, expected 4"):
        make(labelNames=["a", "b", "c"]).fit(data)
    with pytest.raises(InvalidConfigError, match=r"threshold: 1\.5, must be in 0\.\.1"):
        make(threshold=1.5).fit(data)
    model = make().fit(data)
    with pytest.raises(InvalidInputError, match="column 'probabilities' exists already"):
        model.transform(model.transform(data))
    with pytest.raises(Exception, match="a vector of length 3, expected 5"):
        model.transform(frame(spark, x[:, :3], y)).collect()
