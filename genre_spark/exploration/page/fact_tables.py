"""The facts as columns of equal length, for MLflow's tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genre_spark.exploration.counting.number_facts import QUANTILES
from genre_spark.exploration.counting.poster_facts import PosterColours
from genre_spark.exploration.counting.repeated_movies import Repeated
from genre_spark.exploration.facts import Facts

__all__ = ["fact_tables"]

Table = Mapping[str, list[Any]]


def fact_tables(facts: Facts) -> dict[str, Table]:
    """Return name -> column -> values, for everything that was found."""
    genres = list(facts.counts.genres)
    tables: dict[str, Table] = {
        "genres": {"genre": genres, "movies": facts.counts.per_genre.tolist()},
        "together": {
            "genre": genres,
            **{g: facts.counts.together[:, n].tolist() for n, g in enumerate(genres)},
        },
    }
    for kind, shares in facts.shares.items():
        tables[f"by_{kind}"] = {
            kind: list(shares.values),
            "movies": shares.movies.tolist(),
            **{g: shares.in_genre[:, n].tolist() for n, g in enumerate(genres)},
        }
    if facts.numbers.quantiles:
        tables["numbers"] = _numbers(facts)
    if facts.numbers.missing:
        tables["missing"] = {
            "genre": [*genres, "all"],
            **{name: shares.tolist() for name, shares in facts.numbers.missing.items()},
        }
    if facts.telling:
        tables["telling"] = _telling(facts)
    if facts.aucs:
        tables["leaks"] = {
            "column": list(facts.aucs),
            **{g: [float(a[n]) for a in facts.aucs.values()] for n, g in enumerate(genres)},
        }
    if facts.sure:
        tables["sure_values"] = _sure(facts)
    if facts.colours is not None:
        tables["poster_colours"] = _colours(facts.colours, genres)
    for name, found in (("titles", facts.titles), ("posters", facts.pictures)):
        if found is not None and found.groups:
            tables[f"repeated_{name}"] = _repeated(found)
    return tables


def _numbers(facts: Facts) -> Table:
    rows = [
        (name, genre, *quantiles.tolist())
        for name, by_genre in facts.numbers.quantiles.items()
        for genre, quantiles in zip([*facts.counts.genres, "all"], by_genre, strict=True)
    ]
    names = ["number", "genre", *(f"{level:.0%}" for level in QUANTILES)]
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def _telling(facts: Facts) -> Table:
    rows = [
        (kind, genre, one.value, one.movies, one.share, one.z)
        for kind, by_genre in facts.telling.items()
        for genre, values in zip(facts.counts.genres, by_genre, strict=True)
        for one in values
    ]
    names = ["column", "genre", "value", "movies", "share", "z"]
    columns = list(map(list, zip(*rows, strict=True))) or [[] for _ in names]
    return dict(zip(names, columns, strict=True))


def _sure(facts: Facts) -> Table:
    return {
        "column": [one.kind for one in facts.sure],
        "value": [one.value for one in facts.sure],
        "genre": [facts.counts.genres[one.genre] for one in facts.sure],
        "movies": [one.movies for one in facts.sure],
        "share": [one.share for one in facts.sure],
        "covered": [one.covered for one in facts.sure],
        "information": [one.information for one in facts.sure],
    }


def _colours(colours: PosterColours, genres: list[str]) -> Table:
    channels = zip(("red", "green", "blue"), colours.colours.T.tolist(), strict=True)
    return {
        "genre": genres,
        "posters": colours.posters.tolist(),
        **dict(channels),
        "brightness": colours.brightness.tolist(),
        "contrast": colours.contrast.tolist(),
    }


def _repeated(found: Repeated) -> Table:
    return {
        "what": [one.what for one in found.examples],
        "movies": [one.movies for one in found.examples],
        "ids": [", ".join(map(str, one.ids)) for one in found.examples],
        "same_genres": [one.same_genres for one in found.examples],
    }
