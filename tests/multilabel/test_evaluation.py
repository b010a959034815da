"""The evaluator and the threshold tuner against scikit-learn and against brute force."""

import warnings

import numpy as np
import pytest
from pyspark.ml.linalg import Vectors
from sklearn import metrics as sk

from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.multilabel import MultilabelEvaluator, ThresholdTuner, ThresholdTunerModel
from genre_spark.multilabel.evaluation.threshold_tuner import apply_thresholds


def table(seed=0, rows=120, labels=5, decimals=1):
    rng = np.random.default_rng(seed)
    truth = (rng.random((rows, labels)) < 0.3).astype(float)
    scores = np.round(rng.random((rows, labels)) * 0.7 + truth * 0.3, decimals)
    truth[:3] = [[0.0] * labels, [1.0] * labels, [0.0] * labels]
    weight = rng.integers(1, 4, rows).astype(float)
    return truth, scores, (scores >= 0.5).astype(float), weight


def frame(spark, truth, scores, prediction, weight):
    rows = [
        (Vectors.sparse(len(y), list(enumerate(y))), p.tolist(), Vectors.dense(d), float(w))
        for y, p, d, w in zip(truth, scores, prediction, weight, strict=True)
    ]
    return spark.createDataFrame(rows, ["labels", "probabilities", "prediction", "w"]).repartition(
        3
    )


def of_sklearn(truth, scores, prediction, w):
    values = {
        "hamming_loss": sk.hamming_loss(truth, prediction, sample_weight=w),
        "subset_accuracy": sk.accuracy_score(truth, prediction, sample_weight=w),
        "coverage": sk.coverage_error(truth, scores, sample_weight=w),
        "ranking_loss": sk.label_ranking_loss(truth, scores, sample_weight=w),
        "label_ranking_average_precision": sk.label_ranking_average_precision_score(
            truth, scores, sample_weight=w
        ),
    }
    for mean in ("micro", "macro", "samples"):
        for name, of in (
            ("precision", sk.precision_score),
            ("recall", sk.recall_score),
            ("f1", sk.f1_score),
            ("jaccard", sk.jaccard_score),
        ):
            values[f"{name}_{mean}"] = of(
                truth, prediction, average=mean, zero_division=0, sample_weight=w
            )
        if mean != "samples":
            values[f"average_precision_{mean}"] = sk.average_precision_score(
                truth, scores, average=mean, sample_weight=w
            )
            values[f"roc_auc_{mean}"] = sk.roc_auc_score(
                truth, scores, average=mean, sample_weight=w
            )
    return values


@pytest.mark.parametrize("weighted", [False, True])
def test_all_metrics_equal_those_of_scikit_learn(spark, weighted):
    truth, scores, prediction, weight = table()
    data = frame(spark, truth, scores, prediction, weight)
    evaluator = MultilabelEvaluator(weightCol="w") if weighted else MultilabelEvaluator()
    found = evaluator.evaluateAll(data)
    w = weight if weighted else None
    for name, value in of_sklearn(truth, scores, prediction, w).items():
        assert found[name] == pytest.approx(value, abs=1e-9), name
    assert found.per_label["f1"] == pytest.approx(
        sk.f1_score(truth, prediction, average=None, sample_weight=w)
    )
    assert found.per_label["average_precision"] == pytest.approx(
        sk.average_precision_score(truth, scores, average=None, sample_weight=w), abs=1e-9
    )
    assert found.per_label["roc_auc"] == pytest.approx(
        sk.roc_auc_score(truth, scores, average=None, sample_weight=w), abs=1e-9
    )


def test_one_metric_is_the_same_as_among_all(spark):
    data = frame(spark, *table(seed=3))
    every = MultilabelEvaluator().evaluateAll(data)
    for name in ("hamming_loss", "f1_macro", "coverage", "average_precision_macro"):
        evaluator = MultilabelEvaluator(metricName=name)
        assert evaluator.evaluate(data) == pytest.approx(every[name], abs=1e-12)
        assert evaluator.isLargerBetter() == (name in ("f1_macro", "average_precision_macro"))


def test_a_label_that_is_never_on_has_average_precision_0_and_no_roc_auc(spark):
    truth, scores, prediction, weight = table()
    truth[:, 2] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sk.average_precision_score(truth, scores, average="macro")
    found = MultilabelEvaluator().evaluateAll(frame(spark, truth, scores, prediction, weight))
    assert found["average_precision_macro"] == pytest.approx(expected, abs=1e-9)
    assert found.per_label["average_precision"][2] == 0
    assert np.isnan(found.per_label["roc_auc"][2])
    assert np.isfinite(found["roc_auc_micro"])


def test_unknown_metrics_empty_data_and_wrong_labels_are_rejected_with_a_clear_message(spark):
    truth, scores, prediction, weight = table()
    data = frame(spark, truth, scores, prediction, weight)
    with pytest.raises(InvalidConfigError, match="metricName: 'f2'"):
        MultilabelEvaluator(metricName="f2").evaluate(data)
    with pytest.raises(InvalidInputError, match="no rows"):
        MultilabelEvaluator().evaluateAll(data.limit(0))
    with pytest.raises(InvalidInputError, match=r"value 0\.3 of label 1, expected 0 or 1"):
        truth[4, 1] = 0.3
        MultilabelEvaluator().evaluate(frame(spark, truth, scores, prediction, weight))


def brute_force(truth, scores, measure):
    candidates = [*np.unique(scores), np.inf]  # the last one predicts nothing
    return max(measure(truth, (scores >= t).astype(float)) for t in candidates)


@pytest.mark.parametrize("decimals", [1, 6])
def test_each_rule_finds_the_best_threshold(spark, decimals):
    truth, scores, prediction, weight = table(seed=5, decimals=decimals)
    data = frame(spark, truth, scores, prediction, weight)

    def tuned(rule):
        model = ThresholdTuner(rule=rule, predictionCol="tuned").fit(data)
        return model, model.predict(scores)

    _, decided = tuned("exact_match")
    assert sk.accuracy_score(truth, decided) == brute_force(truth, scores, sk.accuracy_score)
    _, decided = tuned("f1_micro")
    assert sk.f1_score(truth, decided, average="micro") == pytest.approx(
        brute_force(truth, scores, lambda y, d: sk.f1_score(y, d, average="micro"))
    )
    model, decided = tuned("f1_per_label")
    assert len(model.getThresholds()) == truth.shape[1]
    for label in range(truth.shape[1]):
        best = brute_force(
            truth[:, [label]], scores[:, [label]], lambda y, d: sk.f1_score(y[:, 0], d[:, 0])
        )
        assert sk.f1_score(truth[:, label], decided[:, label]) == pytest.approx(best)
    _, decided = tuned("cardinality")
    distance = -brute_force(truth, scores, lambda y, d: -abs(d.sum() - y.sum()))
    assert abs(decided.sum() - truth.sum()) == distance
    model, decided = tuned("top")
    assert model.getTop() == round(truth.sum() / len(truth))
    assert (decided.sum(axis=1) == model.getTop()).all()


@pytest.mark.parametrize(
    ("rule", "top_score"), [("exact_match", 0.6), ("exact_match", 1.0), ("cardinality", 0.6)]
)
def test_predicting_nothing_is_chosen_where_it_is_better_than_any_prediction(
    spark, rule, top_score
):
    truth = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    scores = np.tile([top_score, top_score - 0.5 if rule == "exact_match" else top_score], (3, 1))
    model = ThresholdTuner(rule=rule, predictionCol="tuned").fit(
        frame(spark, truth, scores, truth, np.ones(3))
    )
    assert top_score < model.getThresholds()[0] <= np.nextafter(1.0, 2)
    assert model.predict(scores).sum() == 0


@pytest.mark.parametrize(
    ("rule", "truth", "scores", "expected"),
    [
        # thresholds in (.2, .8] are right for three rows, none for the last
        ("exact_match", [[1, 0]] * 3 + [[0, 1]], [[0.8, 0.2]] * 3 + [[0.1, 0.05]], [0.5]),
        # one row each at (.9, .8], (.6, .5], (.5, .1]: the last two are one interval, the widest
        ("exact_match", [[1, 0]] * 3, [[0.9, 0.8], [0.6, 0.5], [0.5, 0.1]], [0.35]),
        ("f1_micro", [[1], [0], [0]], [[0.9], [0.5], [0.1]], [0.7]),
    ],
)
def test_of_equally_good_thresholds_the_middle_of_the_widest_interval_is_taken(
    spark, rule, truth, scores, expected
):
    truth = np.array(truth, dtype=float)
    data = frame(spark, truth, np.array(scores), truth, np.ones(len(truth)))
    found = ThresholdTuner(rule=rule, predictionCol="tuned").fit(data).getThresholds()
    assert found == pytest.approx(expected)


def test_a_prediction_as_good_as_none_keeps_its_threshold(spark):
    truth, scores = np.array([[1.0], [0.0]]), np.array([[0.6], [0.6]])
    model = ThresholdTuner(rule="exact_match", predictionCol="tuned").fit(
        frame(spark, truth, scores, truth, np.ones(2))
    )
    assert model.getThresholds() == [0.6]


@pytest.mark.parametrize("rule", ["exact_match", "f1_micro", "f1_per_label", "cardinality"])
def test_the_threshold_stays_where_no_other_one_is_better(spark, rule):
    """With one score for everything a row is all on or all off; no labelset here is either."""
    truth = np.array([[1.0, 0.0], [0.0, 1.0]] * 3)
    data = frame(
        spark, truth, np.full(truth.shape, 0.25), np.zeros(truth.shape), np.ones(len(truth))
    )
    model = ThresholdTuner(rule=rule, predictionCol="tuned", threshold=0.7).fit(data)
    expected = [0.7] if rule == "exact_match" else [0.25] * (2 if rule == "f1_per_label" else 1)
    assert model.getThresholds() == expected


def test_the_tuned_model_is_saved_and_gives_the_same_on_spark(spark, tmp_path):
    truth, scores, prediction, weight = table(seed=6)
    data = frame(spark, truth, scores, prediction, weight)
    model = ThresholdTuner(rule="f1_per_label", predictionCol="tuned", neverEmpty=True).fit(data)
    model.write().save(str(tmp_path / "tuner"))
    loaded = ThresholdTunerModel.load(str(tmp_path / "tuner"))
    assert loaded.uid == model.uid
    rows = loaded.transform(data).select("probabilities", "tuned").collect()
    decided = np.array([row["tuned"].toArray() for row in rows])
    assert (decided == model.predict(np.array([row["probabilities"] for row in rows]))).all()
    assert (decided.sum(axis=1) >= 1).all()


def test_tuner_and_evaluator_are_saved_and_copied_with_their_params(spark, tmp_path):
    tuner = ThresholdTuner(rule="cardinality", labelCardinality=2.5).setParams(
        neverEmpty=True, weightCol="w"
    )
    evaluator = MultilabelEvaluator(metricName="coverage").setParams(labelsCol="y")
    for number, stage in enumerate((tuner, evaluator)):
        stage.write().save(str(tmp_path / str(number)))
        loaded = type(stage).load(str(tmp_path / str(number)))
        for other in (loaded, stage.copy()):
            assert other.uid == stage.uid
            assert {p.name: v for p, v in other.extractParamMap().items()} == {
                p.name: v for p, v in stage.extractParamMap().items()
            }
    assert evaluator.copy({evaluator.metricName: "f1_macro"}).isLargerBetter()
    assert not evaluator.isLargerBetter()


def test_a_label_without_positives_keeps_the_fixed_threshold(spark):
    truth, scores, prediction, weight = table()
    truth[:, 1] = 0
    model = ThresholdTuner(threshold=0.6, predictionCol="tuned").fit(
        frame(spark, truth, scores, prediction, weight)
    )
    assert model.getThresholds()[1] == 0.6


def test_top_takes_the_first_of_equal_scores():
    chosen = apply_thresholds(np.array([[0.2, 0.5, 0.5, 0.5]]), [0.5], top=2)
    assert chosen.tolist() == [[0, 1, 1, 0]]


def test_half_samples_give_a_threshold_between_those_of_other_samples_whatever_the_order(spark):
    truth, scores, prediction, weight = table(seed=8, rows=60)
    order = np.random.default_rng(0).permutation(len(truth))

    def thresholds(rows, half_samples):
        data = frame(spark, truth[rows], scores[rows], prediction[rows], weight[rows])
        tuner = ThresholdTuner(predictionCol="tuned", halfSamples=half_samples)
        return tuner.fit(data.repartition(3)).getThresholds()

    averaged = thresholds(slice(None), 20)
    assert averaged == pytest.approx(thresholds(order, 20), abs=1e-12)
    alone = thresholds(slice(None), 0)
    assert len(averaged) == len(alone) and averaged != pytest.approx(alone, abs=1e-6)
    # each half has a threshold of its own; one half sample is one of them
    singles = [thresholds(slice(None), 1), alone]
    assert singles[0] != pytest.approx(alone, abs=1e-6)
    with pytest.raises(InvalidConfigError, match="halfSamples"):
        thresholds(slice(None), -1)


def test_half_samples_measure_better_on_other_rows_where_a_label_is_rare(spark):
    """Each score is the chance that its label is on, so that every label has one best threshold."""
    draws = np.random.default_rng(3)
    found = {0: [], 20: []}
    chance = 1 / (1 + np.exp(-(draws.normal(size=(60, 24)) * 1.5 - 2.5)))
    truth = (draws.random(chance.shape) < chance).astype(float)
    data = frame(spark, truth, chance, truth, np.ones(len(truth)))
    others = 1 / (1 + np.exp(-(draws.normal(size=20_000) * 1.5 - 2.5)))
    labels = draws.random(others.shape) < others
    for half_samples in found:
        model = ThresholdTuner(predictionCol="t", halfSamples=half_samples).fit(data)
        found[half_samples] = [sk.f1_score(labels, others >= t) for t in model.getThresholds()]
    assert np.mean(found[20]) > np.mean(found[0]) + 0.005
