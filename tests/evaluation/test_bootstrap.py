"""The paired bootstrap: its metrics are scikit-learn's, its intervals hold what they promise."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, hamming_loss, jaccard_score

from genre_spark.errors import InvalidInputError
from genre_spark.evaluation.bootstrap import MOST_GROUPS, paired_bootstrap, row_sums
from genre_spark.evaluation.scores import SHOWN

TRUTH = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 0]])
GOOD = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0]])
POOR = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 0]])


def draw(rows: int, *, wrong: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """True labels of some movies, and predictions of which a share of the decisions is wrong."""
    random = np.random.default_rng([seed, rows])
    truth = random.random((rows, 5)) < [0.5, 0.3, 0.2, 0.1, 0.05]
    return truth, truth ^ (random.random(truth.shape) < wrong)


def test_the_values_are_scikit_learns_on_a_table_that_one_sees() -> None:
    found = paired_bootstrap({"good": row_sums(TRUTH, GOOD), "poor": row_sums(TRUTH, POOR)})
    assert set(found.values["good"]) == set(SHOWN)
    for name, prediction in {"good": GOOD, "poor": POOR}.items():
        assert found.values[name] == pytest.approx(
            {
                "hamming_loss": hamming_loss(TRUTH, prediction),
                "subset_accuracy": accuracy_score(TRUTH, prediction),
                "jaccard_samples": jaccard_score(
                    TRUTH, prediction, average="samples", zero_division=0
                ),
                "f1_micro": f1_score(TRUTH, prediction, average="micro"),
                "f1_macro": f1_score(TRUTH, prediction, average="macro", zero_division=0),
            }
        )


def test_every_draw_is_scikit_learns_metric_of_the_drawn_rows() -> None:
    truth, prediction = draw(30, wrong=0.2, seed=1)
    found = paired_bootstrap({"model": row_sums(truth, prediction)}, draws=4, seed=5)
    random = np.random.default_rng(5)
    for number, rows in enumerate(random.integers(0, 30, (4, 30))):
        drawn = truth[rows], prediction[rows]
        values = {name: found.draws["model"][name][number] for name in SHOWN}
        assert values["f1_micro"] == pytest.approx(f1_score(*drawn, average="micro"))
        assert values["f1_macro"] == pytest.approx(
            f1_score(*drawn, average="macro", zero_division=0)
        )
        assert values["subset_accuracy"] == pytest.approx(accuracy_score(*drawn))
        assert values["hamming_loss"] == pytest.approx(hamming_loss(*drawn))


def test_a_model_gains_nothing_over_itself_and_a_better_one_does_in_every_metric() -> None:
    truth, good = draw(400, wrong=0.05, seed=1)
    poor = truth ^ (np.random.default_rng(2).random(truth.shape) < 0.15)
    found = paired_bootstrap(
        {name: row_sums(truth, p) for name, p in {"good": good, "same": good, "poor": poor}.items()}
    )
    for metric in SHOWN:
        nothing = found.gain("good", "same", metric)
        assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)
        assert not nothing.is_positive
        gain = found.gain("good", "poor", metric)
        assert gain.is_positive and gain.low < gain.value < gain.high
        assert not found.gain("poor", "good", metric).is_positive


def test_pairing_makes_the_interval_of_a_difference_narrower() -> None:
    truth, first = draw(500, wrong=0.15, seed=3)
    second = first.copy()
    second[::25] = truth[::25]  # right where the first may be wrong, else the same
    found = paired_bootstrap({"a": row_sums(truth, first), "b": row_sums(truth, second)})
    gain = found.gain("b", "a", "f1_micro")
    alone = found.interval("a", "f1_micro")
    assert gain.is_positive
    assert gain.high - gain.low < 0.5 * (alone.high - alone.low)


def test_95_percent_of_the_intervals_hold_the_truth() -> None:
    truth, prediction = draw(200_000, wrong=0.1, seed=4)
    actual = f1_score(truth, prediction, average="micro")
    held = 0
    for start in range(0, 200 * 300, 300):
        rows = slice(start, start + 300)
        found = paired_bootstrap({"m": row_sums(truth[rows], prediction[rows])}, draws=400)
        interval = found.interval("m", "f1_micro")
        held += interval.low <= actual <= interval.high
    assert 180 <= held <= 199  # of 200; a share of 0.95 lies there in 99.8 % of the cases


def test_many_rows_are_drawn_in_groups_with_the_same_spread_and_bounded_memory() -> None:
    rows = 8 * MOST_GROUPS
    truth, prediction = draw(rows, wrong=0.1, seed=6)
    sums = {"m": row_sums(truth, prediction)}
    tracemalloc.start()
    found = paired_bootstrap(sums, draws=600)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300 << 20
    error = np.std(found.draws["m"]["subset_accuracy"])
    share = accuracy_score(truth, prediction)
    assert error == pytest.approx(np.sqrt(share * (1 - share) / rows), rel=0.12)


def test_the_seed_decides_the_draws() -> None:
    truth, prediction = draw(50, wrong=0.2, seed=7)
    sums = {"m": row_sums(truth, prediction)}
    first, same, other = (paired_bootstrap(sums, draws=50, seed=seed) for seed in (1, 1, 2))
    assert first.interval("m", "f1_macro") == same.interval("m", "f1_macro")
    assert first.interval("m", "f1_macro") != other.interval("m", "f1_macro")


@pytest.mark.parametrize(
    ("sums", "message"),
    [
        ({}, "no models"),
        ({"a": np.empty((0, 12))}, "a has no rows"),
        ({"a": row_sums(TRUTH, GOOD), "b": row_sums(TRUTH[:3], POOR[:3])}, "a and b were not"),
        ({"a": row_sums(TRUTH, GOOD), "b": row_sums(1 - TRUTH, POOR)}, "a and b were not"),
    ],
    ids=["no models", "no rows", "fewer rows", "other labels"],
)
def test_what_cannot_be_paired_is_rejected_with_a_clear_message(sums, message) -> None:
    with pytest.raises(InvalidInputError, match=message):
        paired_bootstrap(sums)


def test_shapes_that_differ_are_named() -> None:
    with pytest.raises(InvalidInputError, match=r"truth \(4, 3\) and prediction \(4, 2\)"):
        row_sums(TRUTH, GOOD[:, :2])
