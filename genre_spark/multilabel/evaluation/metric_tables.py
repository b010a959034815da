"""Metrics as pandas frames, as text and as HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["label_frame", "metrics_html", "metrics_text", "overall_frame"]

_MEANS = ("micro", "macro", "samples")
_SHOWN = 40  # labels in a printed table; the frame has all


def overall_frame(values: Mapping[str, float]) -> pd.DataFrame:
    """Return metrics by name as a frame with the index `metric` and one column `value`."""
    return pd.DataFrame(
        {"value": list(values.values())}, index=pd.Index(list(values), name="metric"), dtype=float
    )


def label_frame(
    per_label: Mapping[str, NDArray[np.float64]], names: Sequence[str] | None
) -> pd.DataFrame:
    """Return metrics per label as a frame: the index has the labels' names, else their numbers."""
    count = len(next(iter(per_label.values()), ()))
    known = names is not None and len(names) == count
    index = pd.Index(list(names) if known and names else list(range(count)), name="label")
    return pd.DataFrame(dict(per_label), index=index)


def metrics_text(overall: pd.DataFrame, labels: pd.DataFrame, rows: float) -> str:
    """Return both frames as text, rounded to four digits."""
    parts = [f"{rows:,.10g} rows", *(_text(frame) for frame in _averages(overall["value"]))]
    if len(labels):
        parts.append(_text(_shown(labels)) + _left_out(labels))
    return "\n\n".join(parts)


def metrics_html(overall: pd.DataFrame, labels: pd.DataFrame, rows: float) -> str:
    """Return both frames as HTML tables, rounded to four digits."""
    tables = [_html(frame) for frame in _averages(overall["value"])]
    if len(labels):
        tables.append(_html(_shown(labels)) + f"<p>{escape(_left_out(labels).strip())}</p>")
    return f"<p>{rows:,.10g} rows</p>" + "".join(tables)


def _averages(values: pd.Series) -> list[pd.DataFrame]:
    """Return the metrics that are averaged, one column per mean, and the others, one per row."""
    table: dict[str, dict[str, float]] = {}
    others: dict[str, float] = {}
    for metric, value in values.items():
        name, _, mean = str(metric).rpartition("_")
        if name and mean in _MEANS:
            table.setdefault(name, {})[mean] = value
        else:
            others[str(metric)] = value
    frames = [overall_frame(others)] if others else []
    if table:
        averaged = pd.DataFrame.from_dict(table, orient="index")
        columns = [mean for mean in _MEANS if mean in averaged]
        frames.append(averaged[columns].rename_axis("metric"))
    return frames


def _shown(labels: pd.DataFrame) -> pd.DataFrame:
    return labels.head(_SHOWN)


def _left_out(labels: pd.DataFrame) -> str:
    more = len(labels) - _SHOWN
    return f"\n... {more} more labels: label_frame() has all" if more > 0 else ""


def _text(frame: pd.DataFrame) -> str:
    return frame.reset_index().to_string(index=False, na_rep="", formatters=_formats(frame))


def _html(frame: pd.DataFrame) -> str:
    found: str = frame.reset_index().to_html(
        index=False, na_rep="", border=0, formatters=_formats(frame)
    )
    return found


def _formats(frame: pd.DataFrame) -> dict[Any, Callable[[Any], str]]:
    return {str(name): _whole if name == "support" else "{:.4f}".format for name in frame.columns}


def _whole(value: float) -> str:
    return f"{value:,.10g}"
