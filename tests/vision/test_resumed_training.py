"""Trainings that are stopped or killed and continue from their last checkpoint."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from genre_spark.vision.plans.sample_facts import LabelWeights
from genre_spark.vision.training.loop import train
from genre_spark.vision.training.losses import build_loss
from tests.vision.small import AUGMENTED, normalised, numbers, set_up, set_up_rows


class Interrupted(Exception):
    pass


class StoppingFeed:
    """A feed that fails after a number of batches, like a process that is killed."""

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
def test_a_run_stopped_at_any_batch_reaches_the_weights_of_an_undisturbed_one(
    tmp_path, posters, optimizer, stop_after
):
    settings = {
        **AUGMENTED,
        "optimizer": optimizer,
        "schedule": {"kind": "cosine", "warmup_epochs": 0.5},
    }
    whole = set_up(tmp_path / "whole", posters, **settings)
    expected = train(*whole)

    network, loss, (feed, validation), plan, checkpoints = set_up(
        tmp_path / "stopped", posters, **settings
    )
    with pytest.raises(Interrupted):
        train(network, loss, (StoppingFeed(feed, stop_after), validation), plan, checkpoints)
    resumed = set_up(tmp_path / "stopped", posters, **settings)
    torch.rand(17)  # whatever else happened in the new process
    outcome = train(*resumed)

    for name, value in whole[0].state_dict().items():
        assert torch.equal(value, resumed[0].state_dict()[name]), name
    assert [record.train_loss for record in outcome.history] == [
        record.train_loss for record in expected.history
    ]
    assert outcome.best_epoch == expected.best_epoch


def test_a_killed_process_continues_from_its_last_checkpoint_to_the_same_weights(tmp_path):
    """kill -9 somewhere in the middle, then the same command again."""
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
    whole, again = (
        torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "killed")
    )
    assert all(
        torch.equal(whole["network"][key], again["network"][key]) for key in whole["network"]
    )


def test_a_last_batch_of_one_row_trains_weights_and_leaves_the_statistics_of_normalisation(
    tmp_path,
):
    features, labels = numbers(9)
    run = set_up_rows(
        tmp_path, features, labels, network=normalised(), batch_size=8, optimizer="sgd"
    )
    first = next(run[2][0].epoch(0)).images
    train(*run)
    statistics = run[0][0]
    assert int(statistics.num_batches_tracked) == 1  # the batch of eight rows alone
    torch.testing.assert_close(statistics.running_mean, 0.1 * first.mean(0))
    torch.testing.assert_close(statistics.running_var, 0.9 + 0.1 * first.var(0))
    eight = set_up_rows(
        tmp_path / "8", *(part[:8] for part in (features, labels)), network=normalised()
    )
    train(*eight)
    assert not torch.equal(eight[0][1].weight, run[0][1].weight)


@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_run_stopped_before_a_last_batch_of_one_row_reaches_the_same_weights(
    tmp_path, stop_after
):
    whole = set_up_rows(
        tmp_path / "whole", *numbers(9), network=normalised(), batch_size=8, epochs=3
    )
    train(*whole)
    network, loss, (feed, validation), plan, checkpoints = set_up_rows(
        tmp_path / "stopped", *numbers(9), network=normalised(), batch_size=8, epochs=3
    )
    with pytest.raises(Interrupted):
        train(network, loss, (StoppingFeed(feed, stop_after), validation), plan, checkpoints)
    resumed = set_up_rows(
        tmp_path / "stopped", *numbers(9), network=normalised(), batch_size=8, epochs=3
    )
    train(*resumed)
    for name, value in whole[0].state_dict().items():
        assert torch.equal(value, resumed[0].state_dict()[name]), name


def test_a_stopped_run_draws_the_same_negatives_again(tmp_path):
    def start(folder):
        run = set_up_rows(
            tmp_path / folder, *numbers(20), network=normalised(), batch_size=8, epochs=3
        )
        weights = LabelWeights((2.0, 1.0, 0.5), (0.5, 1.0, 2.0))
        return run[0], build_loss("bce", weights=weights, negative_rate=(0.3, 0.5, 0.7)), *run[2:]

    whole, plain = (
        start("whole"),
        set_up_rows(tmp_path / "plain", *numbers(20), network=normalised(), batch_size=8),
    )
    train(*whole), train(*plain)
    network, loss, (feed, validation), plan, checkpoints = start("stopped")
    with pytest.raises(Interrupted):
        train(network, loss, (StoppingFeed(feed, 5), validation), plan, checkpoints)
    resumed = start("stopped")
    train(*resumed)
    for name, value in whole[0].state_dict().items():
        assert torch.equal(value, resumed[0].state_dict()[name]), name
    assert not torch.equal(whole[0][1].weight, plain[0][1].weight)
