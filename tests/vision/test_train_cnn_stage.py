from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from genre_spark.errors import InvalidConfigError, InvalidInputError, MissingTableError
from genre_spark.imaging import encode_pixels
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.models.network_plan import plan_training
from genre_spark.pipelines.models.train_cnn import run
from genre_spark.storage.tables import commit_table, read_manifest, write_table
from genre_spark.tracking import resolve_tracking_uri
from genre_spark.vision.training.poster_training import job_loss, run_job
from tests.vision.conftest import link_tables, make_config
from tests.vision.small import VOCABULARY, make_posters


def model_run(config, name: str = "scratch_cnn_one"):
    """The run that trained a network; its predictions name it."""
    client = MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
    return client.get_run(read_manifest(config.paths.predictions(name, "test")).details["run_id"])


@pytest.fixture(scope="module")
def trained(spark, sample_tables):
    config = make_config(
        sample_tables, architecture="scratch_cnn_one", epochs=6, learning_rate=0.02, dropout=0.0
    )
    return config, run(spark, config)


def test_the_stage_learns_colours_and_writes_predictions_of_validation_and_test(spark, trained):
    config, result = trained
    assert result.metrics["validation/micro_f1"] > 0.9
    for split in ("validation", "test"):
        table = config.paths.predictions("scratch_cnn_one", split)
        manifest = read_manifest(table)
        assert manifest is not None
        assert manifest.details["vocabulary"] == list(VOCABULARY)
        assert manifest.details["family"] == "cnn"
        assert manifest.details["method"] == "scratch_cnn_one"
        assert manifest.details["run_id"] == model_run(config).info.run_id
        rows = Catalogue(config).predictions("scratch_cnn_one", split).read(spark).collect()
        assert len(rows) == 16
        right = sum(row["prediction"] == row["labels"] for row in rows)
        assert right >= 14
        assert all(0 <= value <= 1 for row in rows for value in row["probabilities"])


def test_a_second_run_reuses_the_first(spark, trained):
    config, result = trained
    again = run(spark, config)
    assert again.reused
    assert again.run_id == result.run_id


def test_a_forced_run_trains_again_from_the_start(spark, trained):
    config, _ = trained
    before = model_run(config)
    again = run(spark, config, force=True)
    assert not again.reused
    client = MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
    times = [
        [point.value for point in client.get_metric_history(of.info.run_id, "epoch/seconds")]
        for of in (before, model_run(config))
    ]
    assert len(times[0]) == len(times[1]) == 6
    assert (
        times[0] != times[1]
    )  # epochs of a checkpoint would carry the seconds that they took the first time


def test_two_names_with_the_same_settings_are_two_trainings(spark, sample_tables, tmp_path):
    """A stage records its last run: a model of another name must not be taken for its own."""
    work = link_tables(sample_tables, tmp_path / "names")
    settings = {"architecture": "scratch_cnn_one", "epochs": 1}
    config = make_config(work, name="a", **settings)
    run(spark, config)
    first = model_run(config, "a").info.run_id
    run(spark, make_config(work, name="b", **settings, learning_rate=0.02))
    changed = run(spark, make_config(work, name="a", **settings, learning_rate=0.02))
    assert not changed.reused
    assert model_run(config, "a").info.run_id != first


@pytest.mark.parametrize("settings", [{"label_weights": "balanced"}, {"negative_sampling": True}])
def test_weights_of_genres_change_what_is_learnt(spark, sample_tables, settings):
    learnt = []
    for digest, chosen in (("plain", {}), ("told", settings)):
        job = plan_training(
            spark,
            make_config(sample_tables, architecture="scratch_cnn_one", **chosen),
            digest=digest,
        )
        run_job(job)
        learnt.append(torch.load(job.model_file, weights_only=True)["network"]["head.1.bias"])
    assert not torch.allclose(learnt[0], learnt[1], rtol=1e-3)


def test_weights_of_genres_are_those_of_the_samples_table(spark, sample_tables):
    config = make_config(
        sample_tables,
        architecture="scratch_cnn_one",
        label_weights="balanced",
        negative_sampling=True,
    )
    stored = read_manifest(config.paths.samples("train")).details["class_weights"]
    job = plan_training(spark, config, digest="weights")
    for place, genre in enumerate(VOCABULARY):
        assert job.label_weights.positive[place] == pytest.approx(
            48 / (2 * stored["counts"][genre])
        )
        assert job.label_weights.negative[place] == pytest.approx(
            48 / (2 * (48 - stored["counts"][genre]))
        )
        assert job.negative_rate[place] == pytest.approx(stored["negative_rate"][genre])
    equal = make_config(
        sample_tables, architecture="scratch_cnn_one", label_weights="effective_number"
    )
    weights = plan_training(spark, equal, digest="weights").label_weights
    assert weights.positive == weights.negative == tuple(stored["effective_number"].values())


def test_positives_are_weighted_by_the_movies_that_samples_stand_for(spark, sample_tables):
    config = make_config(
        sample_tables, architecture="scratch_cnn_one", loss="bce_positive", weights="sampling"
    )
    facts = plan_training(spark, config, digest="weights").facts
    rows = Catalogue(config).samples("train").read(spark).select("labels", "weight").collect()
    expected = [sum(row["weight"] for row in rows if row["labels"][place]) for place in range(3)]
    assert facts.weighted_counts == pytest.approx(expected)
    assert facts.weight == pytest.approx(sum(row["weight"] for row in rows)) != facts.rows
    positive = job_loss(plan_training(spark, config, digest="weights")).positive
    assert positive.tolist() == pytest.approx(
        [(facts.weight - count) / count for count in expected], rel=1e-5
    )


def test_samples_without_class_weights_are_reported(spark, sample_tables, tmp_path):
    work = link_tables(sample_tables, tmp_path / "older")
    config = make_config(work, architecture="scratch_cnn_one", label_weights="balanced")
    manifest = read_manifest(config.paths.samples("train"))
    details = {key: value for key, value in manifest.details.items() if key != "class_weights"}
    commit_table(config.paths.samples("train"), replace(manifest, details=details))
    with pytest.raises(
        InvalidInputError, match=r"no class weights, expected them for cnn\.label_weights"
    ):
        run(spark, config)


def test_samples_some_of_which_have_no_image_are_reported(spark, sample_tables, tmp_path):
    work = link_tables(sample_tables, tmp_path / "holes")
    config = make_config(work, architecture="scratch_cnn_one")
    table = config.paths.samples("train")
    rows = Catalogue(config).samples("train").read(spark)
    holes = rows.selectExpr(
        "movie_id",
        *(
            f"if(movie_id = 3, null, {name}) AS {name}"
            for name in ("image", "height", "width", "channels", "encoding")
        ),
        "labels",
        "weight",
    )
    write_table(holes.cache(), table, fingerprint="holes", details=read_manifest(table).details)
    with pytest.raises(
        InvalidInputError, match=r"rows of row group 0 have no .*, expected a poster in every row"
    ):
        run(spark, config)


def test_the_machines_load_is_logged_however_short_the_training(trained):
    config, _ = trained
    metrics = model_run(config).data.metrics
    assert "system/cpu_utilization_percentage" in metrics
    assert metrics["system/system_memory_usage_percentage"] > 0


def test_parameters_data_curves_pictures_and_checkpoints_are_in_the_models_run(trained):
    config, _ = trained
    client = MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
    run_id = model_run(config).info.run_id
    artifacts = {
        file.path
        for folder in (None, "pictures", "checkpoints")
        for file in client.list_artifacts(run_id, folder)
    }
    assert {
        "curves.png",
        "pictures/test_posters.png",
        "checkpoints/best.pt",
        "checkpoints/last.pt",
    } <= artifacts
    history = client.get_metric_history(run_id, "epoch/validation_loss")
    assert [point.step for point in history] == list(range(6))
    assert model_run(config).data.params["cnn.epochs"] == "6"
    inputs = model_run(config).inputs.dataset_inputs
    rows = {found.dataset.name: json.loads(found.dataset.profile)["num_rows"] for found in inputs}
    assert rows["sample-validation"] == rows["sample-test"] == 16
    digests = {found.dataset.name: found.dataset.digest for found in inputs}
    sample = read_manifest(config.paths.samples("train"))
    assert digests["sample-train"] == sample.fingerprint
    assert rows["sample-train"] == sample.rows
    assert history[-1].value < history[0].value


def test_the_model_gives_genres_of_png_bytes_and_of_pixels_in_a_process_without_spark(
    trained, tmp_path
):
    config, _ = trained
    uri = resolve_tracking_uri(config.mlflow, config.paths.work)
    model = model_run(config).data.tags["model_uri"]
    images, labels = make_posters(3, seed=9)
    pixels = images.transpose(0, 2, 3, 1)
    np.save(tmp_path / "pixels.npy", pixels)
    for place, image in enumerate(pixels):
        (tmp_path / f"{place}.png").write_bytes(
            encode_pixels(np.ascontiguousarray(image[:, :, ::-1]), encoding="png")
        )
    code = f"""
import sys
sys.modules["pyspark"] = None  # importing it fails from here on
import mlflow, numpy as np, pandas as pd
mlflow.set_tracking_uri({uri!r})
model = mlflow.pyfunc.load_model({model!r})
files = [open({str(tmp_path)!r} + f"/{{n}}.png", "rb").read() for n in range(3)]
a = model.predict(pd.DataFrame({{"image": files}}))
b = model.predict(pd.DataFrame({{"image": list(np.load({str(tmp_path)!r} + "/pixels.npy"))}}))
assert list(a.columns) == ["genres", "probabilities"], a
assert a.equals(b), (a, b)
everything = model.predict(pd.DataFrame({{"image": files}}), params={{"threshold": 0.0}})
assert all(len(genres) == 3 for genres in everything["genres"])
print([sorted(genres) for genres in a["genres"]])
"""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    expected = [
        sorted(g for g, on in zip(VOCABULARY, label, strict=True) if on) for label in labels
    ]
    assert done.stdout.strip().splitlines()[-1] == str(expected)


def test_unknown_architecture_is_reported_with_the_known_ones(spark, sample_tables):
    with pytest.raises(
        InvalidConfigError, match=r"cnn.architecture: 'alexnet', expected one of .*lenet.*vgg16"
    ):
        run(spark, make_config(sample_tables, architecture="alexnet"))


def test_samples_that_are_not_there_are_reported_with_the_stage_that_makes_them(spark, tmp_path):
    with pytest.raises(MissingTableError, match="genre-spark sample"):
        run(spark, make_config(tmp_path))


def test_a_batch_larger_than_the_data_is_reported(spark, sample_tables):
    with pytest.raises(InvalidInputError, match=r"cnn.batch_size: 64, expected at most 48"):
        run(spark, make_config(sample_tables, batch_size=64))
