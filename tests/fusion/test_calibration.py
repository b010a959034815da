from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from genre_spark.errors import InvalidInputError
from genre_spark.fusion.calibration.calibrators import KINDS, Calibrator, fit_calibrator
from genre_spark.fusion.calibration.tables import calibrate, fit_calibration
from genre_spark.schemas import PREDICTIONS_SCHEMA


def draw(rows=3000, seed=0):
    """Labels, their true probabilities, and a model that exaggerates."""
    rng = np.random.default_rng(seed)
    true = expit(rng.normal(-1, 1.5, size=(rows, 3)))
    labels = (rng.random(true.shape) < true).astype(float)
    return labels, true, expit(2.5 * logit(true) + 1)


def log_loss(labels, odds):
    return -np.log(np.where(labels > 0, odds, 1 - odds).clip(1e-9)).mean()


@pytest.mark.parametrize("kind", KINDS)
def test_exaggerated_probabilities_come_back_to_what_they_should_be(kind):
    labels, true, told = draw()
    curves = fit_calibrator(kind, told, labels)
    assert np.abs(curves.apply(told) - true).mean() < 0.03 < np.abs(told - true).mean()
    order = np.argsort(told[:, 0])
    assert (np.diff(curves.apply(told)[order, 0]) >= -1e-12).all()  # the ranking stays
    again = Calibrator.from_json(curves.to_json())
    assert np.array_equal(again.apply(told), curves.apply(told))


@pytest.mark.parametrize("kind", KINDS)
def test_certain_predictions_and_labels_that_no_row_has_stay_finite(kind):
    labels, _, told = draw(rows=40)
    labels[:, 1] = 0
    told[:2] = [0.0, 1.0, 0.5]
    found = fit_calibrator(kind, told, labels).apply(told)
    assert ((found >= 0) & (found <= 1)).all()
    assert found[:, 1].max() < 0.5


def test_rows_count_by_their_weights():
    labels, _, told = draw(rows=500)
    weights = np.where(labels[:, 0] > 0, 0.5, 1.0)  # the genre was drawn twice as often
    share = np.average(labels[:, 0], weights=weights)
    found = fit_calibrator("platt", told, labels, row_weights=weights).apply(told)
    assert np.average(found[:, 0], weights=weights) == pytest.approx(share, abs=0.01)


def test_damaged_curves_and_no_rows_are_rejected():
    for text in ("{", '{"kind": "none", "x": [], "y": []}'):
        with pytest.raises(InvalidInputError, match="calibration: damaged"):
            Calibrator.from_json(text)
    with pytest.raises(InvalidInputError, match="no row"):
        fit_calibrator("platt", np.zeros((0, 2)), np.zeros((0, 2)))


def test_a_validation_movies_own_labels_do_not_move_its_calibrated_probability(spark):
    labels, _, told = draw(rows=100)

    def predict(truth):
        rows = [
            (n, truth[n].tolist(), told[n].tolist(), (told[n] >= 0.5).astype(float).tolist())
            for n in range(100)
        ]
        frame = spark.createDataFrame(rows, PREDICTIONS_SCHEMA)
        found = fit_calibration(frame, "platt", seed=3)
        both = [
            calibrate(frame, found, fitted_rows=seen).orderBy("movie_id").collect()
            for seen in (True, False)
        ]
        return [np.array([row.probabilities for row in rows]) for rows in both], both[1]

    turned = labels.copy()
    turned[7] = 1 - turned[7]
    (folds, whole), rows = predict(labels)
    (other_folds, other_whole), _ = predict(turned)
    assert np.array_equal(folds[7], other_folds[7])
    assert not np.array_equal(folds, other_folds)
    assert not np.array_equal(whole[7], other_whole[7])
    assert log_loss(labels, folds) < log_loss(labels, told)
    assert [row.prediction for row in rows] == (whole >= 0.5).astype(float).tolist()
    few = spark.createDataFrame([(n, [1.0], [0.5], [1.0]) for n in range(20)], PREDICTIONS_SCHEMA)
    with pytest.raises(InvalidInputError, match="20 validation movies, expected at least 50"):
        fit_calibration(few, "isotonic", seed=3)
