"""Checkpoints of a training: the last state, to continue from, and the best one, to keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from genre_spark.errors import InvalidInputError
from genre_spark.vision.storage import load_tensors, save_tensors

__all__ = ["Checkpoints", "random_states", "restore_random_states"]

_FORMAT = 1


class Checkpoints:
    """Two files, `last.pt` and `best.pt`, each replaced as a whole.

    Args:
        folder: path or URL; each training (data set, configuration and seed) has a folder of its
            own.
        architecture: architecture that the weights belong to.
    """

    def __init__(self, folder: str, architecture: str) -> None:
        self.folder, self.architecture = folder.rstrip("/"), architecture

    @property
    def last_file(self) -> str:
        """Path of the last state."""
        return f"{self.folder}/last.pt"

    @property
    def best_file(self) -> str:
        """Path of the best state."""
        return f"{self.folder}/best.pt"

    def save_last(self, state: Mapping[str, Any]) -> None:
        """Save everything that the training needs to continue."""
        self._save(self.last_file, {**state, "random": random_states()})

    def save_best(self, state: Mapping[str, Any], epoch: int, loss: float) -> None:
        """Save the state with the lowest validation loss so far.

        Copied over `last.pt`, a training continues from it.
        """
        self._save(
            self.best_file, {**state, "random": random_states(), "epoch": epoch, "loss": loss}
        )

    def load_last(self) -> dict[str, Any] | None:
        """Return the last state, or None before the first one.

        Raises:
            InvalidInputError: the file is damaged or of another architecture.
        """
        return self._load(self.last_file)

    def load_best(self) -> dict[str, Any] | None:
        """Return the best state, or None before the first epoch's end.

        Raises:
            InvalidInputError: the file is damaged or of another architecture.
        """
        return self._load(self.best_file)

    def _save(self, path: str, state: Mapping[str, Any]) -> None:
        save_tensors(path, {"format": _FORMAT, "architecture": self.architecture, **state})

    def _load(self, path: str) -> dict[str, Any] | None:
        state = load_tensors(path)
        if state is None:
            return None
        if state.get("architecture") != self.architecture:
            found = state.get("architecture", "something that is no checkpoint")
            raise InvalidInputError(
                f"{path}: a checkpoint of {found}, expected one of {self.architecture}"
            )
        if state.get("format") != _FORMAT:
            raise InvalidInputError(
                f"{path}: a checkpoint of format {state.get('format')}, expected {_FORMAT}"
            )
        return state


def random_states() -> dict[str, Any]:
    """Return the states of torch's random generators, the CPU's and each GPU's."""
    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Restore the states of the generators; on a machine with other GPUs, only the CPU's."""
    torch.set_rng_state(states["cpu"])
    if torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
