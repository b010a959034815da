"""Settings of the page about the data."""

from __future__ import annotations

from pydantic import Field

from genre_spark.config.section import Section

__all__ = [
    "ExploreConfig",
]


class ExploreConfig(Section):
    """What `explore` counts and shows."""

    genres: int = Field(30, ge=1, le=60, description="genres shown, the most frequent ones")
    telling: int = Field(10, ge=1, le=50, description="words, people, ... shown per genre")
    categories: int = Field(12, ge=1, le=40, description="countries and languages shown")
    posters_per_genre: int = Field(12, ge=0, le=60, description="posters in a contact sheet")
    colour_posters: int = Field(
        20_000, ge=0, description="posters decoded for the mean colours, about; 0: none"
    )
    zero_is_missing: tuple[str, ...] = Field(
        ("year", "minute", "rating", "budget", "revenue", "gross"),
        description="numbers whose zero means that nobody knew",
    )
