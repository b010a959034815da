"""Settings of grouping, splitting and sampling."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from genre_spark.config.section import Section

__all__ = [
    "GenresConfig",
    "SamplingConfig",
    "SplitConfig",
]


class GenresConfig(Section):
    """Grouping of genres.csv by movie."""

    vocabulary: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="genres, in the order of their label ids; null: all in the file",
    )
    unknown: Literal["reject", "keep"] = Field(
        "reject",
        description="treatment of genres outside a given vocabulary; keep appends them to it",
    )
    separator: str | None = Field(
        None,
        description="between several genres in one cell; null: recognised (a list, |, ;, comma); "
        "'': cells are not split",
    )

    @field_validator("vocabulary")
    @classmethod
    def _names(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in value or ():
            if name != name.strip() or not name:
                raise ValueError(f"names without spaces around them, not {name!r}")
            if value is not None and value.count(name) > 1:
                raise ValueError(f"every name once, not {name!r} {value.count(name)} times")
        return value


class SplitConfig(Section):
    """Assignment of movies to train, validation and test."""

    test: float = Field(0.3, gt=0, lt=1, description="share of all movies")
    validation: float = Field(0.2, gt=0, lt=1, description="share of the movies that are not test")
    method: Literal["hash", "iterative"] = Field(
        "hash",
        description="hash: by a hash of each movie's id and the seed, at any size, stable when the "
        "data grows; iterative: by iterative stratification on the driver, for small data whose "
        "rare genres a hash could leave out of a split",
    )
    group_by: Literal["poster", "title"] | None = Field(
        None,
        description="movies that stay in one split; poster: those with the same pixels; title: "
        "those with the same title and year; null: each movie by itself",
    )
    max_iterative: int = Field(
        200_000, ge=1, description="largest number of movies for method iterative"
    )

    @model_validator(mode="after")
    def _one_way(self) -> SplitConfig:
        if self.method == "iterative" and self.group_by is not None:
            raise ValueError(
                "group_by null with method iterative, which assigns single movies, not group_by "
                f"{self.group_by}"
            )
        return self


class SamplingConfig(Section):
    """The balanced sample: training and validation have a minimum per genre, test has none."""

    total: int | None = Field(None, gt=0, description="number of movies over all splits; null: all")
    minimum_per_genre: int | dict[str, int] = Field(
        0,
        description="smallest number of movies per genre in the training sample, one number or one "
        "per genre; validation gets the same in proportion to its share",
    )
    maximum_per_genre: int | dict[str, int] | None = Field(
        None,
        description="largest number of movies per genre in the training sample, one number or one "
        "per genre",
    )
    require_poster: bool = Field(
        True, description="draw only movies with a poster, and store the poster in the samples"
    )
    effective_number_beta: float = Field(
        0.9999,
        ge=0,
        lt=1,
        description="beta of the class weights `effective_number`: 0 weighs genres alike, near 1 "
        "by inverse frequency",
    )
    negatives_per_positive: float = Field(
        4.0,
        gt=0,
        description="negatives per positive of a genre, for the class weights `negative_rate`",
    )

    @field_validator("minimum_per_genre", "maximum_per_genre")
    @classmethod
    def _counts(cls, value: int | dict[str, int] | None) -> int | dict[str, int] | None:
        for number in value.values() if isinstance(value, dict) else [value]:
            if number is not None and number < 0:
                raise ValueError(f"counts >= 0, not {number}")
        return value
