"""Settings of the evaluation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genre_spark.config.section import Section

__all__ = [
    "EvaluationConfig",
    "PromotionConfig",
]


class EvaluationConfig(Section):
    """Evaluation of predictions tables, and the choice of the best model."""

    models: tuple[str, ...] | None = Field(
        None, description="models to evaluate; null: all that have predictions"
    )
    threshold: float = Field(
        0.5, gt=0, lt=1, description="the fixed threshold; tuned ones are measured beside it"
    )
    best_by: Literal[
        "f1_micro", "f1_macro", "jaccard_samples", "subset_accuracy", "hamming_loss"
    ] = Field("f1_micro", description="validation metric by which `compare` chooses the best model")


class PromotionConfig(Section):
    """When the challenger of the registered model takes the champion's place."""

    in_run: bool = Field(
        False, description="promote at the end of a whole run; else `genre-spark promote` does it"
    )
    dry_run: bool = Field(False, description="compare and report, but change nothing")
    rollback: bool = Field(
        False, description="make the version before the present champion the champion again"
    )
