"""databricks.yml: what can be said of a bundle without a workspace.

The jobs are compared with the fields of the Jobs API in databricks-sdk, which mlflow brings. The
bundle command's own JSON schema is not free to copy: where GENRE_SPARK_BUNDLE_SCHEMA names the file
(`databricks bundle schema > FILE`), the whole file is validated against it.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import os
import re
import sys
import typing
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from genre_spark.commands.task import main
from genre_spark.config import load_config
from genre_spark.errors import UserError
from genre_spark.pipelines.stage_list import STAGES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "databricks.yml").read_text(encoding="utf-8")
BUNDLE = yaml.safe_load(TEXT)
JOBS: dict[str, Any] = BUNDLE["resources"]["jobs"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TASKS = [
    pytest.param(job, task, id=f"{name}-{task['task_key']}")
    for name, job in JOBS.items()
    for task in job["tasks"]
]


def unknown_fields(value: Any, kind: Any, place: str = "") -> list[str]:
    """Return the keys of a value that a type of the SDK does not have, and values of no enum."""
    kind = next((part for part in typing.get_args(kind) if part is not type(None)), kind)
    if isinstance(value, list):
        return [bad for part in value for bad in unknown_fields(part, kind, f"{place}[]")]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return [] if value in {one.value for one in kind} else [f"{place}: {value!r}"]
    if not dataclasses.is_dataclass(kind) or not isinstance(value, dict):
        return []
    hints = typing.get_type_hints(kind)
    found = [f"{place}.{key}" for key in value if key not in hints]
    for key in value.keys() & hints.keys():
        found += unknown_fields(value[key], hints[key], f"{place}.{key}")
    return found


@pytest.mark.parametrize("name", JOBS)
def test_jobs_have_fields_of_the_jobs_api_alone(name) -> None:
    jobs = pytest.importorskip("databricks.sdk.service.jobs")
    assert unknown_fields(JOBS[name], jobs.JobSettings) == []


def test_a_misspelt_field_would_be_found() -> None:
    jobs = pytest.importorskip("databricks.sdk.service.jobs")
    job = {"tasks": [{"task_key": "a", "depend_on": []}], "schedule": {"pause_status": "OFF"}}
    bad = unknown_fields(job, jobs.JobSettings)
    assert sorted(bad) == [".schedule.pause_status: 'OFF'", ".tasks[].depend_on"]


def test_the_bundle_is_valid_by_the_bundle_command_s_schema() -> None:
    file = os.environ.get("GENRE_SPARK_BUNDLE_SCHEMA")
    if not file:
        pytest.skip("GENRE_SPARK_BUNDLE_SCHEMA names no schema (databricks bundle schema > FILE)")
    schema = json.loads(
        Path(file).read_text(encoding="utf-8"), object_hook=_without_unicode_classes
    )
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(BUNDLE)] == []


def _without_unicode_classes(node: dict[str, Any]) -> dict[str, Any]:
    """Return a part of a schema with patterns that Python's `re` knows."""
    pattern = node.get("pattern")
    if isinstance(pattern, str):
        plain = re.sub(r"\\p\{L\}\+", "[a-zA-Z]+", pattern)
        node["pattern"] = plain.replace(r"\p{L}", "a-zA-Z").replace(r"\p{N}", "0-9")
    return node


def test_every_variable_that_is_used_is_declared() -> None:
    used = set(re.findall(r"\$\{var\.(\w+)\}", TEXT))
    assert used == set(BUNDLE["variables"])
    assert all("description" in variable for variable in BUNDLE["variables"].values())


def test_schedules_leave_it_to_the_target_whether_they_are_paused() -> None:
    """The bundle command pauses those of a development target only where nothing else is said."""
    schedules = [job["schedule"] for job in JOBS.values() if "schedule" in job]
    assert schedules
    assert not [schedule for schedule in schedules if "pause_status" in schedule]
    assert BUNDLE["targets"]["dev"]["mode"] == "development"


@pytest.mark.parametrize("name", JOBS)
def test_tasks_depend_on_tasks_of_their_job_and_run_where_the_job_says(name) -> None:
    job = JOBS[name]
    keys = [task["task_key"] for task in job["tasks"]]
    clusters = {cluster["job_cluster_key"] for cluster in job.get("job_clusters", ())}
    environments = {one["environment_key"] for one in job["environments"]}
    assert len(set(keys)) == len(keys)
    before: set[str] = set()
    for task in job["tasks"]:
        assert re.fullmatch(r"[\w-]{1,100}", task["task_key"])
        assert {one["task_key"] for one in task.get("depends_on", ())} <= before
        before.add(task["task_key"])
        assert ("job_cluster_key" in task) != ("environment_key" in task)
        assert task.get("job_cluster_key") in {*clusters, None}
        assert task.get("environment_key") in {*environments, None}


@pytest.mark.parametrize(("job", "task"), TASKS)
def test_a_task_is_a_stage_of_the_wheel_and_its_parameters_make_a_recipe(job, task) -> None:
    wheel = task["python_wheel_task"]
    assert wheel["package_name"] == PROJECT["name"]
    assert PROJECT["scripts"][wheel["entry_point"]] == "genre_spark.commands.task:main"
    assert wheel["named_parameters"]["stage"] in STAGES
    assert task["task_key"] == wheel["named_parameters"]["stage"].replace("-", "_")


def test_serverless_tasks_install_what_the_extra_pipeline_names() -> None:
    (environment,) = JOBS["pipeline"]["environments"]
    listed = [text for text in environment["spec"]["dependencies"] if "*" not in text]
    found = {r.name: r.specifier for r in map(Requirement, listed)}
    extra = [Requirement(text) for text in PROJECT["optional-dependencies"]["pipeline"]]
    assert found == {r.name: r.specifier for r in extra}


def test_parameters_of_a_job_become_settings_of_the_recipe(monkeypatch) -> None:
    seen: list[list[str]] = []

    def command(words: list[str]) -> int:
        seen.append(words)
        return 0

    monkeypatch.setattr("genre_spark.commands.task.run_command", command)
    place = ["--catalog=main", "--schema=movies", "--volume=v"]
    main(["--stage=sample", *place, "--recipe=demo.yaml", "sampling.minimum_per_genre=9"])
    ((stage, _, recipe, *settings),) = seen
    assert stage == "sample"
    config = load_config(recipe, settings)
    assert config.paths.work == "/Volumes/main/movies/v/work"
    assert config.paths.tables == "main.movies"
    assert config.mlflow.registered_model == "main.movies.genres"
    assert config.cnn.feed.reader == "parquet"
    assert config.sampling.minimum_per_genre == 9


def test_a_task_that_ends_with_another_code_than_0_raises(monkeypatch) -> None:
    place = ["--catalog=main", "--schema=movies", "--volume=v"]
    monkeypatch.setattr("genre_spark.commands.task.run_command", lambda _: 2)
    with pytest.raises(UserError, match="genre-spark sample: exit code 2"):
        main(["--stage=sample", *place])
    with pytest.raises(UserError, match="nonsense, expected key=value"):
        main(["--stage=sample", *place, "nonsense"])
