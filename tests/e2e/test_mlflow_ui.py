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
from pathlib import Path

import pytest
from mlflow import MlflowClient

from genre_spark.config import build_config, load_config
from genre_spark.tracking import open_run, resolve_tracking_uri

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
RUNS = {"binary_relevance": 0.432, "lenet": 0.299}


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


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """A headless Chromium with a profile of its own."""
    binary = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip(
            "no Chromium with chromedriver on PATH (apt-get install chromium chromium-driver)"
        )
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


@pytest.mark.timeout(600)
def test_the_comparison_page_shows_two_runs_with_their_metrics(browser, tmp_path) -> None:
    paths = {"genres_csv": "g.csv", "posters": "p", "metadata": "m", "work": str(tmp_path)}
    config = build_config({"paths": paths, "mlflow": {"experiment": "two models"}})
    runs = []
    with open_run(config, "evaluate", tags={"stage": "evaluate"}) as parent:
        for name, f1 in RUNS.items():
            with parent.child(name, {"family": "test"}) as run:
                run.log_params({"threshold": 0.5})
                run.log_metrics({"test/f1_micro": f1, "f1/Drama": f1 / 2})
                runs.append(run.run_id)
    expected = (*RUNS, "test/f1_micro", "f1/Drama", *(str(value) for value in RUNS.values()))
    with _served(resolve_tracking_uri(config.mlflow, config.paths.work), tmp_path) as server:
        text = _compared(browser, server, runs, parent.experiment_id, expected)
        _keep_screenshot(browser, "comparison.png")
    assert [word for word in expected if word not in text] == [], text


@pytest.mark.timeout(1800)
@pytest.mark.slow
def test_the_comparison_page_shows_the_pipelines_models(finished, browser, tmp_path) -> None:
    config = load_config(finished.recipe)
    uri = resolve_tracking_uri(config.mlflow, config.paths.work)
    client = MlflowClient(uri)
    parent = client.get_run(finished.stages["evaluate"]["run_id"])
    experiment = parent.info.experiment_id
    children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    models = {run.info.run_name: run for run in children if run.data.tags["family"] != "baseline"}
    assert len(models) >= 2
    expected = (*models, "test/f1_micro", "test_tuned/f1_micro", "f1/Drama")
    with _served(uri, tmp_path) as server:
        text = _compared(
            browser, server, [run.info.run_id for run in models.values()], experiment, expected
        )
        _keep_screenshot(browser, "pipeline.png")
    assert [word for word in expected if word not in text] == [], text
    for run in models.values():
        assert f"{run.data.metrics['test/f1_micro']:.3f}".rstrip("0").rstrip(".") in text
