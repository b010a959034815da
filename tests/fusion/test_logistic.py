from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from genre_spark.errors import InvalidInputError
from genre_spark.fusion.linear_model import LinearModel, fit_linear
from genre_spark.fusion.logistic import fit_logistic, log_loss
from genre_spark.fusion.stacking import (
    Penalty,
    StackedModel,
    choose_penalty,
    fit_stack,
    log_odds,
)


def draw(rows=300, size=12, labels=3, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, size)) * (rng.random((rows, size)) < 0.5)
    logits = features @ rng.normal(size=(size, labels)) - 0.5
    return features, (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(float)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("penalty", [0.1, 10.0])
def test_weights_are_scikit_learns(kind, penalty):
    features, labels = draw()
    fit = fit_logistic(kind(features), labels, penalty=penalty, iterations=1000)
    for label in range(3):
        other = LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=1000)
        other.fit(features, labels[:, label])
        assert fit.weights[:, label] == pytest.approx(other.coef_[0], abs=0.02)
        assert fit.intercepts[label] == pytest.approx(other.intercept_[0], abs=0.02)


def test_a_great_penalty_leaves_the_weights_at_their_centre():
    features, labels = draw()
    fit = fit_logistic(features, labels, penalty=1e7, centre=0.25)
    assert fit.weights == pytest.approx(np.full((12, 3), 0.25), abs=1e-3)


def test_a_label_that_no_row_has_gets_a_low_probability_everywhere():
    features, labels = draw()
    labels[:, 1] = 0
    fit = fit_logistic(features, labels, penalty=1.0)
    assert fit.probabilities(features)[:, 1].max() < 0.01


def test_log_loss_of_even_odds_is_log_2_per_label():
    assert log_loss(np.array([[1.0, 0.0]]), np.zeros((1, 2))) == pytest.approx(2 * np.log(2))


def predictions(labels, noise, seed):
    rng = np.random.default_rng(seed)
    logits = (2 * labels - 1) * 1.5 + noise * rng.normal(size=labels.shape)
    return 1 / (1 + np.exp(-logits))


def test_a_stack_of_two_models_with_different_errors_beats_both():
    _, labels = draw(rows=600)
    pair = [predictions(labels, 2.0, seed) for seed in (1, 2)]
    inputs = log_odds(pair)
    stack = fit_stack(inputs[:300], labels[:300], models=["a", "b"], penalty=Penalty(3, None))
    loss = log_loss(labels[300:], stack.fit.logits(inputs[300:]))
    alone = [log_loss(labels[300:], log_odds([p[300:]])) for p in pair]
    assert loss < min(alone)


def test_other_labels_are_read_only_where_the_penalty_lets_them():
    _, labels = draw(rows=400)
    labels[:, 2] = labels[:, 0]  # what model a knows of label 0 tells label 2
    first = predictions(labels, 1.0, 1)
    first[:, 2] = 0.5
    inputs = log_odds([first])
    apart = fit_stack(inputs, labels, models=["a"], penalty=Penalty(3, None))
    joined = fit_stack(inputs, labels, models=["a"], penalty=Penalty(3, 10))
    assert apart.fit.weights[0, 2] == 0
    assert joined.fit.weights[0, 2] > 0.2
    folds = np.arange(400) % 5
    chosen, _ = choose_penalty(
        inputs, labels, folds, models=["a"], penalties=[Penalty(3, None), Penalty(3, 10)]
    )
    assert chosen.others == 10


def test_few_rows_leave_a_stack_at_the_mean_of_the_log_odds():
    _, labels = draw(rows=20)
    inputs = log_odds([predictions(labels, 1.0, seed) for seed in (1, 2)])
    stack = fit_stack(inputs, labels, models=["a", "b"], penalty=Penalty(1e6, None))
    assert stack.fit.weights[[0, 3], 0] == pytest.approx([0.5, 0.5], abs=1e-3)


def test_a_stack_without_rows_is_rejected():
    with pytest.raises(InvalidInputError, match="0 rows and 1 models"):
        fit_stack(np.zeros((0, 2)), np.zeros((0, 2)), models=["a"], penalty=Penalty(1, None))


def test_certain_models_do_not_make_infinite_log_odds():
    assert np.isfinite(log_odds([np.array([[0.0, 1.0]])])).all()


def test_models_come_back_from_their_bytes():
    features, labels = draw()
    places = {"words": slice(0, 8), "numbers": slice(8, 12)}
    matrix = sparse.csr_matrix(features)
    model = fit_linear(matrix, labels, places, {"numbers": 0.5, "words": 1.0}, penalty=0.1)
    again = LinearModel.from_bytes(model.to_bytes())
    assert np.array_equal(again.probabilities(matrix), model.probabilities(matrix))
    inputs = log_odds([predictions(labels, 1.0, 1)])
    stack = fit_stack(inputs, labels, models=["a"], penalty=Penalty(3, 100))
    read = StackedModel.from_bytes(stack.to_bytes())
    assert np.array_equal(read.probabilities(inputs), stack.probabilities(inputs))
    assert (read.models, read.penalty) == (stack.models, stack.penalty)
    for kind in (LinearModel, StackedModel):
        with pytest.raises(InvalidInputError, match="damaged"):
            kind.from_bytes(b"no archive")


def test_a_linear_model_reads_its_own_blocks_alone():
    features, labels = draw()
    features[:, 8:] = np.pad(labels, ((0, 0), (0, 1)))  # a block that gives labels away
    places = {"words": slice(0, 8), "leak": slice(8, 12)}
    matrix = sparse.csr_matrix(features)
    model = fit_linear(matrix, labels, places, {"words": 1.0}, penalty=0.1)
    other = features.copy()
    other[:, 8:] = 0
    assert np.array_equal(
        model.probabilities(matrix), model.probabilities(sparse.csr_matrix(other))
    )
    leaking = fit_linear(matrix, labels, places, {"words": 1.0, "leak": 1.0}, penalty=0.1)
    assert log_loss(labels, leaking.fit.logits(leaking.blocks.apply(matrix))) < 0.2 * log_loss(
        labels, model.fit.logits(model.blocks.apply(matrix))
    )


def test_blocks_are_scaled_to_their_weights():
    features, labels = draw()
    places = {"words": slice(0, 6), "poster_embedding": slice(6, 12)}
    matrix = sparse.csr_matrix(features * 37)
    model = fit_linear(matrix, labels, places, {"words": 0.5, "poster_embedding": 2.0}, penalty=0.1)
    scaled = model.blocks.apply(matrix).toarray()
    known = np.abs(features[:, :6]).sum(1) > 0
    assert (scaled[known, :6] ** 2).sum(1) == pytest.approx(np.full(known.sum(), 0.5))
    assert (scaled[:, 6:] ** 2).sum(1) == pytest.approx(np.full(len(features), 2.0))
