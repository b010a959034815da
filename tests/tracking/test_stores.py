"""Stores that are down, damaged, locked, copied or moved."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from genre_spark.__main__ import main
from genre_spark.config import Config, build_config
from genre_spark.errors import InvalidConfigError, InvalidInputError, StageFailedError
from genre_spark.serving.package_description import ModelDescription
from genre_spark.tracking import (
    find_model_run,
    log_headline,
    model_run,
    open_run,
    register_challenger,
    resolve_tracking_uri,
    send_kept_runs,
)
from genre_spark.tracking.movie_models import fetch_package, log_movie_model
from genre_spark.tracking.stores import addresses, servers
from tests.serving.packages import FOREST, write_package


def recipe(work, **mlflow_section) -> Config:
    paths = {"genres_csv": "g.csv", "posters": "p", "metadata": "m", "work": str(work)}
    return build_config({"paths": paths, "mlflow": {"timeout": 1, **mlflow_section}})


@pytest.fixture(autouse=True)
def clean_process(monkeypatch) -> None:
    monkeypatch.setattr(addresses, "_unreachable", set())
    _artifact_repos_cache.clear()  # by run id: a process of its own has none of the original's
    for name in ("URI", "USERNAME", "PASSWORD"):  # delenv restores what a test sets
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "")
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}")
    for name in (servers._RETRIES, servers._REQUEST):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A work folder with a store in which a model has a run."""
    work = tmp_path_factory.mktemp("original") / "work"
    with open_run(recipe(work), "stage") as stage:
        with model_run(stage, "forest", family="multilabel", method="forest") as run:
            run.log_text("hello", "note.txt")
            package = write_package(work.parent / "made", FOREST)
            log_movie_model(run, run.run_id, package, ModelDescription.load(package))
        register_challenger(stage, "genres", training_run=run.run_id, tags={})
        (work / "run_id").write_text(run.run_id)
    return work


@pytest.fixture
def work(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "work"))


def open_and_close(config: Config) -> None:
    with open_run(config, "again"):
        pass


def test_a_store_that_was_cut_off_is_one_sentence(work) -> None:
    file = work / "mlflow.db"
    file.write_bytes(file.read_bytes()[:20_000])
    with pytest.raises(InvalidInputError, match=r"mlflow\.db: cut off \(20,000 of [\d,]+ bytes\)"):
        open_and_close(recipe(work))
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(InvalidInputError, match=r"mlflow\.db: cut off \(50 bytes\)"):
        open_and_close(recipe(work))


def test_a_store_whose_pages_are_damaged_is_one_sentence(work) -> None:
    file = work / "mlflow.db"
    content = bytearray(file.read_bytes())
    content[4096 * 3 : 4096 * 40] = b"\xa5" * (4096 * 37)
    file.write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"mlflow\.db: damaged"):
        open_and_close(recipe(work))


def test_a_file_that_is_no_store_is_one_sentence(work) -> None:
    file = work / "mlflow.db"
    file.write_text("all my notes")
    with pytest.raises(InvalidInputError, match="not an SQLite file, expected MLflow's store"):
        open_and_close(recipe(work))
    file.unlink()
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    other.close()
    with pytest.raises(InvalidInputError, match="another program's database"):
        open_and_close(recipe(work))
    file.unlink()
    file.mkdir()
    with pytest.raises(InvalidInputError, match="a folder, expected MLflow's store in a file"):
        open_and_close(recipe(work))


def test_a_locked_store_is_waited_for_and_then_one_sentence(work) -> None:
    holder = sqlite3.connect(work / "mlflow.db")
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(InvalidInputError, match="locked by another process"):
            open_and_close(recipe(work))
    finally:
        holder.close()
    open_and_close(recipe(work))


def test_a_store_that_was_moved_away_is_made_anew(work) -> None:
    (work / "mlflow.db").rename(work / "away.db")
    config = recipe(work)
    with open_run(config, "again") as run:
        assert find_model_run(run, (work / "run_id").read_text(), name="forest") is None


@pytest.mark.parametrize("moved", [True, False], ids=["moved", "copied"])
def test_a_work_folder_elsewhere_reads_and_writes_its_own_artifacts(
    whole, work, tmp_path, moved
) -> None:
    other = tmp_path / "other place" / "work"
    shutil.copytree(work, other)
    if moved:
        shutil.rmtree(work)
    before = {file: file.stat().st_mtime_ns for file in work.rglob("*")}
    with open_run(recipe(other), "again") as run:
        found = find_model_run(run, (other / "run_id").read_text(), name="forest")
        assert found is not None
        found.log_text("more", "more.txt")
        texts = {
            file.path: Path(
                mlflow.artifacts.download_artifacts(
                    run_id=found.run_id, artifact_path=file.path, tracking_uri=run.tracking_uri
                )
            ).read_text()
            for file in found.client.list_artifacts(found.run_id)
        }
    assert texts == {"note.txt": "hello", "more.txt": "more"}
    assert {file: file.stat().st_mtime_ns for file in work.rglob("*")} == before
    assert Path(fetch_package("models:/genres@challenger", run.tracking_uri)).is_dir()
    assert list(other.rglob("more.txt"))
    with closing(sqlite3.connect(other / "mlflow.db")) as store:
        assert whole.as_uri() not in "\n".join(store.iterdump())


def test_a_server_that_is_down_is_waited_for_as_long_as_the_recipe_says(
    tmp_path, caplog, monkeypatch
) -> None:
    monkeypatch.setattr(servers, "_SAY_AFTER", 1.0)
    config = recipe(tmp_path, tracking_uri="http://127.0.0.1:9", timeout=3)
    caplog.set_level(logging.INFO, logger="genre_spark")
    began = time.monotonic()
    with pytest.raises(StageFailedError, match=r"did not answer within 3 s \(connection refused\)"):
        open_and_close(config)
    assert time.monotonic() - began < 30  # MLflow's own retries take 319 s
    assert "waiting for MLflow at http://127.0.0.1:9 (connection refused)" in caplog.text
    assert "giving up after 3 s (mlflow.timeout)" in caplog.text


def test_without_a_required_server_the_stage_goes_on_and_its_run_is_kept(tmp_path, caplog) -> None:
    config = recipe(tmp_path, tracking_uri="http://ann:pa55word@127.0.0.1:9", required=False)
    with open_run(config, "stage") as run:
        run.log_metrics({"f1_micro": 0.5})
        run.log_text("hello", "note.txt")
    assert run.tracking_uri == resolve_tracking_uri(config.mlflow, str(tmp_path))
    assert (tmp_path / "mlflow-unsent" / "mlflow.db").exists()
    assert list((tmp_path / "mlflow-unsent" / "mlartifacts").rglob("note.txt"))
    assert "`genre-spark sync` sends them" in caplog.text
    with open_run(config, "next", parent=run.run_id) as child:  # without another wait
        assert child.tracking_uri == run.tracking_uri


@pytest.fixture
def closed_server():
    """A server that lets nobody in."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_server_that_lets_nobody_in_is_reported_at_once(closed_server, tmp_path) -> None:
    config = recipe(tmp_path, tracking_uri=closed_server, timeout=60)
    with pytest.raises(InvalidConfigError, match="expected a user and password that it knows"):
        open_and_close(config)


def test_kept_runs_are_sent_once_and_found_by_their_first_numbers(tmp_path) -> None:
    work = tmp_path / "work"
    down = recipe(work, tracking_uri="http://127.0.0.1:9", required=False)
    with open_run(down, "pipeline") as top:
        with model_run(top, "forest", family="multilabel", method="forest") as run:
            run.log_params({"trees": 20})
            for step, loss in enumerate((0.9, 0.5)):
                run.log_metrics({"loss": loss}, step=step)
            run.log_text("hello", "folder/note.txt")
            package = write_package(tmp_path / "forest", FOREST)
            log_movie_model(run, run.run_id, package, ModelDescription.load(package))
            log_headline(run, {"f1_micro": 0.5})
        top.set_tags({"best_run": run.run_id})
    addresses._unreachable.clear()  # another process, later
    server = recipe(work, tracking_uri=f"sqlite:///{tmp_path}/server.db")
    assert send_kept_runs(server) == {"runs": 2, "models": 1}
    assert send_kept_runs(server) == {"runs": 0, "models": 0}
    with open_run(server, "evaluate") as stage:
        found = find_model_run(stage, run.run_id, name="forest")
        parent = stage.client.search_runs([stage.experiment_id], "tags.best_run != ''")[0]
    assert found is not None
    assert found.run_id != run.run_id
    there = found.client.get_run(found.run_id)
    assert there.info.status == "FINISHED"
    assert there.data.params == {"trees": "20"}
    assert there.data.metrics == {"loss": 0.5, "f1_micro": 0.5}
    history = found.client.get_metric_history(found.run_id, "loss")
    assert [(each.step, each.value) for each in history] == [(0, 0.9), (1, 0.5)]
    assert there.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert parent.data.tags["best_run"] == found.run_id
    assert [file.path for file in found.client.list_artifacts(found.run_id)] == ["folder"]
    model = mlflow.pyfunc.load_model(there.data.tags["movie_model_uri"])
    assert model.metadata.run_id == found.run_id
    assert model.predict(model.input_example)["genres"].map(len).tolist() != []
    (logged,) = found.client.search_logged_models([stage.experiment_id])
    assert {metric.key: metric.value for metric in logged.metrics}["f1_micro"] == 0.5


def test_runs_are_not_sent_to_the_store_of_the_work_folder(tmp_path) -> None:
    config = recipe(tmp_path, tracking_uri="http://127.0.0.1:9", required=False)
    open_and_close(config)
    addresses._unreachable.clear()
    with pytest.raises(InvalidInputError, match="expected the server that the kept runs are for"):
        send_kept_runs(recipe(tmp_path))


def test_sync_says_that_nothing_waits_and_reports_a_mistake_in_one_sentence(
    tmp_path, capsys
) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(f"paths: {{genres_csv: g, posters: p, metadata: m, work: {tmp_path}/work}}\n")
    assert main(["sync", "--config", str(file)]) == 0
    assert capsys.readouterr().out == "no runs are waiting for a server\n"
    assert main(["sync", "--config", str(file), "mlflow.timout=3"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_new_store_is_a_copy_of_an_empty_one_that_mlflow_made_once(tmp_path, monkeypatch):
    monkeypatch.setenv("GENRE_SPARK_CACHE", str(tmp_path / "cache"))
    made = []
    for name in ("first", "second"):
        config = recipe(tmp_path / name)
        with open_run(config, name) as run:
            run.log_metrics({"f1": 0.5})
        client = mlflow.MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
        (experiment,) = client.search_experiments(filter_string="name = 'genre_spark'")
        assert experiment.artifact_location == (tmp_path / name / "mlartifacts").as_uri()
        (found,) = client.search_runs([experiment.experiment_id])
        assert found.data.metrics == {"f1": 0.5}
        (template,) = (tmp_path / "cache").iterdir()
        made.append(template.stat().st_mtime_ns)
        with closing(sqlite3.connect(template)) as store:
            assert store.execute("SELECT COUNT(*) FROM runs").fetchone() == (0,)
    assert made[0] == made[1]
    template.write_bytes(b"damaged")
    with open_run(recipe(tmp_path / "third"), "third") as run:
        run.log_metrics({"f1": 0.5})
    (tmp_path / "cache").chmod(0o777)  # others could have put something there
    with open_run(recipe(tmp_path / "fourth"), "fourth") as run:
        run.log_metrics({"f1": 0.5})
