"""What fitted models look at: planted features, scikit-learn's and Spark ML's own importances."""

import pickle

import numpy as np
import pytest
from pyspark.ml.classification import (
    DecisionTreeClassifier,
    GBTClassifier,
    LogisticRegression,
    RandomForestClassifier,
)
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier
from sklearn.ensemble import RandomForestClassifier as SklearnForest
from sklearn.linear_model import LogisticRegression as SklearnLogistic
from sklearn.tree import DecisionTreeClassifier as SklearnTree

import genre_spark.multilabel as ml
from genre_spark.errors import InvalidInputError
from genre_spark.multilabel.models.forests import ForestScorer
from genre_spark.multilabel.models.from_sklearn import export_sklearn
from genre_spark.multilabel.models.importances import SplitGains, add_gains
from tests.multilabel.tables import ESTIMATORS, fit_in_process, frame

ROWS, PLANTED = 160, 3
BASELINES = ("MostCommonLabelset", "RandomLabels", "LabelPrior")
METHODS = {name: make for name, make in ESTIMATORS.items() if name not in BASELINES}


def planted(seed=0):
    """Labels, features 0..2 that equal them, and three of noise, one correlated with label 0."""
    rng = np.random.default_rng(seed)
    y = (rng.random((ROWS, PLANTED)) < [0.5, 0.35, 0.25]).astype(float)
    noise = rng.normal(size=(ROWS, 3))
    noise[:, 0] += 0.5 * y[:, 0]
    return np.hstack([y, noise]), y


def share(importances):
    return importances / importances.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", METHODS)
def test_a_feature_that_equals_a_label_is_first_for_it_and_adds_up_to_one(name):
    x, y = planted()
    model = fit_in_process(METHODS[name](seed=3), x, y)
    found = model.labelFeatureImportances
    assert found.shape == (PLANTED, 6)
    assert found.sum(axis=1) == pytest.approx(1.0)
    assert found.min() >= 0
    if name != "HOMER":  # a group of labels is decided by the features of all of them
        assert found.argmax(axis=1).tolist() == [0, 1, 2]
    assert set(np.argsort(-model.featureImportances.toArray())[:3].tolist()) == {0, 1, 2}
    assert model.featureImportances.toArray() == pytest.approx(found.mean(axis=0))


def test_trees_of_all_labels_tell_them_apart():
    """One forest, one set of splits: each label still has importances of its own."""
    x, y = planted()
    shared = ("MultilabelRandomForest", "LabelPowerset", "PrunedSets")
    for found in (
        fit_in_process(METHODS[name](seed=3), x, y).labelFeatureImportances for name in shared
    ):
        others = found[:, :PLANTED][~np.eye(PLANTED, dtype=bool)]
        assert np.diag(found).min() > 0.6
        assert others.max() < 0.25


@pytest.mark.parametrize("kind", [SklearnForest, ExtraTreesClassifier, SklearnTree])
def test_one_label_has_scikit_learns_importances(kind):
    x, y = planted()
    fitted = kind(random_state=1).fit(x, y[:, 1])
    found = export_sklearn(fitted, 6).importances()
    assert share(found)[0] == pytest.approx(fitted.feature_importances_, abs=1e-6)


def test_gains_come_back_from_bytes_and_do_not_travel_to_workers():
    x, y = planted()
    scorer = export_sklearn(SklearnForest(5, random_state=1).fit(x, y[:, 0]), 6)
    stored = ForestScorer.from_bytes(scorer.to_bytes())
    assert (stored.importances() == scorer.importances()).all()
    assert pickle.loads(pickle.dumps(scorer)).importances() is None


def test_gains_of_trees_are_added_by_feature():
    one = SplitGains(np.array([1, 3]), np.array([[0.25, 0.75]]))
    two = SplitGains(np.array([0, 3]), np.array([[0.5, 0.5]]))
    assert add_gains([one, two]).dense(4).tolist() == [[0.5, 0.25, 0.0, 1.25]]
    assert add_gains([one, None]) is None


def test_a_constant_label_has_none_and_other_classifiers_are_asked_for_theirs():
    x, y = planted()
    y[:, 2] = 0.0
    boosted = GradientBoostingClassifier(n_estimators=3, random_state=0)
    found = fit_in_process(ml.BinaryRelevance(classifier=boosted), x, y).labelFeatureImportances
    assert found.sum(axis=1) == pytest.approx([1.0, 1.0, 0.0])
    assert found[:2].argmax(axis=1).tolist() == [0, 1]


def test_models_without_importances_say_so(spark):
    x, y = planted()
    linear = fit_in_process(ml.BinaryRelevance(classifier=SklearnLogistic()), x, y)
    with pytest.raises(InvalidInputError, match=r"BinaryRelevanceModel.*: LogisticRegression, ex"):
        _ = linear.featureImportances
    with pytest.raises(InvalidInputError, match=r"LabelPriorModel.*: no fits, expected trees"):
        _ = ml.LabelPriorModel(structure={"prior": [0.5]}).featureImportances
    table = frame(spark, x, y)
    on_spark = ml.BinaryRelevance(classifier=LogisticRegression(maxIter=1)).fit(table)
    with pytest.raises(InvalidInputError, match=r": linear, expected trees"):
        _ = on_spark.labelFeatureImportances


def test_spark_mls_trees_have_its_importances_and_keep_them_when_stored(spark, tmp_path):
    table = frame(spark, *planted()).cache()
    for classifier in (
        RandomForestClassifier(numTrees=4, maxDepth=3, seed=1),
        GBTClassifier(maxIter=2, maxDepth=2, seed=1),
    ):
        model = ml.BinaryRelevance(classifier=classifier).fit(table)
        found = model.labelFeatureImportances
        expected = [fitted.featureImportances.toArray() for fitted in model.models]
        assert found == pytest.approx(np.array(expected), abs=1e-6)
        place = str(tmp_path / type(classifier).__name__)
        model.write().save(place)
        assert (ml.BinaryRelevanceModel.load(place).labelFeatureImportances == found).all()


def test_labelsets_learnt_by_spark_ml_tell_their_labels_apart(spark):
    classifier = DecisionTreeClassifier(maxDepth=5)
    model = ml.LabelPowerset(classifier=classifier).fit(frame(spark, *planted()))
    found = model.labelFeatureImportances
    assert found.argmax(axis=1).tolist() == [0, 1, 2]
    assert np.diag(found).min() > 0.9
