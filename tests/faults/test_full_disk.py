"""A disk that is full at some point of a pipeline: one sentence, and no trace afterwards."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.running import TABLES, all_rows, environment
from tests.faults.injecting import changed_rows
from tests.faults.mutations import fault_seconds, fault_seed

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(3600)]
SIZES = 8
LEAST = 2**20  # bytes; MLflow's store takes the first of them
UNREAD = "predictions/lenet/test"  # the network is left out, for time
# a disk of the given size in a mount namespace of its own; then it gets space. The slow stages
# after the models are repeated only where the disk was full in one of them.
SCRIPT = r"""
set -f
disk=$2; mount -t tmpfs -o size="$1" full "$disk" || exit 99
cd "$3"; shift 3
"$@" > first.out 2> first.err; echo $? > first.code
mount -o remount,size=2g "$disk" || exit 98
more='skip_stages=[train-cnn,evaluate,package-models,compare]'
if grep -q '\] evaluate:' first.err; then more=; fi
"$@" $more > second.out 2> second.err; echo $? > second.code
cp -r "$disk" work
"""


def can_mount() -> bool:
    words = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    return bool(shutil.which("unshare")) and subprocess.run(words, check=False).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="no mount namespaces on this machine")
def test_a_full_disk_is_named_and_leaves_nothing_behind(finished, tmp_path: Path) -> None:
    draw = random.Random(fault_seed())
    most = sum(file.stat().st_size for file in finished.work.rglob("*") if file.is_file())
    wanted = [table for table in TABLES if table != UNREAD]
    expected = all_rows(finished.work, wanted)
    end = time.monotonic() + fault_seconds(0.32)
    counts: Counter[str] = Counter()
    for number in draw.sample(range(SIZES), SIZES):
        # by equal factors: most bytes are pictures of the last stages
        size = int(LEAST * (most / LEAST) ** ((number + draw.random()) / SIZES))
        result, disk = tmp_path / f"result-{number}", tmp_path / f"disk-{number}"
        result.mkdir()
        disk.mkdir()
        words = [f"paths.work={disk}", "sample_data=null", "skip_stages=[train-cnn]"]
        words += ["linear=null", "stack=null", "explanations=null"]
        command = [sys.executable, "-m", "genre_spark", "run", "--config", str(finished.recipe)]
        unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
        subprocess.run(
            [*unshare, SCRIPT, "sh", str(size), str(disk), str(result), *command, *words],
            env=environment(),
            check=True,
            timeout=600,
        )
        first, second = (
            (result / f"{one}.code").read_text().strip() for one in ("first", "second")
        )
        err = (result / "first.err").read_text()
        case = f"{size:,} bytes: {err[-2000:]}"
        assert first in ("0", "1"), case
        assert "Traceback" not in err, case
        if first == "1":
            [line] = [line for line in err.splitlines() if line.startswith("genre-spark:")]
            assert "no space left" in line, case
        assert second == "0", (result / "second.err").read_text()[-2000:]
        assert changed_rows(all_rows(result / "work", wanted), expected) == [], case
        began = [line for line in err.splitlines() if line.startswith("[")]
        counts[f"code {first} in {began[-1].split(':')[0]}" if first == "1" else "code 0"] += 1
        shutil.rmtree(result)
        if time.monotonic() > end:
            break
    print(dict(counts))
