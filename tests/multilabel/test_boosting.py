"""Gradient boosting of all labels, where the extra `boosting` is installed."""

from __future__ import annotations

import numpy as np
import pytest

import genre_spark.multilabel as ml
from genre_spark.errors import InvalidConfigError, MissingExtraError
from genre_spark.multilabel.models.boosted import (
    LIBRARIES,
    BoostedScorer,
    BoostingSettings,
    fit_boosted,
)
from genre_spark.multilabel.models.feature_block import FeatureBlock
from tests.multilabel.tables import LABELS, frame, matrices, scored


def fit(library, x, y, weights=None, iterations=40):
    pytest.importorskip(library, reason="needs the extra boosting")
    settings = BoostingSettings(library, iterations, 3, 0.3)
    return fit_boosted(x, y, weights, settings=settings, seed=5)


@pytest.mark.parametrize("library", LIBRARIES)
def test_boosted_trees_learn_labels_that_features_say(library):
    x, _ = matrices(rows=200)
    y = (np.stack([x[:, 0] > 0, x[:, 0] + x[:, 1] > 0, x[:, 2] > 1], axis=1)).astype(np.uint8)
    found = fit(library, x, y).probabilities(FeatureBlock(x))
    assert found.shape == (200, 3)
    assert ((found > 0) & (found < 1)).all()
    assert ((found >= 0.5) == y).mean() > 0.95


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("varying", [0, 1, 2])
def test_labels_of_one_value_keep_it(library, varying):
    x, y = matrices(rows=60)
    y = y[:, :3].astype(np.uint8)
    y[:, varying:] = [0, 1, 0][varying:]
    found = fit(library, x, y, iterations=5).probabilities(FeatureBlock(x))
    assert (found[:, varying:] == [0, 1, 0][varying:]).all()
    assert ((found[:, :varying] > 0) & (found[:, :varying] < 1)).all()


@pytest.mark.parametrize("library", LIBRARIES)
def test_stored_trees_answer_alike_and_hold_no_pickle(library):
    x, y = matrices()
    scorer = fit(library, x, y.astype(np.uint8), iterations=5)
    payload = scorer.to_bytes()
    again = BoostedScorer.from_bytes(payload)
    block = FeatureBlock(x)
    assert np.array_equal(again.probabilities(block), scorer.probabilities(block))
    assert payload.startswith(b'{"library"')
    head = payload.partition(b"\n")[2][:4]
    assert head == b"CBM1" if library == "catboost" else head[:1] == b"{"


@pytest.mark.parametrize("library", LIBRARIES)
def test_rows_of_no_weight_teach_nothing(library):
    x, y = matrices(rows=80)
    y = y.astype(np.uint8)
    wrong = np.vstack([y, 1 - y])
    weights = np.r_[np.ones(80), np.full(80, 1e-6)]
    found = fit(library, np.vstack([x, x]), wrong, weights).probabilities(FeatureBlock(x))
    assert ((found >= 0.5) == y).mean() > 0.9


def test_the_estimator_fits_scores_and_is_stored(spark, tmp_path):
    pytest.importorskip("catboost", reason="needs the extra boosting")
    data = frame(spark, *matrices())
    names = [f"label{index}" for index in range(LABELS)]
    estimator = ml.MultilabelBoosting(iterations=5, maxDepth=3, seed=7, labelNames=names)
    model = estimator.fit(data)
    probabilities, prediction = scored(model.transform(data))
    assert (prediction == (probabilities >= 0.5)).all()
    x, _ = matrices()
    assert model.predict_proba(x) == pytest.approx(probabilities, abs=1e-12)
    model.write().save(str(tmp_path / "model"))
    loaded = ml.MultilabelBoostingModel.loadLocal(str(tmp_path / "model"))
    assert np.array_equal(loaded.predict_proba(x), model.predict_proba(x))
    other = estimator.fit(data.repartition(5))
    assert np.array_equal(other.predict_proba(x), model.predict_proba(x))


def test_settings_that_cannot_be_are_rejected(spark):
    data = frame(spark, *matrices())
    for name, value in (
        ("library", "lightgbm"),
        ("iterations", 0),
        ("maxDepth", 17),
        ("learningRate", 0.0),
    ):
        with pytest.raises(InvalidConfigError, match=f"MultilabelBoosting.{name}: "):
            ml.MultilabelBoosting(**{name: value}).fit(data)


def test_a_missing_library_names_its_extra(monkeypatch):
    monkeypatch.setattr("genre_spark.extras._is_installed", lambda module: False)
    x, y = matrices()
    with pytest.raises(MissingExtraError, match=r"catboost: not installed.*genre_spark\[boosting"):
        fit_boosted(
            x, y.astype(np.uint8), None, settings=BoostingSettings("catboost", 1, 1, 0.1), seed=0
        )
