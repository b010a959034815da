from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from mlflow import MlflowClient

from genre_spark.errors import InvalidConfigError, InvalidInputError, MissingTableError
from genre_spark.imaging import encode_pixels
from genre_spark.io import read_manifest, read_table
from genre_spark.pipelines.train_cnn import run
from genre_spark.schemas import PREDICTIONS_SCHEMA
from genre_spark.tracking import resolve_tracking_uri
from tests.vision.conftest import make_config
from tests.vision.small import VOCABULARY, make_posters


@pytest.fixture(scope="module")
def trained(spark, sample_tables):
    config = make_config(sample_tables, architecture="scratch_cnn_one", epochs=6, learning_rate=0.02, dropout=0.0)
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
        assert manifest.details["run_id"] == result.run_id
        rows = read_table(spark, table, PREDICTIONS_SCHEMA, made_by="train-cnn").collect()
        assert len(rows) == 16
        right = sum(row["prediction"] == row["labels"] for row in rows)
        assert right >= 14
        assert all(0 <= value <= 1 for row in rows for value in row["probabilities"])


def test_a_second_run_reuses_the_first(spark, trained):
    config, result = trained
    again = run(spark, config)
    assert again.reused
    assert again.run_id == result.run_id


def test_curves_pictures_and_checkpoints_are_in_mlflow(trained):
    config, result = trained
    client = MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
    artifacts = {
        file.path
        for folder in (None, "pictures", "checkpoints")
        for file in client.list_artifacts(result.run_id, folder)
    }
    assert {"curves.png", "pictures/test_posters.png", "checkpoints/best.pt", "checkpoints/last.pt"} <= artifacts
    history = client.get_metric_history(result.run_id, "epoch/validation_loss")
    assert [point.step for point in history] == list(range(6))
    assert history[-1].value < history[0].value


def test_the_model_gives_genres_of_png_bytes_and_of_pixels_in_a_process_without_spark(trained, tmp_path):
    config, result = trained
    uri = resolve_tracking_uri(config.mlflow, config.paths.work)
    model = MlflowClient(uri).get_run(result.run_id).data.tags["model_uri"]
    images, labels = make_posters(3, seed=9)
    pixels = images.transpose(0, 2, 3, 1)
    np.save(tmp_path / "pixels.npy", pixels)
    for place, image in enumerate(pixels):
        (tmp_path / f"{place}.png").write_bytes(encode_pixels(np.ascontiguousarray(image[:, :, ::-1]), encoding="png"))
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
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    expected = [sorted(g for g, on in zip(VOCABULARY, label, strict=True) if on) for label in labels]
    assert done.stdout.strip().splitlines()[-1] == str(expected)


def test_unknown_architecture_is_told_with_the_known_ones(spark, sample_tables):
    with pytest.raises(InvalidConfigError, match=r"cnn.architecture: 'alexnet', expected one of .*lenet.*vgg16"):
        run(spark, make_config(sample_tables, architecture="alexnet"))


def test_samples_that_are_not_there_are_told_with_the_stage_that_makes_them(spark, tmp_path):
    with pytest.raises(MissingTableError, match="genre-spark sample"):
        run(spark, make_config(tmp_path))


def test_a_batch_larger_than_the_data_is_told(spark, sample_tables):
    with pytest.raises(InvalidInputError, match=r"cnn.batch_size: 64, expected at most 48"):
        run(spark, make_config(sample_tables, batch_size=64))
