from __future__ import annotations

import io
import json

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from genre_spark.errors import InvalidInputError
from genre_spark.features.blocks import EmbeddingBlock, WordsBlock
from genre_spark.features.specification import FeatureSpecification
from genre_spark.fusion.linear.model import LinearModel, fit_linear, fit_linear_in_folds
from genre_spark.fusion.logistic import fit_by_products, fit_logistic, log_loss
from genre_spark.fusion.senses import lacking, senses_of
from genre_spark.fusion.stacks.stacking import (
    Penalty,
    StackedModel,
    choose_penalty,
    fit_stack,
    log_odds,
    patterns_of,
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


def test_products_of_rows_give_the_same_fit():
    features, labels = draw(rows=80)
    features = np.hstack([features, np.ones((80, 1)), np.eye(80)])  # full columns and rare ones
    matrix = sparse.csr_matrix(features)
    other = fit_logistic(matrix, labels, penalty=0.5, iterations=2000)
    fit = fit_by_products(matrix, labels, penalty=0.5)
    assert fit.weights == pytest.approx(other.weights, abs=0.01)
    assert fit.logits(matrix) == pytest.approx(other.logits(matrix), abs=0.02)


@pytest.mark.parametrize("most_products", [8_000, 0])
def test_a_model_without_a_fold_does_not_know_the_labels_of_the_fold(monkeypatch, most_products):
    monkeypatch.setattr("genre_spark.fusion.linear.model._MOST_PRODUCTS", most_products)
    features, labels = draw(rows=90)
    matrix, folds = sparse.csr_matrix(features), np.arange(90) % 3
    places, weights = {"words": slice(0, features.shape[1])}, {"words": 1.0}

    def fit(labels):
        return fit_linear_in_folds(matrix, labels, folds, 3, places, weights, penalty=0.5)

    models, other = fit(labels), fit(np.where((folds == 1)[:, None], 1 - labels, labels))
    assert len(models) == 4
    assert other[2].fit.weights == pytest.approx(models[2].fit.weights, abs=1e-9)
    for changed in (0, 1, 3):
        assert abs(other[changed].fit.weights - models[changed].fit.weights).max() > 0.01
    whole = fit_linear(matrix, labels, places, weights, penalty=0.5)
    assert models[0].fit.weights == pytest.approx(whole.fit.weights, abs=1e-9)


def test_a_row_of_weight_two_counts_as_two_rows():
    features, labels = draw(rows=60)
    weights = np.ones(60)
    weights[:20] = 2
    twice = np.r_[np.arange(60), np.arange(20)]
    fit = fit_logistic(features, labels, penalty=1.0, row_weights=weights)
    other = fit_logistic(features[twice], labels[twice], penalty=1.0)
    assert fit.weights == pytest.approx(other.weights, abs=0.01)


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
    loss = log_loss(labels[300:], stack.logits(inputs[300:]))
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


def test_a_row_without_a_poster_is_predicted_as_if_no_model_had_read_posters():
    _, labels = draw(rows=600)
    rng = np.random.default_rng(5)
    strong, weak, poster = (predictions(labels, noise, n) for n, noise in enumerate((1.0, 3, 1)))
    names, senses = ["both", "text", "poster"], [("poster", "text"), ("text",), ("poster",)]
    inputs = log_odds([strong, weak, poster])
    stack = fit_stack(
        inputs, labels, models=names, penalty=Penalty(3, None), patterns=patterns_of(senses)
    )
    alone = fit_stack(log_odds([weak]), labels, models=["text"], penalty=Penalty(3, None))
    lacking = np.flatnonzero(rng.random(600) < 0.3)
    without = inputs.copy().reshape(600, 3, 3)
    without[np.ix_(lacking, [0, 2])] = np.nan
    found = stack.probabilities(without.reshape(600, 9))
    assert found[lacking] == pytest.approx(alone.probabilities(log_odds([weak]))[lacking])
    others = np.setdiff1d(np.arange(600), lacking)
    assert np.array_equal(found[others], stack.probabilities(inputs)[others])


def test_a_movie_that_no_model_can_judge_gets_the_shares_of_training():
    _, labels = draw(rows=200)
    inputs = log_odds([predictions(labels, 1.0, 1)])
    stack = fit_stack(
        inputs, labels, models=["a"], penalty=Penalty(3, None), patterns=patterns_of([("text",)])
    )
    nothing = np.full((1, 3), np.nan)
    assert stack.probabilities(nothing)[0] == pytest.approx(labels.mean(axis=0), abs=0.01)


def test_patterns_are_the_models_that_are_left_without_each_sense():
    senses = [("poster", "text"), ("text",), ("poster",), ()]
    assert patterns_of(senses) == (
        (True, True, True, True),
        (False, True, False, True),
        (False, False, True, True),
        (False, False, False, True),
        (False, False, False, False),
    )


def test_a_missing_embedding_counts_as_lacking_its_sense():
    fill = np.array([0.5, -1.0])
    parts = (
        WordsBlock(("name",), 1, (), ("a", "b"), False, np.ones(2)),
        EmbeddingBlock("text_embedding", fill, True),
        EmbeddingBlock("poster_embedding", fill, False),
    )
    rows = sparse.csr_matrix(
        [
            [1, 0, 0.5, -1, 1, 3, 3],  # words, no text vector
            [0, 0, 0.5, -1, 1, 3, 3],  # nothing of a text
            [0, 0, 2, 2, 0, 0.5, -1],  # no poster
        ]
    )
    found = lacking(FeatureSpecification(parts, 3), rows)
    assert {sense: flags.tolist() for sense, flags in found.items()} == {
        "text": [False, True, False],
        "poster": [False, False, True],
    }
    assert senses_of(["words", "countries", "poster_summary"]) == ("poster", "text")


def test_what_stands_for_a_missing_vector_moves_no_log_odds():
    features, labels = draw()
    matrix = sparse.csr_matrix(features)
    model = fit_linear(
        matrix, labels, {"poster_embedding": slice(0, 12)}, {"poster_embedding": 1.0}, penalty=0.1
    )
    mean = sparse.csr_matrix(features.mean(axis=0)[None])
    assert model.fit.logits(model.blocks.apply(mean))[0] == pytest.approx(model.fit.intercepts)


def test_a_stack_without_rows_is_rejected():
    with pytest.raises(InvalidInputError, match="0 rows that all of 1 models"):
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
    for kind, stored in ((LinearModel, model.to_bytes()), (StackedModel, stack.to_bytes())):
        for damaged in (b"no archive", b"", stored[:-30], stored[:200] + b"?" * 40 + stored[240:]):
            with pytest.raises(InvalidInputError, match=r"damaged .*; `genre-spark train-"):
                kind.from_bytes(damaged)


def test_a_model_of_an_older_version_says_so_and_names_the_command():
    head = json.dumps({"models": ["a"], "own": 1.0, "others": 1.0})
    file = io.BytesIO()
    np.savez_compressed(file, head=np.array(head), weights=np.zeros((1, 1, 3)))
    with pytest.raises(InvalidInputError) as caught:
        StackedModel.from_bytes(file.getvalue())
    assert str(caught.value) == (
        "stack: of an older version of genre_spark (it has no 'patterns'); "
        "`genre-spark train-stack --config FILE --force` makes it again"
    )
    with pytest.raises(InvalidInputError, match="linear model: of an older version"):
        LinearModel.from_bytes(file.getvalue())


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


def test_round_steps_find_the_same_weights_where_features_tell_nearly_the_same():
    drawn = np.random.default_rng(5)
    common = drawn.normal(size=(300, 1))
    features = np.hstack([common + 0.05 * drawn.normal(size=(300, 4)), drawn.normal(size=(300, 2))])
    labels = (common + drawn.normal(size=(300, 2)) > 0).astype(float)
    own = {"penalty": np.full((6, 2), 2.0), "centre": 0.3, "row_weights": np.linspace(0.5, 2, 300)}
    plain = fit_logistic(features, labels, **own, iterations=5_000)
    round_ = fit_logistic(features, labels, **own, correlated=True)
    assert round_.weights == pytest.approx(plain.weights, abs=2e-3)
    assert round_.intercepts == pytest.approx(plain.intercepts, abs=2e-3)
