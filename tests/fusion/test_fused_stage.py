from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.features.specification import FeatureSpecification
from genre_spark.fusion.network.model import FusedModel
from genre_spark.fusion.network.tables import fit_inputs
from genre_spark.pipelines import build_features, group_genres, sample, train_fused
from genre_spark.pipelines.catalogue import Catalogue
from tests.fusion.test_linear_stage import hamming, probabilities, recipe, write_movies

SECTION = {
    "name": "together",
    "parts": {"text": ["words"], "places": ["countries"]},
    "hidden": 16,
    "epochs": 15,
    "learning_rate": 0.02,
}


@pytest.fixture(scope="module")
def trained(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fused")
    write_movies(folder)
    config = recipe(folder, fused_network=SECTION, linear=None, stack=None)
    for stage in (group_genres, build_features, sample):
        stage.run(spark, config)
    return config, train_fused.run(spark, config)


def test_the_stage_trains_predicts_and_is_not_repeated(spark, trained):
    config, result = trained
    assert result.counts["training_movies"] == Catalogue(config).samples("train").manifest().rows
    assert hamming(config, "together") < 0.15
    details = Catalogue(config).predictions("together", "test").manifest().details
    assert (details["family"], details["vocabulary"]) == ("fused", ["Comedy", "Drama", "War"])
    assert train_fused.run(spark, config).reused


def test_the_stored_network_says_what_the_table_does(spark, trained):
    config, _ = trained
    specification = FeatureSpecification.load(config.paths.model("features"))
    model = FusedModel.load(config.paths.model("together") + "/fused.pt")
    tables = Catalogue(config)
    test = tables.samples("test").read(spark).select("movie_id")
    rows = tables.features.read(spark).join(test, "movie_id").orderBy("movie_id").collect()
    matrix = np.array([row.features.toArray() for row in rows])
    found = model.probabilities(specification, sparse.csr_matrix(matrix))
    assert found == pytest.approx(probabilities(config, "together"), abs=1e-6)


def test_parts_that_cannot_be_read_are_rejected(spark, trained, monkeypatch):
    config, _ = trained
    for parts, message in (
        ({"people": ("people",)}, r"fused_network.parts: people, expected blocks that are"),
        ({"themes": ("themes",), "nothing": ("decade",)}, r"fused_network.parts: decade, expected"),
    ):
        section = config.fused_network.model_copy(update={"parts": parts})
        with pytest.raises(InvalidConfigError, match=message):
            train_fused.run(spark, config.model_copy(update={"fused_network": section}))
    monkeypatch.setattr("genre_spark.fusion.network.tables._MOST_INPUTS", 1)
    specification = FeatureSpecification.load(config.paths.model("features"))
    train = train_fused._with_features(spark, config, "train")
    with pytest.raises(InvalidInputError, match="expected at most 1: leave words and people out"):
        fit_inputs(train, specification, {"text": ("words",)})
