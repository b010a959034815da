"""Settings of the posters table and of the feed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from genre_spark.config.section import Section

__all__ = [
    "FeedConfig",
    "PostersConfig",
]


class PostersConfig(Section):
    """Decoding, resizing and storing of posters."""

    height: int = Field(345, ge=1, le=4096, description="height of stored posters, pixels")
    width: int = Field(230, ge=1, le=4096, description="width of stored posters, pixels")
    fit: Literal["stretch", "cover", "contain"] = Field(
        "stretch",
        description="how posters get that size; stretch: change the proportions; cover: crop; "
        "contain: pad with black",
    )
    encoding: Literal["jpeg", "png", "raw"] = Field(
        "jpeg", description="encoding of stored posters"
    )
    quality: int = Field(90, ge=1, le=100, description="JPEG quality of re-encoded posters")
    keep_originals: bool = Field(
        True,
        description="store a colour JPEG that already has the size as it is, without re-encoding",
    )
    max_pixels: int = Field(
        50_000_000, gt=0, description="most pixels of an original; larger ones are not decoded"
    )
    max_bytes: int = Field(
        50_000_000, gt=0, description="most bytes of a file; larger ones are not read"
    )
    min_side: int = Field(
        16, ge=1, description="shortest side of an original, pixels; smaller ones are rejected"
    )
    drop_placeholders_over: int | None = Field(
        None,
        ge=1,
        description="largest number of movies that may share the same bytes; posters of more "
        "movies are placeholders and dropped; null: keep all",
    )
    follow_links: bool = Field(
        False, description="follow symbolic links that lead out of the folder of posters"
    )
    parts: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="parts that the table is planned in, each by its own task; null: one up to two "
        "million posters, then one per about half a million",
    )


class FeedConfig(Section):
    """The feed: samples as batches of tensors. `feed: parquet` is short for its reader."""

    reader: Literal["petastorm", "parquet"] = Field(
        "petastorm",
        description="what reads the samples; parquet: pyarrow alone, where petastorm and its pins "
        "are not installed; the batches are the same",
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=64,
        description="threads that read, and as many that decode; null: 2 beside a network on a "
        "CPU, the machine's cores (16 at most) beside one on a GPU",
    )
    shuffle_buffer: int = Field(
        2048, ge=0, description="samples that are mixed before batches are drawn"
    )
    prefetch: int = Field(4, ge=1, description="batches kept ready")

    @model_validator(mode="before")
    @classmethod
    def _read_short_form(cls, value: object) -> object:
        return {"reader": value} if isinstance(value, str) else value
