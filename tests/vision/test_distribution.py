"""TorchDistributor on this machine: equality with one process, a killed rank, and what is told then."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch

from genre_spark.errors import InvalidInputError, StageFailedError
from genre_spark.io import table_files
from genre_spark.vision.distribution import launch
from genre_spark.vision.job import TrainingJob
from genre_spark.vision.samples import count_labels
from genre_spark.vision.trained import PosterForm
from tests.vision.conftest import make_config, slow
from tests.vision.small import HEIGHT, VOCABULARY, WIDTH


def make_job(work: Path, folder: Path, *, processes: int, where: str = "local", **settings) -> TrainingJob:
    config = make_config(
        work,
        architecture="scratch_cnn_one",
        dropout=0.0,
        distribution={"processes": processes, "where": where},
        **settings,
    )
    train = tuple(table_files(config.paths.samples("train"), made_by="sample"))
    return TrainingJob(
        settings=config.cnn,
        seed=7,
        train_files=train,
        validation_files=tuple(table_files(config.paths.samples("validation"), made_by="sample")),
        vocabulary=VOCABULARY,
        posters=PosterForm(HEIGHT, WIDTH),
        facts=count_labels(train, len(VOCABULARY)),
        normalisation=None,
        checkpoints=str(folder / "checkpoints"),
        model_file=str(folder / "network.pt"),
    )


def weights(job: TrainingJob) -> dict[str, torch.Tensor]:
    return torch.load(job.model_file, weights_only=True)["network"]


@pytest.mark.parametrize("where", ["local", pytest.param("executors", marks=slow)])
def test_two_processes_do_what_one_does_when_a_step_sees_every_sample(spark, sample_tables, tmp_path, where):
    """With the whole data in a batch the shards' order cannot matter: the weights agree within rounding."""
    settings = {"batch_size": 48, "epochs": 3, "optimizer": "sgd", "learning_rate": 0.05}
    one = make_job(sample_tables, tmp_path / "one", processes=1, **settings)
    two = make_job(sample_tables, tmp_path / "two", processes=2, where=where, **settings)
    alone, together = launch(one), launch(two)
    for name, value in weights(one).items():
        torch.testing.assert_close(weights(two)[name], value, rtol=1e-4, atol=1e-5)
    for first, second in zip(alone.history, together.history, strict=True):
        assert second.train_loss == pytest.approx(first.train_loss, rel=1e-4)
        assert second.validation_loss == pytest.approx(first.validation_loss, rel=1e-4)
        assert second.micro_f1 == pytest.approx(first.micro_f1, abs=0.05)


@slow
def test_the_error_of_a_process_is_the_error_of_the_job(spark, sample_tables, tmp_path):
    job = make_job(sample_tables, tmp_path, processes=2, batch_size=64)
    with pytest.raises(InvalidInputError, match=r"process \d of 2: cnn\.batch_size: 64, expected at most 48"):
        launch(job)


@slow
def test_a_killed_process_fails_the_job_and_the_next_run_goes_on(spark, sample_tables, tmp_path):
    settings = {"epochs": 400, "checkpoint_minutes": 0, "patience": 400}
    job = make_job(sample_tables, tmp_path, processes=2, **settings)
    checkpoint = Path(job.checkpoints) / "last.pt"

    def kill_second_rank():
        deadline = time.monotonic() + 120
        while not checkpoint.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(rank_process(1), signal.SIGKILL)

    killer = threading.Thread(target=kill_second_rank)
    killer.start()
    with pytest.raises(StageFailedError, match=r"process 1 of 2 (was killed by signal 9|ended without an error)"):
        launch(job)
    killer.join()
    reached = torch.load(checkpoint, weights_only=True)["outcome"]["epoch"]
    seen: list[int] = []
    again = make_job(sample_tables, tmp_path, processes=1, **{**settings, "epochs": 400})
    launch(again, report=lambda record: seen.append(record.epoch) or record.epoch > reached)
    assert seen[: reached + 1] == list(range(reached + 1))  # epochs before the kill came from the checkpoint


def rank_process(rank: int) -> int:
    """Return the id of a training process of a child of this one, by its environment."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environment = (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"RANK={rank}".encode() in environment and b"TORCHELASTIC_RUN_ID" in b"\0".join(environment):
                return int(folder.name)
    raise AssertionError(f"no process of rank {rank}")
