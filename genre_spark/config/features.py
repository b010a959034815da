"""Settings of the feature vector: its blocks, and how much of each is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from genre_spark.config.section import Section

TextField = Literal["name", "tagline", "description"]
_METADATA = (
    "numbers",
    "decade",
    "countries",
    "languages",
    "studios",
    "themes",
    "people",
    "words",
    "characters",
)
# switches of version 0.1 -> the blocks that they stand for
_EARLIER = {
    "numbers": ("numbers",),
    "metadata": _METADATA,
    "posters": ("poster_summary",),
    "embeddings": ("poster_embedding",),
}


class FeatureBlocks(Section):
    """Which blocks a feature vector has; each is switched on and off by itself."""

    numbers: bool = Field(
        True,
        description="year, minutes, rating, those of numbers.csv, and which of them are missing",
    )
    decade: bool = Field(False, description="the decade of the year, one of several")
    countries: bool = Field(True, description="countries of production")
    languages: bool = Field(True, description="languages with their roles")
    studios: bool = Field(True, description="studios")
    themes: bool = Field(
        True, description="Letterboxd's themes, half a label: say so wherever figures are compared"
    )
    people: bool = Field(True, description="actors and crew with their roles")
    words: bool = Field(True, description="words of features.text_fields")
    characters: bool = Field(
        False, description="parts of words of features.text_fields: n-grams of characters"
    )
    text_embedding: bool = Field(False, description="embedding of the texts")
    poster_summary: bool = Field(True, description="thumbnail and histograms of the poster")
    poster_embedding: bool = Field(
        False,
        description="features of the poster by the frozen part of cnn.architecture, computed "
        "where they are missing",
    )


class FeaturesConfig(Section):
    """The feature vector of a movie, block by block; everything is learnt from training movies."""

    blocks: FeatureBlocks = FeatureBlocks()
    min_count: int = Field(
        5, ge=1, description="training movies that a category (country, person, ...) must have"
    )
    max_categories: int = Field(
        200, ge=1, description="categories kept of each kind, the most frequent ones"
    )
    text_fields: tuple[TextField, ...] = Field(
        ("name", "tagline", "description"),
        min_length=1,
        description="the texts whose words and characters are counted",
    )
    text_words: int = Field(
        1000,
        ge=0,
        description="words kept, the most frequent, or the number of hashes; 0: no block words",
    )
    text_ngrams: int = Field(
        1, ge=1, le=3, description="2: pairs of neighbouring words count as well; 3: triples too"
    )
    text_hashing: bool = Field(
        False, description="a word's feature is its hash; needs no vocabulary, has no names"
    )
    text_unit_length: bool = Field(
        False, description="divide a movie's weighted words by their Euclidean length"
    )
    character_ngrams: tuple[int, int] = Field(
        (3, 5),
        description="characters of the shortest and of the longest n-gram of the block characters",
    )
    character_features: int = Field(
        100_000, ge=1, description="n-grams kept, the most frequent, or the number of hashes"
    )
    character_hashing: bool = Field(
        False, description="an n-gram's feature is its hash; needs no vocabulary, has no names"
    )
    thumbnail: int = Field(
        6, ge=0, le=64, description="side of the poster thumbnail in pixels; 0: none"
    )
    histogram_bins: int = Field(
        8, ge=0, le=64, description="bins of each colour histogram; 0: none"
    )

    @property
    def on(self) -> tuple[str, ...]:
        """The blocks that are switched on, in their order in the vector."""
        empty = set() if self.text_words else {"words"}
        return tuple(
            name
            for name in FeatureBlocks.model_fields
            if getattr(self.blocks, name) and name not in empty
        )

    @property
    def metadata(self) -> bool:
        """Whether anything is read from the metadata's CSV files."""
        return any(name in _METADATA for name in self.on)

    @property
    def of_posters(self) -> bool:
        """Whether anything is read from posters."""
        return "poster_summary" in self.on or "poster_embedding" in self.on

    @model_validator(mode="before")
    @classmethod
    def _earlier_switches(cls, values: Any) -> Any:
        """Read the switches of version 0.1: numbers, metadata, posters, embeddings."""
        if not isinstance(values, Mapping) or not set(_EARLIER) & set(values):
            return values
        known = dict(values)
        blocks = known.get("blocks")
        switches = dict(blocks) if isinstance(blocks, Mapping) else {}
        for name, stands_for in _EARLIER.items():
            if name not in known:
                continue
            value = known.pop(name)
            if not isinstance(value, bool):
                raise ValueError(f"{name} is {value!r}, expected true or false")
            if name == "metadata" and value:
                continue
            for block in stands_for:
                if switches.setdefault(block, value) != value:
                    raise ValueError(
                        f"{name}={str(value).lower()} contradicts blocks.{block}, expected "
                        "features.blocks alone"
                    )
        return {**known, "blocks": switches}

    @field_validator("character_ngrams")
    @classmethod
    def _lengths(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not 2 <= value[0] <= value[1] <= 8:
            raise ValueError(f"2 <= shortest <= longest <= 8, not {value[0]}, {value[1]}")
        return value

    @model_validator(mode="after")
    def _something(self) -> FeaturesConfig:
        if not self.on:
            raise ValueError("no block is true, expected at least one of features.blocks")
        if "poster_summary" in self.on and not (self.thumbnail or self.histogram_bins):
            raise ValueError(
                "blocks.poster_summary is true with thumbnail 0 and histogram_bins 0, expected one "
                "of them"
            )
        return self
