"""What a stack loses on movies without their poster, or without their texts.

    python benchmarks/missing_blocks.py --config conf/letterboxd_fused.yaml [key=value ...]

Needs a finished run of the recipe (`genre-spark run`). Test movies lose the features of their
poster, then those of their texts; linear models and stack answer again. Each is compared with a
stack that never had that sense: fitted on the out-of-fold predictions of the models that need none.
Micro-F1 on test; thresholds from validation, means over half samples as `evaluate` chooses them: of
the whole stack for the stack (it is used as it is), of its own for the other. The last column is
what is lost against it; at most .01 is allowed.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from scipy import sparse
from scipy.special import expit, logit

from genre_spark.config import Config, load_config
from genre_spark.features.blocks import EmbeddingBlock
from genre_spark.features.specification import FeatureSpecification
from genre_spark.fusion.linear.model import LinearModel
from genre_spark.fusion.senses import SENSES, lacking, sense_of
from genre_spark.fusion.stacks.stacking import StackedModel, choose_penalty, fit_stack, log_odds
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.models.stack_inputs import senses_of_model
from genre_spark.schemas import FEATURES, LABELS, MOVIE_ID, PROBABILITIES
from genre_spark.spark.session import spark_session
from genre_spark.storage.files import filesystem, join

FOLDS = 5
HALF_SAMPLES = 20  # of evaluation.half_samples


def read(file: str) -> bytes:
    system, inner = filesystem(file)
    with system.open(inner, "rb") as stream:
        return bytes(stream.read())


def predictions(spark: SparkSession, config: Config, model: str, split: str) -> tuple[Any, Any]:
    """Return labels and probabilities in the order of the movies."""
    table = Catalogue(config).predictions(model, split).read(spark)
    rows = table.orderBy(MOVIE_ID).select(LABELS, PROBABILITIES).collect()
    return np.array([r[0] for r in rows], np.float64), np.array([r[1] for r in rows], np.float64)


def features(spark: SparkSession, config: Config, split: str, size: int) -> sparse.csr_matrix:
    """Return the feature vectors of a split in the order of the movies."""
    tables = Catalogue(config)
    wanted = tables.samples(split).read(spark).select(MOVIE_ID)
    rows = tables.features.read(spark).join(wanted, MOVIE_ID).orderBy(MOVIE_ID)
    rows = rows.select(F.col(FEATURES).alias("v")).collect()
    parts = [(r.v.indices, r.v.values) if hasattr(r.v, "indices") else None for r in rows]
    lines = [
        sparse.csr_matrix((part[1], part[0], [0, len(part[0])]), shape=(1, size))
        if part is not None
        else sparse.csr_matrix(row.v.toArray()[None])
        for part, row in zip(parts, rows, strict=True)
    ]
    return sparse.vstack(lines, format="csr")


def without(
    specification: FeatureSpecification, rows: sparse.csr_matrix, sense: str
) -> sparse.csr_matrix:
    """Return the vectors that movies have which lack a sense."""
    parts = []
    for part in specification.parts:
        block = rows[:, specification.blocks[part.name]]
        if sense_of(part.name) == sense:
            block = sparse.csr_matrix(block.shape)
            if isinstance(part, EmbeddingBlock):
                blank = np.r_[part.fill, [1.0] * part.marked]
                block = sparse.csr_matrix(np.tile(blank, (rows.shape[0], 1)))
        parts.append(block)
    return sparse.hstack(parts, format="csr")


def micro_f1(labels: Any, decided: Any) -> float:
    return float(2 * (labels * decided).sum() / (labels.sum() + decided.sum()))


def best_threshold(labels: Any, odds: Any) -> float:
    """Return the mean, in log-odds, of the best thresholds of 20 half samples, as recipes do."""
    drawn, grid = np.random.default_rng(7), np.linspace(0.05, 0.95, 181)
    chosen = []
    for _ in range(HALF_SAMPLES):
        half = drawn.random(len(labels)) < 0.5
        found = np.array([micro_f1(labels[half], odds[half] >= limit) for limit in grid])
        chosen.append(logit(np.median(grid[found == found.max()])))
    return float(expit(np.mean(chosen)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True)
    parser.add_argument("--stack", help="name of one stack; all of the recipe by default")
    options, overrides = parser.parse_known_args()
    config = load_config(options.config, overrides)
    if config.stack is None:
        raise SystemExit(f"{options.config}: no stack, expected a recipe with one")
    names = [options.stack] if options.stack else list(config.stack.models)
    specification = FeatureSpecification.load(config.paths.model("features"))
    with spark_session(
        app_name="missing",
        master=config.spark.master,
        conf_file=config.spark.conf_file,
        settings=config.spark.settings,
    ) as spark:
        test = features(spark, config, "test", specification.size)
        print("| stack | without | movies | whole | without it | never had it | lost |")
        print("|---|---|---|---|---|---|---|")
        for name in names:
            for sense in SENSES:
                print(measure(spark, config, specification, test, name, sense), flush=True)


def measure(
    spark: SparkSession,
    config: Config,
    specification: FeatureSpecification,
    test: sparse.csr_matrix,
    name: str,
    sense: str,
) -> str:
    """Return a line of the table."""
    stack = StackedModel.from_bytes(read(join(config.paths.model(name), "stack.npz")))
    senses = [senses_of_model(config, model) for model in stack.models]
    blank = without(specification, test, sense)
    lacks = lacking(specification, blank)
    answers = []
    for model, needed in zip(stack.models, senses, strict=True):
        linear = LinearModel.from_bytes(read(join(config.paths.model(model), "linear.npz")))
        odds = linear.probabilities(blank)
        for each in needed:
            odds[lacks[each]] = np.nan
        answers.append(odds)
    limit = best_threshold(*predictions(spark, config, name, "validation"))
    labels, whole = predictions(spark, config, name, "test")
    found = micro_f1(labels, stack.probabilities(log_odds(answers)) >= limit)

    kept = [
        model for model, needed in zip(stack.models, senses, strict=True) if sense not in needed
    ]
    split = {
        part: [predictions(spark, config, model, part) for model in kept]
        for part in ("train", "validation", "test")
    }
    inputs = {part: log_odds([odds for _, odds in each]) for part, each in split.items()}
    truth = split["train"][0][0]
    folds = np.random.default_rng(config.seed).permutation(len(truth)) % FOLDS
    penalty, _ = choose_penalty(inputs["train"], truth, folds, models=kept)
    never = fit_stack(inputs["train"], truth, models=kept, penalty=penalty)
    own = best_threshold(split["validation"][0][0], never.probabilities(inputs["validation"]))
    other = micro_f1(labels, never.probabilities(inputs["test"]) >= own)
    before = micro_f1(labels, whole >= limit)
    return (
        f"| {name} | {sense} | {len(labels)} | {before:.4f} | {found:.4f} | {other:.4f} | "
        f"{other - found:+.4f} |"
    )


if __name__ == "__main__":
    main()
