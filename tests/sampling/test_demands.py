"""Settings become demands per split; weights of genres; iterative stratification. No JVM."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre_spark.config import SamplingConfig, SplitConfig
from genre_spark.errors import InvalidConfigError
from genre_spark.sampling.class_weights import class_weights
from genre_spark.sampling.demands import plan_demands, share_total
from genre_spark.sampling.stratification import stratify


@given(total=st.integers(1, 10**9), test=st.floats(0.01, 0.99), validation=st.floats(0.01, 0.99))
def test_shares_of_the_total_add_up_to_it(total: int, test: float, validation: float) -> None:
    parts = share_total(total, SplitConfig(test=test, validation=validation))
    assert sum(parts.values()) == total
    assert all(part >= 0 for part in parts.values())
    assert abs(parts["test"] - total * test) <= 1


def test_validation_gets_the_minimum_in_proportion_and_test_none() -> None:
    sampling = SamplingConfig(
        minimum_per_genre={"Drama": 100, "Western": 3}, maximum_per_genre=1000
    )
    demands = plan_demands(sampling, SplitConfig(), ["Action", "Drama", "Western"])
    assert demands["train"].minimum == (0, 100, 3)
    assert demands["validation"].minimum == (0, 25, 1)
    assert demands["test"].minimum == (0, 0, 0)
    assert demands["validation"].maximum == (250, 250, 250)
    assert demands["test"].maximum == (None, None, None)
    assert demands["train"].total is None


def test_a_minimum_for_an_unknown_genre_is_told() -> None:
    with pytest.raises(
        InvalidConfigError, match=r"sampling.minimum_per_genre.Dramma: no such genre"
    ):
        plan_demands(SamplingConfig(minimum_per_genre={"Dramma": 1}), SplitConfig(), ["Drama"])


def test_class_weights_balance_each_genre_and_average_to_one() -> None:
    weights = class_weights([900, 90, 10, 0], 1000)
    assert weights.pos_weight == pytest.approx((1 / 9, 910 / 90, 99.0, 0.0))
    for count, positive, negative in zip(
        (900, 90, 10), weights.positive, weights.negative, strict=False
    ):
        assert count * positive == pytest.approx(500)
        assert (1000 - count) * negative == pytest.approx(500)
    for kind in (weights.inverse_frequency, weights.effective_number):
        assert sum(kind) == pytest.approx(3)
        assert kind[0] < kind[1] < kind[2]
        assert kind[3] == 0
    assert weights.negative_rate == pytest.approx((1.0, 360 / 910, 40 / 990, 0.0))
    even = class_weights([900, 90, 10], 1000, beta=0.0)
    assert even.effective_number == pytest.approx((1, 1, 1))


def test_iterative_stratification_gives_every_part_its_share_of_rare_labels() -> None:
    random = np.random.default_rng(3)
    shares = (0.56, 0.14, 0.3)
    held = [
        np.flatnonzero(row).tolist() or [0]
        for row in random.random((1000, 6)) < (0.5, 0.3, 0.1, 0.03, 0.01, 0)
    ]
    parts = stratify(held, shares, labels=6)
    for label in range(6):
        rows = np.array([label in labels for labels in held])
        got = np.bincount(parts[rows], minlength=3)
        assert np.abs(got - rows.sum() * np.array(shares)).max() <= 3
    assert np.abs(np.bincount(parts) - 1000 * np.array(shares)).max() <= 10
    assert stratify([[], [], []], (0.5, 0.5), labels=0).tolist() in ([0, 1, 0], [1, 0, 1])
