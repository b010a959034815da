"""Two writers of one folder: the second waits or stops, and a dead one stands in nobody's way."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from pathlib import Path

import psutil
import pytest

from genre_spark.errors import InvalidInputError
from genre_spark.storage.files import filesystem
from genre_spark.storage.ownership import OWNERS, Patience, claimed

QUICK = Patience(beat=0.02, silence=0.15, look=0.01)


def write_claim(folder: Path, name: str, **changes) -> Path:
    claim = {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "started": psutil.Process().create_time(),
        "task": "group-genres",
        "state": "writes",
        "beat": 1,
        **changes,
    }
    file = folder / OWNERS / f"{name}-{'0' * 32}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(claim), encoding="utf-8")
    return file


def test_the_owner_is_named_while_it_writes_and_leaves_nothing(tmp_path):
    table = f"{tmp_path}/genres"
    with claimed([table], "group-genres") as waited:
        (file,) = (tmp_path / OWNERS).iterdir()
        claim = json.loads(file.read_text(encoding="utf-8"))
        assert (claim["host"], claim["process"]) == (socket.gethostname(), os.getpid())
        assert claim["state"] == "writes"
        assert not waited
        with claimed([table, f"{tmp_path}/posters"], "the same process"):
            assert len(list((tmp_path / OWNERS).iterdir())) == 2
    assert list(tmp_path.iterdir()) == []


def test_the_heartbeat_goes_on_while_the_owner_works(tmp_path):
    with claimed([f"{tmp_path}/genres"], "group-genres", patience=QUICK):
        (file,) = (tmp_path / OWNERS).iterdir()
        first = json.loads(file.read_text(encoding="utf-8"))["beat"]
        deadline = time.monotonic() + 10
        while json.loads(file.read_text(encoding="utf-8"))["beat"] < first + 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_second_writer_stops_with_a_sentence_or_waits_until_the_first_has_ended(tmp_path):
    file = write_claim(tmp_path, "genres")
    with (
        pytest.raises(InvalidInputError, match=rf"process {os.getpid()} on .* \(group-genres\)"),
        claimed([f"{tmp_path}/genres"], "run", otherwise="stop", patience=QUICK),
    ):
        pytest.fail("two writers")
    assert file.exists()
    with claimed([f"{tmp_path}/posters"], "run", otherwise="stop", patience=QUICK):
        pass  # another table
    timer = threading.Timer(0.1, file.unlink)
    timer.start()
    with claimed([f"{tmp_path}/genres"], "run", patience=QUICK) as waited:
        assert waited
    timer.join()


@pytest.mark.parametrize("changes", [{"process": 2**22 - 1}, {"started": 1.0}])
def test_a_killed_process_of_this_host_is_no_owner(tmp_path, changes):
    file = write_claim(tmp_path, "genres", **changes)
    with claimed([f"{tmp_path}/genres"], "run", otherwise="stop") as waited:
        assert not waited
        assert not file.exists()


def test_another_hosts_owner_lives_as_long_as_its_heartbeat_changes(tmp_path):
    file = write_claim(tmp_path, "genres", host="elsewhere", process=1)
    began = time.monotonic()
    ends = began + 0.3
    beats = threading.Thread(target=beat_until, args=(file, ends))
    beats.start()
    with claimed([f"{tmp_path}/genres"], "run", patience=QUICK) as waited:
        assert waited
        assert time.monotonic() >= ends  # the heartbeat stopped then
        assert not file.exists()
    beats.join()


def beat_until(file: Path, ends: float) -> None:
    number = 1
    while time.monotonic() < ends:
        number += 1
        claim = {**json.loads(file.read_text(encoding="utf-8")), "beat": number}
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(claim), encoding="utf-8")
        draft.replace(file)
        time.sleep(0.02)


def test_many_that_ask_at_once_write_one_after_another(tmp_path):
    """Claims of one process nest, so that each thread here is made a process of its own."""
    from genre_spark.storage.ownership import _Owner  # noqa: PLC0415

    writing, most = 0, 0
    lock = threading.Lock()

    def write() -> None:
        nonlocal writing, most
        with _Owner(f"{tmp_path}/genres", "run", QUICK) as owner:
            owner.acquire("wait")
            with lock:
                writing += 1
                most = max(most, writing)
            time.sleep(0.005)
            with lock:
                writing -= 1

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert most == 1


def test_a_folder_on_another_file_system_is_claimed_likewise():
    table = "memory://owned/work/genres"
    with claimed([table], "group-genres"):
        system, inner = filesystem("memory://owned/work/_owners")
        assert len(system.ls(inner)) == 1
    assert not system.exists(inner) or system.ls(inner) == []
