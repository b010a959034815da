"""The training loop: one epoch after the other, starting where an earlier run was stopped."""

from __future__ import annotations

import logging
import time
from contextlib import closing, nullcontext
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from genre_spark.errors import InvalidInputError, TrainingDivergedError
from genre_spark.numeric.splitmix import mixed_seed
from genre_spark.vision.devices import autocast, explained_memory_errors
from genre_spark.vision.feed.protocols import Batch, Feed
from genre_spark.vision.plans.outcomes import EpochRecord, Report, TrainingOutcome, TrainingPlan
from genre_spark.vision.training.augmentation import augment
from genre_spark.vision.training.checkpoints import Checkpoints, restore_random_states
from genre_spark.vision.training.losses import GenreLoss
from genre_spark.vision.training.normalisation import still_normalisation
from genre_spark.vision.training.optimizers import build_optimizer, build_schedule
from genre_spark.vision.training.processes import ProcessGroup
from genre_spark.vision.training.progress import EpochProgress
from genre_spark.vision.training.validation import score
from genre_spark.workers.kept_memory import kept_memory

__all__ = ["train"]

logger = logging.getLogger("genre_spark")

_CHECK_EVERY = 25  # steps between checks of the loss on a GPU: each check waits for the device


def train(
    network: nn.Module,
    loss: GenreLoss,
    feeds: tuple[Feed, Feed],
    plan: TrainingPlan,
    checkpoints: Checkpoints,
    *,
    group: ProcessGroup | None = None,
    report: Report | None = None,
) -> TrainingOutcome:
    """Train until all epochs are done or the validation loss stops improving.

    It stops when the loss has not improved for `patience` epochs. The network ends with the weights
    of the best epoch. A run that was stopped anywhere goes on from `last.pt` and, on a CPU, reaches
    the same weights bit for bit: the order of batches is a function of seed and epoch, and the
    randomness of a step (dropout, augmentation) of seed, epoch, step and process.

    Args:
        network: on the group's device; images (N, ...) -> logits (N, L).
        loss: on the group's device.
        feeds: training and validation samples of this process.
        plan: epochs, rate, seed and settings.
        checkpoints: checkpoints that keep the state.
        group: processes that train together; None: this one alone.
        report: function that is called after every epoch on the first process.

    Raises:
        InvalidInputError: the batch is larger than the data, or the checkpoint belongs to another
            network.
        TrainingDivergedError: the loss or the gradient became NaN or infinite; the last good
            checkpoint stays.
        StageFailedError: a GPU ran out of memory.
    """
    group = group or ProcessGroup()
    explained = explained_memory_errors(
        "cnn.batch_size", plan.settings.batch_size, getattr(network, "size", None)
    )
    with explained, kept_memory() if group.device.type == "cpu" else nullcontext():
        return _Training(network, loss, feeds, plan, checkpoints, group, report).run()


class _Training:
    def __init__(
        self,
        network: nn.Module,
        loss: GenreLoss,
        feeds: tuple[Feed, Feed],
        plan: TrainingPlan,
        checkpoints: Checkpoints,
        group: ProcessGroup,
        report: Report | None,
    ) -> None:
        self.network, self.loss, self.group, self.plan = network, loss, group, plan
        self.settings, self.checkpoints, self.report = plan.settings, checkpoints, report
        self.feed, self.validation = feeds
        self.weighted = plan.settings.weights == "sampling"
        rows = int(group.total(torch.tensor(self.feed.rows, device=group.device)))
        if rows < self.settings.batch_size:
            raise InvalidInputError(
                f"cnn.batch_size: {self.settings.batch_size}, expected at most {rows}, the number "
                "of training samples"
            )
        self.batches = int(group.largest(self.feed.batches_per_epoch))
        self.optimizer = build_optimizer(network, self.settings, learning_rate=plan.learning_rate)
        self.schedule = build_schedule(
            self.optimizer, self.settings.schedule, epochs=plan.epochs, batches=self.batches
        )
        self.outcome = TrainingOutcome()
        self.saved_at = time.monotonic()
        self._pending: list[Tensor] = []
        self._checkpoint_due = False

    def run(self) -> TrainingOutcome:
        self._resume()
        if self.group.leads and self.report is not None:
            for record in self.outcome.history:
                self.report(record)
        self.model = self._parallel()
        while not self.outcome.finished:
            self._epoch()
        best = self.checkpoints.load_best()
        if best is None:
            raise InvalidInputError(
                f"{self.checkpoints.best_file}: missing, expected beside a finished training"
            )
        self.network.load_state_dict(best["network"])
        return self.outcome

    def _parallel(self) -> nn.Module:
        model = self.network
        if self.settings.compile:
            model = torch.compile(model)  # type: ignore[assignment]
        if self.group.size == 1:
            return model
        devices = [self.group.device] if self.group.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=devices)

    def _epoch(self) -> None:
        outcome, started, rows = self.outcome, time.monotonic(), 0
        self.model.train()
        self.loss.train()
        first = outcome.batch
        progress = EpochProgress(
            self.plan.label,
            outcome.epoch,
            self.plan.epochs,
            self.batches,
            done=first,
            shown=self.group.leads,
        )
        with progress, closing(self.feed.epoch(outcome.epoch, first)) as batches:
            for position in range(first, self.batches):
                batch = next(batches, None)
                self._step(batch, position)
                rows += 0 if batch is None else len(batch.labels)
                outcome.batch = position + 1
                if self._checkpoint_is_due(position):
                    self._save()
                progress.advance(
                    outcome.loss_sum / outcome.weight_sum if outcome.weight_sum else None
                )
        rows = int(self.group.total(torch.tensor(rows, device=self.group.device)))
        self._close_epoch(rows / max(1e-9, time.monotonic() - started), started)

    def _step(self, batch: Batch | None, position: int) -> None:
        """Take one step; a process whose share is used up takes part with a sample of weight 0."""
        outcome, device = self.outcome, self.group.device
        torch.manual_seed(mixed_seed(self.plan.seed, outcome.epoch, position, self.group.rank))
        images, labels, given = (
            self._stand_in() if batch is None else (batch.images, batch.labels, batch.weights)
        )
        weights = self.loss.counted(labels) * (given if self.weighted or batch is None else 1)
        if images.ndim == 4:
            images = augment(images, self.settings.augmentation)
        # one row has no variance, and a stand-in is no sample: neither may touch the statistics of
        # normalisation
        still = still_normalisation(self.network) if len(images) == 1 else nullcontext()
        with still, autocast(device, self.settings.precision):
            logits = self.model(images)
        losses = (self.loss(logits.float(), labels) * weights).sum()
        # whether to write a checkpoint is the first process's decision; it travels with the sum of
        # the weights (torch.tensor would wait for the GPU)
        due = float(
            self.group.leads
            and time.monotonic() - self.saved_at >= self.settings.checkpoint_minutes * 60
        )
        total, due_at_all = self.group.total(
            torch.stack([weights.sum(), torch.full((), due, device=device)])
        )
        # DistributedDataParallel divides the sum of gradients by the number of processes
        mean = losses * self.group.size / total.clamp(min=1e-12)
        self.optimizer.zero_grad(set_to_none=True)
        mean.backward()
        limit = self.settings.clip_norm if self.settings.clip_norm is not None else float("inf")
        norm = nn.utils.clip_grad_norm_(
            (p for p in self.network.parameters() if p.requires_grad), limit
        )
        self._pending.append(
            torch.stack([losses.detach(), weights.sum(), norm.detach(), due_at_all])
        )
        if device.type == "cpu":  # on a GPU, checking before the step would wait for each one
            self._check(position)
        self.optimizer.step()
        self.schedule.step()

    def _stand_in(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return a sample of this process with the weight 0."""
        with closing(self.feed.epoch(self.outcome.epoch)) as batches:
            first = next(batches, None)
        if first is None:
            raise InvalidInputError(
                f"process {self.group.rank}: no training samples, expected fewer processes"
            )
        return first.images[:1], first.labels[:1], torch.zeros_like(first.weights[:1])

    def _checkpoint_is_due(self, position: int) -> bool:
        """Check the losses since the last check, when it is time to; return whether to save."""
        if len(self._pending) >= _CHECK_EVERY or position + 1 == self.batches:
            self._check(position)
        due, self._checkpoint_due = self._checkpoint_due, False
        return due and position + 1 < self.batches  # at its end, the epoch writes one itself

    def _check(self, position: int) -> None:
        if not self._pending:
            return
        values = torch.stack(self._pending).double().cpu()
        self._pending.clear()
        good = torch.isfinite(values).all(dim=1)
        if not bool(good.all()):
            batch = position + 1 - len(values) + int((~good).nonzero()[0])
            rate = self.schedule.get_last_lr()[0]
            raise TrainingDivergedError(
                f"the loss became {float(values[~good][0, 0])} (gradient norm "
                f"{float(values[~good][0, 2])}) in epoch {self.outcome.epoch + 1}, batch "
                f"{batch + 1} of {self.batches}, at learning rate {rate:.3g}: lower "
                "cnn.learning_rate or set cnn.clip_norm; the last good state is "
                f"{self.checkpoints.last_file}"
            )
        self.outcome.loss_sum += float(values[:, 0].sum())
        self.outcome.weight_sum += float(values[:, 1].sum())
        self._checkpoint_due = self._checkpoint_due or bool((values[:, 3] > 0).any())

    def _close_epoch(self, speed: float, started: float) -> None:
        outcome = self.outcome
        self._share_sums()
        # each process has the statistics of its own samples: all take the first one's
        self.group.lead(self.network.buffers())
        scores = score(
            self.network,
            self.loss,
            self.validation,
            self.group,
            precision=self.settings.precision,
            weighted=self.weighted,
        )
        if not scores.loss < float("inf"):
            raise TrainingDivergedError(
                f"the validation loss became {scores.loss} after epoch {outcome.epoch + 1}, at "
                f"learning rate {self.schedule.get_last_lr()[0]:.3g}; the last good state is "
                f"{self.checkpoints.last_file}"
            )
        record = EpochRecord(
            epoch=outcome.epoch,
            train_loss=outcome.loss_sum / outcome.weight_sum
            if outcome.weight_sum
            else float("nan"),
            validation_loss=scores.loss,
            hamming_loss=scores.hamming_loss,
            micro_f1=scores.micro_f1,
            macro_f1=scores.macro_f1,
            learning_rate=float(self.schedule.get_last_lr()[0]),
            images_per_second=speed,
            seconds=time.monotonic() - started,
        )
        outcome.history.append(record)
        outcome.epoch, outcome.batch = outcome.epoch + 1, 0
        outcome.loss_sum = outcome.weight_sum = 0.0
        outcome.finished = outcome.epoch >= self.plan.epochs
        if scores.loss < outcome.best_loss:
            outcome.best_loss, outcome.best_epoch = scores.loss, record.epoch
            if self.group.leads:
                self.checkpoints.save_best(self._state(), record.epoch, scores.loss)
        waited = record.epoch - outcome.best_epoch
        stop = self._report(record) if self.group.leads else False
        stop = stop or outcome.finished or waited >= self.settings.patience
        outcome.finished = bool(self.group.largest(float(stop)))
        self._save()

    def _report(self, record: EpochRecord) -> bool:
        """Log an epoch and report it; return whether the report wants the training to stop."""
        logger.info(
            "%s: epoch %d/%d, loss %.4f, validation loss %.4f, Hamming loss %.4f, micro-F1 %.3f, "
            "%.0f images/s, %.0f s",
            self.plan.label,
            record.epoch + 1,
            self.plan.epochs,
            record.train_loss,
            record.validation_loss,
            record.hamming_loss,
            record.micro_f1,
            record.images_per_second,
            record.seconds,
        )
        return bool(self.report(record)) if self.report is not None else False

    def _share_sums(self) -> None:
        """Add up the processes' sums; the first process has them from now on."""
        sums = torch.tensor(
            [self.outcome.loss_sum, self.outcome.weight_sum],
            dtype=torch.float64,
            device=self.group.device,
        )
        totals = self.group.total(sums).tolist() if self.group.size > 1 else sums.tolist()
        self.outcome.loss_sum, self.outcome.weight_sum = totals if self.group.leads else (0.0, 0.0)

    def _save(self) -> None:
        self._share_sums()
        if self.group.leads:
            self.checkpoints.save_last(self._state())
        self.group.wait()
        self.saved_at = time.monotonic()

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "outcome": asdict(self.outcome),
        }

    def _resume(self) -> None:
        state = self.checkpoints.load_last()
        if state is None:
            return
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.outcome = TrainingOutcome.revive(state["outcome"])
        restore_random_states(state["random"])
        if not self.group.leads:
            self.outcome.loss_sum = self.outcome.weight_sum = 0.0
        if self.group.leads and not self.outcome.finished:
            logger.info(
                "%s: continuing after epoch %d, batch %d",
                self.plan.label,
                self.outcome.epoch,
                self.outcome.batch,
            )
