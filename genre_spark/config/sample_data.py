"""Settings of the synthetic sample data."""

from __future__ import annotations

from pydantic import Field

from genre_spark.config.section import Section


class SampleDataConfig(Section):
    """The synthetic data set in the Letterboxd layout, written to the places that `paths` names."""

    movies: int = Field(1500, ge=20, le=10_000_000, description="number of movies")
    flaws: bool = Field(True, description="plant a few of each flaw that real data has")
