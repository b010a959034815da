"""Settings of the hyperparameter search."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from genre_spark.config.section import Section


class SearchConfig(Section):
    """Trials of `cnn` with other learning rates and dropouts, as Optuna draws them."""

    trials: int = Field(3, ge=1, description="trials over all runs of this search")
    epochs: int = Field(10, ge=1, description="passes over the training samples in a trial at most")
    sampler: Literal["random", "tpe"] = "random"
    pruner: Literal["none", "median"] = Field(
        "none", description="median: stop trials that are worse than most"
    )
    learning_rate: tuple[float, float] = Field(
        (0.0015, 0.05), description="bounds; drawn evenly over the logarithm"
    )
    dropout: tuple[float, float] = Field((0.1, 0.5), description="bounds")
    dropout_step: float = Field(0.05, gt=0, lt=1, description="distance of the values of dropout")
    parallelism: int = Field(
        1, ge=1, description="trials at once, each a Spark task; 1: in the driver, one by one"
    )

    @field_validator("learning_rate", "dropout")
    @classmethod
    def _ascending(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError(f"0 < lower bound <= upper bound, not {value[0]}, {value[1]}")
        return value
