"""Settings of grouping, splitting and sampling."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from genre_spark.config.section import Section


class GenresConfig(Section):
    """Grouping of genres.csv by movie."""

    vocabulary: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="the genres to know, in the order of their label ids; null: all in the file",
    )
    unknown: Literal["reject", "keep"] = Field(
        "reject",
        description="genres outside a given vocabulary: to the rejects, or appended to the vocabulary",
    )

    @field_validator("vocabulary")
    @classmethod
    def _names(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in value or ():
            if name != name.strip() or not name:
                raise ValueError(f"names without blanks around them, not {name!r}")
            if value is not None and value.count(name) > 1:
                raise ValueError(f"every name once, not {name!r} {value.count(name)} times")
        return value


class SplitConfig(Section):
    """Assignment of movies to train, validation and test."""

    test: float = Field(0.3, gt=0, lt=1, description="share of all movies")
    validation: float = Field(0.2, gt=0, lt=1, description="share of the movies that are not test")
    method: Literal["hash", "iterative"] = Field(
        "hash",
        description="hash: each movie by a hash of its id and the seed, at any size, stable when the data grows; "
        "iterative: by iterative stratification on the driver, for small data whose rare genres a "
        "hash could leave "
        "out of a split",
    )
    group_by: Literal["poster", "title"] | None = Field(
        None,
        description="keep movies together: poster: those with the same pixels; title: those with the same title and "
        "year; null: each movie by itself",
    )
    max_iterative: int = Field(
        200_000, ge=1, description="movies that method iterative takes on at most"
    )

    @model_validator(mode="after")
    def _one_way(self) -> SplitConfig:
        if self.method == "iterative" and self.group_by is not None:
            raise ValueError(
                "group_by null with method iterative, which deals out single movies, not group_by "
                f"{self.group_by}"
            )
        return self


class SamplingConfig(Section):
    """The balanced sample: training and validation with a minimum per genre, test with the natural distribution."""

    total: int | None = Field(
        None, gt=0, description="movies wanted over all splits; null: all there are"
    )
    minimum_per_genre: int | dict[str, int] = Field(
        0,
        description="movies of each genre that the training sample has at least; a number, or one per genre; "
        "validation gets the same in proportion to its share",
    )
    maximum_per_genre: int | dict[str, int] | None = Field(
        None,
        description="movies of each genre that the training sample has at most; a number, or one per genre",
    )
    require_poster: bool = Field(
        True, description="draw only movies that have a poster, and put it into the samples"
    )
    effective_number_beta: float = Field(
        0.9999,
        ge=0,
        lt=1,
        description="of the genre weights `effective_number`: 0 weighs genres alike, near 1 by inverse frequency",
    )
    negatives_per_positive: float = Field(
        4.0,
        gt=0,
        description="of the genre weights `negative_rate`: negatives to draw for each positive of a genre",
    )

    @field_validator("minimum_per_genre", "maximum_per_genre")
    @classmethod
    def _counts(cls, value: int | dict[str, int] | None) -> int | dict[str, int] | None:
        for number in value.values() if isinstance(value, dict) else [value]:
            if number is not None and number < 0:
                raise ValueError(f"counts >= 0, not {number}")
        return value
