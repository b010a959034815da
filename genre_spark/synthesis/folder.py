"""A folder of whole files, on a local disk or an object store, for processes without Spark."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TextIO

from genre_spark.storage.files import filesystem, is_local, join, read_json, whole_file, write_json

__all__ = ["Folder"]


class Folder:
    """A folder (path or URL) that whole files are put into.

    Attributes:
        path: path as given.
    """

    def __init__(self, path: str) -> None:
        self.path = path.rstrip("/")
        self._system, self._inner = filesystem(self.path)

    def names(self) -> set[str]:
        """Return the names of what is in the folder; none when there is no such folder."""
        if is_local(self._system):  # a hundred thousand names in a tenth of fsspec's time
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
        """Remove a file if there is one."""
        if self._system.exists(f"{self._inner}/{name}"):
            self._system.rm_file(f"{self._inner}/{name}")

    def put(self, name: str, content: bytes) -> None:
        """Write a file; a reader sees all of it or none."""
        with whole_file(join(self.path, name)) as file:
            file.write(content)

    @contextmanager
    def text(self, name: str) -> Iterator[TextIO]:
        """Open a UTF-8 text file for writing, compressed when its name ends in .gz.

        It appears when the block ends.
        """
        with whole_file(join(self.path, name)) as raw, _as_text(raw, name) as file:
            yield file

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Return the object in a JSON file, or None where there is no such file."""
        return read_json(join(self.path, name))

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Write a JSON file; a reader sees all of it or none."""
        write_json(join(self.path, name), value)


@contextmanager
def _as_text(raw: BinaryIO, name: str) -> Iterator[TextIO]:
    binary: Any = raw
    if name.endswith(".gz"):  # without a time stamp: the same data set is the same bytes
        binary = gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0)
    file = io.TextIOWrapper(binary, encoding="utf-8", newline="")
    yield file
    file.flush()
    file.detach()
    if binary is not raw:
        binary.close()
