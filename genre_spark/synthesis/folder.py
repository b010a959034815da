"""Files that appear whole or not at all, on a local disk or an object store.

Without Spark, for worker processes.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import fsspec


class Folder:
    """A folder (path or URL) that whole files are put into.

    Attributes:
        path: as given; s3a URLs are s3 here.
    """

    def __init__(self, path: str) -> None:
        self.path = path.rstrip("/")
        self._system, self._inner = fsspec.core.url_to_fs(self.path.replace("s3a://", "s3://", 1))
        self._local = "file" in self._system.protocol

    def names(self) -> set[str]:
        """Return the names of what lies in the folder; none when there is no such folder."""
        if self._local:
            return set(os.listdir(self._inner)) if os.path.isdir(self._inner) else set()  # noqa: PTH112, PTH208
        if not self._system.exists(self._inner):
            return set()
        return {
            str(entry).rstrip("/").rsplit("/", 1)[-1]
            for entry in self._system.ls(self._inner, detail=False)
        }

    def make(self) -> None:
        """Create the folder where there is none."""
        self._system.makedirs(self._inner, exist_ok=True)

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        if self._system.exists(f"{self._inner}/{name}"):
            self._system.rm_file(f"{self._inner}/{name}")

    def put(self, name: str, content: bytes) -> None:
        """Write a file; a reader sees all of it or none."""
        target = f"{self._inner}/{name}"
        if not self._local:
            self._system.pipe_file(target, content)
            return
        with _neighbour(target) as draft, open(draft, "wb") as file:  # noqa: PTH123
            file.write(content)

    @contextmanager
    def text(self, name: str) -> Iterator[TextIO]:
        """Open a UTF-8 text file for writing, compressed when its name ends in .gz.

        It appears when the block ends.
        """
        target = f"{self._inner}/{name}"
        if self._local:
            with _neighbour(target) as draft, open(draft, "wb") as raw, _as_text(raw, name) as file:  # noqa: PTH123
                yield file
        else:
            with self._system.open(target, "wb") as raw, _as_text(raw, name) as file:
                yield file

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Return the object in a JSON file, or None where there is no such file."""
        target = f"{self._inner}/{name}"
        return json.loads(self._system.cat_file(target)) if self._system.exists(target) else None


@contextmanager
def _neighbour(target: str) -> Iterator[str]:
    """Give out a hidden name beside the target, which takes the target's place when the block ends well."""
    folder, name = target.rsplit("/", 1)
    draft = f"{folder}/.{name}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        yield draft
        os.replace(draft, target)  # noqa: PTH105
    except BaseException:
        if os.path.exists(draft):  # noqa: PTH110
            os.remove(draft)  # noqa: PTH107
        raise


@contextmanager
def _as_text(raw: Any, name: str) -> Iterator[TextIO]:
    # No time stamp in the gzip header: the same data set is the same bytes.
    binary = (
        gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) if name.endswith(".gz") else raw
    )
    file = io.TextIOWrapper(binary, encoding="utf-8", newline="")
    yield file
    file.flush()
    file.detach()
    if binary is not raw:
        binary.close()
