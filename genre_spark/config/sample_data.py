"""Settings of the generated sample data."""

from __future__ import annotations

from pydantic import Field

from genre_spark.config.section import Section


class SampleDataConfig(Section):
    """The generated data set in the Letterboxd layout.

    It is written to the folders that `paths` names.
    """

    movies: int = Field(1500, ge=20, le=10_000_000, description="movies to make up")
    flaws: bool = Field(True, description="include a few of each flaw that real data has")
