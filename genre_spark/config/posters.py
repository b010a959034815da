"""Settings of the posters table and of feeding from it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genre_spark.config.section import Section


class PostersConfig(Section):
    """Decoding, resizing and storing of posters."""

    height: int = Field(345, ge=1, le=4096, description="pixels")
    width: int = Field(230, ge=1, le=4096, description="pixels")
    fit: Literal["stretch", "cover", "contain"] = Field(
        "stretch",
        description="stretch to the size, cover it and crop, or be contained in it and padded",
    )
    encoding: Literal["jpeg", "png", "raw"] = Field("jpeg", description="how pixels are stored")
    quality: int = Field(90, ge=1, le=100, description="JPEG quality of re-encoded posters")
    keep_originals: bool = Field(
        True,
        description="store a JPEG that already has the size and colours wanted as it is, without re-encoding",
    )
    max_pixels: int = Field(
        50_000_000, gt=0, description="larger originals are rejected before they are decoded"
    )
    max_bytes: int = Field(50_000_000, gt=0, description="larger files are rejected unread")
    min_side: int = Field(
        16, ge=1, description="originals with a shorter side, in pixels, are rejected"
    )
    drop_placeholders_over: int | None = Field(
        None,
        ge=1,
        description="drop posters whose bytes are shared by more movies than this; null: keep all",
    )
    follow_links: bool = Field(
        False, description="follow symbolic links that lead out of the folder of posters"
    )


class FeedConfig(Section):
    """Reading of samples by Petastorm into batches of tensors."""

    workers: int = Field(2, ge=1, le=64, description="threads that read and decode")
    shuffle_buffer: int = Field(
        2048, ge=0, description="samples that are mixed before batches are cut"
    )
    prefetch: int = Field(4, ge=1, description="batches kept ready")
