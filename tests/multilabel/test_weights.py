"""Weights of rows, balanced fits and drawn negatives: which classifiers take them."""

import numpy as np
import pytest
from pyspark.ml.classification import MultilayerPerceptronClassifier
from pyspark.ml.linalg import Vectors
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import genre_spark.multilabel as ml
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.multilabel.fitting.encoding import Encoded, keep_negatives
from genre_spark.multilabel.fitting.plan import AnyLabel, Subproblem
from tests.multilabel.tables import ESTIMATORS, fit_in_process, frame, matrices

TRANSFORMATIONS = [
    name
    for name, make in ESTIMATORS.items()
    if name not in ("MostCommonLabelset", "RandomLabels", "LabelPrior", "MultilabelRandomForest")
]
BALANCED = (ml.BinaryRelevance, ml.ClassifierChain, ml.EnsembleOfClassifierChains)
WEIGHTS = np.where(np.arange(80) % 3, 1.0, 4.0)


@pytest.mark.parametrize("name", [*TRANSFORMATIONS, "MultilabelRandomForest"])
def test_every_method_fits_by_the_weights_of_the_rows(name):
    x, y = matrices()
    estimator = ESTIMATORS[name](seed=1)
    if name != "MultilabelRandomForest":
        estimator.setClassifier(LogisticRegression())
    plain = fit_in_process(estimator, x, y).predict_proba(x)
    assert fit_in_process(estimator, x, y, np.ones(80)).predict_proba(x) == pytest.approx(
        plain, abs=1e-3
    )
    assert np.abs(fit_in_process(estimator, x, y, WEIGHTS).predict_proba(x) - plain).max() > 0.01


def test_a_pipeline_of_scikit_learn_passes_weights_to_its_last_step():
    x, y = matrices()
    steps = make_pipeline(StandardScaler(), LogisticRegression())
    model = fit_in_process(
        ml.BinaryRelevance(classifier=make_pipeline("passthrough", steps)), x, y, WEIGHTS
    )
    single = x.astype(np.float32)
    own = steps.fit(single, y[:, 2], logisticregression__sample_weight=WEIGHTS)
    assert model.predict_proba(single)[:, 2] == pytest.approx(own.predict_proba(single)[:, 1])


def test_classifiers_that_would_drop_weights_are_rejected_before_any_data_is_read(spark):
    deaf = make_pipeline(StandardScaler(), KNeighborsClassifier())
    for classifier, name in (
        (deaf, "Pipeline"),
        (KNeighborsClassifier(), "KNeigh"),
        (MultilayerPerceptronClassifier(), "Multilayer"),
    ):
        with pytest.raises(
            InvalidConfigError, match=rf"BinaryRelevance.weightCol: 'w', {name}\w* takes no weights"
        ):
            ml.BinaryRelevance(classifier=classifier, weightCol="w").fit(spark.range(1))
        with pytest.raises(
            InvalidConfigError, match=r"ClassifierChain.balanced: True, .* takes no weights"
        ):
            ml.ClassifierChain(classifier=classifier, balanced=True).fit(spark.range(1))


def test_baselines_count_rows_with_their_weights(spark):
    rows = [
        (Vectors.dense([0.0]), [1.0], 3.0),
        (Vectors.dense([1.0]), [0.0], 1.0),
        (Vectors.dense([2.0]), [0.0], 0.0),
    ]
    data = spark.createDataFrame([*rows, rows[1], rows[2]], ["features", "labels", "w"]).coalesce(1)
    assert ml.LabelPrior(weightCol="w").fit(data.limit(2)).predict_proba([0.0]).tolist() == [[0.75]]
    assert ml.LabelPrior().fit(data.limit(2)).predict_proba([0.0]).tolist() == [[0.5]]
    assert ml.MostCommonLabelset(weightCol="w").fit(data).predict([0.0]).tolist() == [[1.0]]
    assert ml.MostCommonLabelset().fit(data).predict([0.0]).tolist() == [[0.0]]
    assert ml.RandomLabels(weightCol="w").fit(data).structure["probability"] == 0.6
    with pytest.raises(InvalidInputError, match="weights: 0 in every row"):
        ml.LabelPrior(weightCol="w").fit(data.where("w = 0"))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_balanced_fits_are_those_of_balanced_class_weights(weights):
    x, y = matrices()
    y[:70, 1] = 0  # a rare label
    x = x.astype(np.float32)
    model = fit_in_process(
        ml.BinaryRelevance(classifier=LogisticRegression(), balanced=True), x, y, weights
    )
    chain = ml.ClassifierChain(classifier=LogisticRegression(), balanced=True, order=[1, 0, 2, 3])
    links = fit_in_process(chain, x, y, weights)
    plain = fit_in_process(ml.BinaryRelevance(classifier=LogisticRegression()), x, y, weights)
    for label in range(4):
        on, off = y[:, label] == 1, y[:, label] == 0
        w = np.ones(80) if weights is None else weights
        w = w * w.sum() / 2 / np.where(on, w[on].sum(), w[off].sum())
        own = LogisticRegression().fit(x, y[:, label], sample_weight=w)
        expected = own.predict_proba(x)[:, 1]
        assert model.predict_proba(x)[:, label] == pytest.approx(expected, abs=1e-6)
        if weights is None:
            theirs = (
                LogisticRegression(class_weight="balanced")
                .fit(x, y[:, label])
                .predict_proba(x)[:, 1]
            )
            assert model.predict_proba(x)[:, label] == pytest.approx(theirs, abs=1e-6)
    assert links.predict_proba(x)[:, 1] == pytest.approx(model.predict_proba(x)[:, 1])
    assert model.predict(x)[:, 1].sum() > plain.predict(x)[:, 1].sum()


@pytest.mark.parametrize("method", BALANCED)
def test_negatives_are_drawn_by_the_seed_and_balanced_with_the_rest(method):
    x, y = matrices()
    y[:72, 1] = 0
    few = method(classifier=LogisticRegression(), negativesPerPositive=2, balanced=True, seed=5)
    again = few.copy()
    model = fit_in_process(few, x, y)
    assert (model.predict_proba(x) == fit_in_process(again, x, y).predict_proba(x)).all()
    assert (
        model.predict_proba(x)
        != fit_in_process(again.copy({few.negativesPerPositive: 0.0}), x, y).predict_proba(x)
    ).any()
    with pytest.raises(InvalidConfigError, match=r"negativesPerPositive: -1.0, must be >= 0"):
        method(negativesPerPositive=-1)._check_params()


def test_a_fit_keeps_its_positives_and_the_wanted_share_of_its_negatives():
    target = (np.arange(5000) % 50 == 0).astype(np.int64)
    encoded = Encoded(np.arange(5000), target, None)
    kept = keep_negatives(encoded, Subproblem(AnyLabel((0,)), seed=3, negative_rate=0.1))
    assert kept.target.sum() == 100
    assert 430 < (kept.target == 0).sum() < 550
    assert (target[kept.rows] == kept.target).all()
    one = keep_negatives(encoded, Subproblem(AnyLabel((0,)), seed=3, negative_rate=1e-9))
    assert (one.target == 0).sum() == 1, "a fit without negatives would answer 1 to everything"


def test_weights_reach_the_fits_through_spark(spark):
    x, y = matrices()
    data = frame(spark, x, y, weights=WEIGHTS)
    estimator = ml.BinaryRelevance(
        classifier=make_pipeline(StandardScaler(), LogisticRegression()), weightCol="w"
    )
    found = estimator.setParams(balanced=True).fit(data).predict_proba(x)
    assert found == pytest.approx(
        fit_in_process(estimator, x, y, WEIGHTS).predict_proba(x), abs=1e-5
    )
