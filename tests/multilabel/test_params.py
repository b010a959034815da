"""Constructors, setters and help of every exported stage: as in pyspark.ml, and complete."""

import inspect
import pydoc
import re
import typing

import pytest
from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params, shared
from sklearn.ensemble import RandomForestClassifier

import genre_spark.multilabel as ml
from genre_spark.errors import InvalidConfigError

STAGES = [
    stage
    for stage in (getattr(ml, name) for name in ml.__all__)
    if inspect.isclass(stage) and hasattr(stage, "params")
]
CONFIGURED = [stage for stage in STAGES if not issubclass(stage, Model)]
LABELLED = [stage for stage in CONFIGURED if hasattr(stage, "labelsCol")]
EVERY_STAGE = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
EVERY_CONFIGURED = pytest.mark.parametrize("stage", CONFIGURED, ids=lambda stage: stage.__name__)
EVERY_LABELLED = pytest.mark.parametrize("stage", LABELLED, ids=lambda stage: stage.__name__)

# A value of each Param that is not its default.
VALUES = {
    "balanced": True,
    "classifier": RandomForestClassifier(n_estimators=2),
    "clusters": 4,
    "decision": "threshold",
    "featuresCol": "x",
    "handleInvalid": "keep",
    "handleUndefined": "skip",
    "inputCol": "i",
    "iterations": 30,
    "keep": 1,
    "halfSamples": 7,
    "labelCardinality": 1.5,
    "labelNames": ["a", "b"],
    "labelOrder": "frequency",
    "labelsCol": "y",
    "labelsetSize": 2,
    "learningRate": 0.2,
    "library": "xgboost",
    "maxBins": 16,
    "maxDepth": 3,
    "metricName": "coverage",
    "mode": "distributed",
    "negativesPerPositive": 2.0,
    "neverEmpty": True,
    "numModels": 7,
    "order": [1, 0],
    "outputCol": "o",
    "overlapping": False,
    "parallelism": 2,
    "predictionCol": "predicted",
    "probabilitiesCol": "p",
    "pruningThreshold": 1,
    "rule": "top",
    "sample": "all",
    "sampleFraction": 0.5,
    "scores": "mean",
    "seed": 12,
    "strategy": "B",
    "threshold": 0.4,
    "thresholds": [0.1, 0.2],
    "top": 3,
    "weightCol": "w",
}


def values(stage):
    return {param.name: VALUES[param.name] for param in stage.params}


def shown_keywords(function):
    shown = inspect.signature(function).parameters
    return {name: parameter for name, parameter in shown.items() if name != "self"}


def test_the_tests_cover_estimators_models_evaluator_and_tuner():
    assert len(STAGES) == 32
    assert sum(issubclass(stage, Estimator) for stage in CONFIGURED) == 15
    others = set(CONFIGURED) - set(LABELLED)
    assert others == {ml.LabelNames, ml.MultilabelBinarizer}
    assert ml.MultilabelEvaluator in LABELLED


@EVERY_CONFIGURED
def test_the_constructor_shows_every_param_as_a_keyword_with_its_default(stage):
    instance, keywords = stage(), shown_keywords(stage.__init__)
    assert set(keywords) == {param.name for param in instance.params}
    for name, keyword in keywords.items():
        assert keyword.kind is inspect.Parameter.KEYWORD_ONLY
        if name != "classifier":  # an object: None stands for the forest that is its default
            default = instance.getOrDefault(name) if instance.isDefined(name) else None
            assert keyword.default == default, name


@EVERY_CONFIGURED
def test_type_hints_of_the_constructor_are_those_of_the_setters(stage):
    hints = typing.get_type_hints(stage.__init__)
    assert set(hints) == {*shown_keywords(stage.__init__), "return"}
    for name in shown_keywords(stage.__init__):
        setter = getattr(stage, f"set{name[0].upper()}{name[1:]}")
        hint = typing.get_type_hints(setter)["value"]
        assert hints[name] in (hint, typing.Optional[hint])  # noqa: UP045 - compares either form


@EVERY_STAGE
def test_every_param_has_a_getter_and_a_setter(stage):
    instance = stage()
    for name, value in values(instance).items():
        call = f"{name[0].upper()}{name[1:]}"
        assert getattr(instance, f"set{call}")(value) is instance, name
        assert getattr(instance, f"get{call}")() == value, name
        assert getattr(stage, f"get{call}").__doc__, name


@EVERY_CONFIGURED
def test_the_constructor_and_set_params_take_every_param(stage):
    wanted = values(stage())
    for instance in (stage(**wanted), stage().setParams(**wanted)):
        assert {param.name: instance.getOrDefault(param) for param in instance.params} == wanted
    assert (
        inspect.signature(stage.setParams).parameters
        == inspect.signature(stage.__init__).parameters
    )
    assert stage.setParams.__doc__ == "Set Params by name."


@EVERY_LABELLED
def test_none_and_nothing_leave_a_param_at_its_default(stage):
    instance = stage(weightCol=None).setParams(weightCol=None)
    assert not instance.isSet("weightCol")
    assert instance.getWeightCol() is None


@EVERY_LABELLED
def test_a_set_param_stays_when_others_are_set(stage):
    instance = stage(labelsCol="y").setParams(predictionCol="z")
    assert (instance.getLabelsCol(), instance.getPredictionCol()) == ("y", "z")


@EVERY_CONFIGURED
def test_unknown_keywords_and_positional_values_are_type_errors(stage):
    with pytest.raises(TypeError, match="unexpected keyword argument 'color'"):
        stage(color="red")
    with pytest.raises(TypeError, match=rf"{stage.__name__}\.setParams: .*argument 'color'"):
        stage().setParams(color="red")
    with pytest.raises(TypeError):
        stage("features")
    with pytest.raises(TypeError):
        stage().setParams("features")


@EVERY_LABELLED
def test_values_of_the_wrong_type_are_rejected_with_the_name_of_the_param(stage):
    wrong = rf"{stage.__name__}\.labelsCol: \['y'\]"
    for call in (stage, stage().setParams):
        with pytest.raises(InvalidConfigError, match=wrong):
            call(labelsCol=["y"])
    with pytest.raises(InvalidConfigError, match=wrong):
        stage().setLabelsCol(["y"])


@pytest.mark.parametrize(
    ("stage", "params", "message"),
    [
        (ml.BinaryRelevance, {"threshold": 1.5}, r"threshold: 1\.5, must be in 0\.\.1"),
        (ml.BinaryRelevance, {"parallelism": 0}, "parallelism: 0, must be >= 1"),
        (ml.LabelPrior, {"handleInvalid": "skip"}, "handleInvalid: 'skip', must be 'error' or"),
        (ml.LabelPrior, {"decision": "labelset"}, "decision: 'labelset', must be 'threshold' or"),
        (ml.LabelPowerset, {"decision": "cardinality"}, "decision: 'cardinality', must be"),
        (ml.PrunedSets, {"keep": -1}, "keep: -1, must be >= 0"),
        (ml.PrunedSets, {"strategy": "C"}, "strategy: 'C', must be 'A' or 'B'"),
        (ml.MultilabelRandomForest, {"mode": "both"}, "mode: 'both', must be one of local, "),
        (ml.MultilabelRandomForest, {"maxBins": 1}, r"maxBins: 1, must be in 2\.\.256"),
        (ml.RAkEL, {"labelsetSize": 0}, "labelsetSize: 0, must be >= 1"),
        (ml.RAkEL, {"scores": "sum"}, "scores: 'sum', must be 'mean' or 'votes'"),
        (ml.HOMER, {"clusters": 1}, "clusters: 1, must be >= 2"),
        (ml.EnsembleOfPrunedSets, {"sample": "half"}, "sample: 'half', expected one of all, "),
        (ml.EnsembleOfClassifierChains, {"sampleFraction": 0.0}, r"sampleFraction: 0\.0, must be"),
        (ml.EnsembleOfClassifierChains, {"numModels": 0}, "numModels: 0, must be >= 1"),
        (ml.ThresholdTuner, {"rule": "best"}, "rule: 'best', expected one of fixed, "),
        (ml.ThresholdTuner, {"labelCardinality": -1.0}, r"labelCardinality: -1\.0, must be >= 0"),
        (ml.MultilabelEvaluator, {"metricName": "f2"}, "metricName: 'f2', expected one of"),
        (ml.MultilabelEvaluator, {"handleUndefined": "drop"}, "handleUndefined: 'drop', must be"),
        (ml.MultilabelBinarizer, {"labelOrder": "none"}, "labelOrder: 'none', expected one of"),
        (ml.MultilabelBinarizer, {"handleInvalid": "keep"}, "handleInvalid: 'keep', expected one"),
    ],
)
def test_values_out_of_range_are_rejected_before_any_data_is_read(stage, params, message):
    with pytest.raises(InvalidConfigError, match=rf"^{stage.__name__}\.{message}"):
        stage(**params)._check_params()


@EVERY_STAGE
def test_help_has_the_doc_of_every_param(stage):
    text = re.sub(r"\s+", " ", pydoc.plain(pydoc.render_doc(stage)).replace("|", " "))
    for param in stage().params:
        assert f"{param.name}: {param.doc}" in text, param.name


@EVERY_LABELLED
def test_help_has_the_defaults(stage):
    text = re.sub(r"\s+", " ", inspect.getdoc(stage))
    assert "column of the true labels" in text
    assert "(default: 'labels')" in text


def test_params_of_pyspark_are_the_mixins_of_pyspark():
    estimator = ml.BinaryRelevance()
    for mixin in (
        shared.HasFeaturesCol,
        shared.HasPredictionCol,
        shared.HasWeightCol,
        shared.HasThreshold,
        shared.HasParallelism,
        shared.HasSeed,
        shared.HasHandleInvalid,
    ):
        assert isinstance(estimator, mixin)
        assert issubclass(ml.BinaryRelevanceModel, mixin) or mixin is shared.HasParallelism


def test_defaults_are_those_of_version_0_1():
    found = {p.name: v for p, v in ml.BinaryRelevance()._defaultParamMap.items()}
    assert str(found.pop("classifier")) == "RandomForestClassifier()"
    assert found == {
        "balanced": False,
        "featuresCol": "features",
        "handleInvalid": "error",
        "labelsCol": "labels",
        "negativesPerPositive": 0.0,
        "parallelism": 4,
        "predictionCol": "prediction",
        "probabilitiesCol": "probabilities",
        "seed": 0,
        "threshold": 0.5,
    }


def test_params_are_documented_where_a_subclass_has_a_docstring_of_its_own():
    class Named(ml.BinaryRelevance):
        """Binary relevance under another name."""

        name: Param = Param(Params._dummy(), "name", "what it is called")

    assert inspect.getdoc(Named).startswith("Binary relevance under another name.\n\nParams:\n")
    assert "name: what it is called" in inspect.getdoc(Named)
    assert inspect.getdoc(Named).count("Params:") == 1
