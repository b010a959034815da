"""Models of the exponential kernel: what products of features know, exact and on landmarks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize

from genre_spark.config import LinearModelConfig
from genre_spark.errors import InvalidInputError
from genre_spark.fusion.linear import landmarks
from genre_spark.fusion.linear.model import LinearModel, fit_linear, fit_linear_in_folds

PLACES = {"poster_embedding": slice(0, 6)}
WEIGHTS = {"poster_embedding": 1.0}


def make_rows(rows: int, seed: int = 0):
    """Rows whose first label is the product of two features, which no linear model knows."""
    values = np.random.default_rng(seed).normal(size=(rows, 6))
    labels = np.column_stack([values[:, 0] * values[:, 1] > 0, values[:, 2] > 0]).astype(float)
    return sparse.csr_matrix(values), labels


def fit(features, labels, most=2_048):
    everything = np.zeros(len(labels), np.int64)
    return fit_linear_in_folds(
        features, labels, everything, 0, PLACES, WEIGHTS, penalty=0.1, landmarks=most
    )[0]


def share_right(model, features, labels):
    return ((model.probabilities(features) >= 0.5) == labels).mean(axis=0)


def test_products_of_features_count():
    features, labels = make_rows(300)
    others, answers = make_rows(1_000, seed=1)
    plain = fit_linear(features, labels, PLACES, WEIGHTS, penalty=0.1)
    linear = share_right(plain, others, answers)
    kernel = share_right(fit(features, labels), others, answers)
    assert linear[0] < 0.6 < 0.85 < kernel[0]
    assert kernel[1] > linear[1] - 0.05


def test_with_a_landmark_per_row_the_fit_is_the_kernel_machine():
    features, labels = make_rows(60)
    model = fit(features, labels)
    scaled = model.blocks.apply(features).toarray()
    kernel = np.exp(scaled @ scaled.T) - 1

    def loss(point, label):
        shares, intercept = point[:-1], point[-1]
        sign = 2 * labels[:, label] - 1
        margins = sign * (kernel @ shares + intercept)
        slopes = -sign / (1 + np.exp(margins))
        gradient = kernel @ (slopes + 0.1 * shares)
        value = np.logaddexp(0, -margins).sum() + 0.05 * shares @ kernel @ shares
        return value, np.append(gradient, slopes.sum())

    for label in range(2):
        options = {"maxiter": 20_000, "maxfun": 20_000, "ftol": 1e-14, "gtol": 1e-8}
        found = minimize(loss, np.zeros(61), (label,), "L-BFGS-B", jac=True, options=options)
        wanted = 1 / (1 + np.exp(-(kernel @ found.x[:-1] + found.x[-1])))
        assert model.probabilities(features)[:, label] == pytest.approx(wanted, abs=0.01)


def test_fewer_landmarks_know_nearly_as_much():
    features, labels = make_rows(600)
    others, answers = make_rows(1_000, seed=1)
    few, every = fit(features, labels, 100), fit(features, labels)
    assert few.landmarks.rows.shape == (100, 6)
    assert share_right(few, others, answers)[0] > share_right(every, others, answers)[0] - 0.05


def test_a_fold_is_predicted_by_a_model_that_has_not_seen_its_labels():
    features, labels = make_rows(90)
    folds = np.arange(90) % 3
    turned = np.where(folds[:, None] == 0, 1 - labels, labels)
    fits = [
        fit_linear_in_folds(
            features, given, folds, 3, PLACES, WEIGHTS, penalty=0.1, landmarks=2_048
        )
        for given in (labels, turned)
    ]
    assert len(fits[0]) == 4
    first, second = (models[1].probabilities(features) for models in fits)
    assert np.array_equal(first, second)
    assert not np.allclose(fits[0][2].probabilities(features), fits[1][2].probabilities(features))


def test_a_stored_model_answers_the_same():
    features, labels = make_rows(50)
    model = fit(features, labels)
    again = LinearModel.from_bytes(model.to_bytes())
    assert np.array_equal(again.probabilities(features), model.probabilities(features))


def test_more_than_a_task_can_hold_is_named(monkeypatch):
    monkeypatch.setattr(landmarks, "_MOST_PRODUCTS", 400)
    features, labels = make_rows(50)
    with pytest.raises(InvalidInputError, match=r"50 training movies x 40 landmarks, .* 400;"):
        fit(features, labels, 40)


def test_a_kernel_of_sparse_blocks_is_rejected():
    with pytest.raises(ValueError, match="exponential with the block words, expected only blocks"):
        LinearModelConfig(blocks={"words": 1, "poster_embedding": 1}, kernel="exponential")
