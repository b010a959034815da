"""A logged model answers in an environment that has what its requirements name, and no more."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from genre_spark.config import build_config
from genre_spark.serving.package_description import ModelDescription
from genre_spark.tracking import model_run, open_run
from genre_spark.tracking.movie_models import log_movie_model
from tests.serving.packages import FOREST, LINEAR, NETWORK, write_package

STACK = {"kind": "stack", "file": "parts/stack.npz", "models": [FOREST, NETWORK]}
ANSWER = """
import json, sys
import mlflow
model = mlflow.pyfunc.load_model(sys.argv[1])
import genre_spark
assert genre_spark.__file__.startswith(sys.argv[1]), genre_spark.__file__
print(json.dumps(model.predict(model.input_example).iloc[0].to_dict()))
"""


def logged_model(folder: Path, part) -> Path:
    """Return the folder of a model that was logged in MLflow."""
    package = write_package(folder / "made", part)
    paths = {"genres_csv": "g.csv", "posters": "p", "metadata": "m", "work": str(folder / "work")}
    with (
        open_run(build_config({"paths": paths}), "stage") as stage,
        model_run(stage, "small", family="any", method="any") as run,
    ):
        uri = log_movie_model(run, run.run_id, package, ModelDescription.load(package))
    return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder / "model")))


def install(environment: Path, requirements: Path) -> Path:
    """Make an environment of the requirements and return its Python; skip where that fails."""
    uv = shutil.which("uv")
    if uv is None:
        commands = [
            [sys.executable, "-m", "venv", str(environment)],
            [f"{environment}/bin/pip", "install", "-q", "-r", str(requirements)],
        ]
    else:
        python = f"{environment}/bin/python"
        commands = [
            [uv, "venv", "-q", "--python", sys.executable, str(environment)],
            [uv, "pip", "install", "-q", "--python", python, "-r", str(requirements)],
        ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        if done.returncode != 0:
            pytest.skip(f"no package index for {command[:3]}: {done.stderr.strip()[-300:]}")
    return environment / "bin" / "python"


@pytest.mark.slow
@pytest.mark.timeout(2000)
@pytest.mark.parametrize(
    "part", [FOREST, LINEAR, NETWORK, STACK], ids=["forest", "linear", "network", "stack"]
)
def test_a_logged_model_answers_in_an_environment_of_its_requirements(part, tmp_path) -> None:
    model = logged_model(tmp_path, part)
    python = install(tmp_path / "environment", model / "requirements.txt")
    done = subprocess.run(
        [str(python), "-c", ANSWER, str(model)],
        env={"PATH": os.defpath, "HOME": str(tmp_path), "MLFLOW_TRACKING_URI": "sqlite://"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    here = mlflow.pyfunc.load_model(str(model))
    expected = here.predict(here.input_example).iloc[0]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["genres"] == expected["genres"]
    assert found["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)
    assert found["notes"] == list(expected["notes"]) == []
    assert found["model_version"] == "abc"
