"""A JVM that ends while it is used: one sentence that says how, and what to change."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient
from py4j.protocol import Py4JJavaError, Py4JNetworkError
from pyspark import SparkContext
from pyspark.sql import SparkSession

from genre_spark.cli import main
from genre_spark.errors import (
    InvalidInputError,
    SparkEndedError,
    StageFailedError,
    describe_full_disk,
    text_of,
)
from genre_spark.pipelines.stage import Stage
from genre_spark.pipelines.stage_list import STAGES
from genre_spark.spark import jvm as spark_jvm
from genre_spark.spark.jvm import named_jvm_end
from genre_spark.workers.errors import describe_error, worker_errors
from tests.conftest import SHORT_LIVED_JVM
from tests.e2e.running import environment


class UnprintableError(Py4JJavaError):
    """What Py4J raises for an error of the JVM: its text is asked of the JVM, which is gone."""

    def __init__(self) -> None:
        self.errmsg = "An error occurred while calling o42.collect"

    def __str__(self) -> str:
        raise ConnectionRefusedError(111, "Connection refused")


@pytest.fixture
def jvm(monkeypatch):
    """Put a process in the place of the JVM; its port is closed, or open as long as the test."""
    listener = socket.create_server(("127.0.0.1", 0))

    def begin(command: str | None, *, answers: bool = False) -> None:
        process = subprocess.Popen(["sh", "-c", command]) if command else None
        port = listener.getsockname()[1] if answers else 9
        where = SimpleNamespace(address="127.0.0.1", port=port)
        gateway = SimpleNamespace(proc=process, gateway_parameters=where)
        monkeypatch.setattr(SparkContext, "_gateway", gateway)

    monkeypatch.setattr(SparkContext, "_jvm", None)
    monkeypatch.setattr(SparkContext, "_active_spark_context", None)
    for name in ("_instantiatedSession", "_activeSession"):  # those of other tests come back
        monkeypatch.setattr(SparkSession, name, None)
    yield begin
    listener.close()


HEAP = "26/11/26 ERROR Executor: Exception in task 0.0: java.lang.OutOfMemoryError: Java heap space"
CACHE = "java.lang.VirtualMachineError: Out of space in CodeCache for adapters"


@pytest.mark.parametrize(
    ("command", "log", "expected"),
    [
        ("kill -9 $$", "", ["killed by SIGKILL", "give the machine more"]),
        ("kill -SEGV $$", "#  SIGSEGV (0xb) at pc=0x1", ["crashed: SIGSEGV", "at pc=0x1"]),
        ("exit 143", "", ["ended by SIGTERM"]),
        ("exit 52", HEAP, ["exit code 52, out of memory", HEAP, "raise spark.driver.memory"]),
        ("exit 50", "INFO it goes well\nERROR no it does not\nlast", ["ERROR no it does not"]),
        ("exit 1", f"{CACHE}\nERROR later", ["exit code 1", CACHE, "-XX:ReservedCodeCacheSize"]),
        ("sleep 0.3; exit 52", "", ["exit code 52, out of memory); raise spark.driver.memory"]),
    ],
)
def test_the_sentence_says_how_it_ended_and_what_to_change(
    jvm, tmp_path: Path, command, log, expected
) -> None:
    file = tmp_path / "spark.log"
    file.write_text("ERROR of an earlier run\n")
    jvm(command)
    with pytest.raises(SparkEndedError) as raised, named_jvm_end(file):
        file.write_text(f"{file.read_text()}{log}\n")
        raise UnprintableError
    text = str(raised.value)
    assert text.startswith("Spark's JVM has ended (")
    assert text.endswith("; start it again and it goes on with what is left to do")
    assert [part for part in expected if part not in text] == []
    assert "earlier run" not in text
    assert isinstance(raised.value.__cause__, Py4JJavaError)
    assert SparkContext._gateway is None  # the next session starts a JVM of its own


def test_under_spark_submit_nobody_knows_how_it_ended(jvm) -> None:
    jvm(None)
    ended = pytest.raises(SparkEndedError, match=r"^Spark's JVM has ended; start it")
    with ended, named_jvm_end():
        raise Py4JNetworkError("Answer from Java side is empty")


def test_a_jvm_that_shuts_down_is_waited_for(jvm) -> None:
    jvm("sleep 0.3; exit 50", answers=True)
    with pytest.raises(SparkEndedError, match="exit code 50"), named_jvm_end():
        raise RuntimeError("Job 3 cancelled because SparkContext was shut down")


def test_errors_with_a_jvm_that_lives_or_without_any_stay_what_they_are(jvm, monkeypatch) -> None:
    monkeypatch.setattr(spark_jvm, "_PATIENCE", 0.1)
    with pytest.raises(InvalidInputError), named_jvm_end():
        raise InvalidInputError("genres.csv: no such file")
    jvm("exec sleep 60", answers=True)
    with pytest.raises(KeyError), named_jvm_end():
        raise KeyError("genre")
    full = pytest.raises(StageFailedError, match=r"ran out of memory; raise spark\.driver\.memory")
    with full, named_jvm_end():
        raise RuntimeError("fit 3: java.lang.OutOfMemoryError: Java heap space")


def test_a_jvm_that_does_not_start_is_named_by_what_it_says(jvm, tmp_path: Path) -> None:
    jvm(None)
    file = tmp_path / "spark.log"
    with pytest.raises(SparkEndedError) as raised, named_jvm_end(file):
        file.write_text("Error: Could not find or load main class -XX:Oops\n")
        raise RuntimeError("[JAVA_GATEWAY_EXITED] Java gateway process exited before")
    assert "did not start; the last error in its log: Error: Could not find" in str(raised.value)
    assert "spark.driver.extraJavaOptions" in str(raised.value)


def test_errors_whose_text_only_the_jvm_knows_have_one_without_it() -> None:
    error = UnprintableError()
    assert text_of(error) == "An error occurred while calling o42.collect"
    assert describe_error(error) == f"UnprintableError: {text_of(error)}"
    assert describe_full_disk(error) is None
    with pytest.raises(UnprintableError), worker_errors():
        raise error


def test_a_stage_ends_with_1_and_one_sentence_and_its_run_as_failed(
    jvm, tmp_path: Path, monkeypatch, capsys
) -> None:
    def body(spark, config, tracked):
        jvm("kill -9 $$")
        raise UnprintableError

    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"paths: {{genres_csv: g, posters: p, metadata: m, work: {tmp_path}/work}}")
    stage = Stage(body, depends_on=lambda config: [], outputs=lambda config: [])
    entry = SimpleNamespace(
        load=lambda: stage, name="sample", summary="", ingests=False, place="sampling"
    )
    monkeypatch.setitem(STAGES, "sample", entry)
    monkeypatch.setattr("genre_spark.cli.recipe_session", lambda *_, **__: named_jvm_end())
    assert main(["sample", "--config", str(recipe)]) == 1
    said = capsys.readouterr().err
    [line] = [line for line in said.splitlines() if line.startswith("genre-spark:")]
    assert line.startswith("genre-spark: sample: Spark's JVM has ended (killed by SIGKILL")
    assert "Traceback" not in said
    details = (tmp_path / "work/logs/sample-error.txt").read_text()
    assert "in body" in details
    client = MlflowClient(f"sqlite:///{tmp_path}/work/mlflow.db")
    [experiment] = client.search_experiments(filter_string="name != 'Default'")
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"


SCRIPT = """
import json, os, signal, sys
from pathlib import Path
from pyspark import SparkContext
from pyspark.sql import SparkSession
from genre_spark.errors import SparkEndedError
from genre_spark.spark.session import spark_session

def kill(spark):
    os.kill(SparkContext._gateway.proc.pid, signal.SIGKILL)
    spark.range(3).count()

def leave(spark):
    spark._jvm.java.lang.System.exit(52)

def crash_in_a_job(spark):
    from pyspark.sql import functions as F
    spark.range(1).select(F.expr("reflect('java.lang.System', 'exit', 50)")).collect()

said = []
for end in (kill, leave, crash_in_a_job):
    log = Path(sys.argv[1]) / f"{end.__name__}.log"
    settings = json.loads(sys.argv[2])
    try:
        session = spark_session(
            app_name="t", master="local[1]", settings=settings, log_file=log
        )
        with session as spark:
            end(spark)
    except SparkEndedError as error:
        said.append(str(error))
print(json.dumps(said))
"""


def test_real_jvms_that_end_are_named_and_the_next_session_has_its_own(tmp_path: Path) -> None:
    settings = {
        "spark.driver.memory": "512m",
        "spark.ui.enabled": "false",
        "spark.driver.extraJavaOptions": SHORT_LIVED_JVM,
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), json.dumps(settings)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    killed, left, crashed = json.loads(done.stdout.splitlines()[-1])
    assert "killed by SIGKILL" in killed
    assert "exit code 52, out of memory" in left
    assert "exit code 50" in crashed
