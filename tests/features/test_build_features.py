"""The stage as a whole: every movie that can be drawn has features, learnt from training alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from genre_spark.config import Config, build_config
from genre_spark.errors import InvalidInputError
from genre_spark.features import FeatureSpecification, FrameEngine
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.features.build_features import run
from genre_spark.pipelines.sampling.splitting import split_movies
from tests.stored_rows import store_rows

MOVIES = 40


@pytest.fixture
def config(spark: SparkSession, tmp_path: Path) -> Config:
    """Write tables of genres and posters (the last ten movies have none), and their metadata."""
    config = build_config(
        {
            "paths": {
                "genres_csv": str(tmp_path / "genres.csv"),
                "posters": str(tmp_path / "posters"),
                "metadata": str(tmp_path / "metadata"),
                "work": str(tmp_path / "work"),
            },
            "mlflow": {"tracking_uri": f"sqlite:///{tmp_path / 'mlflow.db'}"},
            "features": {
                "min_count": 1,
                "thumbnail": 1,
                "histogram_bins": 1,
                "blocks": {"characters": True},
            },
            "sampling": {"require_poster": False},
        }
    )
    tables = Catalogue(config)
    genres = [(movie, ["Drama"], [0]) for movie in range(MOVIES)]
    pixels = [np.full(300, movie, np.uint8).tobytes() for movie in range(MOVIES - 10)]
    posters = [(m, image, 10, 10, 3, "raw", f"{m}.jpg") for m, image in enumerate(pixels)]
    place, details = tables.genres, {"vocabulary": ["Drama"]}
    store_rows(place.path, place.schema, genres, fingerprint="g", details=details)
    store_rows(tables.posters.path, tables.posters.schema, posters, fingerprint="p")
    movies = spark.range(MOVIES).withColumnRenamed("id", "movie_id")
    splits = {
        row["movie_id"]: row["split"] for row in split_movies(spark, config, movies).collect()
    }
    (tmp_path / "metadata").mkdir()
    lines = ["id,name,date,tagline,description,minute,rating"]
    lines += [
        f"{movie}.0,Film {splits[movie]},{1980 + movie},,x,{'inf' if movie == 3 else 90},3.5"
        for movie in range(MOVIES)
    ]
    (tmp_path / "metadata" / "movies.csv").write_text("\r\n".join(lines) + "\r\n", newline="")
    countries = "".join(f"{movie}.0,{splits[movie]}land\t\n" for movie in range(MOVIES))
    (tmp_path / "metadata" / "countries.csv").write_text("id,country\n" + countries)
    return config


def test_every_movie_has_features_that_were_learnt_from_training_movies(spark, config) -> None:
    result = run(spark, config)
    specification = FeatureSpecification.load(config.paths.model("features"))
    details = Catalogue(config).features.manifest().details
    assert details == {"length": specification.size, "specification": specification.digest}
    assert (result.counts["movies"], result.counts["features"]) == (MOVIES, specification.size)
    assert result.counts["rejected/minute is not a number"] == 1
    assert any("no features of languages, studios, themes, people" in note for note in result.notes)
    names = specification.names
    assert "countries: trainland" in names
    assert "words: train" in names
    # what only validation and test movies have was not learnt
    assert not any("test" in name or "validation" in name for name in names)
    assert "characters: train" in names
    assert not any("valid" in name or "alida" in name for name in names)
    rows = Catalogue(config).features.read(spark).collect()
    found = {
        row["movie_id"]: dict(zip(names, row["features"].toArray(), strict=True)) for row in rows
    }
    assert found[3]["numbers: minute missing"] == 1.0
    assert found[2]["numbers: minute missing"] == 0.0
    assert found[5]["poster_summary: red at row 0 column 0"] == pytest.approx(5 / 255)
    assert found[5]["poster_summary: missing"] == 0.0
    mean = specification.part("poster_summary").fill
    assert found[39]["poster_summary: red at row 0 column 0"] == mean[0] > 0
    assert found[39]["poster_summary: missing"] == 1.0

    raw = pd.DataFrame(
        {"name": ["Film train"], "date": ["2019"], "description": ["x"], "minute": [90]}
    )
    answered = FrameEngine(specification).transform(raw.assign(rating="3.5")).dense()[0]
    others = [name for name in names if not name.startswith(("countries", "characters"))]
    alone = dict(zip(names, answered, strict=True))
    train = {**found[39], "words: train": alone["words: train"]}
    assert {name: train[name] for name in others} == {name: alone[name] for name in others}


def test_metadata_of_other_movies_is_an_error_where_nothing_else_is_known(
    spark, config, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "countries.csv").write_text("id,country\n1000,UK\n1001,UK\n")
    values = config.model_dump(mode="json")
    values["paths"]["metadata"] = str(tmp_path / "other")
    values["features"]["blocks"]["poster_summary"] = False
    with pytest.raises(InvalidInputError, match="with the ids of the genres"):
        run(spark, build_config(values))
