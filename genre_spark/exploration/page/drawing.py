"""The kinds of pictures: bars, lines of quantiles, coloured tables; names are never markup."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from genre_spark.evaluation.style import FAINT, INK, SEQUENTIAL, SERIES, name_axes, new_figure

__all__ = ["draw_bars", "draw_cells", "draw_quantiles", "plain", "short_number"]

_NARROW = 4.6  # inches: fits a phone, and two of them a screen
_ROW = 0.23
_DARK, _LIGHT = "#15181c", "#fbfcfe"  # on cells, whose colours do not change in the dark
_LONGEST = 28

Matrix = npt.NDArray[np.float64]


def plain(text: str) -> str:
    """Return a name as matplotlib shows it: shortened, and with no dollar sign as markup."""
    short = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "\u2026"
    printable = "".join(char if char.isprintable() else " " for char in short)
    return printable.replace("$", r"\$")


def draw_bars(
    names: Sequence[str],
    values: Sequence[float],
    *,
    title: str,
    x: str,
    colours: Sequence[str] | None = None,
    texts: Sequence[str] | None = None,
) -> Figure:
    """Draw horizontal bars, the first on top, with the numbers beside them.

    Args:
        names: of the bars.
        values: their lengths.
        title: title of the picture.
        x: name of the axis.
        colours: of the bars; None: one for all.
        texts: beside the bars; None: the values.
    """
    figure, (ax,) = new_figure(_NARROW, _ROW * len(names) + 1.0, title=title)
    places = np.arange(len(names))[::-1]
    bars = ax.barh(places, values, 0.72, color=colours or SERIES[0])
    shown = texts or [f"{value:,.0f}" for value in values]
    ax.bar_label(bars, shown, padding=3, fontsize=8, color=INK)
    ax.set_yticks(places, [plain(name) for name in names])
    ax.set_ylim(-0.7, len(names) - 0.3)
    ax.set_xlim(0, 1.22 * max([*values, 1e-9]))
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.xaxis.set_major_formatter(lambda value, _: short_number(value))
    name_axes(ax, x=x)
    return figure


def draw_quantiles(
    names: Sequence[str], quantiles: Matrix, *, title: str, x: str, log: bool
) -> Figure:
    """Draw a line from 5 to 95 %, a bar for the middle half and a dot for the median of each row.

    Args:
        names: of the rows, the first on top.
        quantiles: 5, 25, 50, 75 and 95 % of each row, (rows, 5); NaN where nothing is known.
        title: title of the picture.
        x: name of the axis.
        log: whether the axis is logarithmic; where there are zeros, from 1 on.
    """
    figure, (ax,) = new_figure(_NARROW, _ROW * len(names) + 1.0, title=title)
    places = np.arange(len(names))[::-1]
    low, first, middle, third, high = quantiles.T
    if log and np.nanmin(low) > 0:
        ax.set_xscale("log")
    elif log:
        ax.set_xscale("symlog", linthresh=1)
    ax.hlines(places, low, high, color=SERIES[0], linewidth=1.1)
    ax.hlines(places, first, third, color=SERIES[0], linewidth=6, alpha=0.55)
    ax.plot(middle, places, "o", color=SERIES[1], markersize=4.5, zorder=3)
    if ax.get_xscale() == "symlog":
        ax.set_xlim(left=0)
    ax.set_yticks(places, [plain(name) for name in names])
    ax.set_ylim(-0.7, len(names) - 0.3)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    if not log:
        ax.xaxis.set_major_locator(MaxNLocator(5))
        if np.nanmax(quantiles) >= 10_000:
            ax.xaxis.set_major_formatter(lambda value, _: short_number(value))
    else:
        ax.xaxis.set_major_formatter(lambda value, _: short_number(value))
    name_axes(ax, x=x)
    return figure


def draw_cells(
    values: Matrix,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    low: float = 0.0,
    high: float = 1.0,
    percent: bool = True,
) -> Figure:
    """Draw a table of numbers as colours with the numbers in the cells; NaN stays empty.

    Args:
        values: (rows, columns).
        rows: names, the first on top.
        columns: names.
        title: title of the picture.
        low: value of the lightest colour.
        high: value of the darkest colour.
        percent: write values as per cent; else with two digits.
    """
    width, height = 0.36 * len(columns) + 2.0, 0.25 * len(rows) + 1.9
    figure, (ax,) = new_figure(max(_NARROW, width), height, title=title)
    for side in ax.spines.values():
        side.set_visible(False)
    span = max(high - low, 1e-9)
    ax.pcolormesh(
        np.ma.masked_invalid(values), cmap=SEQUENTIAL, vmin=low, vmax=high, edgecolor=FAINT, lw=0.4
    )
    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        if np.isfinite(value):
            text = _percent(value) if percent else f"{value:.2f}"
            colour = _LIGHT if (value - low) / span > 0.6 else _DARK
            ax.text(
                column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=7, color=colour
            )
    centres = np.arange(len(columns)) + 0.5
    ax.set_xticks(
        centres,
        [plain(name) for name in columns],
        rotation=55,
        ha="right",
        rotation_mode="anchor",
    )
    ax.set_yticks(np.arange(len(rows)) + 0.5, [plain(name) for name in rows])
    ax.set_ylim(len(rows), 0)
    ax.tick_params(length=0)
    return figure


def short_number(value: float) -> str:
    """Return a number as an axis has room for it: 12k, 3.5M."""
    for size, letter in ((1e9, "bn"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _percent(share: float) -> str:
    if 0 < share < 0.005:
        return "<1"
    return f"{100 * share:.0f}"
