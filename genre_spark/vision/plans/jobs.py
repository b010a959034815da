"""Trainings as values that can be sent to other processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from genre_spark.config import CnnConfig, FusedNetworkConfig
from genre_spark.vision.feed.embedded import EmbeddedSamples
from genre_spark.vision.plans.poster_form import Normalisation, PosterForm
from genre_spark.vision.plans.sample_facts import LabelWeights, SampleFacts

__all__ = ["FusedTraining", "TrainingJob"]


@dataclass(frozen=True)
class TrainingJob:
    """Everything that a process needs to take part in a training; it can be pickled.

    Attributes:
        settings: settings of the network and its training.
        seed: seed of weights, order and dropout.
        train_files: Parquet files of the training samples.
        validation_files: Parquet files of the validation samples.
        vocabulary: genres, in the order of the labels.
        posters: form of the stored posters.
        facts: facts of the training samples.
        normalisation: mean and deviation of the training posters.
        checkpoints: folder of this training's state.
        model_file: file that the trained network goes to.
        embedded: features of the frozen backbone for training and validation, where it is frozen.
        mirror: whether these are means over the poster and its mirror image.
        label_weights: weights of the genres in the loss.
        negative_rate: share of each genre's negatives that a step sees, in the order of the
            vocabulary.
    """

    settings: CnnConfig
    seed: int
    train_files: tuple[str, ...]
    validation_files: tuple[str, ...]
    vocabulary: tuple[str, ...]
    posters: PosterForm
    facts: SampleFacts
    normalisation: Normalisation | None
    checkpoints: str
    model_file: str
    embedded: tuple[EmbeddedSamples, EmbeddedSamples] | None = None
    mirror: bool = False
    label_weights: LabelWeights | None = None
    negative_rate: tuple[float, ...] | None = None


@dataclass(frozen=True)
class FusedTraining:
    """Everything that the training of a fused network needs.

    Attributes:
        settings: settings of the network.
        seed: seed of weights, order and dropout.
        files: Parquet files of the inputs of training and of validation movies.
        sizes: number of features of each part.
        facts: of the training movies.
        checkpoints: folder of this training's state.
        reading: who reads the files.
    """

    settings: FusedNetworkConfig
    seed: int
    files: tuple[Sequence[str], Sequence[str]]
    sizes: tuple[int, ...]
    facts: SampleFacts
    checkpoints: str
    reading: Literal["petastorm", "parquet"] = "petastorm"
