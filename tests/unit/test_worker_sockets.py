"""What Spark's JVM sends to a Python worker, acknowledged at once."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from genre_spark.workers.sockets import acknowledged_at_once

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "TCP_QUICKACK"), reason="only Linux lets a receiver say when it answers"
)


@pytest.fixture
def connection():
    with socket.create_server(("127.0.0.1", 0)) as server:
        jvm = socket.create_connection(server.getsockname())
        worker, _ = server.accept()
    with jvm, worker:
        yield jvm, worker


def test_a_worker_reads_what_was_sent_and_answers_each_message_at_once(connection):
    jvm, worker = connection
    seen = {}

    def main(infile, outfile) -> str:
        jvm.sendall(b"function")
        seen["function"] = infile.read(8)
        worker.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        jvm.sendall(b"rows" * 20_000 + b"end")
        seen["rows"], seen["end"] = infile.read(80_000), infile.read(3)
        seen["settings"] = [
            worker.getsockopt(socket.IPPROTO_TCP, name)
            for name in (socket.TCP_QUICKACK, socket.TCP_NODELAY)
        ]
        outfile.write(b"answer")
        return "done"

    with (
        os.fdopen(os.dup(worker.fileno()), "rb", 65_536) as infile,
        os.fdopen(os.dup(worker.fileno()), "wb", 65_536) as outfile,
    ):
        assert acknowledged_at_once(main)(infile, outfile) == "done"
    assert jvm.recv(6) == b"answer"
    assert seen == {
        "function": b"function",
        "rows": b"rows" * 20_000,
        "end": b"end",
        "settings": [1, 1],
    }


def test_the_end_of_the_connection_is_the_end_of_the_input(connection):
    jvm, worker = connection
    jvm.sendall(b"last")
    jvm.close()
    with os.fdopen(os.dup(worker.fileno()), "rb") as infile:
        assert acknowledged_at_once(lambda file, _: file.read())(infile, None) == b"last"


def test_what_is_no_socket_is_read_as_it_is(tmp_path: Path):
    path = tmp_path / "input"
    path.write_bytes(b"function")
    with path.open("rb") as infile:
        assert acknowledged_at_once(lambda file, _: file is infile)(infile, None)


def test_a_socket_in_the_file_system_is_read_as_it_is():
    one, other = socket.socketpair()
    with one, other, os.fdopen(os.dup(one.fileno()), "rb") as infile:
        assert acknowledged_at_once(lambda file, _: file is infile)(infile, None)
