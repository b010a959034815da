"""Pictures of what a model looks at."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from genre_spark.evaluation.style import (
    DIVERGING,
    FAINT,
    INK,
    SERIES,
    name_axes,
    new_figure,
    tidy_axes,
)
from genre_spark.explanations.importances import Explained
from genre_spark.explanations.measures import AVERAGE_PRECISION, MICRO_F1

__all__ = ["draw_genres", "draw_groups", "draw_inputs"]

Matrix = NDArray[np.float64]
_SHOWN = 20  # single inputs in a picture
_OF_A_GENRE = 5
_PANELS = 3
_LONGEST = 42  # characters of a name


def draw_groups(found: Explained) -> Figure:
    """Draw what the model loses without each group: for all genres, and for each one."""
    mean, deviation = found.overall(found.group_drops, MICRO_F1)
    by_label = found.by_label(found.group_drops)
    order = np.argsort(-mean, kind="stable")
    genres = np.argsort(-found.support, kind="stable")
    labels = [found.labels[place] for place in genres]
    width = 4.6 + 0.52 * len(labels)
    figure = Figure(
        figsize=(width, 0.34 * len(order) + 2.6), layout="constrained", facecolor="white"
    )
    figure.suptitle(
        f"{found.model}: what it loses when a block is shuffled among {found.rows:,} movies",
        fontsize=11,
        color=INK,
        fontweight="bold",
        x=0.01,
        ha="left",
    )
    bars, cells = figure.subplots(1, 2, width_ratios=[3.0, 0.52 * len(labels)])
    tidy_axes(bars)
    _draw_bars(bars, mean[order], deviation[order], [found.groups[k] for k in order], SERIES[0])
    name_axes(bars, title="micro-F1 of all genres")
    values = by_label[order][:, genres]
    largest = max(0.01, float(np.nanmax(np.abs(values), initial=0.0)))
    cells.set_facecolor(FAINT)
    cells.imshow(values, cmap=DIVERGING, vmin=-largest, vmax=largest, aspect="auto")
    cells.set_xticks(range(len(labels)), labels, rotation=60, ha="right", rotation_mode="anchor")
    cells.set_yticks([])
    cells.tick_params(length=0, labelsize=8, colors=INK)
    cells.spines[:].set_visible(False)
    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        if np.isfinite(value):
            colour = "white" if abs(value) > 0.6 * largest else INK
            text = f"{value:.2f}".replace("-0.00", "0.00").replace("0.", ".")
            cells.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    name_axes(cells, title="average precision of each genre")
    return figure


def draw_inputs(found: Explained) -> Figure:
    """Draw what the model loses without the single inputs that it needs most."""
    mean, deviation = found.overall(found.input_drops, AVERAGE_PRECISION)
    order = np.argsort(-mean, kind="stable")[:_SHOWN]
    title = f"{found.model}: single features, shuffled among {found.rows:,} movies"
    figure, (ax,) = new_figure(7.5, 0.27 * len(order) + 1.3, title=title)
    names = [_short(f"{group}: {name}", 60) for group, name in (found.inputs[k] for k in order)]
    _draw_bars(ax, mean[order], deviation[order], names, SERIES[0])
    name_axes(ax, x="loss of mean average precision (line: standard deviation)")
    return figure


def draw_genres(found: Explained) -> Figure:
    """Draw the single inputs that each genre needs most, one panel per genre."""
    by_label = found.by_label(found.input_drops)
    genres = np.argsort(-found.support, kind="stable")
    rows = -(-len(genres) // _PANELS)
    title = f"{found.model}: features of each genre (loss of its average precision)"
    figure, axes = new_figure(
        4.4 * _PANELS, 1.55 * rows + 0.5, title=title, columns=_PANELS, rows=rows
    )
    place = found.position(AVERAGE_PRECISION, found.labels[0])
    for number, ax in enumerate(axes):
        if number >= len(genres):
            ax.set_visible(False)
            continue
        genre = int(genres[number])
        drops = np.nan_to_num(by_label[:, genre])
        order = [k for k in np.argsort(-drops, kind="stable")[:_OF_A_GENRE] if drops[k] > 0]
        deviation = np.array([found.input_drops[k].deviation[place + genre] for k in order])
        names = [_short(f"{found.inputs[k][0]}: {found.inputs[k][1]}", _LONGEST) for k in order]
        _draw_bars(ax, drops[order], deviation, names, SERIES[0])
        ax.set_ylim(_OF_A_GENRE - 0.4, -0.6)
        name_axes(ax, title=f"{found.labels[genre]}  ({int(found.support[genre]):,})")
    return figure


def _draw_bars(ax: Axes, values: Matrix, deviation: Matrix, names: list[str], colour: str) -> None:
    """Draw bars with their deviations, the first on top."""
    places = np.arange(len(values))
    lines = {"ecolor": INK, "elinewidth": 0.8}
    ax.barh(places, values, 0.7, color=colour, xerr=deviation, error_kw=lines)
    ax.set_yticks(places, names)
    ax.set_ylim(len(values) - 0.4, -0.6)
    ax.axvline(0, color=INK, linewidth=0.6)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)


def _short(name: str, length: int) -> str:
    return f"{name[: length - 3].rstrip()}..." if len(name) > length else name
