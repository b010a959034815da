"""Settings of the evaluation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genre_spark.config.section import Section

__all__ = [
    "AblationConfig",
    "EvaluationConfig",
    "ExplanationsConfig",
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
    half_samples: int = Field(
        20,
        ge=0,
        le=200,
        description="random halves of the validation movies whose best thresholds are averaged; "
        "0: the best threshold of all validation movies",
    )
    calibration: Literal["none", "platt", "isotonic"] = Field(
        "none",
        description="one curve per genre, fitted on validation in folds, that turns a model's "
        "probabilities into shares of movies; thresholds are fitted after it. platt: a logistic "
        "curve; isotonic: any rising one, for a thousand validation movies and more",
    )
    best_by: Literal[
        "f1_micro", "f1_macro", "jaccard_samples", "subset_accuracy", "hamming_loss"
    ] = Field("f1_micro", description="validation metric by which `compare` chooses the best model")


class ExplanationsConfig(Section):
    """What models look at: importances by permutation, and heat maps of posters."""

    models: tuple[str, ...] | None = Field(
        None, description="models to explain; null: all that were evaluated"
    )
    rows: int = Field(
        2000,
        ge=10,
        le=100_000,
        description="validation movies at most, the first by a hash of the seed",
    )
    features: int = Field(
        40,
        ge=0,
        le=5000,
        description="single features that are permuted; which ones, a cheap first look decides",
    )
    repeats: int = Field(5, ge=2, le=100, description="permutations of each feature and block")
    posters: int = Field(
        12, ge=0, le=100, description="test posters with heat maps: half right, half wrong; 0: none"
    )


class AblationConfig(Section):
    """What `ablate` fits on each block of the features alone, on all, and on all but one."""

    model: str | None = Field(
        None,
        description="a model of linear.models, or a method of multilabel.methods; null: the linear "
        "model that reads most blocks, or the first method where there is none",
    )


class PromotionConfig(Section):
    """When the challenger of the registered model takes the champion's place."""

    in_run: bool = Field(
        False, description="promote at the end of a whole run; else `genre-spark promote` does it"
    )
    dry_run: bool = Field(False, description="compare and report, but change nothing")
    rollback: bool = Field(
        False, description="make the version before the present champion the champion again"
    )
