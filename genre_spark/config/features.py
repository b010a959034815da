"""Settings of the metadata and simple poster features."""

from __future__ import annotations

from pydantic import Field, model_validator

from genre_spark.config.section import Section


class FeaturesConfig(Section):
    """The feature vector of a movie: metadata of several kinds and a small summary of its poster."""

    numbers: bool = Field(True, description="year, minutes, rating")
    min_count: int = Field(
        5, ge=1, description="training movies that a category (country, person, ...) must have"
    )
    max_categories: int = Field(
        200, ge=1, description="categories kept of each kind, the most frequent ones"
    )
    text_words: int = Field(
        1000, ge=0, description="words of tagline and description kept; 0: no text features"
    )
    thumbnail: int = Field(
        6, ge=0, le=64, description="side of the poster thumbnail in pixels; 0: none"
    )
    histogram_bins: int = Field(
        8, ge=0, le=64, description="bins of each colour histogram; 0: none"
    )
    metadata: bool = Field(True, description="features from the CSV files")
    posters: bool = Field(
        True, description="thumbnail and histograms of posters, from the posters table"
    )
    embeddings: bool = Field(
        False,
        description="features of posters by the frozen part of cnn.architecture, computed where they are missing",
    )

    @property
    def of_posters(self) -> bool:
        """Whether a movie needs a poster to have features."""
        return self.posters or self.embeddings

    @model_validator(mode="after")
    def _something(self) -> FeaturesConfig:
        if not (self.metadata or self.of_posters):
            raise ValueError(
                "metadata, posters and embeddings are all false, expected at least one of them"
            )
        return self
