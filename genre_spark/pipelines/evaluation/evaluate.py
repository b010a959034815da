"""Stage evaluate: every model with predictions, under four decision rules, and two baselines."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import astuple, replace
from functools import partial

import numpy as np
import numpy.typing as npt
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.errors import InvalidInputError, MissingTableError
from genre_spark.evaluation.baseline_predictions import (
    fit_label_prior,
    predict_at_random,
    predict_most_common,
)
from genre_spark.evaluation.batch_sums import group_sums
from genre_spark.evaluation.headline import SHORT_NAMES, bootstrap_scores, choose_rules
from genre_spark.evaluation.scores import Candidate, choose_best, gather_candidates
from genre_spark.files import filesystem, fingerprint
from genre_spark.multilabel.threads import run_in_threads
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.evaluation.calibrated import calibrated
from genre_spark.pipelines.evaluation.evaluation_log import log_evaluation
from genre_spark.pipelines.evaluation.model_evaluation import (
    EvaluatedModel,
    PredictedModel,
    evaluate_decisions,
    evaluate_model,
)
from genre_spark.pipelines.model_inputs import sample_inputs
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.schemas import EVALUATION_SCHEMA, LABELS, MOVIE_ID, WEIGHT
from genre_spark.tables import read_manifest
from genre_spark.tracking import TrackedRun, find_model_run, log_data_inputs, model_run

Matrix = npt.NDArray[np.float64]

logger = logging.getLogger("genre_spark")

SPLITS = ("validation", "test")
BASELINE = "baseline"
_VERSION = 3  # of what the stage writes: a table of an older one is written again
_MANY_MOVIES = 50_000  # of validation: no half samples from here on
_JOBS_AT_ONCE = 3


def predicted_models(config: Config) -> list[str]:
    """Return the sorted names of the models to evaluate: the configured ones, or all predicted.

    Raises:
        MissingTableError: there are no predictions (whole) on validation and test.
    """
    tables, folder = Catalogue(config), config.paths.table("predictions")
    if config.evaluation.models is not None:
        for model in config.evaluation.models:
            for split in SPLITS:
                tables.predictions(model, split).manifest()
        return sorted(config.evaluation.models)
    system, inner = filesystem(folder)
    entries = system.ls(inner, detail=False) if system.exists(inner) else []
    names = sorted(str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in entries)
    whole = [
        name
        for name in names
        if all(tables.predictions(name, split).is_whole() for split in SPLITS)
    ]
    if not whole:
        raise MissingTableError(
            f"{folder}: no predictions yet; expected the output of `genre-spark train-multilabel` "
            "or `genre-spark train-cnn`"
        )
    return whole


def _depends_on(config: Config) -> list[object]:
    tables = Catalogue(config)
    predictions = {
        model: [tables.predictions(model, split).manifest().fingerprint for split in SPLITS]
        for model in predicted_models(config)
    }
    return [
        _VERSION,
        config.evaluation.threshold,
        config.evaluation.best_by,
        config.evaluation.half_samples,
        config.evaluation.calibration,
        predictions,
        tables.samples("train").manifest().fingerprint,
    ]


def _half_samples(config: Config, model: str) -> int:
    """Return how many half samples a threshold per genre is averaged over.

    With many validation movies the best threshold hardly depends on which they are.
    """
    rows = Catalogue(config).predictions(model, "validation").manifest().rows
    return config.evaluation.half_samples if rows <= _MANY_MOVIES else 0


@stage(
    depends_on=_depends_on,
    outputs=lambda config: [Catalogue(config).evaluation],
    logs_metrics=False,
)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Measure models and baselines on validation and test, and write one table.

    What is found is logged to the runs that trained the models; each baseline has a run of its own.
    """
    models = [_open_model(spark, config, name) for name in predicted_models(config)]
    evaluated = []
    for model in models:
        logger.info("  %s: evaluating", model.name)
        found = evaluate_model(
            calibrated(config, model),
            threshold=config.evaluation.threshold,
            half_samples=_half_samples(config, model.name),
        )
        if config.evaluation.calibration != "none":
            found = replace(found, uncalibrated=model)
        evaluated.append(found)
    evaluated += [
        evaluate_decisions(baseline) for baseline in _baselines(spark, config, like=models[0])
    ]
    scores = [score for found in evaluated for score in found.scores]
    by = config.evaluation.best_by
    chosen = choose_rules(gather_candidates(scores), by=by)
    sums = _test_sums(spark, evaluated, chosen)
    best = choose_best(list(chosen.values()), by=by)
    scores += bootstrap_scores(
        chosen, sums, best=None if best is None else best.model, seed=config.seed
    )
    runs = _log_models(config, tracked, evaluated, chosen)
    evaluation = Catalogue(config).evaluation
    evaluation.write(
        spark.createDataFrame([astuple(score) for score in scores], EVALUATION_SCHEMA),
        fingerprint=tracked.digest,
        details={
            "models": [model.name for model in models],
            "vocabulary": list(models[0].vocabulary),
            "runs": runs,
            "movies": _movies(config, models[0]),
            "themes": {model.name: reads_themes(config, model.name) for model in models},
            "calibration": config.evaluation.calibration,
        },
        partitions=1,
    )
    return StageResult(
        outputs={"evaluation": evaluation.path},
        counts={"models": len(models), "scores": len(scores)},
        metrics={
            f"{model.name}/{SHORT_NAMES[by]}": chosen[model.name].metric("test", by)
            for model in models
        },
        notes=_compare_movies(models),
    )


def reads_themes(config: Config, model: str) -> bool:
    """Return whether Letterboxd's themes, which are half a label, are among a model's inputs."""
    details = Catalogue(config).predictions(model, "test").manifest().details
    if "themes" in details:
        return bool(details["themes"])
    if details.get("family") == "stack":
        return any(reads_themes(config, name) for name in details.get("models", ()))
    return details.get("family") == "multilabel" and "themes" in config.features.on


def _movies(config: Config, model: PredictedModel) -> dict[str, int]:
    """Return the number of movies of training, validation and test."""
    tables = Catalogue(config)
    read = {"training": tables.samples("train")}
    read |= {split: tables.predictions(model.name, split) for split in SPLITS}
    return {name: table.manifest().rows for name, table in read.items()}


def _test_sums(
    spark: SparkSession, evaluated: list[EvaluatedModel], chosen: Mapping[str, Candidate]
) -> dict[str, Matrix]:
    """Return what a bootstrap of the test metrics draws from, for each model under its rule."""

    def add_up(found: EvaluatedModel) -> Matrix:
        decided = found.decided("test", chosen[found.model.name].rule)
        return group_sums(decided, labels=len(found.model.vocabulary))

    sums = run_in_threads(
        spark, [partial(add_up, found) for found in evaluated], parallelism=_JOBS_AT_ONCE
    )
    return {found.model.name: matrix for found, matrix in zip(evaluated, sums, strict=True)}


def _log_models(
    config: Config,
    tracked: TrackedRun,
    evaluated: list[EvaluatedModel],
    chosen: Mapping[str, Candidate],
) -> dict[str, dict[str, str]]:
    """Log each model to its run; return model -> id of the run and digest of its predictions."""
    earlier = read_manifest(Catalogue(config).evaluation.path)
    known = {} if earlier is None else earlier.details.get("runs", {})
    inputs = sample_inputs(config)
    test = next((data for data in inputs if data.context == "test"), None)
    runs = {}
    for found in evaluated:
        model, digest = (
            found.model,
            _predictions_digest(config, found.model, like=evaluated[0].model.name),
        )
        before = known.get(model.name, {})
        again = before["run"] if before.get("digest") == digest else ""
        with ExitStack() as stack:
            run = next(
                (
                    there
                    for run_id in (model.run_id, again)
                    if (there := find_model_run(tracked, run_id, name=model.name))
                ),
                None,
            )
            if run is None:
                run = stack.enter_context(
                    model_run(tracked, model.name, family=model.family, method=model.method)
                )
                log_data_inputs(run, inputs)
            log_evaluation(run, found, chosen[model.name], measured_on=test)
        runs[model.name] = {"run": run.run_id, "digest": digest}
    return runs


def _predictions_digest(config: Config, model: PredictedModel, *, like: str) -> str:
    """Return a digest of a model's predictions; baselines predict the movies that `like` did."""
    tables = Catalogue(config)
    if model.family == BASELINE:
        read = [tables.samples("train"), *(tables.predictions(like, split) for split in SPLITS)]
    else:
        read = [tables.predictions(model.name, split) for split in SPLITS]
    return fingerprint(model.method, config.seed, [table.manifest().fingerprint for table in read])


def _compare_movies(models: list[PredictedModel]) -> tuple[str, ...]:
    """Return a note where models were predicted on different test movies.

    So it is after a new sample when only one of them was trained again.
    """
    facts = [F.count(F.lit(1)), F.bit_xor(F.xxhash64(MOVIE_ID))]
    movies = {
        model.name: tuple(model.predictions["test"].agg(*facts).first() or ()) for model in models
    }
    if len(set(movies.values())) <= 1:
        return ()
    counts = ", ".join(f"{name} {found[0]:,}" for name, found in movies.items())
    return (
        f"models were predicted on different test movies ({counts}): train them again before "
        "comparing them",
    )


def _open_model(spark: SparkSession, config: Config, name: str) -> PredictedModel:
    tables = {split: Catalogue(config).predictions(name, split) for split in SPLITS}
    details = tables["test"].manifest().details
    if not details.get("vocabulary"):
        raise InvalidInputError(
            f"{tables['test'].path}: no vocabulary in the manifest, expected "
            "the names of the labels"
        )
    return PredictedModel(
        name,
        str(details.get("family", "other")),
        str(details.get("method", name)),
        tuple(details["vocabulary"]),
        str(details.get("run_id", "")),
        {split: table.read(spark) for split, table in tables.items()},
    )


def _baselines(
    spark: SparkSession, config: Config, *, like: PredictedModel
) -> list[PredictedModel]:
    """Return predictions that look at no movie, on the rows that `like` predicted."""
    train = Catalogue(config).samples("train").read(spark)
    prior = fit_label_prior(train.select(LABELS, WEIGHT))
    truth = {split: rows.select(MOVIE_ID, LABELS) for split, rows in like.predictions.items()}
    common = {split: predict_most_common(rows, prior=prior) for split, rows in truth.items()}
    drawn = {
        split: predict_at_random(rows, prior=prior, seed=config.seed)
        for split, rows in truth.items()
    }
    return [
        PredictedModel(f"baseline_{method}", BASELINE, method, like.vocabulary, "", predictions)
        for method, predictions in (("most_common", common), ("random", drawn))
    ]
