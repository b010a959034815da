"""The plan of a training, the records of its epochs, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from genre_spark.config import CnnConfig

__all__ = ["EpochRecord", "Report", "TrainingOutcome", "TrainingPlan"]


@dataclass(frozen=True)
class EpochRecord:
    """An epoch as it is logged.

    Attributes:
        epoch: number of the epoch, from 0.
        train_loss: weighted mean loss of its samples, with dropout and augmentation, while the
            weights changed.
        validation_loss: weighted mean loss of the validation samples after it.
        hamming_loss: Hamming loss on the validation samples, at threshold 0.5.
        micro_f1: micro-F1, likewise.
        macro_f1: macro-F1, likewise.
        learning_rate: learning rate at its end.
        images_per_second: speed of the training part, all processes together.
        seconds: duration of training and validation.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    hamming_loss: float
    micro_f1: float
    macro_f1: float
    learning_rate: float
    images_per_second: float
    seconds: float


Report = Callable[[EpochRecord], bool | None]  # True stops the training


@dataclass(frozen=True)
class TrainingPlan:
    """What `train` needs to know beside the network.

    Attributes:
        settings: settings of optimiser, schedule, loss, patience, ...
        seed: seed of dropout and augmentation.
        epochs: passes over the training samples, at most.
        learning_rate: learning rate of the optimiser.
        label: name of the training in progress and log.
    """

    settings: CnnConfig
    seed: int
    epochs: int
    learning_rate: float
    label: str


@dataclass
class TrainingOutcome:
    """How far a training has come; a part of every checkpoint.

    Attributes:
        epoch: number of complete epochs.
        batch: steps of the next epoch that are done.
        best_epoch: epoch with the lowest validation loss, -1 before the first.
        best_loss: loss of that epoch.
        finished: whether nothing is left to do.
        history: records of the complete epochs.
        loss_sum: weighted loss of the epoch so far, summed over its samples.
        weight_sum: sum of the weights of these samples.
        head_epochs: number of epochs, at the start of the history, that trained the head alone; 0:
            there is one phase.
    """

    epoch: int = 0
    batch: int = 0
    best_epoch: int = -1
    best_loss: float = float("inf")
    finished: bool = False
    history: list[EpochRecord] = field(default_factory=list)
    loss_sum: float = 0.0
    weight_sum: float = 0.0
    head_epochs: int = 0

    @classmethod
    def revive(cls, value: dict[str, Any]) -> TrainingOutcome:
        """Return the outcome that `asdict` turned into plain values."""
        return cls(**{**value, "history": [EpochRecord(**record) for record in value["history"]]})
