"""What a stage did, and how its record keeps that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from genre_spark.evaluation.html_tables import (
    html_list,
    html_note,
    html_pre,
    html_table,
    html_title,
)
from genre_spark.redaction import redact_tree

__all__ = ["StageResult", "read_result", "record_result"]

_WORK = "{work}"  # stands for the work folder in records, which may be moved


@dataclass(frozen=True)
class StageResult:
    """What a stage did.

    Attributes:
        stage: the stage's name; the stage itself fills it in.
        outputs: name -> where it is.
        counts: name -> number of rows, files, seconds of training, ...
        metrics: name -> quality.
        notes: sentences that the user should read (a genre that has too few movies, ...).
        table: a text table for the terminal.
        seconds: wall time.
        run_id: the MLflow run, or None where the stage logs none.
        reused: nothing had changed, so the earlier result stands.
    """

    stage: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    table: str = ""
    seconds: float = 0.0
    run_id: str | None = None
    reused: bool = False

    def _repr_html_(self) -> str:
        """Return what the stage did as a notebook shows it."""
        took = "nothing has changed" if self.reused else f"{self.seconds:.1f} s"
        numbers = [(name.replace("_", " "), _whole(value)) for name, value in self.counts.items()]
        numbers += [(name, f"{value:.4f}") for name, value in self.metrics.items()]
        return "".join(
            [
                html_title(self.stage or "stage", took),
                html_table(numbers),
                html_list(self.notes),
                html_pre(self.table),
                *(html_note(f"{name}: {place}") for name, place in self.outputs.items()),
            ]
        )


def record_result(result: StageResult, work: str) -> dict[str, Any]:
    """Return a result as JSON values, without secrets, its outputs relative to the work folder."""
    known: dict[str, Any] = redact_tree(asdict(result))
    return {**known, "outputs": _move(known["outputs"], work, _WORK)}


def read_result(value: Mapping[str, Any], work: str) -> StageResult:
    """Return what `record_result` returned, its outputs below the work folder of now."""
    known = {**value, "notes": tuple(value.get("notes", ()))}
    known["outputs"] = _move(known.get("outputs", {}), _WORK, work)
    return StageResult(
        **{key: known[key] for key in StageResult.__dataclass_fields__ if key in known}
    )


def _move(outputs: Mapping[str, str], old: str, new: str) -> dict[str, str]:
    return {
        name: new + place[len(old) :] if place == old or place.startswith(f"{old}/") else place
        for name, place in outputs.items()
    }


def _whole(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,.3f}"
