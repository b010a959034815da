"""How far a training is, for the line that its process shows."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType

from genre_spark.progress import counting

__all__ = ["EpochProgress"]


class EpochProgress:
    """Counts the steps of an epoch among those of all epochs.

    Args:
        label: name of the training.
        epoch: number of the epoch, from 0.
        epochs: number of epochs at most.
        batches: steps of an epoch.
        done: steps of it that an earlier run has done.
        shown: whether this process reports at all.
    """

    def __init__(
        self,
        label: str,
        epoch: int,
        epochs: int,
        batches: int,
        *,
        done: int = 0,
        shown: bool = True,
    ) -> None:
        self._note = f"{label}, epoch {epoch + 1} of {epochs}"
        self._total, self._done = epochs * batches, epoch * batches + done
        self._shown, self._stack = shown, ExitStack()

    def advance(self, loss: float | None) -> None:
        """Count a step; the loss is shown when it is known (on a GPU, not at every step)."""
        if self._shown:
            note = self._note if loss is None else f"{self._note}, loss {loss:.4f}"
            self._work.advance(note=note)

    def __enter__(self) -> EpochProgress:
        if self._shown:
            work = counting("batches", self._total, done=self._done)
            self._work = self._stack.enter_context(work)
            self._work.note = self._note
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
