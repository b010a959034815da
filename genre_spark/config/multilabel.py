"""Settings of the multi-label models on feature vectors."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from genre_spark.config.section import Section

__all__ = [
    "BASELINES",
    "BINARY_METHODS",
    "OPTIONAL",
    "BoostingConfig",
    "ForestConfig",
    "Method",
    "MultilabelConfig",
]

Method = Literal[
    "binary_relevance",
    "classifier_chain",
    "ensemble_of_classifier_chains",
    "label_powerset",
    "rakel",
    "rakel_disjoint",
    "pruned_sets",
    "ensemble_of_pruned_sets",
    "homer",
    "multilabel_random_forest",
    "gradient_boosting",
    "most_common_labelset",
    "random_labels",
    "label_prior",
]


BINARY_METHODS: frozenset[str] = frozenset(
    {"binary_relevance", "classifier_chain", "ensemble_of_classifier_chains"}
)
"""Methods with one binary fit per genre."""

BASELINES: frozenset[str] = frozenset({"most_common_labelset", "random_labels", "label_prior"})
"""Methods that fit nothing."""


OPTIONAL: frozenset[str] = frozenset({"gradient_boosting"})
"""Methods that an extra installs; 'all' leaves them out."""


class BoostingConfig(Section):
    """Gradient boosting of all genres at once, one Spark task; needs the extra `boosting`."""

    library: Literal["catboost", "xgboost"] = Field(
        "catboost", description="catboost: loss MultiLogloss; xgboost: multi_output_tree"
    )
    iterations: int = Field(500, ge=1, description="trees, each of which answers for all genres")
    max_depth: int = Field(6, ge=1, le=16, description="levels of a tree's splits")
    learning_rate: float = Field(
        0.05, gt=0, le=1, description="share of a tree's answer that is added"
    )


class ForestConfig(Section):
    """The random forest under a multi-label method."""

    backend: Literal["spark", "sklearn"] = Field(
        "spark", description="spark: each fit is a distributed job; sklearn: each fit is one task"
    )
    trees: int = Field(50, ge=1, description="trees per forest")
    max_depth: int = Field(10, ge=1, le=30, description="largest depth of a tree, levels of splits")
    min_leaf: int = Field(1, ge=1, description="smallest number of rows per leaf")
    mode: Literal["auto", "local", "distributed"] = Field(
        "auto",
        description="where multilabel_random_forest is grown; local: whole trees, each in one task "
        "that holds all rows; distributed: level by level over the partitions, data of any size; "
        "auto: distributed where the features take more than 2 GiB",
    )


class MultilabelConfig(Section):
    """The multi-label methods to train."""

    methods: tuple[Method, ...] = Field(
        ("binary_relevance",),
        min_length=1,
        description="methods to train: one, several, or 'all' (but "
        "gradient_boosting, which needs the extra `boosting`)",
    )
    classifier: Literal["random_forest", "extra_trees", "logistic_regression"] = Field(
        "random_forest",
        description="base classifier; extra_trees needs forest.backend=sklearn; "
        "multilabel_random_forest has its own",
    )
    forest: ForestConfig = ForestConfig()
    boosting: BoostingConfig = BoostingConfig()
    parallelism: int = Field(2, ge=1, description="fits that run at once (backend spark)")
    weights: Literal["none", "sampling", "inverse_frequency", "effective_number", "balanced"] = (
        Field(
            "none",
            description="weights of the training rows; none: all 1; sampling: the inverse of the "
            "probability of being drawn; inverse_frequency, effective_number: the mean of the "
            "class weights of a row's genres; balanced: in each genre's fit the rows with it weigh "
            "as much, all together, as those without it (binary relevance and classifier chains "
            "only)",
        )
    )
    negatives_per_positive: float = Field(
        0.0,
        ge=0,
        description="negative rows per positive row in the fit of a genre, drawn at random; 0: all "
        "of them (binary relevance and classifier chains only)",
    )

    without_themes: bool = Field(
        False,
        description="fit each method a second time without Letterboxd's themes, which are half a "
        "label, where features have them: METHOD_without_themes",
    )

    @field_validator("methods", mode="before")
    @classmethod
    def _all_methods(cls, value: Any) -> Any:
        """Take 'all', alone or in a list, as every method that needs no extra."""
        if value == "all" or (isinstance(value, list | tuple) and list(value) == ["all"]):
            return tuple(method for method in get_args(Method) if method not in OPTIONAL)
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _binary_fits(self) -> MultilabelConfig:
        """Reject settings of binary fits for methods that have none."""
        others = [method for method in self.methods if method not in BINARY_METHODS | BASELINES]
        expected = (
            f"expected only {', '.join(sorted(BINARY_METHODS))} and baselines among the methods"
        )
        if others and self.weights == "balanced":
            raise ValueError(f"weights: 'balanced' with {', '.join(others)}, {expected}")
        if others and self.negatives_per_positive > 0:
            raise ValueError(
                f"negatives_per_positive: {self.negatives_per_positive} with {', '.join(others)}, "
                f"{expected}"
            )
        return self
