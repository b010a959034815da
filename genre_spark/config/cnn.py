"""Settings of the poster networks and of the search for their hyperparameters."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from genre_spark.config.posters import FeedConfig
from genre_spark.config.section import Section

__all__ = [
    "AugmentationConfig",
    "CnnConfig",
    "DistributionConfig",
    "FineTuneConfig",
    "ScheduleConfig",
    "SearchConfig",
]


class AugmentationConfig(Section):
    """Random changes of training posters, made on the training device; 0 and false switch off."""

    flip: bool = Field(False, description="mirror every second poster")
    crop: float = Field(
        0.0,
        ge=0,
        lt=0.5,
        description="largest share of height and width that is cut away, at random places",
    )
    colour: float = Field(
        0.0, ge=0, le=1, description="strength of the changes of brightness, contrast, saturation"
    )


class ScheduleConfig(Section):
    """The learning rate over the training."""

    kind: Literal["constant", "cosine", "linear"] = Field(
        "constant", description="shape of the schedule after the warm-up"
    )
    warmup_epochs: float = Field(0.0, ge=0, description="epochs of linear increase from 0")
    final: float = Field(0.0, ge=0, le=1, description="share of the learning rate at the end")


class FineTuneConfig(Section):
    """The second stage of transfer: the top block of the network is trained too, at a low rate."""

    epochs: int = Field(0, ge=0, description="passes over the training samples; 0: no second stage")
    learning_rate: float = Field(
        1e-5, gt=0, description="learning rate of the top block and the head"
    )


class DistributionConfig(Section):
    """Processes that train together; each reads its own share of the samples."""

    processes: int = Field(1, ge=1, le=1024, description="number of processes; each takes one GPU")
    where: Literal["local", "executors"] = Field(
        "local", description="local: on the driver's machine; executors: as Spark tasks"
    )
    backend: Literal["auto", "gloo", "nccl"] = Field(
        "auto", description="auto: nccl on GPUs, gloo on CPUs"
    )

    @property
    def alone(self) -> bool:
        """Whether one process of the driver's machine trains."""
        return self.processes == 1 and self.where == "local"


class CnnConfig(Section):
    """A network and its training."""

    architecture: str = Field(
        "lenet", min_length=1, description="name of an architecture; docs/cnn.md lists them"
    )
    name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="name of the trained model; null: that of the architecture",
    )
    pretrained: str = Field(
        "auto",
        min_length=1,
        description="source of pretrained weights: auto (an installed package, where the "
        "architecture has one), none, download, or a file",
    )
    freeze: Literal["none", "backbone"] = Field(
        "none",
        description="backbone: train only the head, on features that Spark computes once",
    )
    hidden: int = Field(
        0, ge=0, description="units of a hidden layer in the head of pretrained networks; 0: none"
    )
    height: int | None = Field(
        None, ge=1, le=4096, description="height of the network's input, pixels; null: as stored"
    )
    width: int | None = Field(
        None, ge=1, le=4096, description="width of the network's input, pixels; null: as stored"
    )
    epochs: int = Field(10, ge=1, description="largest number of passes over the samples")
    batch_size: int = Field(32, ge=1, description="posters per step, over all processes")
    learning_rate: float = Field(0.001, gt=0, description="learning rate of the optimiser")
    optimizer: Literal["sgd", "adamw"] = Field("adamw", description="optimiser")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd")
    weight_decay: float = Field(
        0.0, ge=0, description="weight decay; biases and normalisation have none"
    )
    schedule: ScheduleConfig = ScheduleConfig()
    loss: Literal["bce", "bce_positive", "asymmetric", "bpmll"] = Field(
        "bce", description="loss; bce_positive weighs the positives of rare genres more"
    )
    label_weights: Literal["none", "inverse_frequency", "effective_number", "balanced"] = Field(
        "none",
        description="weights of the genres in the loss, from the samples' class weights; balanced: "
        "a genre's positives and negatives weigh the same",
    )
    negative_sampling: bool = Field(
        False,
        description="show each step a random share of a genre's negatives, weighted so that the "
        "mean stays the same",
    )
    positive_weight_limit: float = Field(
        10.0, ge=1, description="largest weight of a positive with bce_positive"
    )
    dropout: float = Field(
        0.25, ge=0, lt=1, description="share of activations dropped in the fully connected layers"
    )
    clip_norm: float | None = Field(
        None, gt=0, description="largest norm of the gradient; null: no clipping"
    )
    patience: int = Field(
        5, ge=1, description="epochs without a lower validation loss after which training stops"
    )
    weights: Literal["none", "sampling"] = Field(
        "none", description="weights of the samples; sampling: 1 / probability of being drawn"
    )
    augmentation: AugmentationConfig = AugmentationConfig()
    fine_tune: FineTuneConfig = FineTuneConfig()
    precision: Literal["auto", "float32", "bf16"] = Field(
        "auto", description="precision; auto: bf16 on CUDA, float32 on CPUs"
    )
    compile: bool = Field(False, description="compile the network with torch.compile")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="device; auto: a GPU where there is one"
    )
    threads: int | None = Field(
        None, ge=1, description="CPU threads per training process; null: cores / processes"
    )
    checkpoint_minutes: float = Field(
        5.0, ge=0, description="minutes between checkpoints inside an epoch"
    )
    distribution: DistributionConfig = DistributionConfig()
    feed: FeedConfig = FeedConfig()

    @model_validator(mode="after")
    def _consistent(self) -> CnnConfig:
        if (self.height is None) != (self.width is None):
            raise ValueError("both of height and width, or neither")
        if self.batch_size < self.distribution.processes:
            raise ValueError(
                f"batch_size >= distribution.processes, not {self.batch_size} < "
                f"{self.distribution.processes}"
            )
        if self.batch_size % self.distribution.processes:
            raise ValueError(
                f"batch_size a multiple of distribution.processes, not {self.batch_size} for "
                f"{self.distribution.processes}: each process takes the same share"
            )
        if self.loss == "bpmll" and (self.label_weights != "none" or self.negative_sampling):
            raise ValueError(
                "label_weights: none and negative_sampling: false with loss: bpmll, which ranks "
                "genres against each other, or loss: bce"
            )
        if self.loss == "bce_positive" and self.label_weights == "balanced":
            raise ValueError(
                "loss: bce with label_weights: balanced, which weighs positives itself, not "
                "bce_positive"
            )
        if self.fine_tune.epochs and self.freeze == "none":
            raise ValueError("fine_tune.epochs = 0 where nothing is frozen (freeze: none)")
        return self

    @property
    def model_name(self) -> str:
        """Name of the trained model, of its folder, its predictions and its rows in comparisons."""
        return self.name or self.architecture


class SearchConfig(Section):
    """Trials of `cnn` with learning rates and dropouts that Optuna draws."""

    trials: int = Field(3, ge=1, description="number of trials, over all runs of this search")
    epochs: int = Field(10, ge=1, description="largest number of passes over the samples per trial")
    sampler: Literal["random", "tpe"] = Field("random", description="Optuna's sampler")
    pruner: Literal["none", "median"] = Field(
        "none", description="Optuna's pruner; median: stop trials that are worse than most"
    )
    learning_rate: tuple[float, float] = Field(
        (0.0015, 0.05), description="bounds of the learning rate, drawn evenly on a log scale"
    )
    dropout: tuple[float, float] = Field((0.1, 0.5), description="bounds of the dropout")
    dropout_step: float = Field(0.05, gt=0, lt=1, description="step between values of the dropout")
    parallelism: int = Field(
        1, ge=1, description="trials that run at once, as Spark tasks; 1: one by one in the driver"
    )

    @field_validator("learning_rate", "dropout")
    @classmethod
    def _ascending(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError(f"0 < lower bound <= upper bound, not {value[0]}, {value[1]}")
        return value
