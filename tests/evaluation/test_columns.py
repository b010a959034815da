"""Decisions, baselines and co-occurrence as DataFrames."""

from __future__ import annotations

import math

import numpy as np
import pytest

from genre_spark.errors import InvalidInputError
from genre_spark.evaluation.passes.baseline_predictions import (
    LabelPrior,
    fit_label_prior,
    predict_at_random,
    predict_most_common,
)
from genre_spark.evaluation.passes.decisions import decide_labels
from genre_spark.evaluation.scores import NO_RULE
from genre_spark.numeric.label_correlation import correlate_labels
from genre_spark.pipelines.evaluation.measuring.evaluation_passes import sum_test
from genre_spark.pipelines.evaluation.measuring.gathered import gather
from genre_spark.pipelines.evaluation.measuring.model_evaluation import PredictedModel
from genre_spark.schemas import PREDICTIONS_SCHEMA

LABELS = "movie_id long, labels array<float>, weight float"


def predictions(spark):
    rows = [(1, [1.0, 0.0], [0.5, 0.2]), (2, [1.0, 1.0], [0.4999999, 0.9])]
    return spark.createDataFrame(
        rows, "movie_id long, labels array<float>, probabilities array<float>"
    )


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        ([0.5], [[1.0, 0.0], [0.0, 1.0]]),
        ([0.45, 0.95], [[1.0, 0.0], [1.0, 0.0]]),
        ([1.0], [[0.0, 0.0], [0.0, 0.0]]),
    ],
)
def test_a_label_is_on_from_its_threshold_upward(spark, thresholds, expected) -> None:
    decided = decide_labels(predictions(spark), thresholds=thresholds).orderBy("movie_id")
    assert [row["prediction"] for row in decided.collect()] == expected
    with pytest.raises(InvalidInputError, match="thresholds: none"):
        decide_labels(predictions(spark), thresholds=[])


def test_the_prior_is_the_populations_not_the_samples(spark) -> None:
    rows = [(1, [1.0, 1.0], 1.0), (2, [1.0, 1.0], 1.0), (3, [1.0, 0.0], 5.0), (4, [0.0, 0.0], 1.0)]
    prior = fit_label_prior(spark.createDataFrame(rows, LABELS))
    assert prior.most_common == (1.0, 0.0)
    assert prior.cardinality == pytest.approx((2 + 2 + 5) / 8)
    with pytest.raises(InvalidInputError, match="no rows"):
        fit_label_prior(spark.createDataFrame([], LABELS))


def test_baselines_look_at_nothing_but_the_prior(spark) -> None:
    prior = LabelPrior((0.0, 1.0, 0.0, 0.0), 1.2)
    movies = spark.range(4000).selectExpr("id as movie_id", "array(1f, 0f, 0f, 1f) as labels")
    common = predict_most_common(movies, prior=prior).select("prediction").distinct().collect()
    assert [row["prediction"] for row in common] == [[0.0, 1.0, 0.0, 0.0]]
    drawn = predict_at_random(movies, prior=prior, seed=5)
    again = predict_at_random(movies.repartition(7), prior=prior, seed=5)
    assert {row["movie_id"]: row["prediction"] for row in drawn.collect()} == {
        row["movie_id"]: row["prediction"] for row in again.collect()
    }
    shares = np.mean([row["prediction"] for row in drawn.collect()], axis=0)
    np.testing.assert_allclose(shares, 0.3, atol=4 * math.sqrt(0.3 * 0.7 / 4000))


def test_pairs_are_counted_and_correlated_like_numpy(spark) -> None:
    random = np.random.default_rng(1)
    truth = (random.random((60, 4)) < [0.5, 0.3, 0.7, 0.0]).astype(float)
    rows = [(movie, row.tolist(), row.tolist(), row.tolist()) for movie, row in enumerate(truth)]
    frame = spark.createDataFrame(rows, PREDICTIONS_SCHEMA)
    model = PredictedModel("m", "f", "m", ("a", "b", "c", "d"), "", {"test": frame.repartition(3)})
    sums = sum_test(gather(spark, [model], "test"), {}, {"m": NO_RULE})["m"]
    np.testing.assert_array_equal(sums.actual, truth.T @ truth)
    np.testing.assert_array_equal(sums.predicted, truth.T @ truth)
    assert sums.groups.sum(axis=0).tolist() == [
        *truth.sum(axis=0),
        *truth.sum(axis=0),
        *truth.sum(axis=0),
        60,
        60,
        truth.any(axis=1).sum(),
    ]
    counts = sums.actual
    phi = correlate_labels(counts, rows=60)
    np.testing.assert_allclose(phi[:3, :3], np.corrcoef(truth[:, :3].T), atol=1e-12)
    assert np.isnan(phi[3]).all()
