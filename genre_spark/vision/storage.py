"""Files of tensors that appear whole or not at all, on any file system.

Loading them runs no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from genre_spark.errors import InvalidInputError
from genre_spark.storage.files import filesystem, remove_drafts, whole_file

__all__ = ["load_tensors", "save_tensors"]


def save_tensors(path: str, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values; a reader (or a killed run) never finds a part of the file."""
    with whole_file(path) as file:
        torch.save(dict(state), file)
    remove_drafts(path)


def load_tensors(path: str) -> dict[str, Any] | None:
    """Return what `save_tensors` wrote, on the CPU, or None where there is no such file.

    Raises:
        InvalidInputError: the file is something else.
    """
    system, inner = filesystem(path)
    if not system.exists(inner):
        return None
    try:
        with system.open(inner, "rb") as file:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's safe unpickler fails on other files in every way there is
        first = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise InvalidInputError(
            f"{path}: not a file of tensors ({first}), expected torch.save's format"
        ) from None
    if not isinstance(state, dict):
        raise InvalidInputError(f"{path}: a {type(state).__name__}, expected values by name")
    return state
