"""The training of a poster network: what each of its processes does."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from genre_spark.config import CnnConfig
from genre_spark.vision.devices import (
    choose_device,
    explained_memory_errors,
    limited_threads,
)
from genre_spark.vision.feed.memory_feed import MemoryFeed
from genre_spark.vision.feed.protocols import Feed
from genre_spark.vision.inference.network_file import save_network
from genre_spark.vision.models import PosterNetwork, build_network
from genre_spark.vision.models.weights import load_pretrained
from genre_spark.vision.plans.jobs import TrainingJob
from genre_spark.vision.plans.outcomes import EpochRecord, Report, TrainingOutcome, TrainingPlan
from genre_spark.vision.training.checkpoints import Checkpoints
from genre_spark.vision.training.loop import train
from genre_spark.vision.training.losses import GenreLoss, build_loss, positive_weights
from genre_spark.vision.training.processes import ProcessGroup
from genre_spark.workers.cores import cores

__all__ = ["job_loss", "job_network", "poster_feeds", "run_job"]

logger = logging.getLogger("genre_spark")


def job_network(job: TrainingJob) -> PosterNetwork:
    """Return the network as it is before training, pretrained where the settings say so."""
    settings = job.settings
    network = build_network(
        settings.architecture,
        len(job.vocabulary),
        settings.height or job.posters.height,
        settings.width or job.posters.width,
        seed=job.seed,
        dropout=settings.dropout,
        hidden=settings.hidden,
        normalisation=job.normalisation,
    )
    rows, counts = _seen_labels(job)
    network.answer_always(job_loss(job).best_constant((torch.tensor(counts) + 0.5) / (rows + 1.0)))
    source = load_pretrained(network, settings.pretrained)
    if source is not None:
        logger.info("  %s: pretrained weights from %s", settings.architecture, source)
    return network


def run_job(
    job: TrainingJob,
    *,
    rank: int = 0,
    size: int = 1,
    local_rank: int = 0,
    report: Report | None = None,
) -> TrainingOutcome:
    """Train as one process of `size`; the first one writes the trained network.

    Raises:
        GenreSparkError: see `loop.train` and `weights.load_pretrained`.
    """
    device = choose_device(job.settings.device, local_rank=local_rank)
    group = ProcessGroup(rank, size, device)
    # feeds decode in threads of their own; a training process takes its share of the cores
    threads = job.settings.threads or max(
        1, cores() // (size if job.settings.distribution.where == "local" else 1)
    )
    with limited_threads(threads):
        network, loss = job_network(job), job_loss(job)
        with explained_memory_errors("cnn.batch_size", job.settings.batch_size, network.size):
            network.to(device)
            loss.to(device)
            if device.type == "cuda":
                torch.cuda.set_device(device)
        phases = [_train_head, _fine_tune] if job.embedded is not None else [_train_whole]
        outcome = TrainingOutcome()
        for phase in phases:
            outcome = phase(job, network, loss, group, report, outcome)
        if group.leads:
            save_network(job.model_file, network, job.vocabulary, job.posters, mirror=job.mirror)
        group.wait()
    return outcome


def _train_whole(
    job: TrainingJob,
    network: PosterNetwork,
    loss: GenreLoss,
    group: ProcessGroup,
    report: Report | None,
    _before: TrainingOutcome,
) -> TrainingOutcome:
    settings = job.settings
    plan = TrainingPlan(
        settings, job.seed, settings.epochs, settings.learning_rate, settings.model_name
    )
    checkpoints = Checkpoints(job.checkpoints, settings.architecture)
    with poster_feeds(job, group) as feeds:
        return train(network, loss, feeds, plan, checkpoints, group=group, report=report)


def _train_head(
    job: TrainingJob,
    network: PosterNetwork,
    loss: GenreLoss,
    group: ProcessGroup,
    report: Report | None,
    _before: TrainingOutcome,
) -> TrainingOutcome:
    settings = job.settings
    plan = TrainingPlan(
        settings, job.seed, settings.epochs, settings.learning_rate, f"{settings.model_name} head"
    )
    checkpoints = Checkpoints(f"{job.checkpoints}/head", settings.architecture)
    feeds = _embedded_feeds(job, group)
    return train(network.head, loss, feeds, plan, checkpoints, group=group, report=report)


def _fine_tune(
    job: TrainingJob,
    network: PosterNetwork,
    loss: GenreLoss,
    group: ProcessGroup,
    report: Report | None,
    before: TrainingOutcome,
) -> TrainingOutcome:
    """Train the top block too; keep the head alone if that does not lower the validation loss.

    The epochs of both phases are counted through.
    """
    settings = job.settings
    if not settings.fine_tune.epochs:
        return before
    network.freeze(all_but=network.top)
    only_head = {name: value.clone() for name, value in network.state_dict().items()}
    plan = TrainingPlan(
        settings,
        job.seed,
        settings.fine_tune.epochs,
        settings.fine_tune.learning_rate,
        f"{settings.model_name} top",
    )
    checkpoints = Checkpoints(f"{job.checkpoints}/top", settings.architecture)

    def report_later(record: EpochRecord) -> bool | None:
        return (
            report(replace(record, epoch=record.epoch + len(before.history)))
            if report is not None
            else None
        )

    with poster_feeds(job, group) as feeds:
        outcome = train(network, loss, feeds, plan, checkpoints, group=group, report=report_later)
    first = len(before.history)
    tuned = [replace(record, epoch=record.epoch + first) for record in outcome.history]
    both = replace(before, history=before.history + tuned, head_epochs=first)
    if outcome.best_loss >= before.best_loss:
        logger.info(
            "  %s: fine-tuning did not lower the validation loss; the head alone is kept",
            settings.model_name,
        )
        network.load_state_dict(only_head)
        return both
    return replace(both, best_epoch=outcome.best_epoch + first, best_loss=outcome.best_loss)


def job_loss(job: TrainingJob) -> GenreLoss:
    """Return the loss that the settings name, with the weights of the job's samples."""
    settings = job.settings
    rows, counts = _seen_labels(job)
    positive = positive_weights(torch.tensor(counts), rows, limit=settings.positive_weight_limit)
    return build_loss(
        settings.loss, positive=positive, weights=job.label_weights, negative_rate=job.negative_rate
    )


def _seen_labels(job: TrainingJob) -> tuple[float, list[float]]:
    """Return the number of samples and the positives per label, as the loss counts them."""
    facts = job.facts
    if job.settings.weights == "sampling":
        return facts.weight, list(facts.weighted_counts)
    return float(facts.rows), [float(count) for count in facts.label_counts]


def _embedded_feeds(job: TrainingJob, group: ProcessGroup) -> tuple[Feed, Feed]:
    if job.embedded is None:
        raise ValueError("embedded: None, expected features of the frozen backbone")
    train_samples, validation_samples = job.embedded
    return (
        MemoryFeed(
            *train_samples.arrays(),
            batch_size=job.settings.batch_size,
            seed=job.seed,
            rank=group.rank,
            world_size=group.size,
            device=group.device,
        ),
        MemoryFeed(
            *validation_samples.arrays(),
            batch_size=1024,
            shuffle=False,
            rank=group.rank,
            world_size=group.size,
            device=group.device,
        ),
    )


def _count_workers(settings: CnnConfig, group: ProcessGroup) -> int:
    """Return the threads that decode beside a network: a GPU leaves a machine's cores to them."""
    if group.device.type == "cpu":
        return 2
    processes = group.size if settings.distribution.where == "local" else 1
    return max(2, min(16, cores() // processes))


@contextmanager
def poster_feeds(job: TrainingJob, group: ProcessGroup) -> Iterator[tuple[Feed, Feed]]:
    """Yield one process's feeds of training and validation samples; close them at the end."""
    # Petastorm takes one second to import
    from genre_spark.vision.feed.poster_feed import PosterFeed  # noqa: PLC0415

    settings = job.settings
    share = max(1, settings.batch_size // group.size)
    common: dict[str, Any] = {
        "seed": job.seed,
        "rank": group.rank,
        "world_size": group.size,
        "workers": settings.feed.workers or _count_workers(settings, group),
        "prefetch": settings.feed.prefetch,
        "device": group.device,
        "reading": settings.feed.reader,
    }
    with (
        PosterFeed(
            job.train_files, batch_size=share, shuffle_buffer=settings.feed.shuffle_buffer, **common
        ) as train_feed,
        PosterFeed(
            job.validation_files, batch_size=share, shuffle=False, **common
        ) as validation_feed,
    ):
        yield train_feed, validation_feed
