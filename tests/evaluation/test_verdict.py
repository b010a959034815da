"""Headline numbers of models, and a comparison in words."""

from __future__ import annotations

import pytest

from genre_spark.evaluation.headline import choose_rules, gain_of_best, headline, interval_of, rank
from genre_spark.evaluation.scores import Candidate, Score, thresholds_of
from genre_spark.evaluation.verdict import Compared, describe_comparison, summarize_comparison

MOVIES = {"test": 452, "training": 831, "validation": 203}


def candidate(model: str, f1: float, validation: float, rule: str = "f1_micro", **more: float):
    family = "baseline" if model.startswith("baseline") else "multilabel"
    test = {"f1_micro": f1, "f1_micro_low": f1 - 0.03, "f1_micro_high": f1 + 0.03, **more}
    return Candidate(
        model, family, model, rule, {"test": test, "validation": {"f1_micro": validation}}
    )


def behind(value: float, low: float, high: float) -> dict[str, float]:
    name = "best_gain_f1_micro"
    return {name: value, f"{name}_low": low, f"{name}_high": high}


FOREST = candidate("forest", 0.65094, 0.673)
NETWORK = candidate("network", 0.6, 0.61, **behind(0.05, 0.03, 0.07))
COMMON = candidate("baseline_most_common", 0.2, 0.18, rule="none", **behind(0.45, 0.41, 0.49))


def test_a_model_stands_under_the_rule_that_is_best_on_validation() -> None:
    fixed = candidate("forest", 0.7, 0.5, rule="fixed")
    chosen = choose_rules([fixed, FOREST, COMMON], by="f1_micro")
    assert {name: c.rule for name, c in chosen.items()} == {
        "forest": "f1_micro",
        "baseline_most_common": "none",
    }


def test_headline_numbers_are_short_and_leave_out_what_was_not_measured() -> None:
    assert headline(FOREST) == {"f1_micro": 0.6509, "val_f1_micro": 0.673}


def test_models_are_ranked_by_quality_and_those_without_a_number_come_last() -> None:
    unmeasured = Candidate("unmeasured", "cnn", "cnn", "fixed", {})
    ranked = rank([unmeasured, COMMON, NETWORK, FOREST], by="f1_micro")
    assert [c.model for c in ranked] == ["forest", "network", "baseline_most_common", "unmeasured"]
    assert interval_of(unmeasured, "f1_micro") is None
    assert gain_of_best(NETWORK, "f1_micro").low == 0.03


def test_the_words_say_which_models_read_themes_and_what_the_others_reach() -> None:
    lines = " ".join(
        summarize_comparison(
            Compared([FOREST, NETWORK, COMMON], FOREST, "f1_micro", MOVIES, 19, {"forest": True})
        )
    )
    assert "are half a label: 1 of 2 models read them" in lines
    assert "the best with themes is forest, micro-F1 0.651, the best without them network" in lines
    nobody = Compared([FOREST, NETWORK], FOREST, "f1_micro", MOVIES, 19, {"forest": False})
    assert "themes" not in " ".join(summarize_comparison(nobody))


def test_the_words_say_who_won_by_how_much_and_on_what() -> None:
    found = Compared([FOREST, NETWORK, COMMON], FOREST, "f1_micro", MOVIES, 19)
    text = describe_comparison(found)
    assert text.startswith("Best of 2 models: **forest**, micro-F1 0.651 (95 %: 0.621 to 0.681).")
    assert "Measured on 452 test movies, with one threshold, tuned on validation" in text
    assert "beats the next model, network, by +0.050 (95 %: +0.030 to +0.070), more than" in text
    assert "beats the better baseline, baseline_most_common, by +0.450" in text
    assert "2 models and 1 baselines on 19 genres; movies: 831 training, 203 validation" in text
    assert "| network | 0.600 (95 %: 0.570 to 0.630) | 0.050 (95 %: 0.030 to 0.070) |" in text


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        ((0.01, -0.01, 0.03), "by +0.010 (95 %: -0.010 to +0.030), which may be noise."),
        ((-0.01, -0.03, 0.01), "On test rival has a better micro-F1 by +0.010 (95 %: -0.010 to"),
        ((-0.02, -0.03, -0.01), "by +0.020 (95 %: +0.010 to +0.030), more than noise; the test"),
    ],
    ids=["close", "behind on test", "clearly behind on test"],
)
def test_noise_is_called_noise_and_a_better_rival_on_test_is_named(gain, words) -> None:
    rival = candidate("rival", 0.66, 0.6, **behind(*gain))
    found = Compared([rival, FOREST], FOREST, "f1_micro", MOVIES, 19)
    assert words in " ".join(summarize_comparison(found))


def test_thresholds_are_one_for_all_genres_or_one_per_genre() -> None:
    start = ("forest", "multilabel", "forest", "validation")
    scores = [
        Score(*start, "f1_micro", "threshold", None, 0.3),
        Score(*start, "f1_per_label", "threshold", "Drama", 0.4),
        Score(*start, "f1_per_label", "threshold", "Comedy", 0.2),
    ]
    genres = ["Comedy", "Drama"]
    assert thresholds_of(scores, FOREST, genres) == [0.3]
    per_genre = candidate("forest", 0.6, 0.6, rule="f1_per_label")
    assert thresholds_of(scores, per_genre, genres) == [0.2, 0.4]
