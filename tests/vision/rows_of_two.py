"""Rows of numbers trained by one process or by two; imports no Spark, so that they start fast."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from genre_spark.config import CnnConfig
from genre_spark.vision.feed.memory_feed import MemoryFeed
from genre_spark.vision.plans.outcomes import TrainingPlan
from genre_spark.vision.training.checkpoints import Checkpoints
from genre_spark.vision.training.loop import train
from genre_spark.vision.training.losses import build_loss
from genre_spark.vision.training.processes import ProcessGroup


def make_rows(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(3, 2, (rows, 4)).astype(np.float32), (rng.random((rows, 3)) < 0.4).astype(
        np.float32
    )


def train_rows(
    folder: str, rank: int, size: int, rows: int, batch_size: int, normalised: bool
) -> None:
    """Train a layer on rows of numbers, as one of `size` processes, and save the outcome."""
    torch.set_num_threads(1)
    if size > 1:
        dist.init_process_group(
            "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size
        )
    torch.manual_seed(4)
    network = nn.Sequential(nn.BatchNorm1d(4) if normalised else nn.Identity(), nn.Linear(4, 3))
    features, labels = make_rows(rows)
    share = {"batch_size": batch_size, "seed": 5, "rank": rank, "world_size": size}
    feeds = (
        MemoryFeed(features, labels, **share),
        MemoryFeed(features, labels, **{**share, "shuffle": False}),
    )
    settings = CnnConfig(batch_size=batch_size, optimizer="sgd", learning_rate=0.1, patience=9)
    plan = TrainingPlan(settings, seed=3, epochs=3, learning_rate=0.1, label="rows")
    group = ProcessGroup(rank, size)
    outcome = train(
        network,
        build_loss("bce"),
        feeds,
        plan,
        Checkpoints(f"{folder}/{size}", "rows"),
        group=group,
    )
    last, best = (asdict(outcome.history[epoch]) for epoch in (-1, outcome.best_epoch))
    torch.save(
        {"network": network.state_dict(), "last": last, "best": best},
        f"{folder}/rank-{rank}-of-{size}.pt",
    )
    if size > 1:
        dist.destroy_process_group()


UNEVEN, NORMALISED = (9, 8, False), (16, 8, True)
"""Rows, rows of a batch, and whether batches are normalised."""


def train_both(rank: int, folder: str) -> None:
    for number, arguments in enumerate((UNEVEN, NORMALISED)):
        train_rows(f"{folder}/{number}", rank, 2, *arguments)
