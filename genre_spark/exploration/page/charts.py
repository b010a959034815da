"""The pictures of the page, each with one sentence that says what it shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from genre_spark.exploration.counting.genre_counts import GenreCounts
from genre_spark.exploration.counting.number_facts import Matrix
from genre_spark.exploration.counting.poster_facts import PosterColours
from genre_spark.exploration.facts import Facts, column_name, enough, share_text
from genre_spark.exploration.page.drawing import draw_bars, draw_cells, draw_quantiles, short_number

__all__ = ["Chart", "draw_charts"]

_ALL = "all movies"


@dataclass(frozen=True)
class Chart:
    """A picture.

    Attributes:
        name: of its file, without an ending.
        section: the section that it belongs to.
        figure: the picture.
        sentence: what it shows, with its numbers.
    """

    name: str
    section: str
    figure: Figure
    sentence: str


def draw_charts(facts: Facts) -> Iterator[Chart]:
    """Yield the pictures that there is something to draw for."""
    yield from _genres(facts)
    for kind in facts.shares:
        yield _shares(facts, kind)
    yield from _numbers(facts)
    if facts.numbers.missing:
        yield _missing(facts)
    if facts.colours is not None and facts.colours.sampled:
        yield from _colours(facts.colours, facts.counts.genres)
    if facts.aucs:
        yield _leaks(facts)


def _genres(facts: Facts) -> Iterator[Chart]:
    counts = facts.counts
    yield Chart(
        "genre_counts",
        "genres",
        draw_bars(counts.genres, counts.per_genre.tolist(), title="Movies per genre", x="movies"),
        _spread(counts),
    )
    sizes = counts.sizes
    names = [f"{n} or more" if n == max(sizes) and n >= 10 else str(n) for n in sizes]
    one = sizes.get(1, 0) / counts.movies
    yield Chart(
        "genres_per_movie",
        "genres",
        draw_bars(
            names,
            list(sizes.values()),
            title="Genres per movie",
            x="movies",
            texts=[f"{n:,} ({share_text(n / counts.movies)})" for n in sizes.values()],
        ),
        f"{share_text(one)} of the movies have one genre; the mean is {counts.cardinality:.2f}.",
    )
    if len(counts.genres) > 1:
        yield _together(facts)


def _spread(counts: GenreCounts) -> str:
    """Return how often the first and the last genre are there, in words."""
    first, last = counts.genres[0], counts.genres[-1]
    most, least = counts.per_genre[0], counts.per_genre[-1]
    sentence = f"{first} is in {share_text(most / counts.movies)} of the movies"
    if first == last:
        return sentence + "."
    return (
        f"{sentence} and {last} in {share_text(least / counts.movies)}: one {last} for "
        f"{most / least:,.0f} of {first}."
    )


def _together(facts: Facts) -> Chart:
    counts = facts.counts
    given = counts.together / counts.per_genre[:, None]
    np.fill_diagonal(given, np.nan)
    places = enough(counts.per_genre)
    row, column = np.unravel_index(np.nanargmax(given[places]), given[places].shape)
    row = places[row]
    return Chart(
        "together",
        "genres",
        draw_cells(
            given,
            rows=counts.genres,
            columns=counts.genres,
            title="Genres together, per cent of the row's movies",
            high=max(0.1, float(np.nanmax(given))),
        ),
        f"{counts.genres[row]} comes with {counts.genres[column]} in {given[row, column]:.0%} of "
        "its movies, more than any other pair.",
    )


def _shares(facts: Facts, kind: str) -> Chart:
    shares, genres = facts.shares[kind], facts.counts.genres
    values = (shares.in_genre / shares.movies[:, None]).T
    overall = shares.overall
    # a value of a handful of movies is extreme by chance
    gap = np.where(shares.movies >= max(20, shares.movies.max() / 100), values, np.nan)
    gap = gap - overall[:, None]
    titles = {
        "decade": "Genres of each decade, per cent of its movies",
        "countries": "Genres of each country, per cent of its movies",
        "languages": "Genres of each language, per cent of its movies",
    }
    sentence = f"The {len(shares.values)} most frequent {_plural(kind)}"
    if shares.others:
        sentence += f" of {len(shares.values) + shares.others:,}"
    if np.isfinite(gap).any():
        genre, value = np.unravel_index(np.nanargmax(gap), gap.shape)
        sentence += (
            f"; most out of the ordinary: {shares.values[value]}, where {genres[genre]} is in "
            f"{values[genre, value]:.0%} of the movies, against {share_text(overall[genre])} of "
            f"all that have {_one(kind)}"
        )
    columns = [
        f"{name} ({short_number(n)})"
        for name, n in zip(shares.values, shares.movies.tolist(), strict=True)
    ]
    return Chart(
        f"by_{kind}",
        "where",
        draw_cells(
            values,
            rows=genres,
            columns=columns,
            title=titles[kind],
            high=max(0.1, float(np.nanmax(values))),
        ),
        sentence + ".",
    )


def _numbers(facts: Facts) -> Iterator[Chart]:
    for name, quantiles in facts.numbers.quantiles.items():
        known = facts.numbers.known[name]
        shown = np.flatnonzero(np.isfinite(quantiles[:-1, 2]))
        if not len(shown):
            continue
        order = shown[np.argsort(-quantiles[shown, 2], kind="stable")]
        rows = np.concatenate([quantiles[-1:], quantiles[order]])
        genres = [facts.counts.genres[place] for place in order]
        said = enough(known[order])
        first, last = said[0], said[-1]
        floor = np.where(rows[:, 0] > 0, rows[:, 0], 1.0)  # counts begin at zero
        log = bool(rows.min() >= 0 and name != "year" and np.max(rows[:, 4] / floor) > 100)
        title = column_name(name)
        yield Chart(
            f"number_{name}",
            "numbers",
            draw_quantiles(
                [_ALL, *genres], rows, title=title[0].upper() + title[1:], x="", log=log
            ),
            f"{known[-1]:,} movies have it ({share_text(known[-1] / facts.counts.movies)}). "
            f"Medians go from {_number(name, rows[1 + last, 2])} ({genres[last]}) to "
            f"{_number(name, rows[1 + first, 2])} ({genres[first]})"
            + (", on a logarithmic scale." if log else "."),
        )


def _missing(facts: Facts) -> Chart:
    missing = facts.numbers.missing
    values = np.stack(list(missing.values()))
    most = max(missing, key=lambda name: float(missing[name][-1]))
    order = [-1, *range(values.shape[1] - 1)]
    places = enough(facts.counts.per_genre)
    spread = {name: float(np.ptp(share[places])) for name, share in missing.items()}
    uneven = max(spread, key=lambda name: spread[name])
    low, high = (places[find(missing[uneven][places])] for find in (np.argmin, np.argmax))
    genres = facts.counts.genres
    return Chart(
        "missing",
        "missing",
        draw_cells(
            values[:, order],
            rows=[column_name(name) for name in missing],
            columns=[_ALL, *genres],
            title="Per cent of movies without a value",
        ),
        f"Most often missing: {column_name(most)} ({share_text(missing[most][-1])}). Least even "
        f"over the genres: {column_name(uneven)}, missing in {share_text(missing[uneven][low])} "
        f"of {genres[low]} and {share_text(missing[uneven][high])} of {genres[high]}.",
    )


def _colours(colours: PosterColours, genres: Sequence[str]) -> Iterator[Chart]:
    light = colours.brightness
    shown = np.flatnonzero(colours.posters > 0)
    order = shown[np.argsort(-light[shown], kind="stable")]
    names = [genres[place] for place in order]
    said = enough(colours.posters[order])
    yield Chart(
        "poster_colours",
        "posters",
        draw_bars(
            names,
            light[order].tolist(),
            title="Mean colour and brightness of posters",
            x="mean brightness, 0 is black and 255 white",
            colours=[_hex(colours.colours[place]) for place in order],
            texts=[f"{light[place]:.0f}  ({colours.posters[place]:,})" for place in order],
        ),
        f"{names[said[0]]} has the lightest posters, {names[said[-1]]} the darkest; each bar has "
        f"the mean colour of its posters (in brackets: how many; {colours.sampled:,} of "
        f"{colours.total:,} were looked at).",
    )
    spread = colours.contrast
    order = shown[np.argsort(-spread[shown], kind="stable")]
    names = [genres[place] for place in order]
    said = enough(colours.posters[order])
    yield Chart(
        "poster_contrast",
        "posters",
        draw_bars(
            names,
            spread[order].tolist(),
            title="Contrast of posters",
            x="mean standard deviation of brightness within a poster",
            texts=[f"{spread[place]:.0f}" for place in order],
        ),
        f"{names[said[0]]} has the most contrast within a poster, {names[said[-1]]} the least.",
    )


def _leaks(facts: Facts) -> Chart:
    aucs = facts.aucs
    order = sorted(aucs, key=lambda kind: -float(_largest(aucs[kind])))
    values = np.stack([aucs[kind] for kind in order])
    best = order[0]
    sentence = "No column has enough movies of any genre to be measured."
    if np.isfinite(aucs[best]).any():
        genre = int(np.nanargmax(aucs[best]))
        sentence = (
            f"The column that knows most is {column_name(best)}: for "
            f"{facts.counts.genres[genre]} its AUC is {aucs[best][genre]:.3f} (0.5 says nothing, "
            "1 all; measured on movies that it was not learnt from and that have the column)."
        )
    return Chart(
        "leaks",
        "leaks",
        draw_cells(
            values,
            rows=[column_name(kind) for kind in order],
            columns=facts.counts.genres,
            title="AUC of one column alone for each genre",
            low=0.5,
            percent=False,
        ),
        sentence,
    )


def _largest(values: Matrix) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else 0.0


def _one(kind: str) -> str:
    return {"decade": "a year", "countries": "a country", "languages": "a language"}[kind]


def _plural(kind: str) -> str:
    return "decades" if kind == "decade" else kind


def _hex(colour: Matrix) -> str:
    red, green, blue = (round(float(value)) for value in colour)
    return f"#{red:02x}{green:02x}{blue:02x}"


def _number(name: str, value: float) -> str:
    return f"{value:.0f}" if name == "year" else short_number(value)
