"""What somebody should know of the data before training, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from genre_spark.exploration.facts import Facts, column_name, enough, share_text

__all__ = ["LEAK", "describe_findings", "leaking_columns"]

LEAK = 0.95
"""AUC of a column from which on it is called a leak."""
_FEW = 100
_MUCH_MISSING = 0.5
_UNEVEN = 0.4


def leaking_columns(facts: Facts) -> dict[str, list[tuple[str, float]]]:
    """Return column -> the genres that it alone knows, with its AUC, the surest first."""
    found = {}
    for kind, aucs in facts.aucs.items():
        places = [place for place in np.argsort(-aucs, kind="stable") if aucs[place] >= LEAK]
        if places:
            found[kind] = [(facts.counts.genres[place], float(aucs[place])) for place in places]
    return found


def describe_findings(facts: Facts) -> list[str]:
    """Return the findings, the gravest first."""
    return [
        *_leaks(facts),
        *_repeated(facts),
        *_rejected(facts),
        *_rare(facts),
        *_missing(facts),
        *(f"{name.capitalize()}: {why}" for name, why in facts.absent.items()),
    ]


def _leaks(facts: Facts) -> Iterator[str]:
    for kind, genres in leaking_columns(facts).items():
        listed = ", ".join(f"{genre} ({auc:.3f})" for genre, auc in genres[:5])
        more = f" and {len(genres) - 5} others" if len(genres) > 5 else ""
        yield (
            f"Possible leak: {column_name(kind)} alone all but decides {listed}{more}, by its AUC. "
            "If nobody knows it of a movie without genres, leave it out of the features."
        )
    sure = [one for one in facts.sure if one.information >= 0.9]
    for one in sure[:3]:
        yield (
            f"Possible leak: {one.value!r} in {column_name(one.kind)} is nearly the same as "
            f"{facts.counts.genres[one.genre]} ({share_text(one.share)} of its movies have the "
            f"genre, {share_text(one.covered)} of the genre's movies have it)."
        )


def _repeated(facts: Facts) -> Iterator[str]:
    for found, what, setting in (
        (facts.titles, "title and year", "title"),
        (facts.pictures, "poster, to the last byte", "poster"),
    ):
        if found is not None and found.groups:
            yield (
                f"Duplicates: {found.movies:,} movies share their {what} with another one; "
                f"`split.group_by: {setting}` keeps them on one side of the split."
            )


def _rejected(facts: Facts) -> Iterator[str]:
    for stage, reasons in facts.rejected.items():
        listed = [f"{reason} ({rows:,})" for reason, rows in reasons.items()]
        yield f"Rows with flaws: {_listed(listed)}; they are in `rejects/{stage}`."


def _rare(facts: Facts) -> Iterator[str]:
    counts = facts.counts
    rare = [
        f"{genre} ({movies:,})"
        for genre, movies in zip(counts.genres, counts.per_genre.tolist(), strict=True)
        if movies < _FEW
    ]
    if rare:
        yield f"Rare genres, with fewer than {_FEW} movies: {_listed(rare)}."
    ratio = counts.per_genre[0] / counts.per_genre[-1]
    if ratio >= 10:
        yield (
            f"Imbalance: {counts.genres[0]} has {ratio:,.0f} times the movies of "
            f"{counts.genres[-1]}; a balanced sample or class weights may help, and micro-F1 "
            "hides the rare genres that macro-F1 shows."
        )
    if facts.left_out:
        yield f"Not shown here: {_listed(list(facts.left_out))}."


def _missing(facts: Facts) -> Iterator[str]:
    missing = facts.numbers.missing
    much = [
        f"{column_name(name)} ({share_text(shares[-1])})"
        for name, shares in missing.items()
        if shares[-1] >= _MUCH_MISSING
    ]
    if much:
        yield f"Missing in more than half of the movies: {_listed(much)}."
    places = enough(facts.counts.per_genre)
    uneven = [
        f"{column_name(name)} ({share_text(found.min())} to {share_text(found.max())})"
        for name, found in ((name, shares[places]) for name, shares in missing.items())
        if np.ptp(found) >= _UNEVEN
    ]
    if uneven:
        yield f"That a value is missing says something of the genre: {_listed(uneven)}."


def _listed(names: list[str], most: int = 12) -> str:
    more = f" and {len(names) - most} others" if len(names) > most else ""
    return ", ".join(names[:most]) + more
