"""The socket of a Python worker, acknowledged at once.

Spark's JVM sends a task in several short messages (the function, the rows, the end of the rows) and
leaves Nagle's algorithm on: each waits until the one before is acknowledged. Linux delays an
acknowledgement by 40 ms where the receiver has nothing to say, as a worker that waits for its rows.
"""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable
from typing import Any, BinaryIO

__all__ = ["acknowledged_at_once"]

_BUFFER = 65_536  # bytes; PySpark's own


def acknowledged_at_once(main: Callable[[BinaryIO, BinaryIO], Any]) -> Callable[..., Any]:
    """Return PySpark's function of a worker, with an input that acknowledges what it reads.

    Args:
        main: runs one task; reads it from the first file and writes the answer to the second.
    """

    def run(infile: BinaryIO, outfile: BinaryIO) -> Any:
        return main(_acknowledging(infile), outfile)

    return run if hasattr(socket, "TCP_QUICKACK") else main


def _acknowledging(infile: BinaryIO) -> BinaryIO:
    copy = os.dup(infile.fileno())
    try:
        connection = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return infile
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:  # newer releases of Spark may have sockets in the file system
        connection.close()
        return infile
    return io.BufferedReader(_Acknowledging(connection), _BUFFER)


class _Acknowledging(io.RawIOBase):
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def fileno(self) -> int:
        return self._connection.fileno()

    def readable(self) -> bool:
        return True

    def readinto(self, place: Any) -> int:
        count = self._connection.recv_into(place)
        # sends what is delayed now; the kernel forgets the setting
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return count

    def close(self) -> None:
        self._connection.close()
        super().close()
