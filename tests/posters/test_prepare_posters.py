from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genre_spark.config.posters import PostersConfig
from genre_spark.imaging import decode_stored
from genre_spark.posters.table import prepare_posters
from genre_spark.schemas import POSTERS_SCHEMA, REJECTS_SCHEMA
from genre_spark.storage.tables import Table, read_manifest, table_files
from tests.cluster import cluster_environment, run_on_cluster, standalone_cluster  # noqa: F401
from tests.posters.pictures import encoded, jpeg, jpeg_of_claimed_size, picture, pixels_of

SMALL = {"height": 60, "width": 40}


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_posters(tmp_path / "posters", range(1, 31))


def write_posters(folder: Path, numbers, **options) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{number}.jpg").write_bytes(jpeg(44 + number % 5, 60, seed=number, **options))
    return folder


def prepare(spark, source: Path, work: Path, *, anew: bool = False, **settings):
    config = PostersConfig(**{**SMALL, **settings})
    table, rejects = str(work / "table"), str(work / "rejects")
    return prepare_posters(
        spark, str(source), table=table, rejects_table=rejects, config=config, anew=anew
    )


def rows(work: Path) -> pa.Table:
    files = table_files(str(work / "table"))
    return pa.concat_tables(pq.read_table(file) for file in files).sort_by("movie_id")


def rejects(spark, work: Path) -> dict[str, str]:
    frame = Table(str(work / "rejects"), REJECTS_SCHEMA, "prepare-posters").read(spark)
    return {row.source: row.reason for row in frame.collect()}


def test_posters_become_rows_of_the_declared_schema(spark, folder, tmp_path):
    prepared = prepare(spark, folder, tmp_path)
    frame = Table(str(tmp_path / "table"), POSTERS_SCHEMA, "prepare-posters").read(spark)
    row = frame.orderBy("movie_id").first()
    assert frame.count() == prepared.manifest.rows == 30
    assert (row.movie_id, row.height, row.width, row.channels, row.encoding, row.source) == (
        1,
        60,
        40,
        3,
        "jpeg",
        "1.jpg",
    )
    pixels = decode_stored(bytes(row.image), row.encoding, row.height, row.width, row.channels)
    original = np.asarray(picture(45, 60, seed=1).resize((40, 60))).transpose(2, 0, 1)
    assert np.abs(pixels.astype(int) - original).mean() < 6


def test_every_flaw_becomes_a_reject_with_its_reason_and_the_rest_goes_on(spark, folder, tmp_path):
    whole = jpeg(seed=99)
    flawed = {
        "100.jpg": b"",
        "101.jpg": whole[: len(whole) // 2],
        "102.jpg": np.random.default_rng(1).bytes(3000),
        "103.jpg": b"<html><body>503</body></html>",
        "104.jpg": jpeg_of_claimed_size(0, 0),
        "105.jpg": jpeg(1, 1),
        "106.jpg": jpeg_of_claimed_size(30_000, 30_000),
        "107.txt": whole,
        "poster.jpg": whole,
        "99999999999999999999.jpg": whole,
        "30.png": encoded(picture(), "PNG"),
        "108.png": whole,
        "109.jpg": encoded(picture().convert("CMYK"), "JPEG"),
        "110.jpg": b"x" * 60_000,
    }
    for name, content in flawed.items():
        (folder / name).write_bytes(content)
    (folder / "111.jpg").mkdir()
    (folder / "112.jpg").symlink_to("/etc/hostname")
    prepared = prepare(spark, folder, tmp_path, max_bytes=50_000)
    expected = {
        "100.jpg": "empty",
        "101.jpg": "truncated",
        "102.jpg": "not an image",
        "103.jpg": "not an image",
        "104.jpg": "no pixels",
        "105.jpg": "too small",
        "106.jpg": "too many pixels",
        "107.txt": "wrong extension",
        "poster.jpg": "name is not an id",
        "99999999999999999999.jpg": "id out of range",
        "30.png": "duplicate id",
        "110.jpg": "too many bytes",
        "111.jpg": "a directory, not a file",
        "112.jpg": "link out of the folder",
    }
    assert rejects(spark, tmp_path) == expected
    assert dict(prepared.rejected) == dict(Counter(expected.values()))
    assert rows(tmp_path)["movie_id"].to_pylist() == [*range(1, 31), 108, 109]
    assert prepared.manifest.details["misnamed"] == 1


def test_a_source_where_nothing_can_be_read_gives_an_empty_table(spark, tmp_path):
    (tmp_path / "posters").mkdir()
    (tmp_path / "posters" / "1.jpg").write_bytes(b"junk")
    prepared = prepare(spark, tmp_path / "posters", tmp_path)
    assert prepared.manifest.rows == 0
    assert rejects(spark, tmp_path) == {"1.jpg": "not an image"}
    assert (
        Table(str(tmp_path / "table"), POSTERS_SCHEMA, "prepare-posters").read(spark).count() == 0
    )


def test_archives_give_the_same_table_as_their_folder(spark, folder, tmp_path):
    prepare(spark, folder, tmp_path)
    expected = rows(tmp_path).drop(["source"])
    with (
        zipfile.ZipFile(tmp_path / "a.zip", "w") as archive,
        tarfile.open(tmp_path / "a.tar", "w") as tape,
    ):
        for path in sorted(folder.iterdir()):
            archive.write(path, f"posters/{path.name}")
            tape.add(path, f"./posters/{path.name}")
    for name in ("a.zip", "a.tar"):
        prepare(spark, tmp_path / name, tmp_path / name[2:])
        assert rows(tmp_path / name[2:]).drop(["source"]).equals(expected)


@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_lossless_encodings_hold_the_pixels_of_the_original(spark, tmp_path, encoding):
    write_posters(tmp_path / "posters", range(1, 4))
    prepare(spark, tmp_path / "posters", tmp_path, width=46, encoding=encoding)
    table = rows(tmp_path)
    image = table["image"][1].as_py()
    pixels = decode_stored(image, encoding, 60, 46, 3)
    expected = pixels_of((tmp_path / "posters" / "2.jpg").read_bytes()).transpose(2, 0, 1)
    assert np.abs(pixels.astype(int) - expected).max() <= 3
    frame = Table(str(tmp_path / "table"), POSTERS_SCHEMA, "prepare-posters").read(spark)
    assert bytes(frame.filter("movie_id = 2").first().image) == image


def test_originals_that_fit_are_kept_as_they_are(spark, tmp_path):
    folder = tmp_path / "posters"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(jpeg(40, 60))
    prepared = prepare(spark, folder, tmp_path)
    assert rows(tmp_path)["image"][0].as_py() == jpeg(40, 60)
    assert prepared.manifest.details["kept_as_they_were"] == 1


def test_sizes_and_formats_come_with_the_table(spark, tmp_path):
    write_posters(tmp_path / "posters", range(1, 41), quality=98)
    details = prepare(spark, tmp_path / "posters", tmp_path, encoding="raw").manifest.details
    assert details["sizes"] == {"50x50": 40}
    assert details["formats"] == {"jpeg": 40}


def test_a_second_run_does_no_work(spark, folder, tmp_path):
    first = prepare(spark, folder, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    second = prepare(spark, folder, tmp_path)
    assert second.unchanged
    assert second.decoded == 0
    assert second.manifest == first.manifest
    assert {
        path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()
    } == before


@pytest.mark.parametrize("parts", [None, 2])
def test_a_table_that_is_made_anew_uses_nothing_of_before(spark, folder, tmp_path, parts):
    """Damage that changes no size is found by checksums, and mended so."""
    prepare(spark, folder, tmp_path, parts=parts)
    before = rows(tmp_path)
    for file in table_files(str(tmp_path / "table")):
        data = bytearray(Path(file).read_bytes())
        data[len(data) // 3 : len(data) // 3 + 64] = bytes(64)
        Path(file).write_bytes(data)
    again = prepare(spark, folder, tmp_path, anew=True, parts=parts)
    assert not again.unchanged
    assert again.decoded == 30
    assert rows(tmp_path).equals(before)


def test_new_changed_and_deleted_posters_are_all_that_is_processed(
    spark, folder, tmp_path, monkeypatch
):
    first = prepare(spark, folder, tmp_path)
    write_posters(folder, range(31, 36))
    (folder / "3.jpg").write_bytes(jpeg(44, 60, seed=1003))
    (folder / "4.jpg").unlink()
    (folder / "5.jpg").write_bytes(b"")
    second = prepare(spark, folder, tmp_path)
    assert second.decoded == 6  # five new ones, a changed one; the empty one is rejected
    assert second.removed == 3
    assert second.manifest.fingerprint != first.manifest.fingerprint
    fresh = prepare(spark, folder, tmp_path / "fresh")
    assert rows(tmp_path).equals(rows(tmp_path / "fresh"))
    assert rejects(spark, tmp_path) == rejects(spark, tmp_path / "fresh") == {"5.jpg": "empty"}
    assert second.manifest.fingerprint == fresh.manifest.fingerprint
    seen, wanted = second.manifest.details, fresh.manifest.details
    for key in ("sizes", "formats", "kept_as_they_were"):
        assert seen[key] == wanted[key]
    kept = {path.name for path in (tmp_path / "table").iterdir() if path.name.startswith("data-")}
    assert kept == set(second.manifest.paths)


def test_chunks_without_a_change_are_not_written_again(spark, tmp_path, monkeypatch):
    folder = write_posters(tmp_path / "posters", range(1, 301))
    first = prepare(spark, folder, tmp_path)
    assert len(first.manifest.paths) == 1
    write_posters(folder, range(401, 404))
    second = prepare(spark, folder, tmp_path)
    assert second.decoded == 3
    assert first.manifest.paths[0] in second.manifest.paths


def test_posters_are_added_to_a_table_that_had_none(spark, tmp_path):
    folder = tmp_path / "posters"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(b"junk")
    prepare(spark, folder, tmp_path)
    write_posters(folder, [2])
    second = prepare(spark, folder, tmp_path)
    assert second.decoded == 1
    assert rows(tmp_path)["movie_id"].to_pylist() == [2]
    assert rejects(spark, tmp_path) == {"1.jpg": "not an image"}


def test_another_configuration_makes_the_table_anew(spark, folder, tmp_path):
    prepare(spark, folder, tmp_path)
    second = prepare(spark, folder, tmp_path, height=30)
    assert second.decoded == 30
    assert set(rows(tmp_path)["height"].to_pylist()) == {30}


def test_placeholders_are_counted_and_dropped_on_demand(spark, folder, tmp_path, monkeypatch):
    for number in range(200, 260):
        shutil.copyfile(folder / "1.jpg", folder / f"{number}.jpg")
    counted = prepare(spark, folder, tmp_path)
    assert counted.manifest.details["placeholders"] == {
        "shared_by_more_than": 50,
        "pictures": 1,
        "posters": 61,
        "dropped": 0,
    }
    dropped = prepare(spark, folder, tmp_path, drop_placeholders_over=10)
    assert dropped.decoded == 0  # what stays was decoded before
    assert dropped.rejected == {"placeholder": 61}
    assert rows(tmp_path)["movie_id"].to_pylist() == list(range(2, 31))


DRIVER = """
import os, sys
from genre_spark.config.posters import PostersConfig
from genre_spark.spark.session import spark_session
from genre_spark.posters.table import prepare_posters

settings = {
    "spark.ui.enabled": "false",
    "spark.driver.memory": "1g",
    "spark.executor.memory": "512m",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
master = os.environ.get("SPARK_MASTER", "local[2]")
with spark_session(app_name="posters", master=master, settings=settings) as spark:
    source, work = sys.argv[1:3]
    prepared = prepare_posters(
        spark,
        source,
        table=work + "/table",
        rejects_table=work + "/rejects",
        config=PostersConfig(height=345, width=230, encoding="png"),
    )
    print(prepared.decoded)
"""


def digest(work: Path) -> str:
    """Return a digest of the table's files in their order, and of its manifest."""
    manifest = read_manifest(str(work / "table"))
    state = hashlib.sha256()
    for path in manifest.paths:
        state.update((work / "table" / path).read_bytes())
    details = json.dumps(
        [manifest.fingerprint, manifest.rows, dict(manifest.details)], sort_keys=True
    )
    return state.hexdigest() + details


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    folder = write_posters(tmp_path_factory.mktemp("many") / "posters", range(1, 401))
    (folder / "700.jpg").write_bytes(b"junk")
    return folder


@pytest.fixture(scope="module")
def undisturbed(spark, many, tmp_path_factory) -> str:
    work = tmp_path_factory.mktemp("undisturbed")
    prepare(spark, many, work, height=345, width=230, encoding="png")
    return digest(work)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["driver", "worker"])
def test_a_killed_run_goes_on_where_it_was_and_ends_with_the_same_table(
    spark, many, undisturbed, tmp_path, victim
):
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(many), str(tmp_path)],
        env=cluster_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    facts = tmp_path / "table" / "_facts"
    try:
        deadline = time.monotonic() + 240
        while not (facts.is_dir() and any(facts.iterdir())) and process.poll() is None:
            assert time.monotonic() < deadline, "no chunk was finished"
            time.sleep(0.005)
        for pid in _python_workers(process.pid) if victim == "worker" else [process.pid]:
            os.kill(pid, signal.SIGKILL)
        process.wait(timeout=120)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    if victim == "worker":  # their tasks were tried again
        assert process.returncode == 0
    else:
        assert process.returncode != 0
        assert read_manifest(str(tmp_path / "table")) is None
    prepared = prepare(spark, many, tmp_path, height=345, width=230, encoding="png")
    assert prepared.decoded < (1 if victim == "worker" else 400)
    assert digest(tmp_path) == undisturbed


def _python_workers(driver: int) -> list[int]:
    """Return the ids of the Python workers below a driver, without their daemon."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text()
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            parents[int(entry.name)] = int(status.rpartition(")")[2].split()[1]), command
    daemons = {pid for pid, (_, command) in parents.items() if b"pyspark.worker" in command}
    below = {driver}
    for _ in range(6):
        below |= {pid for pid, (parent, _) in parents.items() if parent in below}
    return [pid for pid in daemons & below if parents[pid][0] in daemons]


@pytest.mark.cluster
@pytest.mark.slow
def test_a_cluster_of_two_workers_makes_the_same_table_bit_for_bit(
    standalone_cluster,  # noqa: F811
    many,
    undisturbed,
    tmp_path,
):
    answer = run_on_cluster(DRIVER, str(many), str(tmp_path), master=standalone_cluster)
    assert answer.split()[-1] == "400"  # decoded; the junk is not among them
    assert digest(tmp_path) == undisturbed


def test_real_posters_are_all_prepared(spark, real_data, tmp_path):
    folder = tmp_path / "posters"
    folder.mkdir()
    for path in sorted((real_data / "posters").glob("*.jpg"))[:200]:
        os.link(
            path, folder / path.name
        ) if path.stat().st_dev == tmp_path.stat().st_dev else shutil.copy(path, folder)
    prepared = prepare(spark, folder, tmp_path, height=345, width=230)
    assert (prepared.manifest.rows, dict(prepared.rejected)) == (200, {})


def test_a_tar_with_a_cut_end_is_read_as_far_as_it_goes(spark, tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number in (1, 2):
            content = jpeg(seed=number, quality=100)
            member = tarfile.TarInfo(f"{number}.jpg")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    whole = buffer.getvalue()
    (tmp_path / "posters.tar").write_bytes(whole[: whole.index(b"2.jpg") + 600])
    prepared = prepare(spark, tmp_path / "posters.tar", tmp_path)
    assert (prepared.manifest.rows, dict(prepared.rejected)) == (1, {"damaged archive member": 1})
