"""What notebooks show of results: the same numbers as in the terminal, and names as text."""

from __future__ import annotations

from genre_spark.evaluation.html_tables import html_table
from genre_spark.evaluation.score_table import ScoreTable
from genre_spark.evaluation.scores import Candidate
from genre_spark.evaluation.verdict import Compared
from genre_spark.pipelines.stage import StageResult

HOSTILE = "<script>x</script>"


def candidate(model: str, f1: float) -> Candidate:
    return Candidate(
        model, "multilabel", model, "fixed", {"test": {"f1_micro": f1}, "validation": {}}
    )


def test_a_stage_result_shows_counts_notes_and_table_as_text() -> None:
    result = StageResult(
        "explore",
        outputs={"page": "work/explore.html"},
        counts={"movies": 1496, "wall_seconds": 1.5},
        metrics={"f1": 0.5},
        notes=(HOSTILE,),
        table="a  b",
        seconds=2.0,
    )
    shown = result._repr_html_()
    assert "<script" not in shown
    for part in ("explore", "2.0 s", ">1,496<", ">wall seconds<", "0.5000", "a  b", "&lt;script"):
        assert part in shown
    assert "nothing has changed" in StageResult("explore", reused=True)._repr_html_()
    assert "<table" not in StageResult("explore")._repr_html_()


def test_a_large_count_is_shown_whole() -> None:
    assert ">1,046,849<" in StageResult("x", counts={"rows": 1_046_849})._repr_html_()


def test_compared_models_are_a_table_with_the_best_in_bold() -> None:
    best, other = candidate("forest", 0.65), candidate(HOSTILE, 0.6)
    found = Compared([other, best], best, "f1_micro", {"test": 452}, 19)
    shown = found._repr_html_()
    rows = shown.split("<tbody>")[1].split("<tr>")[1:]
    assert ["bold" in row for row in rows] == [False, True]
    assert "forest" in rows[1]
    assert "0.650" in rows[1]
    assert "**" not in shown
    assert "<script" not in shown


def test_a_score_table_is_the_same_as_text_and_as_html() -> None:
    table = ScoreTable([candidate("forest", 0.65), candidate("net", 0.6)])
    assert "0.6500*" in str(table)
    assert ">0.6500*<" in table._repr_html_()
    assert table._repr_html_().count("<tr>") == 3


def test_a_table_without_rows_is_nothing() -> None:
    assert html_table([], header=["a"]) == ""
