from __future__ import annotations

import numpy as np
import pytest

from genre_spark.errors import InvalidInputError
from genre_spark.evaluation.calibration import draw_reliability, reliability_of
from tests.evaluation.test_curves import curves_of


def test_the_error_is_the_mean_distance_of_bins() -> None:
    labels = np.array([[1.0], [0.0], [0.0], [0.0], [1.0]])
    found = reliability_of(
        curves_of(labels, np.array([[0.95], [0.95], [0.15], [1.0], [1.0]])), bins=10
    )
    # 4 decisions from 0.9 to 1, 2 of them true; one from 0.1 to 0.2, false
    assert found.count[0].tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0, 4]
    assert found.positive[0].tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    assert found.error == pytest.approx((4 * 0.95 - 2 + 0.15) / 5)
    assert found.label_errors == pytest.approx([found.error])


def test_true_probabilities_have_a_small_error_and_exaggerated_ones_a_great_one() -> None:
    rng = np.random.default_rng(0)
    odds = rng.random((4000, 3))
    labels = (rng.random(odds.shape) < odds).astype(float)
    right = reliability_of(curves_of(labels, odds), bins=5)
    exaggerated = reliability_of(curves_of(labels, np.where(odds > 0.5, 0.99, 0.01)), bins=5)
    assert right.error < 0.03
    assert exaggerated.error > 0.15
    assert right.count.sum() == 12_000
    figure = draw_reliability(right, labels=["a", "b", "c"], title="model")
    assert len(figure.axes) == 2


def test_bins_must_divide_the_grid() -> None:
    with pytest.raises(InvalidInputError, match="bins: 3, expected a divisor of 10"):
        reliability_of(curves_of(np.ones((1, 1)), np.ones((1, 1))), bins=3)
