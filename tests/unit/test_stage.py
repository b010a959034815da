"""A stage: when its earlier result stands, and how often its inputs are looked at."""

from __future__ import annotations

import json
import os
import socket
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from genre_spark.config import Config, load_config
from genre_spark.errors import InvalidInputError, MissingTableError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.stage import Stage, StageResult
from genre_spark.storage.tables import TableManifest, commit_table


class Inputs:
    """What a stage depends on; counts how often it is asked."""

    def __init__(self) -> None:
        self.value: object = "first"
        self.asked = 0

    def __call__(self, config: Config) -> list[object]:
        self.asked += 1
        if isinstance(self.value, Exception):
            raise self.value
        return [self.value]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "recipe.yaml"
    file.write_text(f"paths: {{genres_csv: g, posters: p, metadata: m, work: {tmp_path}/work}}\n")
    return load_config(file, [])


@pytest.fixture
def inputs() -> Inputs:
    return Inputs()


@pytest.fixture
def stage(inputs: Inputs, config: Config) -> Stage:
    def body(spark, config, tracked):
        commit_table(config.paths.genres, TableManifest(tracked.digest, (), 0))
        outputs = {"genres": config.paths.genres, "elsewhere": "/answers"}
        return StageResult(outputs=outputs, counts={"movies": 3}, notes=("as it should be",))

    return Stage(
        body,
        depends_on=inputs,
        outputs=lambda config: [Catalogue(config).genres],
        needs_spark=False,
    )


def test_a_stage_has_the_name_of_its_module(stage: Stage, config: Config) -> None:
    assert stage.name == "test-stage"
    assert stage(None, config).stage == "test-stage"


def test_a_result_stands_until_an_input_changes(stage: Stage, inputs: Inputs, config) -> None:
    first = stage(None, config)
    second = stage(None, config)
    assert (first.reused, second.reused) == (False, True)
    assert (second.counts, second.notes) == ({"movies": 3}, ("as it should be",))
    assert second.run_id == first.run_id
    inputs.value = "second"
    assert stage.earlier(config) is None
    assert not stage(None, config).reused
    assert not stage(None, config, force=True).reused


def test_a_result_stands_in_a_work_folder_that_was_moved_with_its_new_places(
    stage: Stage, config: Config, tmp_path: Path
) -> None:
    stage(None, config)
    (tmp_path / "work").rename(tmp_path / "moved")
    paths = config.paths.model_copy(update={"work": f"{tmp_path}/moved"})
    found = stage.earlier(config.model_copy(update={"paths": paths}))
    assert found is not None
    assert found.outputs == {"genres": f"{tmp_path}/moved/genres", "elsewhere": "/answers"}


def test_a_result_does_not_stand_when_its_table_is_gone(stage: Stage, config: Config) -> None:
    stage(None, config)
    (Path(config.paths.genres) / "_manifest.json").unlink()
    assert stage.earlier(config) is None


def test_inputs_are_looked_at_once_per_run(stage: Stage, inputs: Inputs, config: Config) -> None:
    stage(None, config)
    assert inputs.asked == 1
    stage.start(lambda: None, config, digest=stage.check(config))
    assert inputs.asked == 2


def test_tables_may_be_missing_where_only_the_users_files_are_checked(
    stage: Stage, inputs: Inputs, config: Config
) -> None:
    inputs.value = MissingTableError("genres: no such table yet")
    stage.check_paths(config)
    with pytest.raises(MissingTableError):
        stage.check(config)
    inputs.value = InvalidInputError("genres.csv: no such file")
    with pytest.raises(InvalidInputError):
        stage.check_paths(config)


def test_a_second_run_takes_what_the_first_one_made_while_it_waited(
    stage: Stage, config: Config, monkeypatch
) -> None:
    first = stage(None, config)
    (Path(config.paths.work) / "stages" / f"{stage.name}.json").rename(config.paths.work + "/later")

    @contextmanager
    def wait(places, task, *, otherwise):
        assert f"{config.paths.work}/genres" in places
        assert (task, otherwise) == (stage.name, "wait")
        record = Path(config.paths.work) / "stages" / f"{stage.name}.json"
        Path(config.paths.work + "/later").rename(record)  # the first one ends
        yield True

    monkeypatch.setattr("genre_spark.pipelines.stage.claimed", wait)
    second = stage(None, config)
    assert second.reused
    assert second.run_id == first.run_id


def test_a_second_run_stops_where_the_recipe_says_so(stage: Stage, config: Config) -> None:
    config = config.model_copy(update={"second_writer": "stop"})
    owner = {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "started": psutil.Process().create_time(),
        "task": "run",
        "state": "writes",
        "beat": 1,
    }
    claim = Path(config.paths.work) / "_owners" / f"genres-{'0' * 32}.json"
    claim.parent.mkdir(parents=True)
    claim.write_text(json.dumps(owner), encoding="utf-8")
    with pytest.raises(InvalidInputError, match=rf"genres: process {os.getpid()} on"):
        stage(None, config)
    claim.unlink()
    assert not stage(None, config).reused
