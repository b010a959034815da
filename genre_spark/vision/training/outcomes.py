"""What a training is told and what it tells: its plan, its epochs, how far it has come."""

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
        epoch: its number, from 0.
        train_loss: weighted mean over its samples, with dropout and augmentation, while the weights
            moved.
        validation_loss: weighted mean after it.
        hamming_loss: on validation samples, at threshold 0.5; micro_f1 and macro_f1 likewise.
        learning_rate: at its end.
        images_per_second: over the training part, all processes together.
        seconds: training and validation.
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
    """What `train` does beside the settings of the network.

    Attributes:
        settings: optimiser, schedule, loss, patience, ...
        seed: of dropout and augmentation.
        epochs: passes at most.
        learning_rate: of the optimiser.
        label: what the progress is called.
    """

    settings: CnnConfig
    seed: int
    epochs: int
    learning_rate: float
    label: str


@dataclass
class TrainingOutcome:
    """How far a training has come; it is a part of every checkpoint.

    Attributes:
        epoch: epochs that are complete.
        batch: steps of the next epoch that are done.
        best_epoch: the epoch with the lowest validation loss, -1 before the first.
        best_loss: that loss.
        finished: nothing is left to do.
        history: complete epochs.
        loss_sum: weighted loss of the epoch so far, summed over its samples.
        weight_sum: the weights of these samples.
        head_epochs: how many epochs of the history, at its start, trained the head alone; 0: there
            is one phase.
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
        """Return what `asdict` made plain."""
        return cls(**{**value, "history": [EpochRecord(**record) for record in value["history"]]})
