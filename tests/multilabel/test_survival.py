"""Tables that break other libraries: rare and constant labels, odd sizes, missing values."""

import numpy as np
import pytest
from pyspark.ml.classification import (
    LinearSVC,
    LogisticRegression,
    NaiveBayes,
    RandomForestClassifier,
)
from pyspark.ml.feature import VectorIndexer
from pyspark.ml.linalg import Vectors
from sklearn.ensemble import RandomForestClassifier as SklearnForest
from sklearn.linear_model import LogisticRegression as SklearnLogistic
from sklearn.svm import LinearSVC as SklearnSVC

import genre_spark.multilabel as ml
from genre_spark.errors import InvalidConfigError, InvalidInputError, StageFailedError
from genre_spark.multilabel.fitting.plan import plain_seed
from genre_spark.multilabel.methods.baselines import RandomPredictor
from genre_spark.multilabel.models import archives
from genre_spark.multilabel.models.feature_block import FeatureBlock
from tests.multilabel.tables import (
    ESTIMATORS,
    ON_SPARK,
    ShareOfPositives,
    fit_in_process,
    forest,
    frame,
    matrices,
    scored,
)

BASELINES = ("MostCommonLabelset", "RandomLabels", "LabelPrior")
FITTED = [name for name in ESTIMATORS if name not in BASELINES]
EVERY = [pytest.param(make, id=f"local-{name}") for name, make in ESTIMATORS.items()] + [
    pytest.param(make, id=f"spark-{name}") for name, make in ON_SPARK.items()
]


@pytest.mark.parametrize("make", EVERY)
def test_constant_labels_and_rare_labelsets(spark, make):
    x, y = matrices(rows=40)
    y[:, 0], y[:, 1] = 0, 1  # never on, always on
    y[5] = [0, 1, 0, 0]
    y[6, 3] = 1 - y[6, 3]
    model = make(seed=1).fit(frame(spark, x, y))
    probabilities, _ = scored(model.transform(frame(spark, x, y)))
    assert np.isfinite(probabilities).all()
    if type(model).__name__ not in ("RandomLabelsModel",):
        assert (probabilities[:, 0] == 0).all()
        assert probabilities[:, 1] == pytest.approx(np.ones(40))


@pytest.mark.parametrize("name", FITTED)
def test_rows_without_labels_are_rows_like_others(name):
    x, y = matrices(rows=60)
    y[x[:, 0] > 0] = 0
    assert 20 < (y.sum(axis=1) == 0).sum() < 60
    model = fit_in_process(ESTIMATORS[name](seed=1), x, y)
    assert np.isfinite(model.predict_proba(x)).all()
    empty = model.predict(x).sum(axis=1) == 0
    assert empty[x[:, 0] > 0].mean() > 0.7
    assert not empty.all()


@pytest.mark.parametrize("name", ["LabelPowerset", "PrunedSets"])
def test_spark_classifiers_learn_rows_without_labels_too(spark, name):
    x, y = matrices(rows=60)
    y[x[:, 0] > 0] = 0
    model = ON_SPARK[name](seed=1).fit(frame(spark, x, y))
    assert 0 < (model.predict(x).sum(axis=1) == 0).mean() < 1


@pytest.mark.parametrize("name", FITTED)
def test_one_label_with_one_positive_row(name):
    x, y = matrices(rows=30, labels=1)
    y[:] = 0
    y[3] = 1
    assert fit_in_process(ESTIMATORS[name](seed=1), x, y).predict_proba(x).shape == (30, 1)


@pytest.mark.parametrize(
    "make", [*(ESTIMATORS[name] for name in BASELINES), ON_SPARK["RAkEL"], ON_SPARK["HOMER"]]
)
def test_one_label_on_spark(spark, make):
    x, y = matrices(rows=30, labels=1)
    assert make(seed=1).fit(frame(spark, x, y, partitions=1)).predict_proba(x).shape == (30, 1)


@pytest.mark.parametrize("seed", [-1, -(2**40), 2**32, 2**40])
@pytest.mark.parametrize("name", FITTED)
def test_every_seed_that_spark_takes_is_taken(name, seed):
    x, y = matrices(rows=20)
    estimator = ESTIMATORS[name](seed=seed)
    if name == "EnsembleOfClassifierChains":
        estimator.setParams(numModels=1)
    assert fit_in_process(estimator, x, y).predict_proba(x).shape == y.shape


def test_seeds_of_today_keep_their_draws():
    assert [plain_seed(seed) for seed in (0, 7, 2**32 - 1)] == [0, 7, 2**32 - 1]
    assert len({plain_seed(seed) for seed in (-1, -2, 2**32, 2**32 + 1)}) == 4
    assert RandomPredictor(2, 0.5, plain_seed(-3)).predict(FeatureBlock(np.ones((1, 1))), 0.5)[
        0
    ].shape == (1, 2)


def test_labelset_sizes_that_do_not_divide_the_labels(spark):
    x, y = matrices(rows=40, labels=5)
    data = frame(spark, x, y)
    for size, fits in ((2, 3), (5, 1), (9, 1)):
        model = ml.RAkEL(classifier=forest(), overlapping=False, labelsetSize=size).fit(data)
        assert len(model.parts) == fits
        assert model.predict_proba(x).shape == (40, 5)
    assert len(ml.RAkEL(classifier=forest(), labelsetSize=9).fit(data).parts) == 1


@pytest.mark.slow
def test_a_thousand_labels_without_enumerating_subsets(spark):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    y = np.zeros((60, 1000))
    y[np.arange(60), rng.integers(0, 6, 60)] = 1
    y[:5, rng.permutation(1000)[:40]] = 1  # labelsets of 40 labels, seen once: 2^40 subsets
    data = frame(spark, x, y)
    assert ml.PrunedSets(classifier=forest(2)).fit(data).predict_proba(x).shape == (60, 1000)
    model = ml.HOMER(classifier=forest(1), clusters=32).fit(data)
    assert model.predict_proba(x).shape == (60, 1000)


def test_labels_as_sparse_vectors_and_sparse_features_are_the_same_as_dense(spark):
    x, y = matrices(rows=40)
    x[np.abs(x) < 0.5] = 0
    rows = [
        (
            i,
            Vectors.sparse(5, [(j, v) for j, v in enumerate(a) if v]),
            Vectors.sparse(4, list(enumerate(b))),
            1.0,
        )
        for i, (a, b) in enumerate(zip(x.tolist(), y.tolist(), strict=True))
    ]
    sparse = spark.createDataFrame(rows, ["id", "features", "labels", "w"])
    estimator = ml.BinaryRelevance(classifier=SklearnLogistic(), seed=2)
    dense, from_sparse = estimator.fit(frame(spark, x, y)), estimator.fit(sparse)
    assert dense.predict_proba(x) == pytest.approx(from_sparse.predict_proba(x), abs=1e-6)
    assert scored(dense.transform(sparse))[0] == pytest.approx(dense.predict_proba(x), abs=1e-12)


@pytest.mark.parametrize(
    "make", [SklearnLogistic, lambda: LogisticRegression(regParam=0.1)], ids=["local", "spark"]
)
def test_a_weight_of_two_is_a_row_twice(spark, make):
    x, y = matrices(rows=60, labels=2)
    weights = np.where(np.arange(60) % 2, 2.0, 1.0)
    twice = np.repeat(np.arange(60), weights.astype(int))
    weighted = ml.BinaryRelevance(classifier=make(), weightCol="w").fit(
        frame(spark, x, y, weights=weights)
    )
    repeated = ml.BinaryRelevance(classifier=make()).fit(frame(spark, x[twice], y[twice]))
    assert weighted.predict_proba(x) == pytest.approx(repeated.predict_proba(x), abs=1e-2)


def test_nan_features_are_left_to_a_classifier_that_takes_them(spark):
    x, y = matrices(rows=40)
    x[3, 1] = np.nan
    data = frame(spark, x, y)
    model = ml.BinaryRelevance(classifier=forest(), handleInvalid="keep").fit(data)
    assert np.isfinite(scored(model.transform(data))[0]).all()
    failing = ml.BinaryRelevance(classifier=SklearnLogistic(), handleInvalid="keep")
    with pytest.raises(StageFailedError, match=r"fit \d of 4: ValueError: Input X contains NaN"):
        failing.fit(data)


def test_classifiers_without_probabilities_are_rejected(spark):
    x, y = matrices(rows=10)
    for classifier in (LinearSVC(), SklearnSVC(), "a forest"):
        with pytest.raises(InvalidConfigError, match=r"BinaryRelevance\.classifier"):
            ml.BinaryRelevance(classifier=classifier).fit(frame(spark, x, y))


def test_spark_forests_give_the_probabilities_of_spark_with_category_splits_too(spark):
    x, y = matrices(rows=80, labels=2)
    x[:, 0] = np.arange(80) % 6
    y[:, 1] = np.isin(x[:, 0], [1, 4])
    data = frame(spark, x, y)
    indexer = VectorIndexer(inputCol="features", outputCol="indexed", maxCategories=8).fit(data)
    data = indexer.transform(data)
    model = ml.BinaryRelevance(
        classifier=RandomForestClassifier(numTrees=5, seed=1), featuresCol="indexed"
    ).fit(data)
    assert any(part.scorer.arrays.categories is not None for part in model.parts)
    found, _ = scored(model.transform(data))
    for label, part in enumerate(model.models):
        own = (
            part.copy()._set(featuresCol="indexed").transform(data.drop("prediction")).orderBy("id")
        )
        expected = [row["probability"][1] for row in own.select("probability").collect()]
        assert found[:, label] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("method", [ml.BinaryRelevance, ml.ClassifierChain, ml.LabelPowerset])
def test_spark_classifiers_without_a_form_in_numpy_are_applied_by_spark(spark, tmp_path, method):
    x, y = matrices(rows=60, labels=3)
    y[:, 2] = 0
    data = frame(spark, x, y)
    model = method(classifier=NaiveBayes(modelType="gaussian")).fit(data)
    assert any(part.kind == "spark" for part in model.parts)
    result = model.transform(data)
    assert result.columns == [*data.columns, "probabilities", "prediction"]
    probabilities, prediction = scored(result)
    assert (probabilities[:, 2] == 0).all()
    if method is not ml.LabelPowerset:
        assert (prediction == (probabilities >= 0.5)).all()
    assert (prediction[:, :2] == y[:, :2]).mean() > 0.6
    model.write().save(str(tmp_path / "model"))
    assert (
        scored(type(model).load(str(tmp_path / "model")).transform(data))[0] == probabilities
    ).all()
    if method is ml.ClassifierChain:
        holes = x.copy()
        holes[3, 1] = np.nan
        with pytest.raises(Exception, match=r"features: nan in feature 1, expected finite numbers"):
            model.transform(frame(spark, holes, y)).collect()
        with pytest.raises(Exception, match=r"features: a vector of length 3, expected 5"):
            model.transform(frame(spark, x[:, :3], y)).collect()


def test_xgboost_works_as_a_spark_classifier(spark):
    xgboost = pytest.importorskip("xgboost.spark", reason="xgboost is not installed")
    x, y = matrices(rows=60, labels=2)
    data = frame(spark, x, y, partitions=1)
    model = ml.BinaryRelevance(
        classifier=xgboost.SparkXGBClassifier(n_estimators=3, num_workers=1), parallelism=1
    )
    probabilities, prediction = scored(model.fit(data).transform(data))
    assert ((prediction == 1) == (probabilities >= 0.5)).all()
    assert (prediction == y).mean() > 0.8


def test_types_that_the_driver_trusts_are_trusted_by_workers(spark, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_trusted", set())
    x, y = matrices(rows=20, labels=2)
    data = frame(spark, x, y)
    model = ml.BinaryRelevance(classifier=ShareOfPositives()).fit(data)
    with pytest.raises(
        InvalidInputError, match=r"trust_types\('tests\.multilabel\.tables\.ShareOfPositives'\)"
    ):
        model.predict_proba(x)
    ml.trust_types("tests.multilabel.tables.ShareOfPositives")
    model.write().save(str(tmp_path / "model"))
    found, _ = scored(ml.BinaryRelevanceModel.load(str(tmp_path / "model")).transform(data))
    assert found == pytest.approx(np.tile(y.mean(axis=0), (20, 1)))


def test_a_grid_reaches_the_params_of_a_spark_classifier(spark):
    x, y = matrices(rows=40, labels=2)
    classifier = LogisticRegression(maxIter=3)
    estimator = ml.BinaryRelevance(classifier=classifier)
    flat, steep = (
        model
        for _, model in sorted(
            estimator.fitMultiple(
                frame(spark, x, y),
                [{classifier.regParam: 1e6}, {classifier.regParam: 0.0, estimator.threshold: 0.3}],
            )
        )
    )
    assert np.ptp(flat.predict_proba(x), axis=0) == pytest.approx([0, 0], abs=1e-4)
    assert np.ptp(steep.predict_proba(x), axis=0).min() > 0.5
    assert steep.getThreshold() == 0.3
    assert not classifier.isSet(classifier.regParam)


def test_the_round_of_the_cardinality_may_be_no_label_at_all(spark):
    x, y = np.zeros((5, 1)), np.eye(5)[:, :2] * [[1.0, 0.0]]
    data = frame(spark, x, y, partitions=1)
    assert ml.LabelPrior(decision="cardinality").fit(data).predict(x[:1]).tolist() == [[0, 0]]


def test_thresholds_are_fitted_on_out_of_bag_scores(spark):
    x, y = matrices(rows=200)
    data = frame(spark, x, y)
    model = ml.MultilabelRandomForest(classifier=SklearnForest(20), seed=4).fit(data)
    held = model.outOfBag(data.repartition(3))
    assert held.count() == 200
    all_scores = model.predict_proba(x)
    out = np.array([row["probabilities"].toArray() for row in held.collect()])
    truth = np.array([row["labels"].toArray() for row in held.collect()])
    # rows that a tree has seen pull its score to the truth; out-of-bag scores have not seen them
    assert np.abs(truth - out).mean() > np.abs(y - all_scores).mean() + 0.05
    tuner = ml.ThresholdTuner(rule="f1_per_label").fit(held)
    assert len(tuner.getThresholds()) == 4
    with pytest.raises(
        InvalidInputError,
        match="outOfBag: 150 rows of 5 features and 4 labels, expected the 200 rows",
    ):
        model.outOfBag(data.where("id < 150"))
    holes = x.copy()
    holes[3, 1] = np.nan
    with pytest.raises(InvalidInputError, match="features: nan in feature 1"):
        model.outOfBag(frame(spark, holes, y))
