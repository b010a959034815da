"""The registry: challengers become champions when they are better by more than noise."""

from __future__ import annotations

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from pyspark.ml.linalg import Vectors
from sklearn.linear_model import LogisticRegression

from genre_spark.config import Config, build_config
from genre_spark.errors import InvalidConfigError, InvalidInputError, StageFailedError
from genre_spark.multilabel import BinaryRelevance
from genre_spark.pipelines import promote
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.schemas import FEATURES_SCHEMA, SAMPLES_WITHOUT_POSTERS_SCHEMA
from genre_spark.tracking import find_version, log_spark_model, open_run, register_challenger

GENRES = ["Comedy", "Drama"]
MOVIES = 200


def recipe(work, **sections) -> Config:
    paths = {"genres_csv": "g.csv", "posters": "p", "metadata": "m", "work": str(work)}
    store = {"registered_model": "genres", **sections.pop("mlflow", {})}
    sampling = {"require_poster": False}
    return build_config({"paths": paths, "mlflow": store, "sampling": sampling, **sections})


def truth_of(x: np.ndarray) -> np.ndarray:
    return np.stack([x > 0, x > 0.5], axis=1).astype(float)


@pytest.fixture(scope="module")
def work(spark, tmp_path_factory):
    """Validation movies of one feature that decides the genres."""
    config = recipe(tmp_path_factory.mktemp("registry"))
    x = np.random.default_rng(3).uniform(-1, 1, MOVIES)
    tables = Catalogue(config)
    samples = [(i, row.tolist(), 1.0) for i, row in enumerate(truth_of(x))]
    frame = spark.createDataFrame(samples, SAMPLES_WITHOUT_POSTERS_SCHEMA)
    tables.samples("validation").write(frame, fingerprint="v", details={"vocabulary": GENRES})
    vectors = [(i, Vectors.dense([float(value)])) for i, value in enumerate(x)]
    features = spark.createDataFrame(vectors, FEATURES_SCHEMA)
    tables.features.write(features, fingerprint="f")
    return config


def fit(spark, *, wrong: float):
    """A model trained on labels of which a share is wrong."""
    random = np.random.default_rng(5)
    x = random.uniform(-1, 1, 300)
    labels = np.abs(truth_of(x) - (random.random((300, 2)) < wrong))
    rows = [
        (Vectors.dense([float(value)]), row.tolist()) for value, row in zip(x, labels, strict=True)
    ]
    train = spark.createDataFrame(rows, ["features", "labels"])
    classifier = LogisticRegression(C=100)
    return BinaryRelevance(classifier=classifier, labelsCol="labels", labelNames=GENRES).fit(train)


def register(config: Config, model, name: str, thresholds: str = "[0.5]") -> str:
    tags = {"model": name, "thresholds": thresholds, "genres": '["Comedy", "Drama"]'}
    with open_run(config, name) as trained, open_run(config, "compare") as compared:
        uri = log_spark_model(trained, model, name)
        trained.set_tags({"model_uri": uri})
        version = register_challenger(compared, "genres", training_run=trained.run_id, tags=tags)
    return version.version


def aliases(config: Config) -> dict[str, str]:
    with open_run(config, "look") as run:
        found = {alias: find_version(run, "genres", alias) for alias in ("champion", "challenger")}
    return {alias: version.version for alias, version in found.items() if version}


def test_a_champion_is_only_replaced_by_a_better_model_and_comes_back_by_one_command(
    spark, work
) -> None:
    good, poor = fit(spark, wrong=0.0), fit(spark, wrong=0.45)
    register(work, poor, "poor")
    assert aliases(work) == {"challenger": "1"}
    first = promote.run(spark, work)
    assert "Version 1 (poor) is the first champion" in first.notes[0]

    register(work, good, "good")
    dry = promote.run(spark, recipe(work.paths.work, promotion={"dry_run": True}))
    assert (dry.counts["promoted"], dry.notes[1]) == (0, "dry run: nothing was changed")
    assert aliases(work) == {"champion": "1", "challenger": "2"}
    better = promote.run(spark, work)
    assert better.counts["promoted"] == 1
    assert "Version 2 (good) beats version 1 (poor) by more than noise" in better.notes[0]
    assert better.metrics["gain_low"] > 0
    assert aliases(work) == {"champion": "2", "challenger": "2"}
    assert promote.run(spark, work).notes == ("version 2 of genres is the champion already",)

    register(work, poor, "worse", thresholds="[0.45]")
    worse = promote.run(spark, work)
    assert worse.counts["promoted"] == 0
    assert "Version 3 (worse) does not beat version 2 (good)" in worse.notes[0]
    assert "It fell short by 0." in worse.notes[0]
    assert aliases(work) == {"champion": "2", "challenger": "3"}
    with open_run(work, "look") as run:
        client = MlflowClient(run.tracking_uri)
    version = client.get_model_version("genres", "3")
    assert version.description == worse.notes[0]
    assert version.tags["verdict"] == "kept as challenger"
    assert float(version.tags["gain_high"]) < 0
    assert float(version.tags["champion_f1_micro"]) > float(version.tags["challenger_f1_micro"])

    signature = mlflow.models.get_model_info("models:/genres@champion").signature
    assert signature.inputs.input_names() == ["features"]
    assert signature.outputs.input_names() == ["prediction"]

    back = promote.run(spark, recipe(work.paths.work, promotion={"rollback": True}))
    assert back.notes == ("genres: version 1 is the champion again, in place of 2",)
    assert aliases(work)["champion"] == "1"
    with pytest.raises(InvalidInputError, match="version 1 is the first champion"):
        promote.run(spark, recipe(work.paths.work, promotion={"rollback": True}))


def test_what_cannot_be_promoted_is_rejected_with_a_clear_message(spark, work, tmp_path) -> None:
    unnamed = recipe(tmp_path, mlflow={"registered_model": None})
    with pytest.raises(InvalidConfigError, match=r"mlflow\.registered_model: not set"):
        promote.run(spark, unnamed)
    nobody = recipe(work.paths.work, mlflow={"registered_model": "nobody"})
    with pytest.raises(InvalidInputError, match="nobody: no version has the alias challenger"):
        promote.run(spark, nobody)
    with (
        open_run(work, "empty") as run,
        pytest.raises(StageFailedError, match="it logged no model"),
    ):
        register_challenger(run, "genres", training_run=run.run_id, tags={})
