"""The progress of a training in a terminal."""

from __future__ import annotations

import sys
from types import TracebackType

from tqdm import tqdm

__all__ = ["EpochBar"]


class EpochBar:
    """A bar with loss, rate and remaining time; shown on terminals only.

    Args:
        label: name of the training.
        epoch: number of the epoch, from 0.
        epochs: number of epochs at most.
        batches: steps of the epoch.
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
        self._bar = tqdm(
            desc=f"{label} {epoch + 1}/{epochs}",
            total=batches,
            initial=done,
            unit="batch",
            file=sys.stderr,
            leave=False,
            disable=not (shown and sys.stderr.isatty()),
        )

    def advance(self, loss: float | None) -> None:
        """Count a step; the loss is shown when it is known (on a GPU, not at every step)."""
        if loss is not None:
            self._bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        self._bar.update()

    def __enter__(self) -> EpochBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
