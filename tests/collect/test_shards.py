"""Archives that are written link by link, and what a kill leaves of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest

from genre_spark.collect import shards
from genre_spark.collect.fetching import Fetched
from genre_spark.collect.shards import LinkRow, ShardWriter, close_left_shards
from genre_spark.errors import StageFailedError
from genre_spark.imaging.headers import read_header
from tests.posters.pictures import jpeg


def stored(seed: int) -> Fetched:
    content = jpeg(seed=seed)
    return Fetched("stored", "", 200, content, read_header(content))


def posters_in(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                found[member.name] = archive.extractfile(member).read()
    return found


def statuses_in(folder: Path) -> dict[int, tuple[str, str]]:
    rows = [
        row for path in (folder / "_status").glob("*") for row in pq.read_table(path).to_pylist()
    ]
    assert len({row["movie_id"] for row in rows}) == len(rows)
    return {row["movie_id"]: (row["status"], row["shard"]) for row in rows}


def fill(folder: str, *, rows: int) -> ShardWriter:
    writer = ShardWriter(folder, "run", 3)
    for number in range(rows):
        row = LinkRow(number, f"http://example.org/{number}.jpg")
        writer.add(row, Fetched("gone", "HTTP 404", 404) if number % 3 == 2 else stored(number))
    return writer


def test_an_archive_and_its_status_appear_when_it_is_closed(tmp_path) -> None:
    writer = fill(str(tmp_path), rows=5)
    assert posters_in(tmp_path) == {}
    writer.close()
    assert posters_in(tmp_path) == {f"{n}.jpg": stored(n).content for n in (0, 1, 3, 4)}
    name = f"{writer.name}.tar"
    expected = dict.fromkeys((0, 1, 3, 4), ("stored", name)) | {2: ("gone", "")}
    assert statuses_in(tmp_path) == expected
    assert list((tmp_path / "_open").iterdir()) == []


def test_an_archive_without_a_poster_leaves_its_status_alone(tmp_path) -> None:
    writer = ShardWriter(str(tmp_path), "run", 0)
    writer.add(LinkRow(7, "http://example.org"), Fetched("timeout", "..."))
    writer.close()
    assert posters_in(tmp_path) == {}
    assert statuses_in(tmp_path) == {7: ("timeout", "")}


@pytest.mark.parametrize(("movie", "size"), [(1, 0), (603692, 512), (2**63 - 1, 25_001)])
def test_a_member_is_the_one_that_tarfile_writes(movie, size) -> None:
    info = tarfile.TarInfo(f"{movie}.jpg")
    info.size = size
    expected = info.tobuf(tarfile.USTAR_FORMAT) + b"x" * size + bytes(-size % 512)
    assert shards._tar_member(movie, b"x" * size, "jpeg") == expected


def test_names_of_later_archives_come_first(monkeypatch) -> None:
    early, later = shards.shard_name("a", 0), time.time() + 2
    monkeypatch.setattr(time, "time", lambda: later)
    assert shards.shard_name("a", 0) < early


@pytest.mark.parametrize("torn_tar", [0, 1, 511, 700])
@pytest.mark.parametrize("torn_line", [b"", b'{"movie_id": 9, "li'])
def test_what_a_killed_task_leaves_is_closed_at_its_last_whole_line(
    tmp_path, torn_tar, torn_line
) -> None:
    writer = fill(str(tmp_path), rows=5)
    writer.abandon()
    tar, journal = (tmp_path / "_open" / f"{writer.name}.{kind}" for kind in ("tar", "jsonl"))
    with tar.open("ab") as file:
        file.write(b"\xff" * torn_tar)
    with journal.open("ab") as file:
        file.write(torn_line)
    assert close_left_shards(str(tmp_path)) == 1
    assert sorted(posters_in(tmp_path)) == ["0.jpg", "1.jpg", "3.jpg", "4.jpg"]
    assert sorted(statuses_in(tmp_path)) == [0, 1, 2, 3, 4]
    assert close_left_shards(str(tmp_path)) == 0


@pytest.mark.parametrize("step", ["_write_status", "replace", "unlink"])
def test_closing_that_is_broken_off_is_done_by_the_next_run(tmp_path, monkeypatch, step) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    writer = fill(str(tmp_path), rows=5)
    with monkeypatch.context() as broken:
        broken.setattr(shards if step == "_write_status" else Path, step, stop)
        with pytest.raises(KeyboardInterrupt):
            writer.close()
    writer.abandon()
    close_left_shards(str(tmp_path))
    assert sorted(posters_in(tmp_path)) == ["0.jpg", "1.jpg", "3.jpg", "4.jpg"]
    assert sorted(statuses_in(tmp_path)) == [0, 1, 2, 3, 4]
    assert list((tmp_path / "_open").iterdir()) == []


def test_an_archive_that_is_still_written_to_is_not_touched(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(shards, "_LOCK_WAIT", 0.3)
    writer = fill(str(tmp_path), rows=2)
    with pytest.raises(StageFailedError, match="still writing"):
        close_left_shards(str(tmp_path))
    writer.add(LinkRow(9, "x"), stored(9))
    writer.close()
    assert sorted(posters_in(tmp_path)) == ["0.jpg", "1.jpg", "9.jpg"]


WRITE_FOR_EVER = """
import itertools, sys
from genre_spark.collect.shards import LinkRow, ShardWriter
from tests.collect.test_shards import stored
writer = ShardWriter(sys.argv[1], "run", 0)
for number in itertools.count():
    writer.add(LinkRow(number, str(number)), stored(number % 7))
    print(number, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 40, 150])
def test_everything_finished_before_a_kill_is_kept(tmp_path, lines) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    finished = [int(process.stdout.readline()) for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    close_left_shards(str(tmp_path))
    assert set(finished) <= set(statuses_in(tmp_path))
    found = posters_in(tmp_path)
    assert sorted(int(name.removesuffix(".jpg")) for name in found) == sorted(statuses_in(tmp_path))
    assert all(content == stored(int(name[:-4]) % 7).content for name, content in found.items())


def test_a_disk_that_fills_up_loses_nothing_that_was_finished(tmp_path, monkeypatch) -> None:
    writer = fill(str(tmp_path), rows=5)
    monkeypatch.setattr(shards, "_write_all", _write_half)
    with pytest.raises(OSError, match="No space left"):
        writer.add(LinkRow(8, "x"), stored(8))
    writer.abandon()
    monkeypatch.undo()
    close_left_shards(str(tmp_path))
    assert sorted(posters_in(tmp_path)) == ["0.jpg", "1.jpg", "3.jpg", "4.jpg"]


def _write_half(file, content: bytes) -> None:
    file.write(content[: len(content) // 2])
    raise OSError(28, "No space left on device")


def test_on_an_object_store_an_archive_is_put_whole() -> None:
    memory = fsspec.filesystem("memory")
    writer = fill("memory://downloads", rows=4)
    assert not memory.exists("/downloads")
    writer.close()
    [archive] = [path for path in memory.ls("/downloads", detail=False) if path.endswith(".tar")]
    with memory.open(archive) as file, tarfile.open(fileobj=file) as tar:
        assert tar.getnames() == ["0.jpg", "1.jpg", "3.jpg"]
    [status] = memory.ls("/downloads/_status", detail=False)
    with memory.open(status) as file:
        assert pq.read_table(file).num_rows == 4
    json.dumps(close_left_shards("memory://downloads"))
