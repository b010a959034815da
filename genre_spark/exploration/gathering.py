"""From the tables to the facts: every Spark job of the page, in order."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.config.exploration import ExploreConfig
from genre_spark.exploration.counting.column_leaks import column_aucs, learn_scores
from genre_spark.exploration.counting.genre_counts import category_shares, count_genres
from genre_spark.exploration.counting.known_movies import (
    HALF,
    KnownMovies,
    collect_known,
    shown_genres,
)
from genre_spark.exploration.counting.number_facts import describe_numbers, range_edges
from genre_spark.exploration.counting.poster_facts import contact_sheets, poster_colours
from genre_spark.exploration.counting.repeated_movies import repeated_posters, repeated_titles
from genre_spark.exploration.counting.telling_values import log_odds, sure_values, telling_values
from genre_spark.exploration.counting.value_counts import add_halves, count_values, list_values
from genre_spark.exploration.facts import Facts
from genre_spark.features.blocks import DECADE, WORDS
from genre_spark.storage.caching import cached

__all__ = ["TELLING", "gather_facts"]

logger = logging.getLogger("genre_spark")

TELLING = (WORDS, "people", "studios", "themes")
_SHARES = (DECADE, "countries", "languages")


def gather_facts(
    genres: DataFrame,
    *,
    vocabulary: Sequence[str],
    movies_per_genre: Sequence[int],
    metadata: DataFrame | None,
    posters: DataFrame | None,
    settings: ExploreConfig,
    seed: int,
    absent: Mapping[str, str],
    rejected: Mapping[str, Mapping[str, int]],
) -> Facts:
    """Count everything that the page shows.

    What reaches the driver is bounded by genres, columns and the settings, whatever the number of
    movies.

    Args:
        genres: the genres table.
        vocabulary: names by label id.
        movies_per_genre: by label id.
        metadata: what `read_metadata` returns, or None.
        posters: the posters table, or None.
        settings: what is shown.
        seed: of samples and halves.
        absent: why metadata or posters are not there.
        rejected: stage -> reason -> rows.
    """
    shown = shown_genres(movies_per_genre, most=settings.genres)
    known = collect_known(
        genres,
        metadata=metadata,
        posters=posters,
        zero_is_missing=settings.zero_is_missing,
        seed=seed,
    )
    with cached(known.frame) as frame:
        known = KnownMovies(frame, known.numbers, known.names, known.fields)
        logger.info("explore: genres, numbers, what is missing")
        facts: dict[str, Any] = {
            "counts": count_genres(frame, shown=shown, names=vocabulary),
            "numbers": describe_numbers(known, shown=shown),
            "titles": repeated_titles(known),
        }
        if known.names:
            logger.info("explore: words, people, countries, ... and what they know of the genres")
            facts |= _values(known, shown, settings)
        if posters is not None:
            logger.info("explore: posters")
            facts |= _posters(known, posters, shown, settings, seed)
    return Facts(
        left_out=tuple(n for place, n in enumerate(vocabulary) if place not in set(shown)),
        absent=absent,
        rejected=rejected,
        **facts,
    )


def _values(known: KnownMovies, shown: Sequence[int], settings: ExploreConfig) -> dict[str, Any]:
    values = list_values(known, range_edges(known))
    with cached(count_values(values, shown=shown)) as counts:
        both = add_halves(counts, genres=len(shown))
        with cached(both) as both:
            odds = log_odds(both)
            scores = learn_scores(counts.where(F.col(HALF) == 0), genres=len(shown))
            shares = {
                kind: category_shares(both, kind, most=settings.categories, by_name=kind == DECADE)
                for kind in _SHARES
            }
            return {
                "shares": {kind: found for kind, found in shares.items() if found.values},
                "telling": telling_values(
                    odds, kinds=TELLING, genres=len(shown), most=settings.telling
                ),
                "sure": sure_values(odds, most=30),
                "aucs": column_aucs(values.where(F.col(HALF) == 1), scores, shown=shown),
            }


def _posters(
    known: KnownMovies,
    posters: DataFrame,
    shown: Sequence[int],
    settings: ExploreConfig,
    seed: int,
) -> dict[str, Any]:
    facts: dict[str, Any] = {"pictures": repeated_posters(known, posters)}
    if settings.colour_posters:
        facts["colours"] = poster_colours(
            known.frame, posters, shown=shown, most=settings.colour_posters, seed=seed
        )
    if settings.posters_per_genre:
        facts["sheets"] = contact_sheets(
            known.frame, posters, shown=shown, per_genre=settings.posters_per_genre, seed=seed
        )
    return facts
