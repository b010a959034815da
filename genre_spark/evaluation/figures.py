"""Pictures of one model's predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from genre_spark.evaluation.passes.threshold_curves import ThresholdCurves
from genre_spark.evaluation.style import (
    DIVERGING,
    FAINT,
    INK,
    SEQUENTIAL,
    SERIES,
    add_legend_below,
    name_axes,
    new_figure,
)

__all__ = [
    "draw_correlations",
    "draw_f1_bars",
    "draw_heat_map",
    "draw_precision_recall",
    "draw_threshold_curves",
]

_MARKS = (":", "--", "-.")
"""Lines that mark the chosen thresholds."""

_TICKS = (0.0, 0.5, 1.0)

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]


def draw_f1_bars(
    f1: Mapping[str, Vector], *, labels: Sequence[str], support: Vector, title: str
) -> Figure:
    """Draw the F1 of each label, one bar per decision rule; the label with most rows is on top.

    Args:
        f1: decision rule -> F1 of each label, (L,).
        labels: names of the labels, L.
        support: number of rows that have each label, (L,).
        title: title of the picture.
    """
    order = np.argsort(support, kind="stable")
    figure, (ax,) = new_figure(7.5, 0.34 * len(labels) + 1.4, title=title)
    height = 0.8 / max(1, len(f1))
    places = np.arange(len(labels))
    for number, (rule, values) in enumerate(f1.items()):
        offset = 0.4 - (number + 0.5) * height
        ax.barh(
            places + offset,
            np.asarray(values)[order],
            height * 0.92,
            color=SERIES[number],
            label=rule,
        )
    ax.set_yticks(places, [f"{labels[index]}  ({int(support[index]):,})" for index in order])
    ax.set_xlim(0, 1)
    ax.set_ylim(-0.6, len(labels) - 0.4)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    name_axes(ax, x="F1 (in brackets: rows that have the genre)")
    add_legend_below(figure, [ax], columns=2)
    return figure


def draw_threshold_curves(
    curves: ThresholdCurves, *, chosen: Mapping[str, float], title: str
) -> Figure:
    """Draw the metrics against one threshold for all labels, and mark the chosen thresholds.

    Args:
        curves: counts on the rows that thresholds are fitted on.
        chosen: name -> threshold to mark.
        title: title of the picture.
    """
    figure, (quality, loss, size) = new_figure(12, 4.0, title=title, columns=3)
    for number, (name, values) in enumerate(
        {
            "exact match": curves.subset_accuracy,
            "Jaccard": curves.jaccard_samples,
            "micro-F1": curves.f1_micro,
            "macro-F1": curves.f1_macro,
        }.items()
    ):
        quality.plot(curves.thresholds, values, color=SERIES[number], label=name, linewidth=1.6)
    loss.plot(curves.thresholds, curves.hamming_loss, color=SERIES[0], linewidth=1.6)
    size.plot(curves.thresholds, curves.cardinality, color=SERIES[0], linewidth=1.6)
    size.axhline(
        curves.support.sum() / curves.rows,
        color=SERIES[4],
        linewidth=1.2,
        label="true genres per movie",
    )
    name_axes(quality, title="higher is better", x="threshold")
    name_axes(loss, title="Hamming loss, lower is better", x="threshold")
    name_axes(size, title="predicted genres per movie", x="threshold")
    for ax in (quality, loss, size):
        ax.set_ylim(0, None)
        for (name, threshold), line in zip(chosen.items(), _MARKS, strict=False):
            label = f"threshold {name}: {threshold:.3f}"
            ax.axvline(threshold, color=INK, linewidth=1.0, linestyle=line, label=label)
    add_legend_below(figure, (quality, size), columns=4)
    return figure


def draw_precision_recall(curves: ThresholdCurves, *, labels: Sequence[str], title: str) -> Figure:
    """Draw precision against recall, one panel per label, the other labels in gray behind it."""
    columns = 5
    rows = -(-len(labels) // columns)
    width, height = 2.1 * columns, 1.9 * rows + 0.5
    # the panels' sizes are known; to find them out would take longer than to draw them
    figure, axes = new_figure(width, height, title=title, columns=columns, rows=rows, layout=None)
    figure.subplots_adjust(
        left=0.5 / width,
        right=1 - 0.12 / width,
        top=1 - 0.65 / height,
        bottom=0.5 / height,
        wspace=0.15,
        hspace=0.28,
    )
    lines = []
    for recall, precision, predicted in zip(
        curves.recall, curves.precision, curves.predicted, strict=True
    ):
        reached = predicted > 0  # above the highest score there is no precision
        lines.append((recall[reached], precision[reached]))
    others = [np.column_stack(line) for line in lines]
    for index, ax in enumerate(axes):
        if index >= len(labels):
            ax.set_visible(False)
            continue
        # one collection: a line of its own for each pair of labels would take half a second
        ax.add_collection(LineCollection(others, colors=FAINT, linewidths=0.5, zorder=1))
        ax.axhline(
            curves.support[index] / curves.rows, color=INK, linewidth=0.6, linestyle=":", zorder=2
        )
        ax.plot(*lines[index], color=SERIES[0], linewidth=1.6, zorder=3)
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1)
        first_column, last_row = index % columns == 0, index + columns >= len(labels)
        # few ticks with numbers at the edge alone: most of the time goes into measuring them
        ax.set_xticks(_TICKS, [str(tick) if last_row else "" for tick in _TICKS])
        ax.set_yticks(_TICKS, [str(tick) if first_column else "" for tick in _TICKS])
        name_axes(
            ax,
            title=labels[index],
            x="recall" if last_row else "",
            y="precision" if first_column else "",
        )
    return figure


def draw_correlations(
    actual: Matrix, predicted: Matrix, *, labels: Sequence[str], title: str
) -> Figure:
    """Draw heat maps of the labels' correlations, actual beside predicted, on one scale.

    Pairs without a correlation are gray.

    Args:
        actual: phi coefficients of the truth, (L, L), -1..1 or NaN.
        predicted: phi coefficients of the predictions, likewise.
        labels: names of the labels, L.
        title: title of the picture.
    """
    figure, axes = new_figure(12, 5.8, title=title, columns=2)
    shown = [
        np.where(np.eye(len(labels), dtype=bool), np.nan, matrix) for matrix in (actual, predicted)
    ]
    largest = max(0.1, float(np.nanmax(np.abs(np.concatenate(shown)), initial=0.0)))
    image = None
    for ax, matrix, name in zip(axes, shown, ("actual", "predicted"), strict=True):
        ax.set_facecolor(FAINT)
        image = ax.imshow(matrix, cmap=DIVERGING, vmin=-largest, vmax=largest)
        _label_matrix(ax, labels, labels)
        name_axes(ax, title=name)
    if image is not None:
        bar = figure.colorbar(image, ax=axes, shrink=0.8, label="phi coefficient")
        bar.ax.tick_params(labelsize=8)
    return figure


def draw_heat_map(
    values: Matrix, *, rows: Sequence[str], columns: Sequence[str], title: str, scale: str = "F1"
) -> Figure:
    """Draw a table of numbers in 0..1 as colours, with the numbers in the cells."""
    figure, (ax,) = new_figure(0.55 * len(columns) + 2.6, 0.32 * len(rows) + 1.9, title=title)
    ax.imshow(values, cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
    _label_matrix(ax, rows, columns)
    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        if np.isfinite(value):
            ax.text(
                column,
                row,
                f"{value:.2f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if value > 0.55 else INK,
            )
    name_axes(ax, title=scale)
    return figure


def _label_matrix(ax: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    ax.set_xticks(range(len(columns)), columns, rotation=60, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)
