"""Stage publish-tables: predictions and evaluation as tables of the session's catalog."""

from __future__ import annotations

import re
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.errors import InvalidConfigError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.evaluation.evaluate import SPLITS, predicted_models
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.storage.tables import Table
from genre_spark.tracking import TrackedRun

__all__ = ["run"]

_PLACE = re.compile(r"[^.`\s]+(\.[^.`\s]+)?")


def _depends_on(config: Config) -> list[object]:
    place = config.paths.tables
    if place is None or not _PLACE.fullmatch(place):
        raise InvalidConfigError(f"paths.tables: {place!r}, expected catalog.schema, or a schema")
    evaluation = Catalogue(config).evaluation.manifest().fingerprint
    predictions = [table.manifest().fingerprint for _, _, table in _predictions(config)]
    new = Catalogue(config).movie_predictions
    return [place, evaluation, predictions, new.manifest().fingerprint if new.is_whole() else None]


@stage(depends_on=_depends_on, outputs=lambda _: [], always=True)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Write the tables `predictions`, `evaluation` and, where there are any, `movie_predictions`.

    Each replaces the one that was there: in one step where the catalog's tables are Delta, as in
    Unity Catalog. Counts: rows per table.
    """
    tables = Catalogue(config)
    place = str(config.paths.tables)
    parts = [
        table.read(spark).select(F.lit(model).alias("model"), F.lit(split).alias("split"), "*")
        for model, split, table in _predictions(config)
    ]
    published = {
        "predictions": reduce(DataFrame.unionByName, parts),
        "evaluation": tables.evaluation.read(spark),
    }
    if tables.movie_predictions.is_whole():
        published["movie_predictions"] = tables.movie_predictions.read(spark)
    counts: dict[str, float] = {}
    for name, frame in published.items():
        full = ".".join(f"`{part}`" for part in [*place.split("."), name])
        frame.write.mode("overwrite").option("overwriteSchema", "true").saveAsTable(full)
        spark.sql(f"COMMENT ON TABLE {full} IS 'genre_spark, MLflow run {tracked.run_id}'")
        counts[name] = spark.table(full).count()
    return StageResult(counts=counts, outputs={name: f"{place}.{name}" for name in published})


def _predictions(config: Config) -> list[tuple[str, str, Table]]:
    """Return model, split and table of all predictions that are evaluated."""
    tables = Catalogue(config)
    return [
        (model, split, tables.predictions(model, split))
        for model in predicted_models(config)
        for split in SPLITS
    ]
