"""Settings of linear models on blocks of features, and of stacks of models."""

from __future__ import annotations

import re
from typing import Literal, get_args

from pydantic import Field, field_validator, model_validator

from genre_spark.config.multilabel import Method
from genre_spark.config.section import Section

_THEMES = "themes"
_DENSE = ("poster_embedding", "poster_summary", "text_embedding", "numbers")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def check_names(names: object) -> None:
    """Raise ValueError where a name cannot be that of a folder, or is a method's."""
    for name in names if isinstance(names, (dict, tuple, list)) else ():
        if not _NAME.fullmatch(name):
            raise ValueError(f"model {name!r}, expected small letters, digits and underscores")
        if name in get_args(Method):
            raise ValueError(f"model {name!r}, expected a name that no multi-label method has")


class LinearModelConfig(Section):
    """One logistic regression per genre on some blocks of the features."""

    blocks: dict[str, float] = Field(
        min_length=1,
        description="block -> its weight; each movie's features of a block are brought to this "
        "squared length, so that blocks with greater weights count more",
    )
    penalty: float = Field(0.1, gt=0, description="of the weights' squares; 0.1 is C = 10")
    kernel: Literal["linear", "exponential"] = Field(
        "linear",
        description="linear: weights of the features; exponential: weights of landmarks, training "
        "movies that each movie is compared with, so that products of features count as well",
    )
    landmarks: int = Field(
        2_048,
        ge=1,
        le=20_000,
        description="training movies that an exponential kernel compares with, at most; up to as "
        "many movies its fit is exact",
    )

    @field_validator("blocks")
    @classmethod
    def _positive(cls, value: dict[str, float]) -> dict[str, float]:
        for name, weight in value.items():
            if weight <= 0:
                raise ValueError(f"{name}: {weight}, must be > 0; leave the block out instead")
        return value

    @model_validator(mode="after")
    def _dense(self) -> LinearModelConfig:
        others = sorted(set(self.blocks) - set(_DENSE))
        if self.kernel == "exponential" and others:
            raise ValueError(
                f"kernel: exponential with the block {others[0]}, expected only blocks whose "
                f"vectors are dense: {', '.join(_DENSE)}"
            )
        return self


class LinearConfig(Section):
    """Linear models, each under a name of its own."""

    models: dict[str, LinearModelConfig] = Field(
        min_length=1,
        description="name -> blocks and penalty; a model that reads themes and more has a twin, "
        "NAME_without_themes, where no model has the same blocks without them",
    )

    @field_validator("models")
    @classmethod
    def _twins(cls, value: dict[str, LinearModelConfig]) -> dict[str, LinearModelConfig]:
        """Add what a model is without themes, which are half a label: both are always compared."""
        models = dict(value)
        for name, model in value.items():
            blocks = {block: weight for block, weight in model.blocks.items() if block != _THEMES}
            known = any(set(other.blocks) == set(blocks) for other in models.values())
            twin = f"{name}_without_themes"
            if _THEMES in model.blocks and blocks and not known and twin not in models:
                models[twin] = model.model_copy(update={"blocks": blocks})
        return models

    @model_validator(mode="after")
    def _names(self) -> LinearConfig:
        check_names(self.models)
        return self


class FusedNetworkConfig(Section):
    """A network over parts of a movie, each of which may be missing."""

    name: str = Field("fused_network", description="name of the model")
    parts: dict[str, tuple[str, ...]] = Field(
        {
            "poster": ("poster_embedding",),
            "text": ("text_embedding",),
            "metadata": ("numbers", "decade", "countries", "languages", "studios"),
        },
        min_length=1,
        description="name of a part -> blocks of the features that it reads; a movie without any "
        "of a part's posters and texts lacks the part",
    )
    hidden: int = Field(256, ge=1, description="units of the hidden layer of each part")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of hidden activations dropped")
    drop_part: float = Field(
        0.2, ge=0, lt=1, description="probability that a part of a movie is dropped in training"
    )
    epochs: int = Field(60, ge=1, description="largest number of passes over the training movies")
    patience: int = Field(
        8, ge=1, description="epochs without a lower validation loss after which training stops"
    )
    batch_size: int = Field(64, ge=1, description="movies per step")
    learning_rate: float = Field(0.001, gt=0, description="of AdamW")
    weight_decay: float = Field(0.05, ge=0, description="of AdamW")
    weights: Literal["none", "sampling"] = Field(
        "none", description="weights of the movies; sampling: 1 / probability of being drawn"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where it is trained")
    threads: int | None = Field(None, ge=1, description="CPU threads; null: all cores")

    @model_validator(mode="after")
    def _parts(self) -> FusedNetworkConfig:
        check_names([self.name])
        for name, blocks in self.parts.items():
            if not blocks:
                raise ValueError(f"parts.{name}: no block, expected at least one")
        read = [block for blocks in self.parts.values() for block in blocks]
        twice = {block for block in read if read.count(block) > 1}
        if twice:
            raise ValueError(f"parts: {min(twice)} twice, expected each block in one part")
        return self


class StackConfig(Section):
    """Stacks: one logistic regression per genre on the log-odds of other models."""

    models: dict[str, tuple[str, ...]] = Field(
        min_length=1, description="name of the stack -> names of the models that it reads"
    )
    fit_on: Literal["out_of_fold", "validation"] = Field(
        "out_of_fold",
        description="out_of_fold: training movies, each predicted by linear models that were "
        "fitted without it; stacks of other models are fitted on validation all the same",
    )
    folds: int = Field(
        5,
        ge=2,
        le=20,
        description="folds of the movies that a stack is fitted on; each is predicted by models "
        "of the others",
    )
    most_rows: int = Field(200_000, ge=100, description="movies that a stack is fitted on at most")

    @model_validator(mode="after")
    def _names(self) -> StackConfig:
        check_names(self.models)
        for name, models in self.models.items():
            if not models:
                raise ValueError(f"{name}: no model, expected at least one")
            if name in models:
                raise ValueError(f"{name}: reads itself, expected other models")
        return self

    def on_folds(self, linear: LinearConfig | None) -> tuple[str, ...]:
        """Return the stacks that are fitted on out-of-fold predictions: of linear models alone."""
        if self.fit_on != "out_of_fold" or linear is None:
            return ()
        return tuple(name for name, read in self.models.items() if set(read) <= set(linear.models))
