from __future__ import annotations

import numpy as np
import pytest

from genre_spark.errors import InvalidInputError
from genre_spark.evaluation.calibration import draw_reliability, measure_reliability

SCHEMA = "labels array<float>, probabilities array<float>"


def test_the_error_is_the_mean_distance_of_bins(spark) -> None:
    rows = [([1.0], [0.91]), ([0.0], [0.91]), ([0.0], [0.11]), ([0.0], [1.0]), ([1.0], [1.0])]
    found = measure_reliability(spark.createDataFrame(rows, SCHEMA), labels=1, bins=10)
    # bin 0.9 to 1: 4 decisions, 2 true, probabilities add up to 3.82; bin 0.1 to 0.2: 0.11 for 0
    assert found.error == pytest.approx((1.82 + 0.11) / 5)
    assert found.label_errors == pytest.approx([(1.82 + 0.11) / 5])


def test_true_probabilities_have_a_small_error_and_exaggerated_ones_a_great_one(spark) -> None:
    rng = np.random.default_rng(0)
    odds = rng.random((4000, 3))
    labels = (rng.random(odds.shape) < odds).astype(float)
    wrong = np.where(odds > 0.5, 0.99, 0.01)

    def error(made):
        rows = [(labels[n].tolist(), made[n].tolist()) for n in range(len(labels))]
        frame = spark.createDataFrame(rows, SCHEMA).repartition(3)
        return measure_reliability(frame, labels=3)

    right, exaggerated = error(odds), error(wrong)
    assert right.error < 0.03
    assert exaggerated.error > 0.2
    assert right.count.sum() == 12_000
    figure = draw_reliability(right, labels=["a", "b", "c"], title="model")
    assert len(figure.axes) == 2


def test_no_rows_are_rejected(spark) -> None:
    with pytest.raises(InvalidInputError, match="no rows"):
        measure_reliability(spark.createDataFrame([], SCHEMA), labels=2)
