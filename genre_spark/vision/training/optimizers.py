"""Optimisers and schedules of the learning rate."""

from __future__ import annotations

import math

from torch import nn, optim
from torch.optim.lr_scheduler import LambdaLR

from genre_spark.config import CnnConfig, ScheduleConfig
from genre_spark.errors import InvalidConfigError

__all__ = ["build_optimizer", "build_schedule"]


def build_optimizer(
    network: nn.Module, config: CnnConfig, *, learning_rate: float
) -> optim.Optimizer:
    """Return the optimiser of the parameters that are not frozen.

    Biases and normalisation have no weight decay.

    Raises:
        InvalidConfigError: unknown optimiser; the text lists the known ones.
    """
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {
            "params": [value for value in trained if value.ndim > 1],
            "weight_decay": config.weight_decay,
        },
        {"params": [value for value in trained if value.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.optimizer == "sgd":
        return optim.SGD(groups, lr=learning_rate, momentum=config.momentum)
    if config.optimizer == "adamw":
        return optim.AdamW(groups, lr=learning_rate)
    raise InvalidConfigError(f"cnn.optimizer: {config.optimizer!r}, expected one of adamw, sgd")


def build_schedule(
    optimizer: optim.Optimizer, config: ScheduleConfig, *, epochs: int, batches: int
) -> LambdaLR:
    """Return the schedule, a function of the step: linear warm-up, then constant, cosine or linear.

    Args:
        optimizer: optimiser whose rate it changes.
        config: kind, warm-up and final share.
        epochs: number of epochs of the whole training.
        batches: steps per epoch.
    """
    warmup, total = round(config.warmup_epochs * batches), epochs * batches

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        done = min(1.0, (step - warmup) / max(1, total - warmup))
        if config.kind == "cosine":
            return config.final + (1 - config.final) * (1 + math.cos(math.pi * done)) / 2
        if config.kind == "linear":
            return config.final + (1 - config.final) * (1 - done)
        return 1.0

    return LambdaLR(optimizer, share)
