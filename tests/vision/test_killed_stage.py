"""The stage itself, killed with SIGKILL inside an epoch and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from genre_spark.errors import InvalidInputError
from genre_spark.pipelines.models.train_cnn import run
from genre_spark.vision.storage import load_tensors
from tests.vision.conftest import link_tables, make_config, slow

_STEPS = 24  # per epoch: 48 posters, two per step
SETTINGS = {
    "architecture": "lenet",
    "batch_size": 2,
    "epochs": 3,
    "dropout": 0.5,
    "optimizer": "adamw",
    "checkpoint_minutes": 0.0001,
    "augmentation": {"flip": True, "crop": 0.1, "colour": 0.2},
}


def reached(work: Path) -> tuple[int, int]:
    """Return epoch and batch of the last checkpoint."""
    files = list(work.glob("out/checkpoints/lenet/*/last.pt"))
    try:
        state = load_tensors(str(files[0])) if files else None
    except (InvalidInputError, OSError):
        state = None
    return (state["outcome"]["epoch"], state["outcome"]["batch"]) if state else (0, 0)


@slow
def test_a_stage_killed_inside_an_epoch_reaches_the_weights_of_an_undisturbed_one(
    spark, sample_tables, tmp_path
):
    whole, killed = (link_tables(sample_tables, tmp_path / name) for name in ("whole", "killed"))
    config = make_config(killed, **SETTINGS)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    command = [
        sys.executable,
        "-c",
        "from genre_spark.cli import main; main()",
        "train-cnn",
        "--config",
        str(recipe),
    ]
    with (tmp_path / "output.txt").open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=Path(__file__).parents[2],
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 200
            while (
                reached(killed) < (1, 3) and process.poll() is None and time.monotonic() < deadline
            ):
                time.sleep(0.01)
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # the JVM too, as when a machine fails
            process.wait()
    epoch, batch = reached(killed)
    if batch == 0 or epoch == SETTINGS["epochs"]:
        pytest.fail(
            f"killed at epoch {epoch}, batch {batch}: "
            f"{(tmp_path / 'output.txt').read_text()[-2000:]}"
        )
    assert 0 < batch < _STEPS
    again = run(spark, config)
    undisturbed = run(spark, make_config(whole, **SETTINGS))
    assert not again.reused
    one, other = (
        torch.load(work / "out" / "models" / "lenet" / "network.pt", weights_only=True)["network"]
        for work in (whole, killed)
    )
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert again.metrics == undisturbed.metrics
