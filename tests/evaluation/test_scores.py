"""Models side by side: the choice of the best, and the table for the terminal."""

from __future__ import annotations

import numpy as np
import pytest

from genre_spark.evaluation.comparison import draw_comparison
from genre_spark.evaluation.scores import (
    Score,
    choose_best,
    format_table,
    gather_candidates,
    label_matrix,
)

SCORES = [
    Score(model, family, model, split, rule, metric, None, value)
    for model, family, rule, values in (
        ("zeta", "cnn", "fixed", (0.30, 0.10, 0.90)),
        ("zeta", "cnn", "exact_match", (0.40, 0.20, 0.10)),
        ("baseline_random", "baseline", "none", (0.99, 0.01, 0.05)),
    )
    for split, metric, value in (
        ("validation", "f1_micro", values[0]),
        ("validation", "hamming_loss", values[1]),
        ("test", "f1_micro", values[2]),
    )
] + [
    Score("zeta", "cnn", "zeta", "validation", "fixed", "threshold", None, 0.5),
    Score("zeta", "cnn", "zeta", "test", "fixed", "f1", "Drama", 0.7),
    Score("zeta", "cnn", "zeta", "test", "fixed", "f1", "War", None),
    Score("zeta", "cnn", "zeta", "test", "fixed", "roc_auc_macro", None, None),
]


def test_baselines_come_first_and_rules_in_their_order() -> None:
    found = [(c.model, c.rule) for c in gather_candidates(SCORES)]
    assert found == [("baseline_random", "none"), ("zeta", "fixed"), ("zeta", "exact_match")]


@pytest.mark.parametrize(("by", "rule"), [("f1_micro", "exact_match"), ("hamming_loss", "fixed")])
def test_the_best_is_chosen_on_validation_and_never_a_baseline(by, rule) -> None:
    best = choose_best(gather_candidates(SCORES), by=by)
    assert best is not None and (best.model, best.rule) == ("zeta", rule)
    assert choose_best([], by=by) is None


def test_the_table_marks_the_best_value_and_leaves_gaps_empty() -> None:
    lines = format_table(gather_candidates(SCORES), split="test").splitlines()
    assert lines[0].split() == [
        "model",
        "threshold",
        "Hamming",
        "↓",
        "Jaccard",
        "↑",
        "exact",
        "↑",
        "micro-F1",
        "↑",
        "macro-F1",
        "↑",
    ]
    assert [line.split() for line in lines[2:]] == [
        ["baseline_random", "-", "0.0500"],
        ["zeta", "0.500", "0.9000*"],
        ["zeta", "-", "0.1000"],
    ]


def test_labels_are_laid_out_by_name_and_gaps_are_nan() -> None:
    values = label_matrix(
        SCORES,
        split="test",
        metric="f1",
        columns=[("zeta", "fixed")],
        labels=["War", "Drama", "Crime"],
    )
    np.testing.assert_array_equal(values, [[np.nan], [0.7], [np.nan]])


def test_the_picture_has_a_panel_for_each_metric() -> None:
    figure = draw_comparison(gather_candidates(SCORES), title="t")
    assert len(figure.axes) == 5
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()][
        -1
    ] == "zeta (for exact match)"
