"""What a session that is there already takes from a recipe, and where data without a cache goes."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from genre_spark.config import SparkConfig, build_config
from genre_spark.errors import InvalidConfigError
from genre_spark.pipelines.models.multilabel_methods import require_backend
from genre_spark.spark import connect
from genre_spark.spark.connect import connect_task_counts, session_settings
from genre_spark.spark.session import recipe_settings
from genre_spark.storage import caching
from genre_spark.storage.caching import keep_in_folder, scratch_folder


class Settings:
    """Of a session that takes Spark SQL's settings, and on serverless few of them."""

    def __init__(self) -> None:
        self.values = {"spark.sql.ansi.enabled": "true", "spark.master": "local[2]"}

    def get(self, key: str, default: str | None) -> str | None:
        if key == "spark.unknown":
            raise ValueError("[CONFIG_NOT_AVAILABLE]")
        return self.values.get(key, default)

    def isModifiable(self, key: str) -> bool:
        return key.startswith("spark.sql.")

    def set(self, key: str, value: str) -> None:
        self.values[key] = value

    def unset(self, key: str) -> None:
        del self.values[key]


class Session:
    def __init__(self) -> None:
        self.conf = Settings()


def test_settings_hold_in_the_block_and_those_of_the_start_are_named_once(caplog) -> None:
    connect._named.clear()
    session, before = Session(), dict(Session().conf.values)
    wanted = {
        "spark.sql.ansi.enabled": "false",
        "spark.sql.shuffle.partitions": "8",
        "spark.master": "local[4]",
        "spark.unknown": "1",
    }
    with caplog.at_level(logging.INFO, "genre_spark"):
        for _ in range(2):
            with session_settings(session, wanted):
                assert session.conf.values == before | {
                    "spark.sql.ansi.enabled": "false",
                    "spark.sql.shuffle.partitions": "8",
                }
            assert session.conf.values == before
    assert [record.message for record in caplog.records] == [
        "settings that a running session keeps as they are: spark.master, spark.unknown"
    ]


def test_settings_of_spark_submit_win_over_those_of_a_recipe(monkeypatch) -> None:
    section = SparkConfig(settings={"spark.sql.ansi.enabled": "false"})
    assert recipe_settings(section) == {"spark.sql.ansi.enabled": "false"}
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    assert recipe_settings(section) == {}


def test_data_that_was_kept_by_a_killed_run_is_removed(tmp_path: Path, monkeypatch) -> None:
    left = tmp_path / "scratch" / "kept-1"
    left.mkdir(parents=True)
    with keep_in_folder(str(tmp_path / "scratch"), serverless=False):
        assert scratch_folder() == str(tmp_path / "scratch")
    assert left.exists()  # nothing is kept there where the session has a cache
    monkeypatch.setenv("IS_SERVERLESS", "TRUE")
    with keep_in_folder(str(tmp_path / "scratch")):
        assert not left.exists()
    assert scratch_folder() is None
    assert caching._Place.serverless == "auto"


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"remote": "sc://a", "master": "local"}, "expected one of them"),
        ({"remote": "spark://a:7077"}, "expected sc://host:port or local"),
    ],
)
def test_a_remote_that_cannot_be_is_rejected(section, message) -> None:
    with pytest.raises(ValueError, match=message):
        SparkConfig(**section)


@pytest.mark.parametrize(("release", "remote"), [("3.5.9", "sc://a"), ("4.0.5", "sc://a")])
def test_spark_ml_on_an_old_connect_is_rejected_before_anything_starts(
    monkeypatch, release, remote
) -> None:
    monkeypatch.setattr("pyspark.__version__", release)
    known = {"genres_csv": "g", "posters": "p", "metadata": "m", "work": "w"}
    section = {"paths": known, "multilabel": {"forest": {"backend": "spark"}}}
    require_backend(build_config(section))  # not on Connect
    config = build_config({**section, "spark": {"remote": remote}})
    if release.startswith("4"):
        require_backend(config)
    else:
        with pytest.raises(InvalidConfigError, match=r"Connect 3\.5\.9, which has no Spark ML"):
            require_backend(config)


def test_tasks_of_all_running_queries_are_counted() -> None:
    class Stage:
        def __init__(self, done: int, total: int) -> None:
            self.num_completed_tasks, self.num_tasks = done, total

    class Watched:
        session_id = "watched"

        def registerProgressHandler(self, handler) -> None:
            self.report = handler

    session = Watched()
    ask = connect_task_counts(session)
    session.report(stages=[Stage(2, 4), Stage(0, 3)], operation_id="a", done=False)
    session.report(stages=[Stage(1, 1)], inflight_tasks=0, operation_id="b", done=False)
    assert ask() == (3, 8)
    session.report(stages=[], inflight_tasks=0, operation_id="a", done=True)
    assert ask() == connect_task_counts(session)() == (1, 1)
    assert connect_task_counts(object()) is None
