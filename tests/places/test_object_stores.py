"""What Spark's workers and training read and write on an object store.

`tests/feed/test_object_store.py` has tables, the feed and packages. What the JVM reads there
(genres.csv, joins) needs hadoop-aws, and is tested where Spark finds it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from genre_spark.config import Config, build_config
from genre_spark.config.embeddings import EmbeddingsConfig
from genre_spark.config.posters import PostersConfig
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.stage import Stage, StageResult
from genre_spark.posters.table import prepare_posters
from genre_spark.storage.files import copy_folder, filesystem, join
from genre_spark.storage.tables import TableManifest, commit_table, table_files
from genre_spark.vision.inference.embedded_posters import embed_posters
from genre_spark.vision.inference.poster_embedder import save_embedder
from genre_spark.vision.models import build_network
from genre_spark.vision.plans.poster_form import PosterForm
from genre_spark.vision.training.loop import train
from tests.places.same_tables import make_data, run_stages, small_recipe
from tests.places.simulated_s3 import ADDRESS, simulated_s3
from tests.posters.pictures import jpeg
from tests.vision.small import make_posters, set_up
from tests.vision.test_resumed_training import Interrupted, StoppingFeed

CONFIG = PostersConfig(height=60, width=40)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with simulated_s3("places") as address:
        yield address


@pytest.fixture(scope="module")
def spark(bucket, spark) -> Iterator:
    """The tests' session, whose Python workers get the store's address and keys."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ADDRESS:
            patch.setitem(spark.sparkContext.environment, name, os.environ[name])
        yield spark


@pytest.fixture(scope="module")
def prepared(spark, bucket, tmp_path_factory) -> dict[str, str]:
    """The posters table of one folder of posters, on a disk and on the store."""
    folder = tmp_path_factory.mktemp("posters")
    posters = folder / "posters"
    posters.mkdir()
    for number in range(1, 21):
        (posters / f"{number}.jpg").write_bytes(jpeg(44 + number % 5, 60, seed=number))
    (posters / "21.jpg").write_bytes(b"no picture")
    copy_folder(str(posters), f"{bucket}/posters")
    places = {str(posters): str(folder / "work"), f"{bucket}/posters": f"{bucket}/work"}
    for source, work in places.items():
        prepare(spark, source, work)
    return {"disk": str(folder / "work"), "store": f"{bucket}/work"}


def prepare(spark, source: str, work: str):
    table, rejects = join(work, "posters"), join(work, "rejects")
    return prepare_posters(spark, source, table=table, rejects_table=rejects, config=CONFIG)


def rows(table: str) -> list[dict]:
    found = []
    for file in table_files(table):
        system, inner = filesystem(file)
        with system.open(inner, "rb") as source:
            found += pq.read_table(source).to_pylist()
    return sorted(found, key=lambda row: row.get("movie_id", 0))


def test_posters_of_a_store_are_prepared_as_those_of_a_disk(spark, bucket, prepared) -> None:
    on_disk, on_store = (rows(join(work, "posters")) for work in prepared.values())
    assert len(on_store) == 20
    assert on_store == on_disk
    (rejected,) = rows(join(prepared["store"], "rejects"))
    assert rejected["source"] == "21.jpg"


def test_only_new_posters_of_a_store_are_prepared(spark, bucket, prepared) -> None:
    again = prepare(spark, f"{bucket}/posters", prepared["store"])
    assert again.unchanged
    with filesystem(f"{bucket}/posters/30.jpg")[0].open(
        f"{bucket[6:]}/posters/30.jpg", "wb"
    ) as new:
        new.write(jpeg(44, 60, seed=30))
    more = prepare(spark, f"{bucket}/posters", prepared["store"])
    assert (more.decoded, more.reused) == (1, 20)


def test_features_of_posters_on_a_store_are_those_of_a_disk(spark, prepared, tmp_path) -> None:
    network = build_network("scratch_cnn_one", 1, 60, 40, seed=1)
    found = []
    for work in prepared.values():
        model = join(work, "embedder.pt")
        form = PosterForm(60, 40)
        length = save_embedder(model, [network], form, mirror=False, depths=False)
        table, files = join(work, "embeddings"), table_files(join(work, "posters"))
        given = {"version": "1", "features": length, "config": EmbeddingsConfig(), "device": "cpu"}
        first = embed_posters(spark, files, table, model, **given)
        assert first.computed >= 20
        assert embed_posters(spark, files, table, model, **given).computed == 0
        found.append({row["movie_id"]: row["features"] for row in rows(table)})
    common = sorted(found[0].keys() & found[1].keys())
    assert len(common) == 20
    for movie in common:
        assert found[0][movie] == pytest.approx(found[1][movie])


def test_a_training_goes_on_from_checkpoints_on_a_store(bucket, tmp_path) -> None:
    posters = make_posters(24)
    whole = set_up(tmp_path / "whole", posters, epochs=2)
    train(*whole)
    place = f"{bucket}/checkpoints/{tmp_path.name}"
    network, loss, (feed, validation), plan, checkpoints = set_up(place, posters, epochs=2)
    with pytest.raises(Interrupted):
        train(network, loss, (StoppingFeed(feed, 4), validation), plan, checkpoints)
    resumed = set_up(place, posters, epochs=2)
    outcome = train(*resumed)
    assert [record.epoch for record in outcome.history] == [0, 1]
    for name, value in whole[0].state_dict().items():
        assert torch.equal(value, resumed[0].state_dict()[name]), name


def recipe(bucket: str, tmp_path: Path) -> Config:
    paths = {
        "genres_csv": "g",
        "posters": "p",
        "metadata": "m",
        "work": f"{bucket}/{tmp_path.name}",
    }
    store = {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"}
    return build_config({"paths": paths, "mlflow": store})


def test_the_record_of_a_stage_stands_on_a_store_until_its_table_is_damaged(
    bucket, tmp_path
) -> None:
    config = recipe(bucket, tmp_path)

    def body(spark, config, tracked):
        commit_table(config.paths.genres, TableManifest(tracked.digest, (), 0))
        return StageResult(outputs={"genres": config.paths.genres}, counts={"movies": 3})

    stage = Stage(
        body,
        depends_on=lambda config: ["as it was"],
        outputs=lambda config: [Catalogue(config).genres],
        needs_spark=False,
    )
    first, second = stage(None, config), stage(None, config)
    assert (first.reused, second.reused) == (False, True)
    assert second.counts == {"movies": 3}
    system, inner = filesystem(join(config.paths.genres, "_manifest.json"))
    system.rm(inner)
    assert not stage(None, config).reused


@pytest.mark.slow
def test_every_stage_gives_the_same_tables_on_a_store(spark, bucket, tmp_path) -> None:
    """Runs where Spark has hadoop-aws: `spark.jars.packages`, or the jars beside Spark's own."""
    try:
        spark._jvm.java.lang.Class.forName("org.apache.hadoop.fs.s3a.S3AFileSystem")
    except Exception:
        pytest.skip("Spark has no hadoop-aws (conf/spark/s3.conf)")
    data = make_data(tmp_path / "data")
    expected = run_stages(spark, small_recipe(tmp_path / "work", data))
    copy_folder(str(data), f"{bucket}/data")
    store = f"mlflow.tracking_uri=sqlite:///{tmp_path}/mlflow.db"
    config = small_recipe(f"{bucket}/all", f"{bucket}/data", words=[store])
    assert run_stages(spark, config) == expected
