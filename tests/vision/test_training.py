from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from genre_spark.config import AugmentationConfig, CnnConfig, ScheduleConfig
from genre_spark.errors import InvalidInputError, TrainingDivergedError
from genre_spark.vision.augmentation import augment
from genre_spark.vision.memory_feed import MemoryFeed
from genre_spark.vision.optimizers import build_optimizer, build_schedule
from genre_spark.vision.training import train
from tests.vision.small import AUGMENTED, set_up


class Interrupted(Exception):
    pass


class StoppingFeed:
    """A feed that dies after so many batches, like a process that is killed."""

    def __init__(self, feed, after):
        self.feed, self.left = feed, after
        self.rows, self.batches_per_epoch = feed.rows, feed.batches_per_epoch

    def epoch(self, epoch, skip_batches=0):
        for batch in self.feed.epoch(epoch, skip_batches):
            if self.left == 0:
                raise Interrupted
            self.left -= 1
            yield batch


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("stop_after", [1, 6, 11])
def test_a_run_stopped_at_any_batch_reaches_the_weights_of_an_undisturbed_one(tmp_path, posters, optimizer, stop_after):
    settings = {**AUGMENTED, "optimizer": optimizer, "schedule": {"kind": "cosine", "warmup_epochs": 0.5}}
    whole = set_up(tmp_path / "whole", posters, **settings)
    expected = train(*whole)

    network, loss, (feed, validation), plan, checkpoints = set_up(tmp_path / "stopped", posters, **settings)
    with pytest.raises(Interrupted):
        train(network, loss, (StoppingFeed(feed, stop_after), validation), plan, checkpoints)
    resumed = set_up(tmp_path / "stopped", posters, **settings)
    torch.rand(17)  # whatever else happened in the new process
    outcome = train(*resumed)

    for name, value in whole[0].state_dict().items():
        assert torch.equal(value, resumed[0].state_dict()[name]), name
    assert [record.train_loss for record in outcome.history] == [record.train_loss for record in expected.history]
    assert outcome.best_epoch == expected.best_epoch


def test_a_killed_process_goes_on_from_its_last_checkpoint_to_the_same_weights(tmp_path):
    """The real thing: kill -9 somewhere in the middle, then the same command again."""
    script = Path(__file__).parent / "train_alone.py"
    command = [sys.executable, str(script)]

    def run(folder, pause):
        return subprocess.Popen([*command, str(folder), str(pause)], cwd=script.parents[2])

    assert run(tmp_path / "whole", 0).wait(timeout=120) == 0
    process = run(tmp_path / "killed", 0.2)
    deadline = time.monotonic() + 100
    while not (tmp_path / "killed" / "last.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)  # some batches further
    process.kill()
    assert process.wait() != 0
    last = torch.load(tmp_path / "killed" / "last.pt", weights_only=True)
    assert not last["outcome"]["finished"]
    assert run(tmp_path / "killed", 0).wait(timeout=120) == 0
    whole, again = (torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "killed"))
    assert all(torch.equal(whole["network"][key], again["network"][key]) for key in whole["network"])


def test_checkpoints_load_without_running_code(tmp_path, posters):
    run = set_up(tmp_path, posters, epochs=1)
    train(*run)
    for file in ("last.pt", "best.pt"):
        assert torch.load(tmp_path / file, weights_only=True)["architecture"] == "scratch_cnn_one"
    assert not list(tmp_path.glob("*.tmp"))
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_checkpoint_of_another_architecture_is_told(tmp_path, posters):
    train(*set_up(tmp_path, posters, epochs=1))
    with pytest.raises(InvalidInputError, match="a checkpoint of scratch_cnn_one, expected one of lenet"):
        train(*set_up(tmp_path, posters, epochs=1, name="lenet"))


def test_a_damaged_checkpoint_is_told_with_its_path(tmp_path, posters):
    (tmp_path / "last.pt").write_bytes(b"no weights at all")
    with pytest.raises(InvalidInputError, match=r"last\.pt: not a file of tensors"):
        train(*set_up(tmp_path, posters, epochs=1))


def test_a_loss_that_is_not_a_number_stops_with_epoch_batch_and_rate_and_keeps_the_last_good_state(tmp_path, posters):
    images, labels = posters
    network, loss, (_, validation), plan, checkpoints = set_up(tmp_path, posters)
    spoilt = labels.copy()
    spoilt[np.random.default_rng([5, 0]).permutation(len(labels))[20]] = np.nan  # in the third batch of the first epoch
    with pytest.raises(TrainingDivergedError, match=r"epoch 1, batch 3 of 6, at learning rate 0\.001"):
        train(network, loss, (MemoryFeed(images, spoilt, batch_size=8, seed=5), validation), plan, checkpoints)
    kept = checkpoints.load_last()
    assert kept is not None
    assert kept["outcome"]["batch"] == 2
    assert all(torch.isfinite(value).all() for value in kept["network"].values())


def test_a_gradient_that_overflows_stops_before_it_reaches_the_weights(tmp_path, posters):
    run = set_up(tmp_path, posters, optimizer="sgd", learning_rate=1e30)
    with pytest.raises(TrainingDivergedError, match=r"lower cnn\.learning_rate"):
        train(*run)


def test_training_stops_when_the_validation_loss_no_longer_improves_and_keeps_the_best_weights(tmp_path, posters):
    images, labels = posters
    network, loss, (feed, _), plan, checkpoints = set_up(
        tmp_path, posters, epochs=30, patience=2, learning_rate=0.02, dropout=0.0
    )
    opposite = MemoryFeed(images, 1 - labels, batch_size=48, shuffle=False)  # the better it learns, the worse
    outcome = train(network, loss, (feed, opposite), plan, checkpoints)
    assert outcome.best_epoch == 0
    assert len(outcome.history) == 3
    best = checkpoints.load_best()
    assert best is not None
    assert all(torch.equal(best["network"][name], value) for name, value in network.state_dict().items())


def test_a_report_can_stop_the_training(tmp_path, posters):
    network, loss, feeds, plan, checkpoints = set_up(tmp_path, posters, epochs=9)
    outcome = train(network, loss, feeds, plan, checkpoints, report=lambda record: record.epoch == 1)
    assert len(outcome.history) == 2


def test_a_batch_larger_than_the_data_is_told(tmp_path, posters):
    network, loss, (_, validation), plan, checkpoints = set_up(tmp_path, posters)
    few = MemoryFeed(posters[0][:5], posters[1][:5], batch_size=8)
    with pytest.raises(InvalidInputError, match=r"cnn\.batch_size: 8, expected at most 5"):
        train(network, loss, (few, validation), plan, checkpoints)


def test_biases_and_normalisation_do_not_decay():
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    optimizer = build_optimizer(network, CnnConfig(weight_decay=0.5), learning_rate=0.1)
    assert [(len(group["params"]), group["weight_decay"]) for group in optimizer.param_groups] == [(1, 0.5), (3, 0.0)]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("constant", [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]),
        ("linear", [0.25, 0.5, 0.75, 1.0, 2 / 3, 1 / 3]),
        ("cosine", [0.25, 0.5, 0.75, 1.0, 0.75, 0.25]),
    ],
)
def test_the_rate_warms_up_and_then_follows_its_course(kind, expected):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = build_schedule(optimizer, ScheduleConfig(kind=kind, warmup_epochs=1), epochs=2, batches=3)
    rates = []
    for _ in range(6):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx(expected)


def test_augmentation_keeps_shape_type_and_range_and_changes_posters(posters):
    images = torch.from_numpy(posters[0][:6])
    torch.manual_seed(0)
    changed = augment(images, AugmentationConfig(flip=True, crop=0.2, colour=0.3))
    assert changed.shape == images.shape
    assert changed.dtype == torch.uint8
    assert not torch.equal(changed, images)
    assert torch.equal(augment(images, AugmentationConfig()), images)


def test_mirroring_is_drawn_for_each_poster(posters):
    images = torch.from_numpy(posters[0][:16])
    torch.manual_seed(0)
    changed = augment(images, AugmentationConfig(flip=True))
    mirrored = [torch.equal(new, old.flip(2)) for new, old in zip(changed, images, strict=True)]
    kept = [torch.equal(new, old) for new, old in zip(changed, images, strict=True)]
    assert any(mirrored)
    assert any(kept)
    assert all(a or b for a, b in zip(mirrored, kept, strict=True))
