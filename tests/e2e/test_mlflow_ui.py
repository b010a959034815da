"""The MLflow UI, opened in a headless browser on a store that genre_spark.tracking wrote."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from genre_spark.config import Config, build_config, load_config
from genre_spark.tracking import (
    COMPARED_IN,
    describe_experiment,
    experiment_address,
    log_headline,
    model_run,
    open_run,
    resolve_tracking_uri,
    save_ranked_views,
)
from genre_spark.tracking.model_runs import logged_model_id

pytestmark = pytest.mark.e2e

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1600",
)
SCORES = {"lenet": 0.2993, "binary_relevance": 0.4321}
SIGNATURE = ModelSignature(
    Schema([ColSpec("double", "features")]), Schema([ColSpec("double", "prediction")])
)


class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input


@dataclass(frozen=True)
class Store:
    """A store with two models: recipe, experiment, model -> run, and the last logged model."""

    config: Config
    experiment: str
    runs: dict[str, str]
    model: str


@contextmanager
def _served(uri: str, folder: Path) -> Iterator[str]:
    """Run an MLflow server on loopback over a store, and yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        uri,
        "--host",
        "127.0.0.1",
    ]
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--workers", "1"],
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # no more processes
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_for(
    url: str, process: subprocess.Popen[bytes], log: Path, *, seconds: float = 120
) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(
                "the MLflow server ended with code "
                f"{process.returncode}:\n{log.read_text()[-2000:]}"
            )
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    pytest.fail(f"the MLflow server did not answer within {seconds} s:\n{log.read_text()[-2000:]}")


def _find_browser() -> tuple[str, str] | None:
    binary = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    return None if binary is None or driver is None else (binary, driver)


def _install_browser() -> None:
    """Try quietly to install Debian's Chromium: only as root, only where apt is there."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return
    settings = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "-y", "chromium", "chromium-driver"]):
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [apt, "-qq", *words], env=settings, capture_output=True, timeout=240, check=False
            )


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """A headless Chromium with a profile of its own."""
    if _find_browser() is None:
        _install_browser()
    found = _find_browser()
    if found is None:
        pytest.skip(
            "no Chromium with chromedriver on PATH (apt-get install chromium chromium-driver)"
        )
    binary, driver = found
    selenium = pytest.importorskip(
        "selenium.webdriver", reason="selenium is not installed (pip install -e .[dev])"
    )
    options = selenium.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    browser = selenium.Chrome(
        options=options, service=selenium.ChromeService(executable_path=driver)
    )
    browser.set_page_load_timeout(120)
    yield browser
    browser.quit()


# A long list holds only the rows that can be seen: every look scrolls on, and from the end back to
# the start.
_SCROLL_AND_READ = """
for (const element of document.querySelectorAll('*')) {
  const overflow = getComputedStyle(element).overflowY;
  if (overflow !== 'auto' && overflow !== 'scroll') continue;
  if (element.scrollHeight <= element.clientHeight + 5) continue;
  const end = element.scrollTop + element.clientHeight >= element.scrollHeight - 2;
  element.scrollTop = end ? 0 : element.scrollTop + 0.7 * element.clientHeight;
}
return document.body ? document.body.innerText : '';
"""


def _text_with(browser, words: tuple[str, ...], *, seconds: float = 120) -> str:
    """Return the page's text of all scroll positions, as soon as it has all the words."""
    failure = pytest.importorskip("selenium.common.exceptions").WebDriverException
    deadline, seen = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        with suppress(failure):  # the page is being replaced
            seen += browser.execute_script(_SCROLL_AND_READ)
        if all(word in seen for word in words):
            break
        time.sleep(0.5)
    return seen


def _keep_screenshot(browser, name: str) -> None:
    folder = os.environ.get("GENRE_SPARK_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        browser.save_screenshot(str(Path(folder) / name))


def _compared(
    browser, server: str, runs: list[str], experiment: str, words: tuple[str, ...]
) -> str:
    """Return what the comparison page of two runs shows."""
    chosen = json.dumps(runs, separators=(",", ":"))
    browser.get(f"{server}/#/compare-runs?runs={chosen}&experiments={json.dumps([experiment])}")
    return _text_with(browser, words)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two models in runs of their own, the second with its file, ranked in a store on disk."""
    work = tmp_path_factory.mktemp("work")
    paths = {"genres_csv": "g.csv", "posters": "p", "metadata": "m", "work": str(work)}
    config = build_config({"paths": paths, "mlflow": {"experiment": "two models"}})
    runs = {}
    with open_run(config, "pipeline") as pipeline:
        for name, f1 in SCORES.items():
            with model_run(pipeline, name, family="test", method=name) as run:
                run.log_params({"trees": 20, "method": name})
                if name == list(SCORES)[-1]:
                    with run.as_active():
                        mlflow.pyfunc.log_model(
                            name=name, python_model=Echo(), signature=SIGNATURE, pip_requirements=[]
                        )
                    model = logged_model_id(run)
                log_headline(run, {"f1_micro": f1, "f1_macro": round(f1 / 2, 4)})
                run.set_tags({COMPARED_IN: pipeline.run_id, "decision_rule": "for micro-F1"})
                runs[name] = run.run_id
        save_ranked_views(pipeline, config, ["f1_micro", "f1_macro"])
        describe_experiment(pipeline, config, ["Best of 2 models: **binary_relevance**."])
    return Store(config, str(pipeline.experiment_id), runs, str(model))


@pytest.fixture(scope="module")
def server(store: Store) -> Iterator[str]:
    work = store.config.paths.work
    with _served(resolve_tracking_uri(store.config.mlflow, work), Path(work)) as address:
        yield address


@pytest.mark.timeout(600)
def test_the_printed_address_opens_a_table_whose_first_row_is_the_best_model(
    browser, store: Store, server: str
) -> None:
    browser.get(experiment_address(store.config, server))
    expected = (*SCORES, *(str(value) for value in SCORES.values()), "Best of 2 models")
    text = _text_with(browser, expected)
    _keep_screenshot(browser, "ranked.png")
    assert [word for word in expected if word not in text] == [], text
    best, other = sorted(SCORES, key=lambda name: -SCORES[name])
    table = text.rsplit("Run Name", 1)[-1]
    assert table.index(best) < table.index(other)
    assert "pipeline" not in table


@pytest.mark.timeout(600)
def test_the_comparison_page_shows_f1_and_parameters_of_two_models_side_by_side(
    browser, store: Store, server: str
) -> None:
    expected = (*SCORES, "f1_micro", "trees", *(str(value) for value in SCORES.values()))
    text = _compared(browser, server, list(store.runs.values()), store.experiment, expected)
    _keep_screenshot(browser, "comparison.png")
    assert [word for word in expected if word not in text] == [], text


@pytest.mark.timeout(600)
def test_the_page_of_a_model_shows_its_signature_and_its_f1(
    browser, store: Store, server: str
) -> None:
    page = f"{server}/#/experiments/{store.experiment}/models/{store.model}"
    browser.get(page)
    score = str(list(SCORES.values())[-1])
    assert score in _text_with(browser, (score,))
    _keep_screenshot(browser, "model.png")
    browser.get("about:blank")
    browser.get(f"{page}/artifacts")
    assert "MLmodel" in _text_with(browser, ("MLmodel",))
    browser.find_element("xpath", "//*[text()='MLmodel']").click()
    expected = ("signature", "features", "prediction", "double")
    text = _text_with(browser, expected)
    _keep_screenshot(browser, "signature.png")
    assert [word for word in expected if word not in text] == [], text


@pytest.mark.timeout(1800)
@pytest.mark.slow
def test_the_address_of_a_whole_run_opens_its_models_ranked(finished, browser, tmp_path) -> None:
    config = load_config(finished.recipe)
    uri = resolve_tracking_uri(config.mlflow, config.paths.work)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(config.mlflow.experiment)
    runs = client.search_runs(
        [experiment.experiment_id], "tags.kind = 'model'", order_by=["metrics.f1_micro DESC"]
    )
    expected = [str(run.data.metrics["f1_micro"]) for run in runs]
    expected += [run.info.run_name for run in runs]
    with _served(uri, tmp_path) as server:
        browser.get(experiment_address(config, server))
        text = _text_with(browser, tuple(expected))
        _keep_screenshot(browser, "pipeline.png")
    assert [word for word in expected if word not in text] == [], text
    table = text.rsplit("Run Name", 1)[-1]
    places = [table.index(run.info.run_name) for run in runs]
    assert places == sorted(places)
