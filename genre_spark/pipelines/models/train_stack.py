"""Stage train-stack: models whose inputs are what other models predict."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from functools import partial

from pyspark.sql import SparkSession

from genre_spark.config import Config
from genre_spark.errors import InvalidInputError
from genre_spark.fusion.stacks.stacking import patterns_of
from genre_spark.fusion.stacks.tables import CrossFittedStack, fit_cross_fitted, predict_stack
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.model_inputs import sample_inputs
from genre_spark.pipelines.model_settings import check_members, stack_settings
from genre_spark.pipelines.models.stack_inputs import StackInputs, lacking_senses
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.spark.threads import run_in_threads
from genre_spark.storage.caching import cached
from genre_spark.storage.files import join, whole_file
from genre_spark.tracking import TrackedRun, log_data_inputs, model_run

__all__ = ["run"]

logger = logging.getLogger("genre_spark")
_SPLITS = ("validation", "test")
_VERSION = 2  # of what the stage writes: a table of an older one is written again


def _depends_on(config: Config) -> list[object]:
    check_members(config)
    settings = stack_settings(config)
    tables = Catalogue(config)
    on_folds = settings.on_folds(config.linear)
    read = {
        (model, split)
        for name, models in settings.models.items()
        for model in models
        if model not in settings.models
        for split in ((*_SPLITS, "train") if name in on_folds else _SPLITS)
    }
    fingerprints = [[*key, tables.predictions(*key).manifest().fingerprint] for key in sorted(read)]
    if on_folds:
        fingerprints.append(["train", tables.samples("train").manifest().fingerprint])
    return [_VERSION, settings.model_dump(mode="json"), fingerprints]


@stage(
    depends_on=_depends_on,
    outputs=lambda config: [
        Catalogue(config).predictions(name, split)
        for name in stack_settings(config).models
        for split in _SPLITS
    ],
)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Fit every stack, and predict validation and test.

    Stacks of linear models are fitted on out-of-fold predictions of training movies. Others, and
    all where `stack.fit_on` says so, are fitted on validation in folds, and predict a validation
    movie by the fold that has not seen it. Either way thresholds fitted on the stack's validation
    predictions are as good on new movies.

    Counts: movies that each stack was fitted on. Metrics: their log loss, each by the other folds.
    """
    settings = stack_settings(config)
    counts: dict[str, float] = {}
    losses: dict[str, float] = {}
    notes = []
    on_folds = settings.on_folds(config.linear)
    with ExitStack() as kept:
        lacks = None
        if Catalogue(config).features.is_whole():
            lacks = kept.enter_context(cached(lacking_senses(spark, config)))
        for name in settings.models:
            fit_on = "out_of_fold" if name in on_folds else "validation"
            if fit_on != settings.fit_on:
                notes.append(f"{name} is fitted on validation: it reads models that are not linear")
            read = StackInputs(spark, config, settings.models[name], lacks)
            stack = _train(config, tracked, name, fit_on, read)
            counts[f"movies_{name}"] = stack.rows
            losses[f"log_loss/{name}"] = stack.loss
    outputs = {name: config.paths.model(name) for name in settings.models}
    return StageResult(outputs=outputs, counts=counts, metrics=losses, notes=tuple(notes))


def _train(
    config: Config, tracked: TrackedRun, name: str, fit_on: str, read: StackInputs
) -> CrossFittedStack:
    """Fit a stack, save it, and write its predictions."""
    settings, tables = stack_settings(config), Catalogue(config)
    models = settings.models[name]
    tags = {"stage": run.name}
    with model_run(tracked, name, family="stack", method="stack", tags=tags) as child:
        logger.info("  %s: stacking %s", name, ", ".join(models))
        vocabulary = _vocabulary(config, models)
        child.log_params(
            {"models": models, "fit_on": fit_on, "folds": settings.folds, "seed": config.seed}
        )
        log_data_inputs(child, sample_inputs(config))
        started = time.monotonic()
        joined = {split: read.joined(split) for split in _SPLITS}
        stack = fit_cross_fitted(
            read.training() if fit_on == "out_of_fold" else joined["validation"],
            models,
            folds=settings.folds,
            seed=config.seed,
            most_rows=settings.most_rows,
            patterns=patterns_of(read.senses),
            keep_folds=fit_on == "validation",
        )
        penalty = stack.whole.penalty
        child.log_params({"penalty_own": penalty.own, "penalty_others": penalty.others})
        child.log_metrics(
            {"fit_seconds": round(time.monotonic() - started, 2), "log_loss": stack.loss}
        )
        _save(config, name, stack)
        details = {
            "vocabulary": vocabulary,
            "family": "stack",
            "method": "stack",
            "run_id": child.run_id,
            "models": list(models),
            "fit_on": fit_on,
        }
        writes = []
        for split in _SPLITS:
            seen = split == "validation" and fit_on == "validation"
            predicted = predict_stack(joined[split], stack, seed=config.seed, fitted_rows=seen)
            write = tables.predictions(name, split).write
            writes.append(partial(write, predicted, fingerprint=tracked.digest, details=details))
        run_in_threads(joined["test"].sparkSession, writes, parallelism=len(writes))
    return stack


def _vocabulary(config: Config, models: tuple[str, ...]) -> list[str]:
    """Return the genres that all models predict.

    Raises:
        InvalidInputError: they predict different genres.
    """
    found = {
        model: tuple(
            Catalogue(config).predictions(model, "validation").manifest().details["vocabulary"]
        )
        for model in models
    }
    first = found[models[0]]
    for model, vocabulary in found.items():
        if vocabulary != first:
            raise InvalidInputError(
                f"stack: {model} predicts {len(vocabulary)} genres ({', '.join(vocabulary)}), "
                f"expected those of {models[0]} ({', '.join(first)}): train both again"
            )
    return list(first)


def _save(config: Config, name: str, stack: CrossFittedStack) -> None:
    with whole_file(join(config.paths.model(name), "stack.npz")) as file:
        file.write(stack.whole.to_bytes())
