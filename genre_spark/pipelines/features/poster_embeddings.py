"""Stage poster-embeddings: features of all posters from the frozen part of pretrained networks."""

from __future__ import annotations

from pyspark.sql import SparkSession

from genre_spark.config import Config
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.features.network_features import embed_posters_table, features_depend_on
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.storage.files import remove_folder
from genre_spark.tracking import TrackedRun


def _depends_on(config: Config) -> list[object]:
    return [Catalogue(config).posters.manifest().fingerprint, features_depend_on(config)]


@stage(
    depends_on=_depends_on,
    outputs=lambda config: [Catalogue(config).poster_embeddings],
    always=True,
)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Compute the features of the posters that have none yet.

    A killed run goes on where it stopped.

    Counts: posters, those of this run, and the length of a feature vector.
    """
    tracked.set_tags({"method": config.cnn.architecture})
    tracked.log_params(
        {"embeddings": config.embeddings.model_dump(), "architecture": config.cnn.architecture}
    )
    if tracked.force:
        remove_folder(Catalogue(config).poster_embeddings.path)
    backbone, embedded = embed_posters_table(spark, config)
    return StageResult(
        outputs={"embeddings": backbone.table},
        counts={
            "posters": embedded.manifest.rows,
            "computed": embedded.computed,
            "features": backbone.features,
        },
        reused=embedded.computed == 0,
    )
