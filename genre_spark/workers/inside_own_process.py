"""What runs in a process of its own (`own_process`): functions that the parent asks for."""

from __future__ import annotations

import logging
import os
import pickle
import queue
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from genre_spark.progress.work import current_work

__all__ = ["Count", "serve"]

logger = logging.getLogger("genre_spark")

_STEP = 0.2  # seconds between two looks at what is counted


class Count(NamedTuple):
    """A piece of work as the process counts it."""

    number: int
    unit: str
    total: int | None
    start: int
    done: int
    note: str


class _Parent:
    """The process that has started this one, as this one sees it."""

    def __init__(self, number: int) -> None:
        os.set_inheritable(number, False)
        self._connection, self._lock = Connection(number), threading.Lock()
        self._inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name="parent", daemon=True).start()

    def receive(self) -> tuple[str, Any]:
        """Wait for the next message."""
        message: tuple[str, Any] = pickle.loads(self._inbox.get())
        return message

    def send(self, kind: str, value: Any) -> None:
        """Send a message, from any thread."""
        message = pickle.dumps((kind, value))
        with self._lock:
            self._connection.send_bytes(message)

    def ask(self, *value: Any) -> Any:
        """Report something and return the answer."""
        self.send("report", value)
        return self.receive()[1]

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                self._inbox.put(self._connection.recv_bytes())
        os._exit(1)  # nobody is there for whom to work on


def serve(number: int) -> None:
    """Run what the parent asks for, until it is gone.

    Args:
        number: file descriptor of the connection.
    """
    parent = _Parent(number)
    logging.getLogger().addHandler(_Sender(parent))
    logging.captureWarnings(True)
    threading.Thread(target=_watch, args=(parent,), name="counts", daemon=True).start()
    while True:
        kind, value = parent.receive()
        if kind == "import":
            for name in value:
                with suppress(Exception):  # the function that needs it says so
                    import_module(name)
        else:
            _answer(parent, *value)


def _answer(
    parent: _Parent,
    place: str,
    arguments: Sequence[Any],
    options: Mapping[str, Any],
    reports: bool,
    levels: tuple[int, int],
) -> None:
    logging.getLogger().setLevel(levels[0])
    logger.setLevel(levels[1])
    module, _, name = place.partition(":")
    try:
        function = getattr(import_module(module), name)
        reporting = {"report": parent.ask} if reports else {}
        result = function(*arguments, **options, **reporting)
        parent.send("result", result)
    except BaseException as error:
        parent.send("error", (_sendable(error), traceback.format_exc()))


def _sendable(error: BaseException) -> BaseException:
    """Return an error that arrives as what it is, or what is known of one that does not."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class _Sender(QueueHandler):
    """Sends records to the parent, whose handlers write them."""

    def __init__(self, parent: _Parent) -> None:
        logging.Handler.__init__(self)
        self._parent = parent

    def enqueue(self, record: logging.LogRecord) -> None:
        """Send a record whose arguments have become text."""
        self._parent.send("log", record)


def _watch(parent: _Parent) -> None:
    """Send what is counted, where it has changed."""
    wait, seen, number, last = threading.Event(), None, 0, None
    while not wait.wait(_STEP):
        work, count = current_work(), None
        if work is not seen:
            seen, number = work, number + 1
        if work is not None:
            count = Count(number, work.unit, work.total, work.start, work.done, work.note)
        if count != last:
            last = count
            with suppress(OSError):  # the parent is gone, and this process soon
                parent.send("count", count)
