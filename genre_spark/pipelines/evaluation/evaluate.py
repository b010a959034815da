"""Stage evaluate: every model with predictions, under four decision rules, and two baselines."""

from __future__ import annotations

import logging
from dataclasses import astuple

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.errors import InvalidInputError, MissingTableError
from genre_spark.evaluation.baseline_predictions import (
    fit_label_prior,
    predict_at_random,
    predict_most_common,
)
from genre_spark.evaluation.scores import MICRO_F1, NO_RULE, Score
from genre_spark.files import filesystem
from genre_spark.multilabel.evaluation.evaluator import MultilabelEvaluator
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.evaluation.model_evaluation import (
    PredictedModel,
    as_scores,
    evaluate_model,
    finite_only,
)
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.schemas import EVALUATION_SCHEMA, LABELS, MOVIE_ID, WEIGHT
from genre_spark.tracking import TrackedRun

logger = logging.getLogger("genre_spark")

SPLITS = ("validation", "test")


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
        config.evaluation.threshold,
        predictions,
        tables.samples("train").manifest().fingerprint,
    ]


@stage(depends_on=_depends_on, outputs=lambda config: [Catalogue(config).evaluation])
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Measure models and baselines on validation and test, each in a child run; write one table."""
    models = [_open_model(spark, config, name) for name in predicted_models(config)]
    scores: list[Score] = []
    headline: dict[str, float] = {}
    for model in models:
        logger.info("  %s: evaluating", model.name)
        tags = {
            "stage": run.name,
            "family": model.family,
            "method": model.method,
            "training_run": model.run_id,
        }
        with tracked.child(model.name, tags) as child:
            found = evaluate_model(model, threshold=config.evaluation.threshold, run=child)
        scores += found
        headline |= {
            f"{model.name}/{s.metric}": s.value
            for s in found
            if (s.split, s.rule, s.label) == ("test", MICRO_F1, None)
            and s.metric == "f1_micro"
            and s.value is not None
        }
    scores += _evaluate_baselines(spark, config, tracked, models[0])
    table = spark.createDataFrame([astuple(score) for score in scores], EVALUATION_SCHEMA)
    details = {
        "models": [model.name for model in models],
        "vocabulary": list(models[0].vocabulary),
        "training_runs": {model.name: model.run_id for model in models},
    }
    evaluation = Catalogue(config).evaluation
    evaluation.write(table, fingerprint=tracked.digest, details=details, partitions=1)
    return StageResult(
        outputs={"evaluation": evaluation.path},
        counts={"models": len(models), "scores": len(scores)},
        metrics=headline,
        notes=_compare_movies(models),
    )


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


def _evaluate_baselines(
    spark: SparkSession, config: Config, tracked: TrackedRun, like: PredictedModel
) -> list[Score]:
    """Measure predictions that look at no movie, on the rows that `like` predicted."""
    train = Catalogue(config).samples("train").read(spark)
    prior = fit_label_prior(train.select(LABELS, WEIGHT))
    scores: list[Score] = []
    for method in ("most_common", "random"):
        model = PredictedModel(f"baseline_{method}", "baseline", method, like.vocabulary, "", {})
        with tracked.child(
            model.name, {"stage": run.name, "family": "baseline", "method": method}
        ) as child:
            for split, rows in like.predictions.items():
                truth = rows.select(MOVIE_ID, LABELS)
                if method == "most_common":
                    predictions = predict_most_common(truth, prior=prior)
                else:
                    predictions = predict_at_random(truth, prior=prior, seed=config.seed)
                metrics = MultilabelEvaluator(probabilitiesCol="").evaluateAll(predictions)
                scores += as_scores(model, split, NO_RULE, metrics)
                child.log_metrics(
                    {
                        f"{split}/{name}": value
                        for name, value in finite_only(metrics.values.items())
                    }
                )
    return scores
