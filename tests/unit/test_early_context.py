"""A SparkContext that starts while packages are imported: when, with what, and who takes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pyspark import SparkContext

from genre_spark.arguments import argument_parser
from genre_spark.early_context import start_context_for
from genre_spark.pipelines.stage_list import STAGES
from genre_spark.spark import launch

RECIPE = "paths: {genres_csv: g.csv, posters: p, metadata: m, work: work}\n"


@pytest.fixture
def launched(monkeypatch) -> list[str]:
    """Return the work folders that a context was started for; none is."""
    works: list[str] = []
    monkeypatch.setattr(launch, "start_context_early", lambda _, work, **__: works.append(work))
    return works


@pytest.fixture
def launch_for(tmp_path: Path):
    """Return what asks for a context with words of a command line, after stages with records."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)

    def ask(*words: str, after: tuple[str, ...] = ()) -> None:
        for stage in after:
            record = tmp_path / "work" / "stages" / f"{stage}.json"
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text("{}")
        stage, *more = words
        words = (stage, "--config", str(tmp_path / "recipe.yaml"), *more)
        start_context_for(argument_parser().parse_intermixed_args(words))

    return ask


@pytest.mark.parametrize(
    ("words", "after", "expected"),
    [
        (["group-genres"], [], 1),
        (["group-genres"], ["make-sample"], 1),
        (["group-genres"], ["group-genres"], 0),
        (["group-genres", "--force"], ["group-genres"], 1),
        (["run"], [], 1),
        (["run"], ["make-sample"], 0),
        (["make-sample"], [], 0),  # needs no Spark
        (["ui"], [], 0),
        (["group-genres", "genres.unknown=1"], [], 0),  # no recipe: its mistake is told later
        (["group-genres", "paths.work=s3://bucket/work"], [], 0),  # asking there would take longer
    ],
)
def test_a_context_is_started_where_no_earlier_result_is(
    launch_for, launched, words, after, expected
) -> None:
    launch_for(*words, after=tuple(after))
    assert len(launched) == expected


def test_the_list_of_stages_says_which_need_spark() -> None:
    said = {entry.name: entry.needs_spark for entry in STAGES.values()}
    assert said == {entry.name: entry.load()._needs_spark for entry in STAGES.values()}


@pytest.mark.parametrize(
    ("name", "value", "master"),
    [
        ("PYSPARK_GATEWAY_PORT", "1", "local[2]"),
        ("SPARK_REMOTE", "sc://localhost", "local[2]"),
        ("DATABRICKS_RUNTIME_VERSION", "17.3", "local[2]"),
        ("UNRELATED", "1", "spark://localhost:7077"),
    ],
)
def test_none_is_started_on_clusters_and_where_the_session_is_somebody_elses(
    launch_for, monkeypatch, name, value, master
) -> None:
    monkeypatch.setenv(name, value)
    started: list[object] = []
    monkeypatch.setattr(launch, "_start", lambda *settings: started.append(settings))
    launch_for("group-genres", f"spark.master={master}")
    launch.take_early_context()
    assert not started


def test_one_is_started_on_this_machine(launch_for, monkeypatch) -> None:
    monkeypatch.setattr(SparkContext, "_gateway", None)  # another test's
    started: list[tuple[dict[str, str], Path]] = []
    monkeypatch.setattr(launch, "_start", lambda *settings: started.append(settings))
    launch_for("train-multilabel", "spark.master=local[2]")
    launch.take_early_context()
    [(settings, log)] = started
    assert settings["spark.app.name"] == "genre_spark train-multilabel"
    assert settings["spark.executorEnv.GENRE_SPARK_SKLEARN_IN_WORKERS"] == "1"
    assert log.name == "spark.log"


def run_program(program: str, recipe: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, which has no session yet."""
    command = [sys.executable, "-c", program, str(recipe)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)


TAKES = """
import sys
from genre_spark.config import load_config
from genre_spark.spark.launch import start_context_early
from genre_spark.spark.session import recipe_session
from pyspark import SparkContext
from pyspark.sql import SparkSession

config = load_config(sys.argv[1], ["spark.master=local[1]"])
start_context_early(config.spark, config.paths.work, app_name="early")
with recipe_session(config.spark, config.paths.work, app_name="late") as spark:
    print(spark.range(3).count(), spark._jvm.java.lang.Runtime.getRuntime().maxMemory() >> 20)
    print(spark.sparkContext.appName, spark.conf.get("spark.sql.shuffle.partitions"), flush=True)
    assert SparkSession.getActiveSession() is not None
assert SparkContext._active_spark_context is None  # the session's end is the context's
with recipe_session(config.spark, config.paths.work, app_name="late") as spark:
    print(spark.sparkContext.appName)
"""


def test_the_session_takes_the_context_that_was_started_with_its_settings(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    settings = "{spark.driver.memory: 600m, spark.sql.shuffle.partitions: '3'}"
    file.write_text(f"{RECIPE}spark: {{settings: {settings}}}\n")
    done = run_program(TAKES, file)
    count, memory, *named = done.stdout.split()
    assert count == "3"
    assert 500 < int(memory) <= 600
    assert named == ["early", "3", "late"]
    assert done.stderr == ""  # the JVM's lines are in its log
    assert (tmp_path / "work" / "logs" / "spark.log").stat().st_size


BREAKS = """
import sys
from genre_spark.config import load_config
from genre_spark.errors import SparkEndedError
from genre_spark.spark.launch import start_context_early
from genre_spark.spark.session import recipe_session

config = load_config(sys.argv[1], ["spark.master=local[1]"])
start_context_early(config.spark, config.paths.work, app_name="early")
try:
    with recipe_session(config.spark, config.paths.work, app_name="early"):
        pass
except SparkEndedError as error:
    print(error)
"""


def test_a_jvm_that_cannot_start_is_told_of_by_the_session(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(f"{RECIPE}spark: {{settings: {{spark.driver.memory: 1k}}}}\n")
    done = run_program(BREAKS, file)
    assert "Spark's JVM did not start" in done.stdout
    assert done.stderr == ""


DROPPED = """
import sys
from genre_spark.config import load_config
from genre_spark.spark.launch import drop_early_context, start_context_early
from pyspark import SparkContext

config = load_config(sys.argv[1], ["spark.master=local[1]"])
start_context_early(config.spark, config.paths.work, app_name="early")
drop_early_context()
assert SparkContext._gateway is not None
assert SparkContext._active_spark_context is None
"""


@pytest.mark.parametrize("kept", [None, "work/logs/other.txt"])
def test_a_context_that_nobody_takes_leaves_nothing(tmp_path: Path, kept) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE)
    if kept is not None:
        (tmp_path / kept).parent.mkdir(parents=True)
        (tmp_path / kept).write_text("")
    before = sorted(tmp_path.rglob("*"))
    run_program(DROPPED, file)
    assert sorted(tmp_path.rglob("*")) == before
