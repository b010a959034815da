"""Tables as Spark sees them: declared columns, and the catalogue of a recipe's tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession

from genre_spark.config import build_config
from genre_spark.errors import MissingTableError, StageFailedError
from genre_spark.pipelines.catalogue import REJECTS_OF, Catalogue
from genre_spark.pipelines.stage_list import STAGES
from genre_spark.schemas import FEATURES_SCHEMA
from genre_spark.storage.tables import Table, TableManifest, commit_table


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    paths = {"genres_csv": "g", "posters": "p", "metadata": "m", "work": str(tmp_path)}
    return Catalogue(build_config({"paths": paths}))


def every_table(catalogue: Catalogue) -> list[Table]:
    return [
        catalogue.genres,
        catalogue.posters,
        catalogue.features,
        catalogue.embeddings,
        catalogue.evaluation,
        catalogue.imdb,
        catalogue.downloads,
        catalogue.text_embeddings,
        *(catalogue.rejects(of) for of in REJECTS_OF),
        *(catalogue.samples(split) for split in ("train", "validation", "test")),
        *(catalogue.predictions("rakel", split) for split in ("validation", "test")),
        *(catalogue.predictions("lenet", split) for split in ("validation", "test", "posters")),
    ]


def test_every_table_has_a_place_of_its_own_and_a_stage_that_writes_it(catalogue) -> None:
    tables = every_table(catalogue)
    assert {table.producer for table in tables} <= set(STAGES)
    assert len({table.path for table in tables}) == len(tables)


def test_a_missing_table_names_the_stage_that_writes_it(catalogue, spark: SparkSession) -> None:
    for table in every_table(catalogue):
        with pytest.raises(MissingTableError, match=f"`genre-spark {table.producer}`"):
            table.read(spark)


def test_a_table_is_read_as_it_was_written(catalogue, spark: SparkSession) -> None:
    rows = [(1, Vectors.sparse(3, {1: 2.0})), (2, Vectors.dense(1.0, 0.0, 0.5))]
    frame = spark.createDataFrame(rows, FEATURES_SCHEMA)
    assert not catalogue.features.is_whole()
    assert catalogue.features.write(frame, fingerprint="f").rows == 2
    assert catalogue.features.is_whole()
    read = catalogue.features.read(spark)
    assert [column.dataType for column in read.schema] == [c.dataType for c in FEATURES_SCHEMA]
    assert {tuple(row) for row in read.collect()} == set(rows)


def test_a_table_without_rows_still_has_its_columns(catalogue, spark: SparkSession) -> None:
    commit_table(catalogue.features.path, TableManifest("f", (), 0))
    assert catalogue.features.read(spark).columns == FEATURES_SCHEMA.fieldNames()


def test_other_columns_than_the_declared_ones_are_not_written(catalogue, spark) -> None:
    frame = spark.createDataFrame([(1, [0.5])], "movie_id bigint, features array<float>")
    with pytest.raises(
        StageFailedError, match=r"features array<float>, expected .*features vector"
    ):
        catalogue.features.write(frame, fingerprint="f")
    assert not catalogue.features.is_whole()
