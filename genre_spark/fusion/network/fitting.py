"""The training of a fused network that ends in the model's file, for a process of its own."""

from __future__ import annotations

from genre_spark.fusion.network.inputs import FusedInputs
from genre_spark.fusion.network.model import FusedModel
from genre_spark.vision.plans.jobs import FusedTraining
from genre_spark.vision.plans.outcomes import Report, TrainingOutcome
from genre_spark.vision.training.fused_training import train_fused

__all__ = ["fit_fused"]


def fit_fused(
    job: FusedTraining,
    inputs: FusedInputs,
    vocabulary: tuple[str, ...],
    file: str,
    *,
    report: Report | None = None,
) -> TrainingOutcome:
    """Train from where an earlier run was stopped, and write the model of the best epoch.

    Args:
        job: training to run.
        inputs: what brings feature vectors to the network's inputs.
        vocabulary: genres in the order of the labels.
        file: file that the model goes to.
        report: function that is called after every epoch.

    Raises:
        GenreSparkError: see `loop.train`.
    """
    network, outcome = train_fused(job, report=report)
    FusedModel(inputs, network, vocabulary).save(file)
    return outcome
