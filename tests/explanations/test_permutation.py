"""Permutations without Spark: planted inputs, sparse inputs, seeds, and the measures."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import average_precision_score, f1_score

from genre_spark.explanations.figures import draw_genres, draw_groups, draw_inputs
from genre_spark.explanations.first_look import choose_inputs, correlate_inputs
from genre_spark.explanations.importances import (
    Explained,
    genre_table,
    group_table,
    importance_rows,
    input_table,
)
from genre_spark.explanations.measures import average_precision, measure, measure_names
from genre_spark.explanations.permutation import (
    Unit,
    measure_baseline,
    permute_columns,
    permute_units,
)
from genre_spark.explanations.scores import CalibratedScore
from genre_spark.fusion.calibration.calibrators import Calibrator
from genre_spark.schemas import IMPORTANCES_SCHEMA

LABELS = ("Drama", "Horror", "War")
ROWS = 300


def planted(seed=0):
    """Inputs 0..2 equal the labels, 3 and 4 are a copy of label 0 with noise, and noise."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((ROWS, 3)) < [0.5, 0.3, 0.1]).astype(float)
    noisy = labels[:, [0]] + rng.normal(0, 1, (ROWS, 1))
    return sparse.csr_matrix(np.hstack([labels, noisy, rng.normal(size=(ROWS, 1))])), labels


def reads_three(inputs):
    """A model that says what the first three inputs say, a bit of noise from the fourth."""
    dense = inputs.toarray()
    return np.clip(0.1 + 0.7 * dense[:, :3] + 0.02 * dense[:, [3]], 0, 1)


def single_units(count=5):
    return [Unit(f"input {k}", np.array([k])) for k in range(count)]


@pytest.fixture(scope="module")
def baseline():
    inputs, labels = planted()
    return measure_baseline(reads_three, inputs, labels, thresholds=0.5)


@pytest.fixture(scope="module")
def drops(baseline):
    return permute_units(reads_three, baseline, single_units(), repeats=5, seed=7)


def test_an_input_that_equals_a_label_matters_for_it_and_for_no_other(drops):
    means = np.array([drop.mean for drop in drops])
    precision = means[:, :3]
    assert precision.argmax(axis=0).tolist() == [0, 1, 2]
    assert np.diag(precision[:3]).min() > 0.3
    assert np.abs(precision[:3][~np.eye(3, dtype=bool)]).max() == 0.0
    assert np.abs(means[3]).max() < 0.02  # correlated with a label, and the model hardly reads it
    assert (means[4] == 0).all()  # the model does not read it at all


def test_a_unit_has_the_same_result_alone_and_with_others_and_seeds_differ(baseline, drops):
    units = single_units()
    alone = permute_units(reads_three, baseline, units[1:2], repeats=5, seed=7)[0]
    assert (alone.mean == drops[1].mean).all()
    other = permute_units(reads_three, baseline, units[1:2], repeats=5, seed=8)[0]
    assert not (other.mean == drops[1].mean).all()
    assert drops[1].deviation.max() > 0


def test_a_block_is_permuted_together():
    """Two inputs whose difference is the label: together they lose it, and stay equal else."""
    rng = np.random.default_rng(1)
    labels = (rng.random((ROWS, 1)) < 0.4).astype(float)
    base = rng.integers(1, 5, (ROWS, 1)).astype(float)
    inputs = sparse.csr_matrix(np.hstack([base + labels, base]))
    _, permuted = permute_columns(inputs, np.array([0, 1]), rng.permutation(ROWS))
    difference = permuted.toarray() @ [1, -1]
    assert set(difference.tolist()) == {0.0, 1.0}


def test_only_rows_that_change_are_scored_and_none_gets_a_value_of_its_own_making():
    dense = np.zeros((6, 4))
    dense[1, 2], dense[4, 2], dense[4, 0] = 3.0, 5.0, 1.0
    order = np.array([1, 0, 2, 3, 4, 5])
    changed, rows = permute_columns(sparse.csr_matrix(dense), np.array([2]), order)
    assert changed.tolist() == [0, 1]
    assert rows.toarray().tolist() == [[0, 0, 3, 0], [0, 0, 0, 0]]
    unchanged, rows = permute_columns(sparse.csr_matrix(dense), np.array([1]), order)
    assert (len(unchanged), rows.shape) == (0, (0, 4))


def test_measures_are_scikit_learns_with_ties():
    rng = np.random.default_rng(2)
    labels = (rng.random((80, 3)) < [0.5, 0.2, 0.0]).astype(float)
    scores = np.round(rng.random((80, 3)), 1)
    found = dict(zip(measure_names(LABELS), measure(labels, scores, [0.3, 0.5, 0.5]), strict=True))
    predicted = scores >= [0.3, 0.5, 0.5]
    for place, name in enumerate(LABELS[:2]):
        expected = average_precision_score(labels[:, place], scores[:, place])
        assert found["average_precision", name] == pytest.approx(expected)
        assert found["f1", name] == pytest.approx(f1_score(labels[:, place], predicted[:, place]))
    assert np.isnan(found["average_precision", "War"])
    assert found["f1_micro", None] == pytest.approx(f1_score(labels, predicted, average="micro"))
    assert np.isfinite(found["average_precision", None])
    assert np.isnan(average_precision(np.zeros((0, 2)), np.zeros((0, 2)))).all()


def test_calibrated_models_are_measured_after_their_curves(baseline):
    curves = Calibrator("isotonic", ((0.0, 1.0),) * 3, ((0.0, 0.5),) * 3)
    score = CalibratedScore(reads_three, curves)
    assert score(baseline.inputs) == pytest.approx(baseline.probabilities / 2, abs=1e-6)


def test_the_first_look_finds_the_inputs_of_every_label(baseline):
    looks = correlate_inputs(baseline.inputs, baseline.probabilities)
    dense = baseline.inputs.toarray()
    expected = np.corrcoef(dense[:, 1], baseline.probabilities[:, 1])[0, 1]
    assert looks[1, 1] == pytest.approx(abs(expected))
    assert set(choose_inputs(looks, 3).tolist()) == {0, 1, 2}


def test_labels_take_turns_and_useless_inputs_are_left_out():
    looks = np.array([[9.0, 8.0, 7.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.1, 0.0]])
    assert choose_inputs(looks, 2).tolist() == [0, 3]
    assert choose_inputs(looks, 10).tolist() == [0, 3, 1, 2]
    assert choose_inputs(looks, 0).tolist() == []


@pytest.fixture(scope="module")
def explained(baseline, drops):
    groups = (Unit("block a", np.array([0, 1])), Unit("block b", np.array([2, 3, 4])))
    return Explained(
        model="three",
        labels=LABELS,
        groups=("a", "b"),
        sizes=(2, 3),
        group_drops=permute_units(reads_three, baseline, groups, repeats=2, seed=7),
        inputs=[("a", "zero"), ("a", "one"), ("b", "two"), ("b", "three"), ("b", "four")],
        input_drops=drops,
        first_look="correlation",
        looks=correlate_inputs(baseline.inputs, baseline.probabilities),
        values=baseline.values,
        support=baseline.labels.sum(axis=0),
        rows=ROWS,
    )


def test_tables_name_what_each_genre_needs(explained):
    genres = genre_table(explained)
    assert genres["genre"] == ["Drama", "Horror", "War"]
    assert [text.split(" (")[0] for text in genres["features"]] == ["a: zero", "a: one", "b: two"]
    assert [text.split(" (")[0] for text in genres["blocks"]] == ["a", "a", "b"]
    blocks, inputs = group_table(explained), input_table(explained)
    assert blocks["block"] == ["a", "b"]
    assert set(inputs["feature"][:3]) == {"zero", "one", "two"}
    assert inputs["feature"][3:] == ["three", "four"]


def test_rows_are_those_of_the_schema(explained):
    rows = list(importance_rows(explained))
    assert len(rows) == (2 + 5) * (2 * 3 + 2) + 5 * 3
    assert {len(row) for row in rows} == {len(IMPORTANCES_SCHEMA)}
    zero = next(r for r in rows if r[3:6] == ("zero", "Drama", "average_precision"))
    assert zero[:3] == ("three", "feature", "a")
    assert zero[6] > 0.3


def test_pictures_name_every_genre_and_block(explained):
    bars, cells = draw_groups(explained).axes
    assert [tick.get_text() for tick in bars.get_yticklabels()] == ["a", "b"]
    assert [tick.get_text() for tick in cells.get_xticklabels()] == list(LABELS)
    (ax,) = draw_inputs(explained).axes
    assert ax.get_yticklabels()[0].get_text().startswith(("a: ", "b: two"))
    titles = [ax.get_title(loc="left") for ax in draw_genres(explained).axes]
    assert [title.split("  ")[0] for title in titles] == list(LABELS)


def test_what_the_page_shows_for_any_model_can_be_pasted(capsys):
    page = (Path(__file__).parents[2] / "docs" / "explanations.md").read_text()
    *_, code = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    inputs, labels = planted()
    model = SimpleNamespace(predict_proba=lambda rows: reads_three(sparse.csr_matrix(rows)))
    exec(code, {"model": model, "features": inputs.toarray(), "labels": labels})
    first, third = (float(line.split()[-5]) for line in capsys.readouterr().out.splitlines())
    assert first > third > 0
