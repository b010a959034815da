"""What a person sees while a network trains."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

from tqdm import tqdm

logger = logging.getLogger("genre_spark")


class EpochBar:
    """A bar with loss, rate and remaining time, on a terminal.

    Elsewhere nothing, the lines per epoch tell enough.

    Args:
        label: what is trained.
        epoch: number of the epoch, from 0.
        epochs: how many there are at most.
        batches: steps of the epoch.
        done: steps of it that an earlier run did.
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
