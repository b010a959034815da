"""Features of a frozen network as features of the forests."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.multilabel import MultilabelEvaluator
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.features.build_features import run as build_features
from genre_spark.pipelines.models.train_multilabel import run as train_multilabel
from genre_spark.schemas import FEATURES, GENRES_SCHEMA, LABELS, MOVIE_ID, PREDICTION
from genre_spark.storage.tables import write_table
from tests.vision.conftest import link_tables, make_config
from tests.vision.small import VOCABULARY


@pytest.fixture
def config(spark, sample_tables, tmp_path) -> Config:
    """A recipe whose feature vectors are a network's alone, with a genres table for its samples."""
    work = link_tables(sample_tables, tmp_path / "work")
    plain = make_config(work, architecture="scratch_cnn", pretrained="none", height=40, width=32)
    settings = plain.model_dump() | {
        "features": {"metadata": False, "posters": False, "embeddings": True},
        "multilabel": {
            "methods": "multilabel_random_forest",
            "forest": {"backend": "sklearn", "trees": 20},
        },
    }
    config = Config.model_validate(settings)
    every = [Catalogue(config).samples(split).read(spark) for split in ("train", "validation")]
    movies = every[0].unionByName(every[1]).select(MOVIE_ID, LABELS)
    on = F.filter(F.sequence(F.lit(0), F.lit(2)), lambda label: F.get(F.col(LABELS), label) > 0)
    names = F.array(*map(F.lit, VOCABULARY))
    genres = movies.select(
        MOVIE_ID, F.transform(on, lambda label: F.get(names, label)).alias("genres"), on
    )
    table = spark.createDataFrame(genres.collect(), GENRES_SCHEMA)
    details = {"vocabulary": list(VOCABULARY)}
    write_table(table, config.paths.genres, fingerprint="genres-1", details=details)
    return config


def test_vectors_are_the_networks_features_and_a_forest_learns_from_them(spark, config):
    result = build_features(spark, config)
    assert result.counts == {
        "movies": 64,
        "training_movies": result.counts["training_movies"],
        "features": 768,
    }
    ours = {
        row[MOVIE_ID]: row[FEATURES].toArray()
        for row in Catalogue(config).features.read(spark).collect()
    }
    rows = Catalogue(config).embeddings.read(spark).collect()
    stored = {row[MOVIE_ID]: row[FEATURES] for row in rows}
    assert len(ours) == 64 < len(stored) == 80
    assert all(np.array_equal(vector, np.float64(stored[movie])) for movie, vector in ours.items())
    assert build_features(spark, config).reused
    train_multilabel(spark, config)
    predicted = Catalogue(config).predictions("multilabel_random_forest", "validation").read(spark)
    found = MultilabelEvaluator(metricName="f1_micro").evaluate(
        predicted.select(LABELS, PREDICTION)
    )
    assert found > 0.8  # colours show through random filters


def test_other_weights_make_other_features(spark, config):
    first = build_features(spark, config)
    mirrored = config.model_copy(
        update={"embeddings": config.embeddings.model_copy(update={"mirror": True})}
    )
    second = build_features(spark, mirrored)
    assert not second.reused
    assert first.counts == second.counts
