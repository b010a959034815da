"""The effect of balancing on the genres, as a table and as the pictures of the Letterboxd study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from genre_spark.evaluation.style import FAINT, SERIES, add_legend, name_axes, new_figure
from genre_spark.evaluation.text_tables import align_columns
from genre_spark.sampling.description import Balance

__all__ = ["balance_table", "co_occurrence_tables", "draw_balance", "format_balance"]

# the genre whose movies the study looked at; where it is missing, the most frequent one is taken
_EXAMPLE = "Drama"


def balance_table(
    described: Mapping[str, Balance], vocabulary: Sequence[str]
) -> dict[str, list[Any]]:
    """Return columns with one row per genre, the most frequent one first, then rows of totals.

    Args:
        described: name of a selection -> its figures; the first one is the population.
        vocabulary: genres by label id.
    """
    first = next(iter(described.values()))
    order = sorted(
        range(len(vocabulary)), key=lambda label: (-first.labels[label], vocabulary[label])
    )
    table: dict[str, list[Any]] = {
        "genre": [vocabulary[label] for label in order]
        + ["(movies)", "(genres per movie)", "(effective sample size)"]
    }
    for name, balance in described.items():
        table[name] = [
            *(balance.labels[label] for label in order),
            balance.movies,
            round(balance.cardinality, 4),
            round(balance.effective, 1),
        ]
        if balance is not first:
            table[f"{name}, weighted"] = [
                *(round(balance.weighted_labels[label], 1) for label in order),
                round(balance.weight, 1),
                round(balance.weighted_cardinality, 4),
                round(balance.effective, 1),
            ]
    return table


def format_balance(table: Mapping[str, Sequence[Any]]) -> str:
    """Return the table as text, for a terminal."""
    rows = [
        [value if isinstance(value, str) else f"{value:,}" for value in row]
        for row in zip(*table.values(), strict=True)
    ]
    return "\n".join(align_columns([list(table), *rows], left=1))


def draw_balance(before: Balance, after: Balance, vocabulary: Sequence[str]) -> dict[str, Figure]:
    """Draw genre counts before and after, genres per movie of one genre, and co-occurrence.

    Args:
        before: figures of the population.
        after: figures of the training sample.
        vocabulary: genres by label id.

    Returns:
        File names without ending -> pictures.
    """
    order = list(np.argsort(before.labels, kind="stable")[::-1])[:40]  # more bars cannot be read
    names = [vocabulary[label] for label in order]
    figures = {
        "1_genres_before": _draw_counts(
            names, {"movies": [before.labels[i] for i in order]}, "Genres before balancing"
        ),
        "2_genres_after": _draw_counts(
            names,
            {
                "training sample": [after.labels[i] for i in order],
                "training sample, weighted (scaled)": _scaled(after, order),
            },
            "Genres of the training sample",
        ),
    }
    example = vocabulary.index(_EXAMPLE) if _EXAMPLE in vocabulary else order[0]
    figures["3_genres_per_movie"] = _draw_sizes(before, after, example, vocabulary[example])
    if before.pairs and after.pairs:
        figures["4_co_occurrence"] = _draw_pairs(before, after, order, names)
    return figures


def co_occurrence_tables(
    before: Balance, after: Balance, vocabulary: Sequence[str]
) -> dict[str, Any]:
    """Return how many movies have two genres at once, (L, L): before, after and after, weighted."""
    weighted = [[round(value, 2) for value in row] for row in after.weighted_pairs]
    return {
        "vocabulary": list(vocabulary),
        "before": before.pairs,
        "after": after.pairs,
        "after, weighted": weighted,
    }


def _scaled(after: Balance, order: Sequence[int]) -> list[float]:
    scale = after.movies / after.weight if after.weight else 0.0
    return [after.weighted_labels[label] * scale for label in order]


def _draw_counts(names: Sequence[str], series: Mapping[str, Sequence[float]], title: str) -> Figure:
    figure, (ax,) = new_figure(9, 4, title=title)
    width = 0.8 / len(series)
    places = np.arange(len(names))
    for number, (label, values) in enumerate(series.items()):
        ax.bar(
            places - 0.4 + (number + 0.5) * width,
            values,
            width * 0.95,
            color=SERIES[number],
            label=label,
        )
    ax.set_xticks(places, names, rotation=45, ha="right")
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    name_axes(ax, y="movies")
    if len(series) > 1:
        add_legend(ax)
    return figure


def _draw_sizes(before: Balance, after: Balance, label: int, name: str) -> Figure:
    figure, (ax,) = new_figure(7, 3.8, title=f"Number of genres of {name} movies")
    series: dict[str, Mapping[int, float]] = {
        "before": before.sizes.get(label, {}),
        "training sample": after.sizes.get(label, {}),
        "training sample, weighted": after.weighted_sizes.get(label, {}),
    }
    largest = max((size for sizes in series.values() for size in sizes), default=1)
    places = np.arange(1, largest + 1)
    for number, (title, sizes) in enumerate(series.items()):
        total = sum(sizes.values()) or 1
        shares = [sizes.get(int(size), 0) / total for size in places]
        ax.bar(
            places - 0.4 + (number + 0.5) * 0.8 / 3, shares, 0.25, color=SERIES[number], label=title
        )
    ax.set_xticks(places)
    name_axes(ax, x="genres of the movie", y=f"share of {name} movies")
    add_legend(ax)
    return figure


def _draw_pairs(
    before: Balance, after: Balance, order: Sequence[int], names: Sequence[str]
) -> Figure:
    figure, axes = new_figure(
        17, 5.8, title="Share of the row's movies that also have the column's genre", columns=3
    )
    selections: dict[str, Sequence[Sequence[float]]] = {
        "before": before.pairs,
        "training sample": after.pairs,
        "training sample, weighted": after.weighted_pairs,
    }
    for ax, (title, pairs) in zip(axes, selections.items(), strict=True):
        both = np.asarray(pairs, np.float64)[np.ix_(order, order)]
        own = np.diag(both).copy()
        shares = np.divide(both, own[:, None], out=np.zeros_like(both), where=own[:, None] > 0)
        np.fill_diagonal(shares, np.nan)
        image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=0.6)
        ax.set_xticks(range(len(names)), names, rotation=90)
        ax.set_yticks(range(len(names)), names)
        name_axes(ax, title=title)
    figure.colorbar(image, ax=axes, shrink=0.8)
    return figure
