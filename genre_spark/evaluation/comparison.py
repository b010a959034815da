"""Pictures of several models side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

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


def candidate_name(candidate: Candidate) -> str:
    """Return a model's name with its rule, as axes show it."""
    rule = _RULE_NAMES.get(candidate.rule, candidate.rule)
    return f"{candidate.model} ({rule})" if rule else candidate.model


def draw_comparison(candidates: Sequence[Candidate], *, split: str, title: str) -> Figure:
    """Draw one panel of bars per metric; baselines are gray, the best value is bold."""
    figure, axes = new_figure(14, 0.34 * len(candidates) + 1.3, title=title, columns=len(SHOWN))
    places = np.arange(len(candidates))[::-1]
    families = sorted({c.family for c in candidates if c.family != "baseline"})
    tones = {
        "baseline": SERIES[-1],
        **{name: SERIES[number % 5] for number, name in enumerate(families)},
    }
    for number, (ax, (metric, name)) in enumerate(zip(axes, SHOWN.items(), strict=True)):
        values = [candidate.metric(split, metric) for candidate in candidates]
        finite = [value for value in values if not math.isnan(value)]
        best = (min if metric in SMALLER_IS_BETTER else max)(finite, default=math.nan)
        bars = [0.0 if math.isnan(value) else value for value in values]
        ax.barh(places, bars, 0.72, color=[tones[candidate.family] for candidate in candidates])
        ax.set_xlim(0, max(finite, default=1.0) * 1.28 + 1e-9)
        for place, value in zip(places, values, strict=True):
            weight = "bold" if value == best else "normal"
            text = "-" if math.isnan(value) else f"{value:.3f}"
            ax.annotate(
                text,
                (0 if math.isnan(value) else value, place),
                (3, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=INK,
                fontweight=weight,
            )
        ax.set_yticks(
            places,
            [candidate_name(c) for c in candidates] if number == 0 else [""] * len(candidates),
        )
        ax.grid(axis="x", color=FAINT, linewidth=0.5)
        ax.set_axisbelow(True)
        name_axes(
            ax, title=f"{name}, {'lower' if metric in SMALLER_IS_BETTER else 'higher'} is better"
        )
    return figure
