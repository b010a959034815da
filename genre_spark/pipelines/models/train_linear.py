"""Stage train-linear: logistic regressions on chosen blocks of the features."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial, reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config, LinearConfig
from genre_spark.errors import InvalidConfigError
from genre_spark.features.specification import FeatureSpecification
from genre_spark.fusion.linear.model import LinearModel
from genre_spark.fusion.linear.tables import (
    FOLD,
    fit_in_task,
    linear_inputs,
    predict_batches,
)
from genre_spark.fusion.stacks.tables import fold_of
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.model_inputs import feature_input, sample_inputs
from genre_spark.pipelines.model_settings import linear_settings
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.schemas import LABELS, MOVIE_ID
from genre_spark.spark.threads import run_in_threads
from genre_spark.storage.caching import cached
from genre_spark.storage.files import join, whole_file
from genre_spark.storage.one_pass import NewTable, write_in_one_pass
from genre_spark.storage.tables import Table
from genre_spark.tracking import TrackedRun, log_data_inputs, model_run

__all__ = ["run"]

logger = logging.getLogger("genre_spark")
_SPLITS = ("train", "validation", "test")
_MOST_BYTES = 256 << 20  # of models in one job: each Python worker holds them all


def _depends_on(config: Config) -> list[object]:
    tables = Catalogue(config)
    read = [tables.features, *(tables.samples(split) for split in _SPLITS)]
    fingerprints = [table.manifest().fingerprint for table in read]
    in_folds = _in_folds(config)
    folds = [config.stack.folds, in_folds] if config.stack is not None and in_folds else []
    return [linear_settings(config).model_dump(mode="json"), fingerprints, *folds]


def _outputs(config: Config) -> list[Table]:
    tables = Catalogue(config)
    names = linear_settings(config).models
    return [
        *(tables.predictions(name, split) for name in names for split in _SPLITS[1:]),
        *(tables.predictions(name, "train") for name in _in_folds(config)),
    ]


def _in_folds(config: Config) -> list[str]:
    """Return the models that a stack on out-of-fold predictions reads."""
    if config.stack is None:
        return []
    stacks = config.stack.on_folds(config.linear)
    return sorted({name for stack in stacks for name in config.stack.models[stack]})


@stage(depends_on=_depends_on, outputs=_outputs)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Fit every configured model on the training sample, save it, and predict validation and test.

    What stacks read is fitted in folds as well, to predict training movies that a fit has not seen.

    Counts: training movies, and seconds of fitting.
    """
    settings, tables = linear_settings(config), Catalogue(config)
    vocabulary = list(tables.samples("train").manifest().details["vocabulary"])
    specification = FeatureSpecification.load(config.paths.model("features"))
    _check_blocks(settings, specification)
    size = specification.size
    rows = {split: _with_features(spark, config, split) for split in _SPLITS}
    with cached(rows["train"].withColumn(FOLD, _fold(config))) as train:
        counts: dict[str, float] = {"training_movies": train.count()}
        started = time.monotonic()
        logger.info(
            "  %s: training on %s movies", ", ".join(settings.models), counts["training_movies"]
        )
        fitted = _fit_all(config, train, specification)
        counts["seconds"] = round(time.monotonic() - started, 2)
        _predict_folds(config, tracked, train, fitted, size)
    details = {}
    for name, chosen in settings.models.items():
        model = fitted[name][0]
        tags = {"stage": run.name, "themes": str("themes" in chosen.blocks).lower()}
        with model_run(
            tracked, name, family="linear", method="logistic_regression", tags=tags
        ) as child:
            child.log_params({**chosen.model_dump(mode="json"), "seed": config.seed})
            log_data_inputs(child, [*sample_inputs(config), feature_input(config)])
            _save(config, name, model)
            details[name] = {
                "vocabulary": vocabulary,
                "family": "linear",
                "method": "logistic_regression",
                "run_id": child.run_id,
                "blocks": list(chosen.blocks),
                "themes": "themes" in chosen.blocks,
            }
    models = {0: [fitted[name][0] for name in details]}
    for split in _SPLITS[1:]:
        new = [NewTable(tables.predictions(name, split), details[name]) for name in details]
        _predict(rows[split], models, new, tracked, size)
    outputs = {name: config.paths.model(name) for name in settings.models}
    return StageResult(counts=counts, outputs=outputs)


def _fold(config: Config) -> Column:
    return fold_of(config.seed, _folds(config) or 1)


def _folds(config: Config) -> int:
    return config.stack.folds if config.stack is not None else 0


def _fit_all(
    config: Config, train: DataFrame, specification: FeatureSpecification
) -> dict[str, list[LinearModel]]:
    """Return each model fitted on all movies, and behind it those fitted without one fold."""
    settings, in_folds = linear_settings(config), set(_in_folds(config))
    folds = _folds(config)
    jobs = [
        partial(
            fit_in_task,
            train,
            specification.blocks,
            model.blocks,
            size=specification.size,
            penalty=model.penalty,
            landmarks=model.landmarks if model.kernel == "exponential" else None,
            folds=folds if name in in_folds else 0,
        )
        for name, model in settings.models.items()
    ]
    found = run_in_threads(train.sparkSession, jobs, parallelism=config.multilabel.parallelism)
    return dict(zip(settings.models, found, strict=True))


def _predict_folds(
    config: Config,
    tracked: TrackedRun,
    train: DataFrame,
    fitted: Mapping[str, list[LinearModel]],
    size: int,
) -> None:
    """Write predictions of training movies, each by the model that was fitted without its fold."""
    names = _in_folds(config)
    if not names:
        return
    sample = Catalogue(config).samples("train").manifest()
    details = {"vocabulary": list(sample.details["vocabulary"])}
    new = [NewTable(Catalogue(config).predictions(name, "train"), details) for name in names]
    models = {fold: [fitted[name][1 + fold] for name in names] for fold in range(_folds(config))}
    by_fold = reduce(DataFrame.unionByName, [train.where(F.col(FOLD) == fold) for fold in models])
    _predict(by_fold, models, new, tracked, size)


def _predict(
    rows: DataFrame,
    models: Mapping[int, Sequence[LinearModel]],
    new: Sequence[NewTable],
    tracked: TrackedRun,
    size: int,
) -> None:
    """Write what models predict, a table each.

    One job has as many models as a worker may hold.

    Args:
        rows: to predict.
        models: fold -> a model per table, for the rows of the fold.
        new: the tables.
        tracked: the stage's run.
        size: length of the feature vector.
    """
    inputs = linear_inputs(rows)
    largest = max(model.nbytes for of_fold in models.values() for model in of_fold)
    step = max(1, _MOST_BYTES // (largest * len(models)))
    for first in range(0, len(new), step):
        chosen = {fold: of_fold[first : first + step] for fold, of_fold in models.items()}
        predict = partial(predict_batches, models=chosen, size=size)
        write_in_one_pass(inputs, predict, new[first : first + step], fingerprint=tracked.digest)


def _check_blocks(settings: LinearConfig, specification: FeatureSpecification) -> None:
    for name, model in settings.models.items():
        empty = [block for block in model.blocks if block not in specification.blocks]
        if empty:
            raise InvalidConfigError(
                f"linear.models.{name}.blocks: {empty[0]} has no feature, expected one of "
                f"{', '.join(specification.blocks)}"
            )


def _with_features(spark: SparkSession, config: Config, split: str) -> DataFrame:
    tables = Catalogue(config)
    samples = tables.samples(split).read(spark).select(MOVIE_ID, LABELS)
    return samples.join(tables.features.read(spark), MOVIE_ID)


def _save(config: Config, name: str, model: LinearModel) -> None:
    with whole_file(join(config.paths.model(name), "linear.npz")) as file:
        file.write(model.to_bytes())
