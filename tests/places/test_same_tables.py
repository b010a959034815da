"""The same data give the same tables, whatever the session: its settings, its kind, its cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.testing import assertDataFrameEqual

from genre_spark.errors import InvalidConfigError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.evaluation import publish_tables
from genre_spark.storage import caching
from tests.cluster import standalone_cluster  # noqa: F401
from tests.places.connect_server import connect_session
from tests.places.on_cluster import on_cluster
from tests.places.same_tables import (
    EVERY_RECIPE,
    EVERY_STAGE,
    SAMPLE,
    TABLES,
    make_data,
    run_stages,
    small_recipe,
)

ONE_PARTITION = {
    "spark.sql.ansi.enabled": "false",
    "spark.sql.caseSensitive": "true",
    "spark.sql.session.timeZone": "Pacific/Kiritimati",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
}
MANY_PARTITIONS = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "America/Los_Angeles",
    "spark.sql.shuffle.partitions": "200",
}


WITHOUT_TASKS = {"search-cnn", "package-models", "compare"}
"""Stages whose work is the driver's: no executor can be lost there."""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


@dataclass(frozen=True)
class Work:
    """A work folder, and a digest of each of its tables."""

    folder: Path
    digests: dict[str, str]


@pytest.fixture(scope="module")
def work(spark, data, tmp_path_factory) -> Work:
    """What every stage makes in the tests' own session."""
    folder = tmp_path_factory.mktemp("work")
    spark.sql("CREATE SCHEMA IF NOT EXISTS published")
    return Work(folder, run_stages(spark, small_recipe(folder, data, EVERY_RECIPE), EVERY_STAGE))


def settings_of(values: dict[str, str]) -> str:
    return "{" + ", ".join(f"{key}: '{value}'" for key, value in values.items()) + "}"


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.parametrize(
    "kind", ["Connect without a cache, 1 partition", "classic, 200 partitions"]
)
def test_every_stage_gives_the_same_tables_under_other_settings_of_the_session(
    spark, data, work, tmp_path, monkeypatch, kind
) -> None:
    """ANSI mode, case sensitivity, time zone, partitions, AQE: each has another value in one."""
    words = list(EVERY_RECIPE)
    if kind.startswith("classic"):
        session, settings, serverless = nullcontext(spark), MANY_PARTITIONS, "auto"
        words.append("cnn.feed=petastorm")  # in place of pyarrow alone: the same networks
    else:
        session, settings, serverless = connect_session(spark), ONE_PARTITION, "true"
    spoken = settings_of(settings)
    config = small_recipe(tmp_path, data, words, settings=spoken, serverless=serverless)
    with session as used, forbidding(monkeypatch, used, serverless):
        before = {key: used.conf.get(key) for key in settings}
        found = run_stages(used, config, EVERY_STAGE)
        assert {key: used.conf.get(key) for key in settings} == before, "the session was changed"
    changed = [name for name in work.digests if found.get(name) != work.digests[name]]
    assert not changed
    assert set(found) == set(TABLES)
    assert not list((tmp_path / "scratch").glob("*")), "data that was kept is still there"


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.timeout(2400)
def test_every_stage_gives_the_same_tables_on_a_cluster_where_it_loses_an_executor(
    standalone_cluster,  # noqa: F811
    data,
    work,
    tmp_path,
) -> None:
    found = on_cluster(
        standalone_cluster,
        stages=EVERY_STAGE,
        work=tmp_path,
        data=data,
        words=EVERY_RECIPE,
        timeout=2000,
    )
    changed = [name for name in work.digests if found["digests"].get(name) != work.digests[name]]
    assert not changed
    assert set(EVERY_STAGE) - set(found["lost"]) <= WITHOUT_TASKS


@pytest.mark.slow
def test_predictions_and_evaluation_become_tables_of_the_catalog(spark, data, work) -> None:
    config = small_recipe(work.folder, data, EVERY_RECIPE)
    place = config.paths.model_copy(update={"tables": None})
    with pytest.raises(InvalidConfigError, match=r"paths\.tables: None, expected catalog\.schema"):
        publish_tables.run(spark, config.model_copy(update={"paths": place}))
    counts = publish_tables.run(spark, config).counts  # replaces what earlier runs have written
    assert set(counts) == {"predictions", "evaluation", "movie_predictions"}
    predictions = spark.table("published.predictions")
    assert predictions.columns[:3] == ["model", "split", "movie_id"]
    assert predictions.count() == counts["predictions"]
    tables = Catalogue(config)
    test = predictions.where("model = 'text' AND split = 'test'").drop("model", "split")
    assertDataFrameEqual(test, tables.predictions("text", "test").read(spark))
    assertDataFrameEqual(spark.table("published.evaluation"), tables.evaluation.read(spark))
    assert counts["movie_predictions"] == tables.movie_predictions.manifest().rows
    spark.sql("DROP SCHEMA published CASCADE")


def forbidding(patch: pytest.MonkeyPatch, session: Any, serverless: str) -> Any:
    return without_cache(patch, session) if serverless == "true" else nullcontext()


@contextmanager
def without_cache(patch: pytest.MonkeyPatch, session: Any) -> Iterator[None]:
    """Forbid what serverless compute forbids."""

    def refuse(*_: object, **__: object) -> None:
        raise PySparkException("[NOT_SUPPORTED_WITH_SERVERLESS] PERSIST TABLE is not supported")

    with patch.context() as forbidden:
        kinds = {DataFrame, type(session.range(1))}
        for kind in kinds:
            for name in ("cache", "persist", "unpersist", "checkpoint", "localCheckpoint"):
                forbidden.setattr(kind, name, refuse, raising=False)
            forbidden.setattr(kind, "rdd", property(refuse), raising=False)
        forbidden.setattr(type(session), "sparkContext", property(refuse), raising=False)
        yield


def test_a_sample_of_the_stages_on_connect_without_a_cache_gives_the_same_tables(
    spark, data, tmp_path, monkeypatch
) -> None:
    """In one pair of runs: Connect, no cache, and every setting of the session another one."""
    few = ["multilabel.methods=[pruned_sets]", "linear=null"]
    config = small_recipe(tmp_path / "classic", data, few, settings=settings_of(ONE_PARTITION))
    expected = run_stages(spark, config, SAMPLE)
    with connect_session(spark) as session, without_cache(monkeypatch, session):
        settings = settings_of({**MANY_PARTITIONS, "spark.sql.shuffle.partitions": "3"})
        monkeypatch.setattr(caching._Place, "refused", False)
        work = tmp_path / "connect"
        config = small_recipe(work, f"file://{data}", few, serverless="auto", settings=settings)
        found = run_stages(session, config, SAMPLE)
        assert caching._Place.refused
    assert found == expected
    assert "predictions/pruned_sets/test" in found
    kept = list((tmp_path / "connect" / "scratch").glob("*"))
    assert not kept, "data that was kept is still there"
