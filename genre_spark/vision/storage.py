"""Files of tensors that appear whole or not at all, on any file system.

Loading them runs no code.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import torch

from genre_spark.errors import InvalidInputError


def _filesystem(path: str) -> tuple[fsspec.AbstractFileSystem, str, bool]:
    # io.filesystem does the same, but a model that is served must be loadable without Spark, which
    # io imports
    url = path.replace("s3a://", "s3://", 1) if path.startswith("s3a://") else path
    system, inner = fsspec.core.url_to_fs(url)
    protocols = system.protocol if isinstance(system.protocol, tuple) else (system.protocol,)
    return system, inner, "file" in protocols


def save_tensors(path: str, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values; a reader (or a killed run) never finds a part of the file."""
    system, inner, local = _filesystem(path)
    folder, name = inner.rsplit("/", 1)
    system.makedirs(folder, exist_ok=True)
    target = f"{folder}/.{name}.{uuid.uuid4().hex[:8]}.tmp" if local else inner
    with system.open(target, "wb") as file:
        torch.save(dict(state), file)
    if local:
        os.replace(target, inner)  # noqa: PTH105 - paths here are strings of any file system
        for stale in system.glob(
            f"{folder}/.{name}.*.tmp"
        ):  # of runs that were killed while they wrote
            system.rm(stale)


def load_tensors(path: str) -> dict[str, Any] | None:
    """Return what `save_tensors` wrote, on the CPU, or None where there is no such file.

    Raises:
        InvalidInputError: the file is something else.
    """
    system, inner, _ = _filesystem(path)
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


def remove_folder(path: str, *, keep: str | None = None) -> None:
    """Remove a folder, or all its entries but the one named `keep`.

    Nothing happens when it is not there.
    """
    system, inner, _ = _filesystem(path)
    if not system.exists(inner):
        return
    if keep is None:
        system.rm(inner, recursive=True)
        return
    for entry in system.ls(inner, detail=False):
        if str(entry).rstrip("/").rsplit("/", 1)[-1] != keep:
            system.rm(entry, recursive=True)


@contextmanager
def local_copy(path: str) -> Iterator[Path]:
    """Yield a file's path on the local disk; a remote file is copied for the time of the block."""
    system, inner, local = _filesystem(path)
    if local:
        yield Path(inner)
        return
    with tempfile.TemporaryDirectory(prefix="genre_spark-") as folder:
        target = Path(folder) / inner.rsplit("/", 1)[-1]
        system.get(inner, str(target))
        yield target
