"""Stage evaluate: every model with predictions, under four decision rules, and two baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import astuple
from functools import partial
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.errors import InvalidInputError, MissingTableError
from genre_spark.evaluation.headline import SHORT_NAMES, bootstrap_scores, choose_rules
from genre_spark.evaluation.passes.baseline_predictions import (
    fit_label_prior,
    predict_at_random,
    predict_most_common,
)
from genre_spark.evaluation.scores import Candidate, choose_best, gather_candidates
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.evaluation.calibrated import calibrated
from genre_spark.pipelines.evaluation.measuring.evaluation_log import log_evaluation
from genre_spark.pipelines.evaluation.measuring.evaluation_passes import (
    ChosenSums,
    count_curves,
    fit_model_thresholds,
    measure_rules,
    sum_test,
)
from genre_spark.pipelines.evaluation.measuring.evaluation_pictures import (
    log_pictures,
    model_pictures,
)
from genre_spark.pipelines.evaluation.measuring.gathered import GROUP, Gathered, gather
from genre_spark.pipelines.evaluation.measuring.model_evaluation import (
    EvaluatedModel,
    PredictedModel,
    StoredRows,
    as_scores,
    threshold_scores,
)
from genre_spark.pipelines.model_inputs import sample_inputs
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.schemas import LABELS, MOVIE_ID, WEIGHT
from genre_spark.spark.threads import run_in_threads
from genre_spark.storage.files import filesystem, fingerprint
from genre_spark.storage.one_pass import write_rows
from genre_spark.storage.tables import read_manifest
from genre_spark.tracking import TrackedRun, find_model_run, log_data_inputs, model_run

SPLITS = ("validation", "test")
BASELINE = "baseline"
_VERSION = 4  # of what the stage writes: a table of an older one is written again
_MANY_MOVIES = 50_000  # of validation: no half samples from here on
_JOBS_AT_ONCE = 4


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
    stored = [_open_model(spark, config, name) for name in predicted_models(config)]
    models = _calibrate(spark, config, stored)
    evaluated, gathered, notes = _measure(spark, config, models, stored)
    scores = [score for found in evaluated for score in found.scores]
    by = config.evaluation.best_by
    chosen = choose_rules(gather_candidates(scores), by=by)
    sums = sum_test(
        gathered,
        {found.model.name: found.thresholds for found in evaluated if found.thresholds},
        {name: candidate.rule for name, candidate in chosen.items()},
    )
    best = choose_best(list(chosen.values()), by=by)
    scores += bootstrap_scores(
        chosen,
        {name: found.groups for name, found in sums.items()},
        best=None if best is None else best.model,
        seed=config.seed,
    )
    runs = _log_models(spark, config, tracked, evaluated, chosen, sums)
    evaluation = Catalogue(config).evaluation
    write_rows(
        evaluation,
        [astuple(score) for score in scores],
        fingerprint=tracked.digest,
        details={
            "models": [model.name for model in models],
            "vocabulary": list(models[0].vocabulary),
            "runs": runs,
            "movies": _movies(config, models[0]),
            "themes": {model.name: reads_themes(config, model.name) for model in models},
            "calibration": config.evaluation.calibration,
        },
    )
    return StageResult(
        outputs={"evaluation": evaluation.path},
        counts={"models": len(models), "scores": len(scores)},
        metrics={
            f"{model.name}/{SHORT_NAMES[by]}": chosen[model.name].metric("test", by)
            for model in models
        },
        notes=notes,
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


def _calibrate(
    spark: SparkSession, config: Config, models: list[PredictedModel]
) -> list[PredictedModel]:
    fits = [partial(calibrated, config, model) for model in models]
    return run_in_threads(spark, fits, parallelism=_JOBS_AT_ONCE)


def _measure(
    spark: SparkSession, config: Config, models: list[PredictedModel], stored: list[PredictedModel]
) -> tuple[list[EvaluatedModel], Gathered, tuple[str, ...]]:
    """Measure models and baselines under every rule; return them and notes on their movies.

    The predictions of all of them come between.

    Args:
        spark: the session.
        config: the recipe.
        models: with the probabilities that are measured.
        stored: the same with those that the models gave.
    """
    threshold, gathered = config.evaluation.threshold, gather(spark, models, *SPLITS)
    halves = {model.name: _half_samples(config, model.name) for model in models}
    before = [] if config.evaluation.calibration == "none" else stored
    questions: list[Callable[[], Any]] = [
        partial(fit_model_thresholds, gathered, threshold=threshold, half_samples=halves),
        partial(count_curves, gathered),
        partial(_baselines, spark, config, like=models[0]),
        partial(_compare_movies, gathered),
        *([partial(count_curves, gather(spark, before, "test"))] if before else []),
    ]
    thresholds, curves, baselines, notes, *others = run_in_threads(
        spark, questions, parallelism=_JOBS_AT_ONCE, counted="questions to all models"
    )
    everything = gather(spark, baselines, *SPLITS, onto=gathered)
    measured = measure_rules(everything, thresholds)
    evaluated = []
    for model in [*models, *baselines]:
        mine = {key[1:]: found for key, found in measured.items() if key[0] == model.name}
        limits = thresholds.get(model.name, {})
        scores = [*threshold_scores(model, limits)]
        for (split, rule), metrics in mine.items():
            scores += as_scores(model, split, rule, metrics)
        known = {split: curves[model.name, split] for split in SPLITS} if limits else {}
        raw = others[0].get((model.name, "test")) if others else None
        evaluated.append(EvaluatedModel(model, limits, mine, scores, known, raw))
    return evaluated, everything, notes


def _log_models(
    spark: SparkSession,
    config: Config,
    tracked: TrackedRun,
    evaluated: list[EvaluatedModel],
    chosen: Mapping[str, Candidate],
    sums: Mapping[str, ChosenSums],
) -> dict[str, dict[str, str]]:
    """Log each model to its run; return model -> id of the run and digest of its predictions."""
    earlier = read_manifest(Catalogue(config).evaluation.path)
    known = {} if earlier is None else earlier.details.get("runs", {})
    inputs = sample_inputs(config)
    test = next((data for data in inputs if data.context == "test"), None)
    runs = {}
    with ExitStack() as stack:
        pictures = []
        for found in evaluated:
            model = found.model
            digest = _predictions_digest(config, model, like=evaluated[0].model.name)
            before = known.get(model.name, {})
            again = before["run"] if before.get("digest") == digest else ""
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
            if found.curves:
                drawings = model_pictures(found, chosen[model.name], sums[model.name])
                pictures.append((run, drawings))
            runs[model.name] = {"run": run.run_id, "digest": digest}
        log_pictures(spark, pictures)
    return runs


def _predictions_digest(config: Config, model: PredictedModel, *, like: str) -> str:
    """Return a digest of a model's predictions; baselines predict the movies that `like` did."""
    tables = Catalogue(config)
    if model.family == BASELINE:
        read = [tables.samples("train"), *(tables.predictions(like, split) for split in SPLITS)]
    else:
        read = [tables.predictions(model.name, split) for split in SPLITS]
    return fingerprint(model.method, config.seed, [table.manifest().fingerprint for table in read])


def _compare_movies(gathered: Gathered) -> tuple[str, ...]:
    """Return a note where models were predicted on different test movies.

    So it is after a new sample when only one of them was trained again.
    """
    facts = [F.count(F.lit(1)).alias("rows"), F.bit_xor(F.xxhash64(MOVIE_ID)).alias("ids")]
    rows = gathered.of("test").select(GROUP, MOVIE_ID)
    rows = rows.coalesce(1) if gathered.in_one_task else rows
    found = rows.groupBy(GROUP).agg(*facts).collect()  # one row per model
    names = {number: model.name for number, (model, _) in gathered.places.items()}
    movies = {names[row[GROUP]]: (row["rows"], row["ids"]) for row in found}
    if len(set(movies.values())) <= 1:
        return ()
    counts = ", ".join(f"{name} {movies[name][0]:,}" for name in sorted(movies))
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
        StoredRows(spark, tables),
        tables,
        {split: table.manifest().rows for split, table in tables.items()},
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
        PredictedModel(
            f"baseline_{method}", BASELINE, method, like.vocabulary, "", predictions, rows=like.rows
        )
        for method, predictions in (("most_common", common), ("random", drawn))
    ]
