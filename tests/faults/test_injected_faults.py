"""Random kills, signals and tampered files on a finished pipeline: it ends as it was before."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from genre_spark.commands.verify import find_damaged
from genre_spark.config import load_config
from tests.e2e.running import run, start, table_rows
from tests.faults.mutations import fault_seconds, fault_seed

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(3600)]
STAGES = (
    "group-genres",
    "prepare-posters",
    "build-features",
    "sample",
    "train-multilabel",
    "evaluate",
    "package-models",
    "compare",
)
TABLES = (
    "genres",
    "posters",
    "rejects/genres",
    "rejects/posters",
    "rejects/metadata",
    "features",
    "samples/train",
    "samples/validation",
    "samples/test",
    "predictions/binary_relevance/test",
)


def tables(work: Path) -> dict[str, list]:
    return {table: table_rows(work / table) for table in TABLES}


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kill_one(process: subprocess.Popen[str], sign: str, draw: random.Random) -> bool:
    """Kill a process below the driver whose command has the sign; return whether one was there."""
    found = []
    for child in descendants(process):
        try:
            command = " ".join(child.cmdline())
        except psutil.Error:
            continue
        below_daemon = sign != "pyspark.daemon" or "pyspark.daemon" in parent_command(child)
        if sign in command and below_daemon:
            found.append(child)
    if found:
        draw.choice(found).kill()
    return bool(found)


def parent_command(child: psutil.Process) -> str:
    try:
        parent = child.parent()
        return " ".join(parent.cmdline()) if parent else ""
    except psutil.Error:
        return ""


def interrupt(process, draw) -> bool:
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    if draw.random() < 0.3:
        time.sleep(draw.uniform(0, 1))
        os.killpg(process.pid, signal.SIGINT)
    return True


def terminate(process, draw) -> bool:
    os.kill(process.pid, signal.SIGTERM)
    return True


def kill(process, draw) -> bool:
    os.kill(process.pid, signal.SIGKILL)
    return True


FAULTS: dict[str, tuple[Callable, tuple[int, ...]]] = {
    "Ctrl-C": (interrupt, (130,)),
    "SIGTERM": (terminate, (143,)),
    "driver killed": (kill, (-9,)),
    "JVM killed": (lambda process, draw: kill_one(process, "java", draw), (1,)),
    "worker killed": (lambda process, draw: kill_one(process, "pyspark.daemon", draw), (0,)),
}


def test_every_stage_survives_kills_and_signals_at_random_moments(finished) -> None:
    draw = random.Random(fault_seed())
    expected = tables(finished.work)
    end = time.monotonic() + fault_seconds(0.45)
    counts: Counter[str] = Counter()
    lasting = dict.fromkeys(STAGES, 20.0)  # seconds, as far as known
    while time.monotonic() < end:
        stage, name = draw.choice(STAGES), draw.choice(sorted(FAULTS))
        fault, codes = FAULTS[name]
        begun = time.monotonic()
        process = start(stage, finished.recipe, "--force")
        below: list[psutil.Process] = []
        hit = False
        moment = begun + draw.uniform(0.3, lasting[stage])
        while process.poll() is None and not hit and time.monotonic() < begun + 240:
            if time.monotonic() >= moment:
                below = descendants(process)
                hit = fault(process, draw)
            time.sleep(0.05)
        _, err = process.communicate(timeout=120)
        if not hit:
            lasting[stage] = time.monotonic() - begun
        case = f"{stage}, {name}: code {process.returncode}\n{err[-2000:]}"
        # a signal that came when all was done changes nothing
        assert process.returncode in ((*codes, 0) if hit else (0,)), case
        assert "Traceback" not in err, case
        if process.returncode in (130, 143):
            assert len([line for line in err.splitlines() if "genre-spark:" in line]) == 1, case
        _, left = psutil.wait_procs(below, timeout=30)
        assert not left, case
        counts[f"{name}: code {process.returncode}"] += 1
        again = run(stage, finished.recipe)
        assert again.returncode == 0, f"{case}\n{again.stderr[-2000:]}"
    print(dict(sorted(counts.items())))
    assert run("run", finished.recipe).returncode == 0
    assert tables(finished.work) == expected


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


TAMPERS: dict[str, Callable[[Path], object]] = {
    "cut": cut,
    "flipped": flip,
    "emptied": lambda file: file.write_bytes(b""),
    "deleted": lambda file: file.unlink(),
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
    benign = ("posters/_", "stages/", "best.json", "training.json")
    assert not [line for line in missed if not any(name in line for name in benign)], missed


def test_a_tampered_pipeline_is_mended_by_the_next_run_or_by_the_command_that_is_named(
    finished,
) -> None:
    draw = random.Random(fault_seed())
    config = load_config(finished.recipe, [])
    expected = tables(finished.work)
    end = time.monotonic() + fault_seconds(0.2)
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
        counts[name] += 1
    print(dict(counts))
    assert tables(finished.work) == expected
