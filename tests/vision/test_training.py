"""The training loop: weights of samples, clipping, precision, stopping, schedules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from genre_spark.config import CnnConfig, ScheduleConfig
from genre_spark.vision.feed.memory_feed import MemoryFeed
from genre_spark.vision.training.loop import train
from genre_spark.vision.training.optimizers import build_optimizer, build_schedule
from tests.vision.small import normalised, numbers, set_up, set_up_rows


@pytest.mark.parametrize(("weight", "copies"), [(2, 2), (0, 0)])
def test_a_sample_of_weight_2_counts_like_two_and_one_of_weight_0_like_none(
    tmp_path, weight, copies
):
    features, labels = numbers(10)
    sgd = {"optimizer": "sgd", "learning_rate": 0.1, "epochs": 4, "patience": 9}

    def linear():
        torch.manual_seed(4)
        return nn.Linear(4, 3)

    weights = np.ones(10, np.float32)
    weights[3] = weight
    weighted = set_up_rows(
        tmp_path / "w", features, labels, weights=weights, network=linear(), **sgd
    )
    rows = [row for row in range(10) for _ in range(copies if row == 3 else 1)]
    repeated = set_up_rows(tmp_path / "r", features[rows], labels[rows], network=linear(), **sgd)
    first, second = train(*weighted), train(*repeated)
    torch.testing.assert_close(weighted[0].weight, repeated[0].weight)
    for one, other in zip(first.history, second.history, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-5)
        assert one.validation_loss == pytest.approx(other.validation_loss, rel=1e-5)


def test_a_gradient_is_clipped_to_its_largest_norm(tmp_path):
    run = set_up_rows(
        tmp_path,
        *numbers(12),
        network=normalised(),
        optimizer="sgd",
        momentum=0.0,
        learning_rate=1.0,
        clip_norm=0.01,
    )
    before = [value.detach().clone() for value in run[0].parameters()]
    train(*run)
    moved = torch.cat(
        [(new - old).flatten() for new, old in zip(run[0].parameters(), before, strict=True)]
    )
    assert float(moved.detach().norm()) == pytest.approx(0.01, rel=1e-3)


def test_bfloat16_computes_otherwise_and_keeps_weights_in_float32(tmp_path, posters):
    runs = {
        name: set_up(tmp_path / name, posters, epochs=2, precision=name)
        for name in ("float32", "bf16")
    }
    exact, mixed = (train(*run) for run in runs.values())
    assert all(value.dtype == torch.float32 for value in runs["bf16"][0].parameters())
    assert mixed.history[-1].validation_loss == pytest.approx(
        exact.history[-1].validation_loss, rel=0.05
    )
    assert mixed.history[-1].validation_loss != exact.history[-1].validation_loss


def test_training_stops_when_the_validation_loss_no_longer_improves_and_keeps_the_best_weights(
    tmp_path, posters
):
    images, labels = posters
    network, loss, (feed, _), plan, checkpoints = set_up(
        tmp_path, posters, epochs=30, patience=2, learning_rate=0.02, dropout=0.0
    )
    opposite = MemoryFeed(
        images, 1 - labels, batch_size=48, shuffle=False
    )  # the better it learns, the worse
    outcome = train(network, loss, (feed, opposite), plan, checkpoints)
    assert outcome.best_epoch == 0
    assert len(outcome.history) == 3
    best = checkpoints.load_best()
    assert best is not None
    assert all(
        torch.equal(best["network"][name], value) for name, value in network.state_dict().items()
    )


def test_a_report_can_stop_the_training(tmp_path, posters):
    network, loss, feeds, plan, checkpoints = set_up(tmp_path, posters, epochs=9)
    outcome = train(
        network, loss, feeds, plan, checkpoints, report=lambda record: record.epoch == 1
    )
    assert len(outcome.history) == 2


def test_biases_and_normalisation_do_not_decay():
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    optimizer = build_optimizer(network, CnnConfig(weight_decay=0.5), learning_rate=0.1)
    assert [(len(group["params"]), group["weight_decay"]) for group in optimizer.param_groups] == [
        (1, 0.5),
        (3, 0.0),
    ]


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
    schedule = build_schedule(
        optimizer, ScheduleConfig(kind=kind, warmup_epochs=1), epochs=2, batches=3
    )
    rates = []
    for _ in range(6):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx(expected)
