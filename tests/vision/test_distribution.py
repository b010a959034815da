"""TorchDistributor on this machine: equality with one process, and the report of a killed rank."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from torch import multiprocessing, nn

from genre_spark.errors import InvalidConfigError, InvalidInputError, StageFailedError
from genre_spark.storage.tables import table_files
from genre_spark.vision.feed.memory_feed import MemoryFeed
from genre_spark.vision.plans.jobs import TrainingJob
from genre_spark.vision.plans.poster_form import PosterForm
from genre_spark.vision.plans.sample_facts import count_labels
from genre_spark.vision.training.distribution import choose_backend
from genre_spark.vision.training.launch import launch
from genre_spark.vision.training.losses import build_loss
from genre_spark.vision.training.processes import ProcessGroup
from genre_spark.vision.training.validation import score
from tests.vision.conftest import make_config, slow
from tests.vision.rows_of_two import UNEVEN, make_rows, train_both, train_rows
from tests.vision.small import HEIGHT, VOCABULARY, WIDTH


def make_job(
    work: Path,
    folder: Path,
    *,
    processes: int,
    where: str = "local",
    backend: str = "auto",
    **settings,
) -> TrainingJob:
    config = make_config(
        work,
        architecture="scratch_cnn_one",
        dropout=0.0,
        distribution={"processes": processes, "where": where, "backend": backend},
        **settings,
    )
    train = tuple(table_files(config.paths.samples("train")))
    return TrainingJob(
        settings=config.cnn,
        seed=7,
        train_files=train,
        validation_files=tuple(table_files(config.paths.samples("validation"))),
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
def test_two_processes_do_what_one_does_when_a_step_sees_every_sample(
    spark, sample_tables, tmp_path, where
):
    """With all data in one batch, order cannot matter: the weights agree within rounding."""
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
    with pytest.raises(
        InvalidInputError, match=r"process \d of 2: cnn\.batch_size: 64, expected at most 48"
    ):
        launch(job)


@slow
@pytest.mark.parametrize("where", ["local", "executors"])
def test_a_killed_process_fails_the_job_and_the_next_run_continues(
    spark, sample_tables, tmp_path, where
):
    settings = {"epochs": 400, "checkpoint_minutes": 0, "patience": 400}
    job = make_job(sample_tables, tmp_path, processes=2, where=where, **settings)
    checkpoint = Path(job.checkpoints) / "last.pt"

    def kill_second_rank():
        deadline = time.monotonic() + 120
        while not checkpoint.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(rank_process(1), signal.SIGKILL)

    killer = threading.Thread(target=kill_second_rank)
    killer.start()
    with pytest.raises(
        StageFailedError, match=r"process 1 of 2 (was killed by signal 9|ended without an error)"
    ):
        launch(job)
    killer.join()
    reached = torch.load(checkpoint, weights_only=True)["outcome"]["epoch"]
    seen: list[int] = []
    again = make_job(sample_tables, tmp_path, processes=1, **{**settings, "epochs": 400})
    launch(again, report=lambda record: seen.append(record.epoch) or record.epoch > reached)
    assert seen[: reached + 1] == list(
        range(reached + 1)
    )  # epochs before the kill came from the checkpoint


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[Path, Path]:
    """The folders of what two processes, started once, have trained on each of both."""
    folder = tmp_path_factory.mktemp("pair")
    for number in range(2):
        (folder / str(number)).mkdir()
    multiprocessing.spawn(train_both, (str(folder),), nprocs=2)
    return folder / "0", folder / "1"


def test_a_process_without_a_share_of_the_last_batch_changes_nothing(pair, tmp_path):
    """Of nine rows in batches of eight, the second process has none in the last batch."""
    train_rows(str(tmp_path), 0, 1, *UNEVEN)
    files = (tmp_path / "rank-0-of-1.pt", pair[0] / "rank-0-of-2.pt", pair[0] / "rank-1-of-2.pt")
    alone, first, second = map(torch.load, files)
    for name, value in alone["network"].items():
        torch.testing.assert_close(first["network"][name], value)
        assert torch.equal(first["network"][name], second["network"][name])
    assert first["last"]["train_loss"] == pytest.approx(alone["last"]["train_loss"])
    assert first["last"]["validation_loss"] == pytest.approx(alone["last"]["validation_loss"])


def test_processes_validate_with_the_statistics_of_the_first_one(pair):
    """The validation loss is that of the kept network on all rows."""
    kept = torch.load(pair[1] / "rank-0-of-2.pt")
    network = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))
    network.load_state_dict(kept["network"])
    feed = MemoryFeed(*make_rows(16), batch_size=16, shuffle=False)
    scores = score(
        network, build_loss("bce"), feed, ProcessGroup(), precision="float32", weighted=False
    )
    assert scores.loss == pytest.approx(kept["best"]["validation_loss"], rel=1e-6)


@pytest.mark.parametrize(
    ("gpus", "device", "asked", "expected"),
    [
        (0, "auto", "auto", "gloo"),
        (2, "auto", "auto", "nccl"),
        (1, "auto", "auto", "gloo"),
        (2, "cpu", "auto", "gloo"),
    ],
)
def test_processes_communicate_through_nccl_where_each_has_a_gpu(
    sample_tables, tmp_path, monkeypatch, gpus, device, asked, expected
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert choose_backend(make_job(sample_tables, tmp_path, processes=2, device=device)) == expected


def test_nccl_for_more_processes_than_gpus_is_reported(sample_tables, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    job = make_job(sample_tables, tmp_path, processes=2, backend="nccl")
    with pytest.raises(
        InvalidConfigError, match="nccl for 2 processes on 1 GPUs, expected a GPU for each"
    ):
        choose_backend(job)


def rank_process(rank: int) -> int:
    """Return the id of a training process of a child of this one, by its environment."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environment = (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"RANK={rank}".encode() in environment and b"TORCHELASTIC_RUN_ID" in b"\0".join(
                environment
            ):
                return int(folder.name)
    raise AssertionError(f"no process of rank {rank}")
