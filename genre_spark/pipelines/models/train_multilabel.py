"""Stage train-multilabel: multi-label models on the features, each with its predictions."""

from __future__ import annotations

import logging
import time

from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.multilabel.base import MultilabelModel
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.model_inputs import feature_input, sample_inputs
from genre_spark.pipelines.models.multilabel_methods import make_estimator
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.sampling.class_weights import row_weight
from genre_spark.schemas import LABELS, MOVIE_ID, PREDICTION, PROBABILITIES, WEIGHT
from genre_spark.tables import Table
from genre_spark.tracking import TrackedRun, log_data_inputs, log_spark_model, model_run

logger = logging.getLogger("genre_spark")
_SPLITS = ("train", "validation", "test")


def _depends_on(config: Config) -> list[object]:
    tables = Catalogue(config)
    read = [tables.features, *(tables.samples(split) for split in _SPLITS)]
    fingerprints = [table.manifest().fingerprint for table in read]
    return [config.multilabel.model_dump(mode="json"), fingerprints]


def _outputs(config: Config) -> list[Table]:
    return [
        Catalogue(config).predictions(method, split)
        for method in config.multilabel.methods
        for split in _SPLITS[1:]
    ]


@stage(depends_on=_depends_on, outputs=_outputs)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Fit every configured method on the training sample, save it, and predict validation and test.

    Counts: training movies, and seconds of fitting per method.
    """
    tables = Catalogue(config)
    vocabulary = list(tables.samples("train").manifest().details["vocabulary"])
    samples = {split: _with_features(spark, config, split) for split in _SPLITS}
    train = _weighted(config, samples["train"], vocabulary)
    counts: dict[str, float] = {"training_movies": train.count()}
    outputs: dict[str, str] = {}
    for method in config.multilabel.methods:
        with model_run(
            tracked, method, family="multilabel", method=method, tags={"stage": run.name}
        ) as child:
            logger.info(
                "  %s: training on %s movies, %s genres",
                method,
                counts["training_movies"],
                len(vocabulary),
            )
            child.log_params(_params(config, method))
            log_data_inputs(child, [*sample_inputs(config), feature_input(config)])
            started = time.monotonic()
            model = make_estimator(
                config.multilabel, method, seed=config.seed, names=vocabulary
            ).fit(train)
            seconds = round(time.monotonic() - started, 2)
            child.log_metrics({"fit_seconds": seconds})
            model.write().overwrite().save(config.paths.model(method))
            child.set_tags({"model_uri": log_spark_model(child, model, method)})
            details = {
                "vocabulary": vocabulary,
                "family": "multilabel",
                "method": method,
                "run_id": child.run_id,
            }
            for split in _SPLITS[1:]:
                tables.predictions(method, split).write(
                    _predictions(model, samples[split]),
                    fingerprint=tracked.digest,
                    details=details,
                )
        counts[f"seconds_{method}"] = seconds
        outputs[method] = config.paths.model(method)
    return StageResult(counts=counts, outputs=outputs)


def _params(config: Config, method: str) -> dict[str, object]:
    """Return the settings that tell this model from others: its own, the features, the sample."""
    own = config.multilabel.model_dump(mode="json", exclude={"methods", "parallelism"})
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
