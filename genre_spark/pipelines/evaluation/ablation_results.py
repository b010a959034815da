"""What an ablation found: intervals of every metric, and what each block is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame, SparkSession

from genre_spark.evaluation.bootstrap import Bootstrap, Interval, paired_bootstrap
from genre_spark.evaluation.passes.batch_sums import group_sums
from genre_spark.evaluation.passes.decisions import decide_labels
from genre_spark.evaluation.scores import (
    EXACT_MATCH,
    FIXED,
    MICRO_F1,
    NO_RULE,
    PER_LABEL,
    SHOWN,
    SMALLER_IS_BETTER,
    Candidate,
)
from genre_spark.evaluation.text_tables import align_columns
from genre_spark.pipelines.evaluation.measuring.evaluation_passes import fit_thresholds
from genre_spark.spark.threads import run_in_threads

__all__ = ["ALL", "Ablation", "Variant", "measure_variants"]

Matrix = npt.NDArray[np.float64]

ALL = "all"
_RULES = {
    "hamming_loss": FIXED,
    "jaccard_samples": MICRO_F1,
    "subset_accuracy": EXACT_MATCH,
    "f1_micro": MICRO_F1,
    "f1_macro": PER_LABEL,
}
"""Metric -> the rule under which it is measured: the one that is tuned for it on validation."""


@dataclass(frozen=True)
class Variant:
    """A set of blocks.

    Attributes:
        name: of its table and model.
        kind: alone, all, or all but one.
        blocks: what it reads.
    """

    name: str
    kind: str
    blocks: tuple[str, ...]

    @property
    def title(self) -> str:
        """The variant as a reader sees it."""
        return self.name.replace("only_", "").replace("without_", "all but ")


@dataclass(frozen=True)
class Ablation:
    """Every variant on the same test movies.

    Attributes:
        variants: in the order of the table.
        found: rule -> bootstrap of all variants.
    """

    variants: Sequence[Variant]
    found: Mapping[str, Bootstrap]

    def interval(self, variant: Variant, metric: str) -> Interval:
        """Return a metric under its rule, with its 95 % interval."""
        return self.found[_RULES[metric]].interval(variant.name, metric)

    def loss(self, variant: Variant, metric: str) -> Interval:
        """Return by how much all blocks are better than a variant, on the same movies."""
        return self.found[_RULES[metric]].gain(ALL, variant.name, metric)

    def table(self) -> str:
        """Return the table for a terminal."""
        header = ["blocks", "", *(_title(metric) for metric in SHOWN), "behind all, micro-F1"]
        rows = [header]
        for variant in self.variants:
            cells = [variant.title, variant.kind]
            cells += [_shown(self.interval(variant, metric)) for metric in SHOWN]
            behind = "" if variant.name == ALL else _shown(self.loss(variant, MICRO_F1))
            rows.append([*cells, behind])
        first, *lines = align_columns(rows, left=2)
        return "\n".join([first, "-" * max(map(len, (first, *lines))), *lines])

    def csv(self) -> str:
        """Return the table as CSV: each metric with the bounds of its interval."""
        names = [f"{metric}{end}" for metric in SHOWN for end in ("", "_low", "_high")]
        names += [f"behind_all_{MICRO_F1}{end}" for end in ("", "_low", "_high")]
        lines = [",".join(["blocks", "kind", *names])]
        for variant in self.variants:
            found = [self.interval(variant, metric) for metric in SHOWN]
            found.append(self.loss(variant, MICRO_F1))
            numbers = [f"{v:.6f}" for each in found for v in (each.value, each.low, each.high)]
            lines.append(",".join([variant.title, variant.kind, *numbers]))
        return "\n".join(lines) + "\n"

    def candidates(self) -> list[Candidate]:
        """Return the variants for a picture, the best first."""
        found = []
        for variant in self.variants:
            values: dict[str, float] = {}
            for metric in SHOWN:
                each = self.interval(variant, metric)
                values |= {metric: each.value, f"{metric}_low": each.low}
                values[f"{metric}_high"] = each.high
            found.append(
                Candidate(variant.title, variant.kind, variant.kind, NO_RULE, {"test": values})
            )
        return sorted(found, key=lambda c: -c.metric("test", MICRO_F1))


def measure_variants(
    spark: SparkSession,
    variants: Sequence[Variant],
    predictions: Mapping[str, Mapping[str, DataFrame]],
    *,
    labels: int,
    seed: int,
    parallelism: int,
) -> Ablation:
    """Tune each variant's thresholds on validation and measure it on test.

    Args:
        spark: the session.
        variants: all of them.
        predictions: variant -> validation and test -> its predictions.
        labels: number of labels.
        seed: of the bootstrap's draws.
        parallelism: variants at once; their jobs are short.
    """

    def measure(variant: Variant) -> dict[str, Matrix]:
        rows = predictions[variant.name]
        thresholds = fit_thresholds(rows["validation"], threshold=0.5, half_samples=0)
        return {
            rule: group_sums(
                decide_labels(rows["test"], thresholds=thresholds[rule]), labels=labels
            )
            for rule in sorted(set(_RULES.values()))
        }

    sums = run_in_threads(
        spark, [partial(measure, variant) for variant in variants], parallelism=parallelism
    )
    found = {
        rule: paired_bootstrap(
            {variant.name: each[rule] for variant, each in zip(variants, sums, strict=True)},
            seed=seed,
        )
        for rule in set(_RULES.values())
    }
    return Ablation(variants, found)


def _title(metric: str) -> str:
    return f"{SHOWN[metric]} {'↓' if metric in SMALLER_IS_BETTER else '↑'}"


def _shown(found: Interval) -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
