"""Standard output and error as they must be for a command: whoever reads them changes no result."""

from __future__ import annotations

import io
import sys
from typing import Any

__all__ = ["make_streams_tolerant"]


class _WithoutReader(io.FileIO):
    """A file that takes what nobody reads any more (`| head`) as written."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


def make_streams_tolerant() -> None:
    """Let printing never fail because of who reads it.

    Characters that the encoding of the terminal does not have become question marks, and what is
    printed when the reader of a pipe has ended is lost. Streams that somebody else has put in place
    (notebooks, tests) stay as they are.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not getattr(sys, f"__{name}__") or not isinstance(stream, io.TextIOWrapper):
            continue
        errors = "replace" if stream.errors == "strict" else stream.errors
        stream.reconfigure(errors=errors)
        if stream.isatty():
            continue
        stream.flush()
        raw = _WithoutReader(stream.fileno(), "wb", closefd=False)
        unbuffered = isinstance(stream.buffer, io.RawIOBase)  # python -u
        buffer: Any = raw if unbuffered else io.BufferedWriter(raw)
        tolerant = io.TextIOWrapper(
            buffer,
            encoding=stream.encoding,
            errors=errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        setattr(sys, name, tolerant)
