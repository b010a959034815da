"""The configuration's methods and the estimators behind them."""

from typing import get_args

import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.pipeline import Pipeline

from genre_spark.config import MultilabelConfig
from genre_spark.config.multilabel import OPTIONAL, ForestConfig, Method
from genre_spark.errors import InvalidConfigError
from genre_spark.evaluation.scores import EXACT_MATCH, FIXED
from genre_spark.pipelines.evaluation.measuring.evaluation_passes import measure_rules
from genre_spark.pipelines.evaluation.measuring.gathered import gather
from genre_spark.pipelines.evaluation.measuring.model_evaluation import PredictedModel
from genre_spark.pipelines.models.multilabel_methods import make_classifier, make_estimator
from genre_spark.schemas import PREDICTIONS_SCHEMA
from tests.multilabel.tables import ESTIMATORS

LOCAL = ForestConfig(backend="sklearn", trees=3, max_depth=5, min_leaf=2)


def test_every_configured_method_is_built_and_every_estimator_can_be_configured():
    config = MultilabelConfig(methods="all", forest=LOCAL)
    assert set(get_args(Method)) - set(config.methods) == OPTIONAL == {"gradient_boosting"}
    config = config.model_copy(update={"methods": get_args(Method)})
    built = {
        method: make_estimator(config, method, seed=5, names=["a", "b"])
        for method in config.methods
    }
    assert {type(estimator).__name__ for estimator in built.values()} == {
        *ESTIMATORS,
        "MultilabelBoosting",
    }
    assert all(estimator.getSeed() == 5 for estimator in built.values())
    assert all(estimator.getLabelNames() == ["a", "b"] for estimator in built.values())


def test_one_method_or_several_are_taken():
    assert MultilabelConfig(methods="homer").methods == ("homer",)
    assert MultilabelConfig(methods=["homer", "rakel"]).methods == ("homer", "rakel")
    with pytest.raises(ValueError, match="binary_relevance"):
        MultilabelConfig(methods=["binary_relevanze"])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("random_forest", RandomForestClassifier),
        ("extra_trees", ExtraTreesClassifier),
        ("logistic_regression", Pipeline),
    ],
)
def test_the_base_classifier_follows_the_configuration(name, kind):
    classifier = make_classifier(MultilabelConfig(classifier=name, forest=LOCAL), seed=1)
    assert type(classifier) is kind
    if kind is not Pipeline:
        assert (classifier.n_estimators, classifier.max_depth, classifier.min_samples_leaf) == (
            3,
            5,
            2,
        )


def test_spark_has_no_extra_trees():
    with pytest.raises(InvalidConfigError, match="extra_trees"):
        make_classifier(MultilabelConfig(classifier="extra_trees"), seed=1)


def test_sampling_weights_are_passed_on():
    config = MultilabelConfig(weights="sampling", forest=LOCAL)
    assert make_estimator(config, "rakel", seed=1, names=["a"]).getWeightCol() == "weight"


def test_models_are_measured_at_0_5_by_their_own_predictions_and_elsewhere_by_their_probabilities(
    spark,
):
    # the most probable labelset is {0}, though label 1 has more weight over all;
    # 0.49999999999999994 is stored as 0.5
    rows = [(1, [1.0, 0.0], [0.5, 0.6], [1.0, 0.0]), (2, [0.0, 0.0], [0.5, 0.1], [0.0, 0.0])]
    predictions = spark.createDataFrame(rows, PREDICTIONS_SCHEMA)
    model = PredictedModel(
        "m", "multilabel", "label_powerset", ("a", "b"), "", {"test": predictions}
    )
    gathered = gather(spark, [model], "test")
    found = measure_rules(gathered, {"m": {FIXED: [0.5], EXACT_MATCH: [0.5]}})
    assert found["m", "test", FIXED]["subset_accuracy"] == 1.0
    assert found["m", "test", EXACT_MATCH]["subset_accuracy"] == 0.0
    found = measure_rules(gathered, {"m": {FIXED: [0.55]}})
    assert found["m", "test", FIXED]["subset_accuracy"] == 0.5


def test_a_recipe_balances_binary_fits_and_no_others():
    config = MultilabelConfig(
        methods=["binary_relevance", "classifier_chain", "label_prior"],
        weights="balanced",
        negatives_per_positive=3,
        forest=ForestConfig(backend="sklearn"),
    )
    for method in config.methods[:2]:
        estimator = make_estimator(config, method, seed=1, names=["a"])
        assert (estimator.getBalanced(), estimator.getNegativesPerPositive()) == (True, 3.0)
        assert estimator.getWeightCol() is None
    assert make_estimator(config, "label_prior", seed=1, names=["a"]).getWeightCol() is None
    with pytest.raises(
        ValueError, match="weights: 'balanced' with rakel, homer, expected only binary_relevance"
    ):
        MultilabelConfig(methods=["binary_relevance", "rakel", "homer"], weights="balanced")
    with pytest.raises(ValueError, match=r"negatives_per_positive: 2\.0 with label_powerset"):
        MultilabelConfig(methods="label_powerset", negatives_per_positive=2)
