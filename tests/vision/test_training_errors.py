"""Checkpoints that do not fit, losses that diverge and devices without memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from genre_spark.errors import InvalidInputError, StageFailedError, TrainingDivergedError
from genre_spark.vision.feed.memory_feed import MemoryFeed
from genre_spark.vision.inference.network_file import TrainedNetwork
from genre_spark.vision.models import build_network
from genre_spark.vision.plans.poster_form import PosterForm
from genre_spark.vision.training.loop import train
from tests.vision.small import numbers, set_up, set_up_rows


class Greedy(nn.Module):
    """Asks for more memory than there is, in training or in validation."""

    def __init__(self, phase):
        super().__init__()
        self.layer, self.phase, self.size = nn.Linear(4, 3), phase, (345, 230)

    def forward(self, rows):
        if self.training == (self.phase == "training"):
            raise torch.cuda.OutOfMemoryError("x")
        return self.layer(rows)


@pytest.mark.parametrize("phase", ["training", "validation"])
def test_a_gpu_without_memory_left_is_reported_with_what_to_lower(tmp_path, phase):
    run = set_up_rows(tmp_path, *numbers(8), network=Greedy(phase))
    with pytest.raises(
        StageFailedError, match=r"cnn\.batch_size=8 at 345x230 pixels: lower cnn\.batch_size.*\(x\)"
    ):
        train(*run)


def test_a_gpu_without_memory_left_is_reported_in_prediction_too(monkeypatch):
    network = build_network("scratch_cnn_one", 3, 80, 76, seed=0)
    trained = TrainedNetwork(network, ("a", "b", "c"), torch.device("cpu"), PosterForm(80, 76))

    def fail(images):
        raise torch.cuda.OutOfMemoryError("x")

    monkeypatch.setattr(network, "features", fail)
    for predict in (trained.probabilities, trained.features):
        with pytest.raises(StageFailedError, match=r"embeddings\.batch_size=2 at 80x76 pixels"):
            predict(np.zeros((2, 3, 80, 76), np.uint8))


def test_the_best_checkpoint_is_whole_and_a_training_can_continue_from_it(tmp_path, posters):
    run = set_up(tmp_path, posters, epochs=3)
    whole = train(*run)
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    last = torch.load(tmp_path / "last.pt", weights_only=True)
    assert set(best) == set(last) | {"epoch", "loss"}
    assert best["outcome"]["epoch"] == whole.best_epoch + 1
    (tmp_path / "last.pt").write_bytes((tmp_path / "best.pt").read_bytes())
    again = set_up(tmp_path, posters, epochs=3)
    assert [record.train_loss for record in train(*again).history] == [
        record.train_loss for record in whole.history
    ]


def test_checkpoints_load_without_running_code(tmp_path, posters):
    run = set_up(tmp_path, posters, epochs=1)
    train(*run)
    for file in ("last.pt", "best.pt"):
        assert torch.load(tmp_path / file, weights_only=True)["architecture"] == "scratch_cnn_one"
    assert not list(tmp_path.glob("*.tmp"))
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_checkpoint_of_another_architecture_is_reported(tmp_path, posters):
    train(*set_up(tmp_path, posters, epochs=1))
    with pytest.raises(
        InvalidInputError, match="a checkpoint of scratch_cnn_one, expected one of lenet"
    ):
        train(*set_up(tmp_path, posters, epochs=1, name="lenet"))


def test_a_damaged_checkpoint_is_reported_with_its_path(tmp_path, posters):
    (tmp_path / "last.pt").write_bytes(b"no weights at all")
    with pytest.raises(InvalidInputError, match=r"last\.pt: not a file of tensors"):
        train(*set_up(tmp_path, posters, epochs=1))


def test_a_loss_that_is_not_a_number_stops_with_epoch_batch_and_rate_and_keeps_the_last_good_state(
    tmp_path, posters
):
    images, labels = posters
    network, loss, (_, validation), plan, checkpoints = set_up(tmp_path, posters)
    spoilt = labels.copy()
    spoilt[np.random.default_rng([5, 0]).permutation(len(labels))[20]] = (
        np.nan
    )  # in the third batch of the first epoch
    with pytest.raises(
        TrainingDivergedError, match=r"epoch 1, batch 3 of 6, at learning rate 0\.001"
    ):
        train(
            network,
            loss,
            (MemoryFeed(images, spoilt, batch_size=8, seed=5), validation),
            plan,
            checkpoints,
        )
    kept = checkpoints.load_last()
    assert kept is not None
    assert kept["outcome"]["batch"] == 2
    assert all(torch.isfinite(value).all() for value in kept["network"].values())


def test_a_gradient_that_overflows_stops_before_it_reaches_the_weights(tmp_path, posters):
    run = set_up(tmp_path, posters, optimizer="sgd", learning_rate=1e30)
    with pytest.raises(TrainingDivergedError, match=r"lower cnn\.learning_rate"):
        train(*run)


def test_a_batch_larger_than_the_data_is_reported(tmp_path, posters):
    network, loss, (_, validation), plan, checkpoints = set_up(tmp_path, posters)
    few = MemoryFeed(posters[0][:5], posters[1][:5], batch_size=8)
    with pytest.raises(InvalidInputError, match=r"cnn\.batch_size: 8, expected at most 5"):
        train(network, loss, (few, validation), plan, checkpoints)
