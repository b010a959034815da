"""Random kills, signals and tampered files on a finished pipeline: it ends as it was before."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from genre_spark.commands.verify import find_damaged
from genre_spark.config import load_config
from tests.e2e.running import Finished, all_rows, run, start
from tests.faults.injecting import (
    FAULTS,
    STAGES,
    STATE_TABLES,
    changed_rows,
    descendants,
    describe_hang,
)
from tests.faults.mutations import fault_seconds, fault_seed

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(3600)]
CLUSTER = (
    'spark.settings={spark.driver.memory: 1g, spark.sql.shuffle.partitions: "2", '
    "spark.driver.host: 127.0.0.1, spark.driver.bindAddress: 127.0.0.1}"
)


def inject(command: list[str], finished: Finished, name: str, draw: random.Random, wait: float):
    """Start a command, do something to it after some seconds, and return how it ended.

    Returns:
        (exit code, standard error, whether it was hit, seconds).
    """
    fault, _ = FAULTS[name]
    begun = time.monotonic()
    process = start(command[0], finished.recipe, *command[1:])
    below: list[psutil.Process] = []
    hit = False
    while process.poll() is None and not hit and time.monotonic() < begun + 300:
        if time.monotonic() >= begun + wait:
            below = descendants(process.pid)
            hit = fault(process, draw)
        time.sleep(0.05)
    try:
        _, err = process.communicate(timeout=200)
    except subprocess.TimeoutExpired:
        stacks = describe_hang(process)
        process.kill()
        pytest.fail(f"{command}, {name}: has not ended\n{stacks}")
    _, left = psutil.wait_procs(below, timeout=30)
    assert not left, f"{command}, {name}: left {left}\n{err[-2000:]}"
    return process.returncode, err, hit, time.monotonic() - begun


def test_every_stage_survives_kills_and_signals_at_random_moments(finished, request) -> None:
    draw = random.Random(fault_seed())
    expected = all_rows(finished.work, STATE_TABLES)
    end = time.monotonic() + fault_seconds(0.35)
    counts: Counter[str] = Counter()
    lasting = dict.fromkeys(STAGES, 20.0)  # seconds, as far as known
    stages, names = list[str](), list[str]()
    while time.monotonic() < end:
        stages = stages or draw.sample(sorted(STAGES), len(STAGES))
        names = names or draw.sample(sorted(FAULTS), len(FAULTS))
        stage, name = stages.pop(), names.pop()
        command = [stage.split(",")[0], *STAGES[stage], "--force"]
        if draw.random() < 0.5:  # then the next run has to do it, else the earlier result stands
            (finished.work / "stages" / f"{command[0]}.json").unlink(missing_ok=True)
        running = open_runs(finished.work)
        if name == "executor killed":
            master = request.getfixturevalue("standalone_cluster")
            command += [f"spark.master={master}", CLUSTER]
        wait = draw.uniform(0.3, lasting[stage])
        code, err, hit, seconds = inject(command, finished, name, draw, wait)
        if not hit:
            lasting[stage] = seconds
        case = f"{stage}, {name} after {wait:.1f} s: code {code}\n{err[-3000:]}"
        # a signal that came when all was done changes nothing
        assert code in ((*FAULTS[name][1], 0) if hit else (0,)), case
        assert "Traceback" not in err, case
        if code == 1:
            assert "Spark's JVM " in err, case
        if code in (129, 130, 143):
            assert len([line for line in err.splitlines() if "genre-spark:" in line]) == 1, case
            assert open_runs(finished.work) <= running, case
        counts[f"{name}: code {code}" if hit else "ended before anything was done to it"] += 1
        again = run(command[0], finished.recipe)
        assert again.returncode == 0, f"{case}\n{again.stderr[-2000:]}"
        changed = changed_rows(all_rows(finished.work, STATE_TABLES), expected)
        assert not changed, f"{changed}\n{case}"
    print(dict(sorted(counts.items())))
    assert run("run", finished.recipe).returncode == 0
    assert changed_rows(all_rows(finished.work, STATE_TABLES), expected) == []


def open_runs(work: Path) -> set[str]:
    """Return the runs in MLflow that have not ended."""
    with closing(sqlite3.connect(work / "mlflow.db")) as store:
        found = store.execute("SELECT run_uuid FROM runs WHERE status = 'RUNNING'").fetchall()
    return {row[0] for row in found}


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def change_format(file: Path) -> None:
    """Give a JSON file the format of a version to come, another file the mark of one."""
    content = file.read_bytes()
    try:
        value = {**json.loads(content), "format": 99}
    except (ValueError, TypeError):
        file.write_bytes(b"99" + content)
    else:
        file.write_text(json.dumps(value))


TAMPERS: dict[str, Callable[[Path], object]] = {
    "cut": cut,
    "flipped": flip,
    "emptied": lambda file: file.write_bytes(b""),
    "deleted": lambda file: file.unlink(),
    "of another version": change_format,
}
_UNREAD = ("_SUCCESS", "vocabulary.json", "class_weights.json")  # for people, or for nobody


def state(work: Path) -> list[Path]:
    """Return the files of a work folder that stages read again."""
    folders = ("genres", "posters", "features", "samples", "predictions", "evaluation")
    folders += ("rejects", "models", "movie_models", "stages")
    files = [file for folder in folders for file in (work / folder).rglob("*") if file.is_file()]
    return sorted(
        file for file in files if file.name not in _UNREAD and file.suffix not in (".png", ".crc")
    )


def test_every_tampered_file_is_found(finished) -> None:
    config = load_config(finished.recipe, [])
    assert find_damaged(config, full=True) == {}
    counts: Counter[str] = Counter()
    for file in state(finished.work):
        whole = file.read_bytes()
        for name, tamper in TAMPERS.items():
            if not whole:
                continue
            tamper(file)
            found = find_damaged(config, full=True)
            file.write_bytes(whole)
            if not found:
                counts[f"{name}, not found: {file.relative_to(finished.work)}"] += 1
            counts[name] += 1
    print(dict(counts))
    missed = [line for line in counts if "not found" in line]
    # what prepare-posters keeps for its next run is checked by that run; a record that is gone
    # lets its stage run again
    benign = ("posters/_", "stages/", "training.json")
    assert not [line for line in missed if not any(name in line for name in benign)], missed


def test_a_tampered_pipeline_is_mended_by_the_next_run_or_by_the_command_that_is_named(
    finished,
) -> None:
    draw = random.Random(fault_seed())
    config = load_config(finished.recipe, [])
    expected = all_rows(finished.work, STATE_TABLES)
    end = time.monotonic() + fault_seconds(0.1)
    counts: Counter[str] = Counter()
    while time.monotonic() < end:
        file = draw.choice(state(finished.work))
        name = draw.choice(sorted(TAMPERS))
        TAMPERS[name](file)
        case = f"{file.relative_to(finished.work)} {name}"
        done = run("run", finished.recipe)
        assert done.returncode == 0, f"{case}\n{done.stderr[-2000:]}"
        for stage in find_damaged(config, full=True):
            assert name == "flipped", case
            counts["by the command that is named"] += 1
            done = run(stage, finished.recipe, "--force")
            assert done.returncode == 0, f"{case}\n{done.stderr[-2000:]}"
        assert find_damaged(config, full=True) == {}, case
        changed = changed_rows(all_rows(finished.work, STATE_TABLES), expected)
        assert not changed, f"{changed}\n{case}"
        counts[name] += 1
    print(dict(counts))
    assert changed_rows(all_rows(finished.work, STATE_TABLES), expected) == []
