"""Settings of the hyperparameter search."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from genre_spark.config.section import Section


class SearchConfig(Section):
    """Trials of `cnn` with learning rates and dropouts that Optuna draws."""

    trials: int = Field(3, ge=1, description="number of trials, over all runs of this search")
    epochs: int = Field(10, ge=1, description="largest number of passes over the samples per trial")
    sampler: Literal["random", "tpe"] = Field("random", description="Optuna's sampler")
    pruner: Literal["none", "median"] = Field(
        "none", description="Optuna's pruner; median: stop trials that are worse than most"
    )
    learning_rate: tuple[float, float] = Field(
        (0.0015, 0.05), description="bounds of the learning rate, drawn evenly on a log scale"
    )
    dropout: tuple[float, float] = Field((0.1, 0.5), description="bounds of the dropout")
    dropout_step: float = Field(0.05, gt=0, lt=1, description="step between values of the dropout")
    parallelism: int = Field(
        1, ge=1, description="trials that run at once, as Spark tasks; 1: one by one in the driver"
    )

    @field_validator("learning_rate", "dropout")
    @classmethod
    def _ascending(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError(f"0 < lower bound <= upper bound, not {value[0]}, {value[1]}")
        return value
