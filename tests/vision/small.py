"""Small posters and small trainings; imports no Spark, so that processes of tests start fast."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from genre_spark.config import CnnConfig
from genre_spark.vision.feed.memory_feed import MemoryFeed
from genre_spark.vision.models import build_network
from genre_spark.vision.plans.outcomes import TrainingPlan
from genre_spark.vision.training.checkpoints import Checkpoints
from genre_spark.vision.training.losses import build_loss

torch.set_num_threads(1)  # these networks are so small that a second thread only waits

VOCABULARY = ("Drama", "Horror", "Western")
HEIGHT, WIDTH = 80, 76
AUGMENTED = {"dropout": 0.5, "augmentation": {"flip": True, "crop": 0.1, "colour": 0.2}}


def make_posters(count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return posters, red for Drama, green for Horror and blue for Western over noise, and labels.

    Every poster has at least one genre.
    """
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 3)) < 0.4).astype(np.float32)
    labels[labels.sum(1) == 0, 0] = 1
    images = rng.integers(0, 80, (count, 3, HEIGHT, WIDTH), dtype=np.uint8)
    return images + (labels[:, :, None, None] * 120).astype(np.uint8), labels


def set_up_rows(
    folder, features, labels, *, network, weights=None, batch_size=None, epochs=1, **settings
):
    """Return the arguments of `train` for rows of numbers and any network, in one process."""
    batch_size = batch_size or len(features)
    weighted = "none" if weights is None else "sampling"
    config = CnnConfig(
        batch_size=batch_size, checkpoint_minutes=0, dropout=0.0, weights=weighted, **settings
    )
    feeds = (
        MemoryFeed(features, labels, weights, batch_size=batch_size, seed=5),
        MemoryFeed(features, labels, weights, batch_size=64, shuffle=False),
    )
    plan = TrainingPlan(
        config, seed=3, epochs=epochs, learning_rate=config.learning_rate, label="rows"
    )
    return network, build_loss(config.loss), feeds, plan, Checkpoints(str(folder), "rows")


def set_up(folder, posters, *, epochs=3, name="scratch_cnn_one", **settings):
    images, labels = posters
    config = CnnConfig(
        architecture=name, epochs=epochs, batch_size=8, checkpoint_minutes=0, **settings
    )
    network = build_network(name, 3, HEIGHT, WIDTH, seed=1, dropout=config.dropout)
    feeds = (
        MemoryFeed(images, labels, batch_size=8, seed=5),
        MemoryFeed(images[:16], labels[:16], batch_size=8, shuffle=False),
    )
    plan = TrainingPlan(
        config, seed=3, epochs=epochs, learning_rate=config.learning_rate, label=name
    )
    return network, build_loss(config.loss), feeds, plan, Checkpoints(str(folder), name)


def numbers(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(3, 2, (rows, 4)).astype(np.float32), (rng.random((rows, 3)) < 0.4).astype(
        np.float32
    )


def normalised() -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))
