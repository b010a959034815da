"""What a run makes ready before a stage asks for it: packages, the session, MLflow's store."""

from __future__ import annotations

import socket
import sys
import threading
import time

import pytest

from genre_spark.config import Config
from genre_spark.errors import StageFailedError
from genre_spark.pipelines import ahead as module
from genre_spark.pipelines.ahead import Ahead, start_early
from genre_spark.pipelines.stage_list import STAGES, StageEntry
from genre_spark.tracking import open_run, opening_store

NETWORK = StageEntry("models.train_cnn", "", imports=("ahead_first", "ahead_second"))


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Two modules that a test may import, of which the first one waits for the test."""
    (tmp_path / "ahead_first.py").write_text("import sys\nsys.go_on.wait(60)\n")
    (tmp_path / "ahead_second.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(module, "is_local", lambda _: False)
    monkeypatch.setattr(sys, "go_on", threading.Event(), raising=False)
    yield sys.go_on
    for name in NETWORK.imports:
        sys.modules.pop(name, None)


def config_of(folder, **settings) -> Config:
    names = ("genres_csv", "posters", "metadata", "work")
    return Config(paths=dict.fromkeys(names, str(folder)), **settings)


def ahead_of(entries, **settings) -> Ahead:
    return Ahead(lambda: "session", entries, config_of("/nowhere", **settings))


def test_packages_are_imported_from_the_first_stage_on_that_trains(modules):
    modules.set()
    ahead = ahead_of([NETWORK])
    assert ahead.session_of(STAGES["group-genres"])() == "session"
    assert not ahead._threads
    ahead.session_of(STAGES["train-multilabel"])()
    ahead._threads["imports"].join(60)
    assert set(NETWORK.imports) <= set(sys.modules)


def test_the_end_of_a_run_waits_for_one_module_and_imports_no_other(modules):
    ahead = ahead_of([NETWORK])
    ahead.session_of(NETWORK)()
    closing = threading.Thread(target=ahead.close)
    closing.start()
    while not ahead._closed:
        pass
    modules.set()
    closing.join(60)
    assert not ahead._threads["imports"].is_alive()
    assert "ahead_second" not in sys.modules


def test_a_package_that_is_not_there_is_left_to_the_stage_that_needs_it(modules):
    ahead = ahead_of([StageEntry("models.other", "", imports=("no_such_package",))])
    ahead.session_of(NETWORK)()
    ahead.close()


def test_a_session_that_does_not_start_is_left_to_the_stage_that_asks(tmp_path):
    calls = []

    def session():
        calls.append(1)
        raise RuntimeError("no session")

    start_early(session, config_of(tmp_path))
    assert calls == [1]


def test_a_store_that_cannot_be_opened_is_left_to_the_run_that_asks(tmp_path):
    with opening_store(
        config_of(tmp_path, mlflow={"tracking_uri": "mysql+no_such_driver://nowhere"})
    ):
        pass


def test_a_server_that_does_not_answer_is_waited_for_once(tmp_path, monkeypatch):
    for name in ("MAX_RETRIES", "TIMEOUT"):  # which the first wait sets for the whole process
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", "1")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = f"http://127.0.0.1:{probe.getsockname()[1]}"  # nobody listens there
        config = config_of(tmp_path, mlflow={"tracking_uri": server, "timeout": 3})
        began = time.monotonic()
        with opening_store(config):
            pass
        for _ in range(2):  # a second try waits anew
            with pytest.raises(StageFailedError, match="did not answer"), open_run(config, "x"):
                pass
            waited, began = time.monotonic() - began, time.monotonic()
            assert 1 < waited < 5


def test_the_store_is_opened_while_the_block_works(tmp_path):
    with opening_store(config_of(tmp_path)):
        pass
    assert (tmp_path / "mlflow.db").is_file()


@pytest.fixture
def prepared(monkeypatch):
    """What becomes of the process of a training."""
    seen = []
    monkeypatch.setattr(module, "is_local", lambda _: False)
    monkeypatch.setattr(module, "_prepare_training", lambda: seen.append("prepared"))
    monkeypatch.setattr(module, "drop_prepared_process", lambda: seen.append("dropped"))
    return seen


STEPS = [STAGES[name] for name in ("sample", "train-multilabel", "train-cnn", "evaluate")]


def test_the_process_of_a_training_is_started_once_and_dropped_behind_the_last_one(prepared):
    ahead = ahead_of(STEPS)
    for entry in STEPS[:3]:
        ahead.session_of(entry)()
    assert prepared == ["prepared"]
    ahead.session_of(STEPS[3])
    assert prepared == ["prepared", "dropped"]


@pytest.mark.parametrize("distribution", [{"processes": 2}, {"where": "executors"}])
def test_no_process_is_started_for_a_training_that_many_share(prepared, distribution):
    ahead = ahead_of(STEPS, cnn={"distribution": distribution})
    for entry in STEPS:
        ahead.session_of(entry)()
    assert prepared == []
