"""Estimators and models as stages of Spark ML: in pipelines, in validators, with unusable input."""

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
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
    readable_params,
    scored,
)


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
