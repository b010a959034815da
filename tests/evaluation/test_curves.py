"""Threshold curves against a plain computation with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, hamming_loss, jaccard_score

from genre_spark.errors import InvalidInputError
from genre_spark.evaluation.passes.threshold_curves import (
    ThresholdCurves,
    count_batch,
    count_thresholds,
)

GRID = np.linspace(0, 1, 11)


def curves_of(truth: np.ndarray, scores: np.ndarray) -> ThresholdCurves:
    labels, steps = truth.shape[1], len(GRID)
    total = count_batch(truth, scores, GRID)
    on, off = total[: 2 * labels * steps].reshape(2, labels, steps)
    exact, jaccard = total[2 * labels * steps : -1].reshape(2, steps)
    reached, wrong = (bins[:, ::-1].cumsum(axis=1)[:, ::-1] for bins in (on, off))
    return ThresholdCurves(
        GRID, reached, reached + wrong, truth.sum(axis=0), exact, jaccard, len(truth)
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(2, 5), st.integers(0, 2**31), st.booleans())
def test_every_threshold_has_scikit_learns_metrics(rows, labels, seed, on_the_grid) -> None:
    random = np.random.default_rng(seed)
    truth = (random.random((rows, labels)) < 0.4).astype(float)
    scores = random.random((rows, labels))
    if on_the_grid:
        scores = GRID[np.searchsorted(GRID, scores)]
    curves = curves_of(truth, scores)
    for step, threshold in enumerate(GRID):
        predicted = (scores >= threshold).astype(int)
        assert curves.subset_accuracy[step] == pytest.approx(accuracy_score(truth, predicted))
        assert curves.hamming_loss[step] == pytest.approx(hamming_loss(truth, predicted))
        assert curves.jaccard_samples[step] == pytest.approx(
            jaccard_score(truth, predicted, average="samples", zero_division=0)
        )
        for name, values in (("micro", curves.f1_micro), ("macro", curves.f1_macro)):
            assert values[step] == pytest.approx(
                f1_score(truth, predicted, average=name, zero_division=0)
            )
        assert curves.cardinality[step] == pytest.approx(predicted.sum() / rows)


def test_counts_do_not_depend_on_partitions(spark) -> None:
    random = np.random.default_rng(3)
    rows = [
        ((random.random(3) < 0.5).astype(float).tolist(), random.random(3).tolist())
        for _ in range(50)
    ]
    frame = spark.createDataFrame(rows, "labels array<float>, probabilities array<float>")
    one = count_thresholds(frame.coalesce(1), labels=3, steps=20)
    many = count_thresholds(frame.repartition(5), labels=3, steps=20)
    assert one.rows == many.rows == 50
    np.testing.assert_array_equal(one.predicted, many.predicted)
    np.testing.assert_array_equal(one.exact, many.exact)
    np.testing.assert_allclose(one.jaccard, many.jaccard)
    assert one.predicted[:, 0].tolist() == [50, 50, 50]


def test_no_rows_are_reported(spark) -> None:
    frame = spark.createDataFrame([], "labels array<float>, probabilities array<float>")
    with pytest.raises(InvalidInputError, match="no rows"):
        count_thresholds(frame, labels=3)
