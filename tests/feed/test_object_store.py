"""Files on object stores: the feed, tables and models read and write any file system of fsspec."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pandas as pd
import pytest

from genre_spark.config import PostersConfig
from genre_spark.features.specification import FeatureSpecification
from genre_spark.posters.chunks import ChunkJob, prepare_chunk
from genre_spark.posters.listing import list_posters
from genre_spark.posters.plan.planning import plan_posters
from genre_spark.posters.reading import read_posters
from genre_spark.serving.local_copy import local_package
from genre_spark.serving.movie_model import MovieModel
from genre_spark.serving.package_description import ModelDescription
from genre_spark.storage.files import (
    copy_folder,
    filesystem,
    join,
    read_json,
    remove_folder,
    write_json,
)
from genre_spark.storage.inventory import file_state, find_damage, take_inventory
from genre_spark.storage.ownership import claimed
from genre_spark.storage.tables import (
    TableManifest,
    commit_table,
    read_manifest,
    table_damage,
    table_files,
)
from genre_spark.synthesis import DatasetSpec, read_report, write_dataset
from genre_spark.vision.feed.poster_feed import PosterFeed
from genre_spark.vision.storage import load_tensors, save_tensors
from tests.feed.tables import write_samples
from tests.serving.packages import FOREST, SPECIFICATION, write_package

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket of a simulated S3 in this process, on loopback."""
    pytest.importorskip("s3fs", reason="needs the packages s3fs and moto[s3]")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    patch = pytest.MonkeyPatch()
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
        patch.setenv(name, value)
    fsspec.filesystem("s3").mkdir("movies")
    yield "s3a://movies"
    patch.undo()
    server.stop()


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of an empty folder."""
    place = "memory://movies" if request.param == "memory" else request.getfixturevalue("bucket")
    yield f"{place}/work"
    remove_folder(f"{place}/work")


def ids(files: list[str]) -> list[int]:
    with PosterFeed(files, batch_size=4, seed=3, workers=2) as feed:
        return sorted(i for batch in feed.epoch(0) for i in batch.movie_ids.tolist())


def test_posters_are_fed_from_any_file_system(store: str, tmp_path: Path) -> None:
    local = write_samples(tmp_path / "samples", [[7, 5], [4]])
    copy_folder(str(tmp_path / "samples"), join(store, "samples/data-1"))
    commit_table(join(store, "samples"), TableManifest("f", ("data-1",), 16))
    files = table_files(join(store, "samples"))
    assert files == [join(store, f"samples/data-1/part-{number}.parquet") for number in (0, 1)]
    assert ids(files) == ids(local) == list(range(16))


def test_relative_paths_are_fed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_samples(tmp_path / "samples", [[5]])
    monkeypatch.chdir(tmp_path)
    assert ids(["samples/part-0.parquet"]) == [0, 1, 2, 3, 4]


def test_damage_is_found_on_any_file_system(store: str, tmp_path: Path) -> None:
    files = write_samples(tmp_path / "samples", [[3], [3]])
    table = join(store, "samples")
    for number, file in enumerate(files):
        copy_folder(file, join(table, f"data-{number}.parquet"))
    names = ("data-0.parquet", "data-1.parquet")
    states = commit_table(table, TableManifest("f", names, 6)).files
    assert states["data-0.parquet"] == file_state(files[0])
    assert states == take_inventory(table, names)
    manifest = read_manifest(table)
    assert table_damage(table, manifest, full=True) == []
    content = bytearray(Path(files[1]).read_bytes())
    content[len(content) // 2] ^= 1
    Path(files[1]).write_bytes(content)
    copy_folder(files[1], join(table, "data-1.parquet"))
    system, inner = filesystem(join(table, "data-0.parquet"))
    system.rm(inner)
    found = [line.rsplit("/", 1)[-1] for line in find_damage(table, states, full=True)]
    assert found[0].startswith("data-0.parquet: missing, expected")
    assert found[1:] == ["data-1.parquet: its content has changed (XXH3-128)"]


def test_json_and_tensors_come_back(store: str) -> None:
    write_json(join(store, "a.json"), {"a": 1})
    assert read_json(join(store, "a.json")) == {"a": 1}
    save_tensors(join(store, "net.pt"), {"epoch": 3})
    assert load_tensors(join(store, "net.pt")) == {"epoch": 3}
    assert load_tensors(join(store, "none.pt")) is None


def test_posters_of_folders_and_archives_are_listed_and_read(store: str, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        (tmp_path / f"{number}.jpg").write_bytes(bytes([number]) * 50)
    with (
        tarfile.open(tmp_path / "p.tar", "w") as tar,
        zipfile.ZipFile(tmp_path / "p.zip", "w") as archive,
    ):
        for name in ("1.jpg", "2.jpg", "3.jpg"):
            tar.add(tmp_path / name, name)
            archive.write(tmp_path / name, name)
    for kind in ("folder", "tar", "zip"):
        place = join(store, kind if kind == "folder" else f"p.{kind}")
        for name in ["1.jpg", "2.jpg", "3.jpg"] if kind == "folder" else [f"p.{kind}"]:
            to = join(place, name) if kind == "folder" else place
            copy_folder(str(tmp_path / name), to)
        rows = list_posters(place).posters.sort_by("movie_id").to_pylist()
        read = list(read_posters(place, rows, max_bytes=1000))
        assert read == [bytes([number]) * 50 for number in (1, 2, 3)], kind


def test_sample_data_is_written_and_its_posters_become_chunks(store: str) -> None:
    source = join(store, "in/posters")
    spec = DatasetSpec(join(store, "in/genres.csv"), source, join(store, "in"), movies=12, seed=1)
    report = write_dataset(spec, processes=1)
    assert read_report(spec) == report
    table, rejects, config = join(store, "t"), join(store, "r"), PostersConfig(height=24, width=16)
    with claimed([table], "a test"):
        plan = plan_posters(source, table, rejects, config)
        job = ChunkJob(source, table, rejects, plan.ledger, config)
        receipts = [prepare_chunk(job, *chunk) for chunk in enumerate(plan.chunks)]
        parts = tuple(receipt["part"] for receipt in receipts)
        commit_table(table, TableManifest(plan.fingerprint, parts, report.posters))
    made = sum(receipt["rows"] for receipt in receipts)
    rejected = sum(count for receipt in receipts for count in receipt["reasons"].values())
    assert made > 0
    assert made + rejected + sum(plan.reject_counts.values()) == plan.listed
    again = plan_posters(source, table, rejects, config)
    assert set(again.done) == set(plan.chunks), "what a killed run has finished is found"


def test_features_and_packaged_models_are_stored_and_answer(store: str, tmp_path: Path) -> None:
    SPECIFICATION.save(join(store, "features"))
    assert FeatureSpecification.load(join(store, "features")).digest == SPECIFICATION.digest
    copy_folder(write_package(tmp_path / "made", FOREST), join(store, "package"))
    version = ModelDescription.load(join(store, "package")).version
    model = MovieModel(local_package(join(store, "package"), version))
    answers = model.predict(pd.DataFrame({"date": ["1959"]}))
    assert answers.probabilities.shape == (1, len(model.description.vocabulary))
