"""Fixtures shared by all tests: one small Spark session, and the real data where it is there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genre_spark.spark.session import spark_session
from genre_spark.workers.own_process import kept_process

ROOT = Path(__file__).resolve().parent.parent
# A JVM of small queries compiles more than it computes: one quick compiler took a quarter less CPU
# time than the default two on tests/spark/test_metadata.py and tests/sampling/test_group_genres.py.
SHORT_LIVED_JVM = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC"
# Queries of a few rows run as they are planned: a fifth less CPU time than when each is compiled
# first. The whole pipeline's tests have sessions of their own, which compile as a user's do.
INTERPRETED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
ON_CONNECT = os.environ.get("GENRE_SPARK_TEST_SESSION") == "connect"

os.environ.setdefault("JDK_JAVA_OPTIONS", SHORT_LIVED_JVM)  # of every JVM that a test starts
os.environ["PYSPARK_PYTHON"] = sys.executable
os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
# Workers of local mode import the package from here, whether it is installed or not.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])
)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a file's tests in one process, and all files that read the finished pipeline."""
    from xdist.scheduler import LoadFileScheduling  # noqa: PLC0415

    files = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "tests" / "e2e").glob("test_*.py")
        if "(finished" in file.read_text()
    }

    class OnePipeline(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "finished pipeline" if file in files else file

    return OnePipeline(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run short files last, so that no process waits long; on Connect, those with a session."""
    items.sort(key=lambda item: item.nodeid.startswith("tests/unit/"))
    if ON_CONNECT:
        asks = [("spark" in getattr(item, "fixturenames", ()), item) for item in items]
        config.hook.pytest_deselected(items=[item for asked, item in asks if not asked])
        items[:] = [item for asked, item in asks if asked]


@pytest.fixture
def classic(spark: Any) -> Any:
    """The session, where it has a JVM; the test is skipped on Spark Connect."""
    if ON_CONNECT:
        pytest.skip("needs a SparkContext, which Spark Connect does not have")
    return spark


@pytest.fixture(scope="session", autouse=True)
def one_process_for_trainings() -> Iterator[None]:
    """Trainings of the tests share a process, which takes seconds to import torch."""
    with kept_process():
        yield


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """A local session with two cores and few partitions, started when a test asks for it.

    With GENRE_SPARK_TEST_SESSION=connect it is one of Spark Connect, served by the local one's JVM.
    """
    logs = tmp_path_factory.mktemp("spark")
    with spark_session(
        app_name="genre_spark tests",
        master="local[2]",
        settings={
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.driver.memory": "2g",
            "spark.driver.extraJavaOptions": SHORT_LIVED_JVM,
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.sql.shuffle.partitions": "4",
            "spark.sql.warehouse.dir": str(logs / "warehouse"),
            "spark.sql.session.timeZone": "UTC",
            **INTERPRETED,
        },
        log_file=logs / "spark.log",
    ) as session:
        if ON_CONNECT:
            from genre_spark.storage.caching import SCRATCH  # noqa: PLC0415
            from tests.places.connect_server import connect_session  # noqa: PLC0415

            with connect_session(session) as remote, pytest.MonkeyPatch.context() as patch:
                patch.setenv(SCRATCH, str(tmp_path_factory.mktemp("scratch")))
                yield remote
        else:
            yield session


@pytest.fixture(autouse=True, scope="module")
def mlflow_address() -> Iterator[None]:
    """Leave the next file no store: MLflow keeps one for the process and in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield
        if mlflow := sys.modules.get("mlflow"):
            mlflow.set_tracking_uri(None)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real Letterboxd data; the test is skipped where it is not there."""
    folder = Path(os.environ.get("GENRE_SPARK_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "letterboxd" / "genres.csv.gz").is_file():
        pytest.skip(f"no real data in {folder} (set GENRE_SPARK_DATA to its folder)")
    return folder
