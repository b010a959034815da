"""Pictures of several models side by side, the best on top."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genre_spark.evaluation.headline import SHORT_NAMES, interval_of
from genre_spark.evaluation.scores import (
    EXACT_MATCH,
    FIXED,
    MICRO_F1,
    NO_RULE,
    PER_LABEL,
    SHOWN,
    SMALLER_IS_BETTER,
    Candidate,
)
from genre_spark.evaluation.style import FAINT, INK, SERIES, name_axes, new_figure

__all__ = ["candidate_name", "draw_comparison"]

_RULE_NAMES = {
    FIXED: "fixed",
    EXACT_MATCH: "for exact match",
    MICRO_F1: "for micro-F1",
    PER_LABEL: "per genre",
    NO_RULE: "",
}
_BASELINE, _ROW = "baseline", 0.36  # inches


def rule_name(rule: str) -> str:
    """Return a rule's short name: fixed, for exact match, ..."""
    return _RULE_NAMES.get(rule, rule)


def candidate_name(candidate: Candidate) -> str:
    """Return a model's name with its rule, as axes show it."""
    rule = rule_name(candidate.rule)
    return f"{candidate.model} ({rule})" if rule else candidate.model


def draw_comparison(candidates: Sequence[Candidate], *, title: str) -> Figure:
    """Draw one panel of bars per test metric, with intervals; the best value is bold.

    Baselines are gray.

    Args:
        candidates: from the best to the worst, which is the order from top to bottom.
        title: of the picture.
    """
    figure, axes = new_figure(
        14, _ROW * len(candidates) + 1.4, title=title, columns=len(SHORT_NAMES)
    )
    families = sorted({c.family for c in candidates if c.family != _BASELINE})
    tones = {
        _BASELINE: SERIES[-1],
        **{name: SERIES[number % 5] for number, name in enumerate(families)},
    }
    places = np.arange(len(candidates))[::-1]
    for number, (ax, metric) in enumerate(zip(axes, SHORT_NAMES, strict=True)):
        _draw_panel(ax, candidates, places, metric=metric, tones=tones)
        names = [candidate_name(c) for c in candidates] if number == 0 else [""] * len(candidates)
        ax.set_yticks(places, names)
        arrow = "lower" if metric in SMALLER_IS_BETTER else "higher"
        name_axes(ax, title=f"{SHOWN[metric]}, {arrow} is better")
    return figure


def _draw_panel(
    ax: Axes,
    candidates: Sequence[Candidate],
    places: np.ndarray,
    *,
    metric: str,
    tones: Mapping[str, str],
) -> None:
    values = [candidate.metric("test", metric) for candidate in candidates]
    finite = [value for value in values if math.isfinite(value)]
    best = (min if metric in SMALLER_IS_BETTER else max)(finite, default=math.nan)
    ends = []
    for candidate, place, value in zip(candidates, places, values, strict=True):
        if math.isnan(value):
            ax.annotate("-", (0, place), (3, 0), textcoords="offset points", va="center")
            continue
        ax.barh(place, value, 0.7, color=tones[candidate.family])
        interval = interval_of(candidate, metric)
        end = value
        if interval is not None:
            ax.plot([interval.low, interval.high], [place, place], color=INK, linewidth=1.1)
            end = max(value, interval.high)
        ends.append(end)
        ax.annotate(
            f"{value:.3f}",
            (end, place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=INK,
            fontweight="bold" if value == best else "normal",
        )
    ax.set_xlim(0, max(ends, default=1.0) * 1.3 + 1e-9)  # room for the numbers behind the bars
    ax.set_ylim(-0.6, len(candidates) - 0.4)
    ax.grid(axis="x", color=FAINT, linewidth=0.5)
    ax.set_axisbelow(True)
