"""The whole pipeline as a user sees it: output, results, and what a second run does."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from genre_spark.cli import main
from genre_spark.pipelines.stage_list import STAGES
from tests.conftest import SHORT_LIVED_JVM
from tests.e2e.running import ROOT, environment, run, run_json, spark_submit, table_rows

pytestmark = pytest.mark.e2e
MODELS = ("binary_relevance", "lenet")
ON_REQUEST = {
    "collect-tmdb",
    "collect-imdb",
    "download-posters",
    "import-data",
    "import-metadata",
    "train-linear",
    "train-fused",
    "train-stack",
    "explain-models",
    "promote",
}  # by a section
IN_RUN = [name for name, entry in STAGES.items() if entry.in_run and name not in ON_REQUEST]


def test_every_stage_ran_and_says_what_it_did(finished) -> None:
    assert list(finished.stages) == IN_RUN
    for stage in finished.stages.values():
        assert not stage["reused"]
        assert stage["outputs"]


def test_nobody_else_can_write_to_what_a_run_leaves(finished) -> None:
    left = [finished.work, *finished.work.rglob("*")]
    assert [str(file) for file in left if file.stat().st_mode & stat.S_IWOTH] == []


def test_rows_are_accounted_for_from_file_to_predictions(finished) -> None:
    genres = {row["movie_id"] for row in table_rows(finished.work / "genres")}
    posters = {row["movie_id"] for row in table_rows(finished.work / "posters")}
    samples = {
        split: table_rows(finished.work / "samples" / split)
        for split in ("train", "validation", "test")
    }
    ids = [row["movie_id"] for rows in samples.values() for row in rows]
    assert len(ids) == len(set(ids))
    assert set(ids) <= genres & posters
    for model in MODELS:
        for split in ("validation", "test"):
            predicted = table_rows(finished.work / "predictions" / model / split)
            assert sorted(row["movie_id"] for row in predicted) == sorted(
                row["movie_id"] for row in samples[split]
            )
            assert all(0 <= p <= 1 for row in predicted for p in row["probabilities"])


def test_every_planted_flaw_of_a_poster_is_in_rejects_with_a_reason(finished) -> None:
    reasons = {row["reason"] for row in table_rows(finished.work / "rejects" / "posters")}
    assert len(reasons) >= 4
    assert all(reasons)


def test_flaws_of_the_metadata_are_in_rejects_with_a_reason(finished) -> None:
    found = table_rows(finished.work / "rejects" / "metadata")
    reasons = Counter(row["reason"] for row in found)
    assert reasons["id is not a number"] == 1
    assert reasons["malformed row"] == 1
    counts = finished.stages["build-features"]["counts"]
    assert {
        name.removeprefix("rejected/"): count for name, count in counts.items() if "/" in name
    } == reasons


@pytest.fixture(scope="module")
def submitted(finished) -> dict[str, Any]:
    """The second run, under spark-submit: what it says of each stage."""
    done = spark_submit("run", finished.recipe, "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["stage"] == "run"
    return {stage["stage"]: stage for stage in said["stages"]}


def test_a_second_run_repeats_nothing_and_gives_the_same_answer(finished, submitted) -> None:
    assert list(submitted) == IN_RUN
    for name, stage in submitted.items():
        if name != "prepare-posters":  # looks at the folder each time, and finds nothing new
            assert stage["reused"], name
        assert stage["metrics"] == finished.stages[name]["metrics"]


def test_a_folder_that_was_copied_and_moved_repeats_nothing_and_leaves_other_places_alone(
    finished, tmp_path: Path
) -> None:
    home, copy = finished.recipe.parent, tmp_path / "a copy"
    shutil.copytree(home, copy)  # data and work, with the times of their files
    for file in (copy / "data").glob("*.csv"):
        file.touch()  # as a copy has it that does not keep times
    before = {file: file.stat().st_mtime_ns for file in home.rglob("*")}
    again = run_json("run", copy / finished.recipe.name)["stages"]
    assert [stage["stage"] for stage in again if not stage["reused"]] == []
    assert all(str(copy) in place for stage in again for place in stage["outputs"].values())
    assert {file: file.stat().st_mtime_ns for file in home.rglob("*")} == before
    moved = copy.rename(tmp_path / "moved")
    (moved / "work" / "stages" / "compare.json").unlink()
    again = run_json("run", moved / finished.recipe.name)["stages"]
    assert [stage["stage"] for stage in again if not stage["reused"]] == ["compare"]
    assert not copy.exists()
    assert {file: file.stat().st_mtime_ns for file in home.rglob("*")} == before


@pytest.mark.parametrize("stage", [*STAGES, "run"])
def test_every_stage_has_a_job_of_the_same_few_lines(stage: str) -> None:
    job = (ROOT / "jobs" / f"{stage.replace('-', '_')}.py").read_text()
    pattern = (ROOT / "jobs" / "group_genres.py").read_text()
    assert job == pattern.replace("group-genres", stage).replace(
        "group_genres", stage.replace("-", "_")
    )


@pytest.mark.parametrize("stage", ["group-genres", "package-models"])
def test_a_job_runs_under_spark_submit(finished, stage: str) -> None:
    done = spark_submit(stage, finished.recipe, "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1])["stage"] == stage


def test_a_failing_job_gives_its_exit_code_to_spark_submit(finished) -> None:
    done = spark_submit("group-genres", finished.recipe, "paths.genres_csv=nowhere.csv")
    assert done.returncode == 2
    assert (
        "nowhere.csv: no such file" in done.stdout
    )  # spark-submit sends both streams of a Python job to this one


def test_the_store_has_one_run_for_every_stage_and_every_model(finished) -> None:
    client = MlflowClient(f"sqlite:///{finished.work}/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    (pipeline,) = [
        run for run in runs if run.data.tags.get("stage") == "run" and "seconds" in run.data.metrics
    ][-1:]
    children = [
        run for run in runs if run.data.tags.get("mlflow.parentRunId") == pipeline.info.run_id
    ]
    models = {*MODELS, "baseline_most_common", "baseline_random"}
    assert sorted(run.info.run_name for run in children) == sorted([*IN_RUN, *models])
    assert all(child.info.status == "FINISHED" for child in children)
    assert "config.yaml" in [item.path for item in client.list_artifacts(pipeline.info.run_id)]
    best = next(run for run in children if run.info.run_name == pipeline.data.tags["best_model"])
    assert pipeline.data.metrics["f1_micro"] == best.data.metrics["f1_micro"]
    assert best.data.params
    assert best.inputs.dataset_inputs
    assert best.outputs.model_outputs


def test_the_forest_is_loaded_again_through_mlflow_in_a_fresh_process(finished) -> None:
    program = f"""
import mlflow, sys
from genre_spark.spark.session import spark_session
mlflow.set_tracking_uri("sqlite:///{finished.work}/mlflow.db")
method = "tags.method = 'binary_relevance'"
runs = mlflow.search_runs(search_all_experiments=True, filter_string=method)
uri = runs["tags.model_uri"].dropna().iloc[0]
settings = {{"spark.ui.enabled": "false", "spark.driver.extraJavaOptions": "{SHORT_LIVED_JVM}"}}
with spark_session(app_name="load", master="local[1]", settings=settings) as spark:
    loaded = mlflow.spark.load_model(uri)
    from genre_spark.storage.tables import table_files
    features = spark.read.parquet(*table_files("{finished.work}/features"))
    print("ROWS", loaded.transform(features).select("probabilities").count())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"ROWS {finished.stages['build-features']['counts']['movies']}" in done.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "genres.csv"),
        (b"movie,kind\r\n1,Drama\r\n", "genre"),
        (b"id,genre\r\n", "genres.csv"),
    ],
    ids=["empty file", "other columns", "header only"],
)
def test_a_genres_file_that_cannot_be_used_ends_with_2_and_a_sentence(
    finished, tmp_path, capsys, content, message
) -> None:
    file = tmp_path / "genres.csv"
    file.write_bytes(content)
    paths = [f"paths.genres_csv={file}", f"paths.work={tmp_path / 'work'}"]
    assert main(["group-genres", "--config", str(finished.recipe), *paths]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_folder_without_posters_ends_with_2(finished, tmp_path: Path) -> None:
    (tmp_path / "posters").mkdir()
    done = run(
        "prepare-posters",
        finished.recipe,
        f"paths.posters={tmp_path}/posters",
        f"paths.work={tmp_path}/work",
    )
    assert done.returncode == 2, done.stderr
    assert "posters" in done.stderr
    assert "Traceback" not in done.stderr
