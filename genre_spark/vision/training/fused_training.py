"""The training of a fused network: its feeds, its start, and the file that it ends in."""

from __future__ import annotations

from typing import Any

import torch

from genre_spark.config import CnnConfig
from genre_spark.vision.devices import choose_device, limited_threads
from genre_spark.vision.models.fused import FusedNetwork, build_fused
from genre_spark.vision.plans.jobs import FusedTraining
from genre_spark.vision.plans.outcomes import Report, TrainingOutcome, TrainingPlan
from genre_spark.vision.training.checkpoints import Checkpoints
from genre_spark.vision.training.loop import train
from genre_spark.vision.training.losses import build_loss
from genre_spark.vision.training.processes import ProcessGroup
from genre_spark.workers.cores import cores

__all__ = ["train_fused"]


def train_fused(
    job: FusedTraining, *, report: Report | None = None
) -> tuple[FusedNetwork, TrainingOutcome]:
    """Train in this process, from where an earlier run was stopped; return the best epoch.

    Raises:
        GenreSparkError: see `loop.train`.
    """
    # Petastorm takes one second to import
    from genre_spark.vision.feed.vector_feed import VectorFeed  # noqa: PLC0415

    settings = job.settings
    device = choose_device(settings.device)
    loop = CnnConfig(
        epochs=settings.epochs,
        batch_size=min(settings.batch_size, job.facts.rows),
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        patience=settings.patience,
        weights=settings.weights,
        precision="float32",
    )
    with limited_threads(settings.threads or cores()):
        network = build_fused(
            job.sizes,
            len(job.facts.label_counts),
            seed=job.seed,
            hidden=settings.hidden,
            dropout=settings.dropout,
            drop_part=settings.drop_part,
        )
        counts = torch.tensor(job.facts.label_counts, dtype=torch.float32)
        rows = float(job.facts.rows)
        if settings.weights == "sampling":
            counts, rows = torch.tensor(job.facts.weighted_counts), job.facts.weight
        loss = build_loss("bce")
        network.answer_always(torch.logit((counts + 0.5) / (rows + 1.0)).float())
        network.to(device)
        loss.to(device)
        common: dict[str, Any] = {"device": device, "reading": job.reading}
        feeds = (
            VectorFeed(job.files[0], batch_size=loop.batch_size, seed=job.seed, **common),
            VectorFeed(job.files[1], batch_size=1024, shuffle=False, **common),
        )
        plan = TrainingPlan(loop, job.seed, settings.epochs, settings.learning_rate, settings.name)
        outcome = train(
            network,
            loss,
            feeds,
            plan,
            Checkpoints(job.checkpoints, "fused_network"),
            group=ProcessGroup(0, 1, device),
            report=report,
        )
    return network.cpu().eval(), outcome
