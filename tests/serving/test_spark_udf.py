"""The model in MLflow is a column function of Spark, which gives what the package gives."""

from __future__ import annotations

import mlflow
import pytest
from pyspark.sql import functions as F

from genre_spark.config import build_config
from genre_spark.serving.movie_model import MovieModel
from genre_spark.serving.package_description import ModelDescription
from genre_spark.tracking import model_run, open_run
from genre_spark.tracking.movie_models import log_movie_model
from tests.serving.packages import FOREST, NETWORK, write_package
from tests.serving.test_movie_model import poster

STACK = {"kind": "stack", "file": "parts/stack.npz", "models": [FOREST, NETWORK]}
SCHEMA = (
    "movie_id long, name string, date string, minute double, rating double, tagline string, "
    "description string, countries array<string>, languages array<string>, "
    "studios array<string>, people array<string>, themes array<string>, image binary"
)
RAW = [name.split()[0] for name in SCHEMA.split(", ")][1:]


@pytest.fixture(scope="module")
def logged(tmp_path_factory) -> tuple[str, str]:
    """The folder of a packaged stack of a forest and a network, and its address in MLflow."""
    folder = tmp_path_factory.mktemp("udf")
    package = write_package(folder / "stack", STACK)
    paths = {"genres_csv": "g.csv", "posters": "p", "metadata": "m", "work": str(folder / "work")}
    with (
        open_run(build_config({"paths": paths}), "stage") as stage,
        model_run(stage, "stack", family="stack", method="stack") as run,
    ):
        uri = log_movie_model(run, run.run_id, package, ModelDescription.load(package))
    return package, uri


def test_a_column_function_gives_what_the_package_gives(spark, logged) -> None:
    package, uri = logged
    nothing = [None] * 5
    rows = [
        (1, "One", "1959", 87.0, None, None, "A moor.", ["UK"], *[None] * 4, poster(20)),
        (2, None, None, *nothing, None, None, None, None, None),
        (3, "Сталкер", "2001-05-01", *nothing, None, None, None, None, b"no image"),
    ]
    movies = spark.createDataFrame(rows, SCHEMA).coalesce(1)  # one worker loads the model
    guess = mlflow.pyfunc.spark_udf(spark, uri, env_manager="local")
    answers = movies.withColumn("answer", guess(F.struct(*RAW))).select("movie_id", "answer.*")
    found = {row["movie_id"]: row.asDict() for row in answers.collect()}
    frame = movies.toPandas().drop(columns="movie_id")
    frame["image"] = [None if value is None else bytes(value) for value in frame["image"]]
    expected = MovieModel(package).predict(frame).as_frame()
    for movie, row in enumerate(expected.to_dict("records"), start=1):
        assert list(found[movie]["genres"]) == row["genres"]
        assert found[movie]["probabilities"] == pytest.approx(row["probabilities"], abs=1e-9)
        assert list(found[movie]["notes"]) == row["notes"]
        assert found[movie]["model_version"] == row["model_version"]
    known = ["name", "date", "image"]  # fields that are not known may be left out
    fewer = movies.select("movie_id", guess(F.struct(*known)).alias("answer"))
    asked = MovieModel(package).predict(frame[known]).as_frame()["probabilities"].tolist()
    for row in fewer.collect():
        named = row["answer"]["probabilities"]
        assert named == pytest.approx(asked[row["movie_id"] - 1], abs=1e-9)
