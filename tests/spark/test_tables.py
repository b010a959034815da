"""Tables as Spark sees them: declared columns, and the catalogue of a recipe's tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession

from genre_spark.config import build_config
from genre_spark.errors import MissingTableError, StageFailedError
from genre_spark.pipelines.catalogue import REJECTS_OF, Catalogue
from genre_spark.pipelines.stage_list import STAGES
from genre_spark.schemas import FEATURES_SCHEMA
from genre_spark.storage.one_pass import NewTable, write_in_one_pass
from genre_spark.storage.tables import Table, TableManifest, commit_table

PREDICTED = (
    ("id", "movie_id"),
    ("array(1f, 0f)", "labels"),
    ("array(.5f, float(id))", "probabilities"),
    ("array(1f)", "prediction"),
)


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


def parity(batches):
    """Even movies belong to the first table, odd ones to the second."""
    for batch in batches:
        odd = np.array(batch.column(0)) % 2
        for number in (0, 1):
            yield number, batch.filter(pa.array(odd == number))


def new_tables(catalogue, names) -> list[NewTable]:
    return [NewTable(catalogue.predictions(name, "test"), {"name": name}) for name in names]


def test_one_pass_writes_a_file_of_each_table_per_task(catalogue, spark: SparkSession) -> None:
    rows = spark.range(0, 6, 1, 3).selectExpr(*(f"{one} AS {two}" for one, two in PREDICTED))
    tables = new_tables(catalogue, ("even", "odd", "none"))
    write_in_one_pass(rows, parity, tables, fingerprint="f")
    assert len({path for new in tables for path in new.table.manifest().paths}) == len(tables)
    for new, ids in zip(tables, ([0, 2, 4], [1, 3, 5], []), strict=True):
        manifest = new.table.manifest()
        assert (manifest.rows, manifest.details) == (len(ids), new.details)
        assert len(new.table.files()) == (3 if ids else 1)
        found = new.table.read(spark).orderBy("movie_id").collect()
        assert [tuple(row) for row in found] == [(n, [1.0, 0.0], [0.5, n], [1.0]) for n in ids]


def test_a_pass_that_fails_leaves_the_tables_as_they_were(catalogue, spark: SparkSession) -> None:
    rows = spark.range(0, 4, 1, 2).selectExpr(*(f"{one} AS {two}" for one, two in PREDICTED))
    tables = new_tables(catalogue, ("even", "odd"))
    write_in_one_pass(rows, parity, tables, fingerprint="before")

    def fails(batches):
        for number, batch in parity(batches):
            yield number, batch
            if batch.num_rows and batch.column(0)[0].as_py() == 3:
                raise ValueError("the last movie")

    with pytest.raises(Exception, match="the last movie"):
        write_in_one_pass(rows, fails, tables, fingerprint="after")
    assert [new.table.manifest().fingerprint for new in tables] == ["before", "before"]
    assert tables[1].table.read(spark).count() == 2
