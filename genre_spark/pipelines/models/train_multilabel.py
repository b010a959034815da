"""Stage train-multilabel: multi-label models on the features, each with its predictions."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from pyspark.ml.feature import ElementwiseProduct
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.config.multilabel import BASELINES
from genre_spark.features.specification import FeatureSpecification
from genre_spark.multilabel.base import MultilabelModel
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.model_inputs import feature_input, sample_inputs
from genre_spark.pipelines.models.multilabel_methods import make_estimator, require_backend
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.sampling.class_weights import row_weight
from genre_spark.schemas import FEATURES, LABELS, MOVIE_ID, PREDICTION, PROBABILITIES, WEIGHT
from genre_spark.spark.threads import run_in_threads
from genre_spark.storage.files import join
from genre_spark.storage.tables import Table
from genre_spark.tracking import TrackedRun, log_data_inputs, log_spark_model, model_run

logger = logging.getLogger("genre_spark")
WITHOUT_THEMES = "_without_themes"
_WHOLE = "whole"
_SPLITS = ("train", "validation", "test")


def _depends_on(config: Config) -> list[object]:
    require_backend(config)
    tables = Catalogue(config)
    read = [tables.features, *(tables.samples(split) for split in _SPLITS)]
    fingerprints = [table.manifest().fingerprint for table in read]
    return [config.multilabel.model_dump(mode="json"), fingerprints]


def _outputs(config: Config) -> list[Table]:
    return [
        Catalogue(config).predictions(name, split)
        for name, _, _ in _models(config)
        for split in _SPLITS[1:]
    ]


def _models(config: Config) -> list[tuple[str, str, bool]]:
    """Return name, method and whether themes are read, of each model."""
    methods = config.multilabel.methods
    known, others = False, False
    if "themes" in config.features.on:
        specification = FeatureSpecification.load(config.paths.model("features"))
        known, others = specification.uses_themes, len(specification.blocks) > 1
    models: list[tuple[str, str, bool]]
    models = [(method, method, known and method not in BASELINES) for method in methods]
    if known and others and config.multilabel.without_themes:
        twins = [method for method in methods if method not in BASELINES]
        models += [(f"{method}{WITHOUT_THEMES}", method, False) for method in twins]
    return models


def _blank_themes(config: Config, rows: DataFrame) -> DataFrame:
    """Set the themes to 0: no tree splits a constant, and vectors keep their length and places."""
    specification = FeatureSpecification.load(config.paths.model("features"))
    kept = np.ones(specification.size)
    kept[specification.blocks["themes"]] = 0.0
    product = ElementwiseProduct(
        scalingVec=Vectors.dense(kept), inputCol=_WHOLE, outputCol=FEATURES
    )
    return product.transform(rows.withColumnRenamed(FEATURES, _WHOLE)).drop(_WHOLE)


@stage(depends_on=_depends_on, outputs=_outputs)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Fit every configured method on the training sample, save it, and predict validation and test.

    Counts: training movies, and seconds of fitting per method.
    """
    tables = Catalogue(config)
    vocabulary = list(tables.samples("train").manifest().details["vocabulary"])
    whole = {split: _with_features(spark, config, split) for split in _SPLITS}
    whole["train"] = _weighted(config, whole["train"], vocabulary)
    counts: dict[str, float] = {"training_movies": whole["train"].count()}
    outputs: dict[str, str] = {}
    for name, method, themes in _models(config):
        samples = whole
        if name.endswith(WITHOUT_THEMES):
            samples = {split: _blank_themes(config, rows) for split, rows in whole.items()}
        tags = {"stage": run.name, "themes": str(themes).lower()}
        with model_run(tracked, name, family="multilabel", method=method, tags=tags) as child:
            logger.info(
                "  %s: training on %s movies, %s genres",
                name,
                counts["training_movies"],
                len(vocabulary),
            )
            child.log_params(_params(config, method))
            log_data_inputs(child, [*sample_inputs(config), feature_input(config)])
            started = time.monotonic()
            model = make_estimator(
                config.multilabel, method, seed=config.seed, names=vocabulary
            ).fit(samples["train"])
            seconds = round(time.monotonic() - started, 2)
            child.log_metrics({"fit_seconds": seconds})
            model.write().overwrite().save(config.paths.model(name))
            scratch = join(config.paths.work, "scratch")
            details = {
                "vocabulary": vocabulary,
                "family": "multilabel",
                "method": method,
                "run_id": child.run_id,
                "themes": themes,
            }
            writes = [
                partial(
                    tables.predictions(name, split).write,
                    _predictions(model, samples[split]),
                    fingerprint=tracked.digest,
                    details=details,
                )
                for split in _SPLITS[1:]
            ]
            # MLflow copies files while Spark computes
            at_once: list[Callable[[], object]]
            at_once = [partial(_log_model, child, model, name, scratch), *writes]
            run_in_threads(spark, at_once, parallelism=len(at_once))
        counts[f"seconds_{name}"] = seconds
        outputs[name] = config.paths.model(name)
    return StageResult(counts=counts, outputs=outputs)


def _log_model(run: TrackedRun, model: MultilabelModel, name: str, scratch: str) -> None:
    run.set_tags({"model_uri": log_spark_model(run, model, name, scratch=scratch)})


def _params(config: Config, method: str) -> dict[str, object]:
    """Return the settings that tell this model from others: its own, the features, the sample."""
    own = config.multilabel.model_dump(
        mode="json", exclude={"methods", "parallelism", "without_themes"}
    )
    return {
        "method": method,
        "seed": config.seed,
        **own,
        "features": config.features.model_dump(mode="json"),
        "sampling": config.sampling.model_dump(mode="json"),
    }


def _with_features(spark: SparkSession, config: Config, split: str) -> DataFrame:
    tables = Catalogue(config)
    samples = tables.samples(split).read(spark).select(MOVIE_ID, LABELS, WEIGHT)
    return samples.join(tables.features.read(spark), MOVIE_ID)


def _weighted(config: Config, train: DataFrame, vocabulary: list[str]) -> DataFrame:
    """Put class weights in place of the sampling weights where the recipe asks for them."""
    kind = config.multilabel.weights
    if kind in ("none", "sampling", "balanced"):
        return train
    weights = Catalogue(config).samples("train").manifest().details["class_weights"][kind]
    return train.withColumn(WEIGHT, row_weight([weights[genre] for genre in vocabulary]))


def _predictions(model: MultilabelModel, samples: DataFrame) -> DataFrame:
    predicted = model.transform(samples)
    columns = [
        vector_to_array(F.col(name), "float32").alias(name) for name in (PROBABILITIES, PREDICTION)
    ]
    return predicted.select(MOVIE_ID, LABELS, *columns)
