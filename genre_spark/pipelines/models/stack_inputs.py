"""What a stack reads: predictions of its models, and which movies lack a poster or a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.features.specification import FeatureSpecification
from genre_spark.fusion.senses import SENSES, lacking, senses_of
from genre_spark.fusion.stacks.tables import join_predictions, without_senses
from genre_spark.fusion.vectors import decode_vectors
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.schemas import FEATURES, MOVIE_ID, WEIGHT
from genre_spark.workers.tasks import short_task

__all__ = ["StackInputs", "lacking_senses", "senses_of_model"]


def senses_of_model(config: Config, name: str) -> tuple[str, ...]:
    """Return what a movie must not lack for a model to judge it.

    A poster network needs a poster, a linear model what its blocks are of. Forests and stacks judge
    every movie; so does a model of somebody else's, as far as it has predicted it.
    """
    details = Catalogue(config).predictions(name, "test").manifest().details
    if details.get("family") == "cnn":
        return ("poster",)
    return senses_of(details.get("blocks", ()))


def lacking_senses(spark: SparkSession, config: Config) -> DataFrame:
    """Return movie_id and, for each of SENSES, whether the movie lacks it, from its features."""
    specification = FeatureSpecification.load(config.paths.model("features"))

    def find(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            rows = decode_vectors(batch.column(1), size=specification.size)
            found = lacking(specification, rows)
            flags = [pa.array(found.get(sense, [False] * len(batch))) for sense in SENSES]
            yield pa.RecordBatch.from_arrays([batch.column(0), *flags], names=[MOVIE_ID, *SENSES])

    features = Catalogue(config).features
    columns = ", ".join(f"{sense} boolean" for sense in SENSES)
    kind = features.schema[MOVIE_ID].dataType.simpleString()
    rows = features.read(spark).select(MOVIE_ID, F.unwrap_udt(FEATURES).alias(FEATURES))
    return rows.mapInArrow(short_task(find), f"{MOVIE_ID} {kind}, {columns}")


class StackInputs:
    """The predictions that a stack reads.

    Args:
        spark: a session.
        config: the recipe.
        models: names of the models that the stack reads.
        lacks: of `lacking_senses`, where it is kept for several stacks.
    """

    def __init__(
        self,
        spark: SparkSession,
        config: Config,
        models: Sequence[str],
        lacks: DataFrame | None = None,
    ) -> None:
        self._spark, self._config, self._tables = spark, config, Catalogue(config)
        self._models, self._lacks = models, lacks
        self.senses = [senses_of_model(config, name) for name in models]

    def joined(self, split: str) -> DataFrame:
        """Return the predictions of a split, null where a model cannot judge a movie."""
        read = {
            name: self._tables.predictions(name, split).read(self._spark) for name in self._models
        }
        joined = join_predictions(read)
        if not any(self.senses) or not self._tables.features.is_whole():
            return joined
        if self._lacks is None:
            self._lacks = lacking_senses(self._spark, self._config)
        return without_senses(joined, self._lacks, self.senses)

    def training(self) -> DataFrame:
        """Return the out-of-fold predictions of training movies with their weights."""
        weights = self._tables.samples("train").read(self._spark).select(MOVIE_ID, WEIGHT)
        return self.joined("train").join(weights, MOVIE_ID)
