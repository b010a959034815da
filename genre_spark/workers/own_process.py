"""A function that runs in a process of its own: its memory goes back to the system at its end.

The process is started anew, not forked, so it has nothing of this one but the function's arguments.
What the function logs, counts, reports and raises is logged, shown, answered and raised here. The
process ends with this one, whatever ends that.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import Pipe
from typing import Any

from genre_spark.errors import StageFailedError
from genre_spark.progress import Work, counting
from genre_spark.workers.inside_own_process import Count

__all__ = [
    "drop_prepared_process",
    "kept_process",
    "prepare_process",
    "prepared_process",
    "run_in_own_process",
]

logger = logging.getLogger("genre_spark")

_PATIENCE = 10.0  # seconds for an end that nothing should delay
# Ctrl-C reaches all processes of a terminal; this one ends with its parent, which hears of it too
_PROGRAM = """
import sys
if sys.path and not sys.path[0]: del sys.path[0]
import json, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = json.loads(sys.argv[2])
from genre_spark.workers.inside_own_process import serve
serve(int(sys.argv[1]))
"""


class _OwnProcess:
    """A process that runs one function after the other, as this one sees it."""

    def __init__(self) -> None:
        ours, theirs = Pipe()
        # it ends without tidying up
        self._folder = tempfile.mkdtemp(prefix="genre_spark-")
        with theirs:
            number = theirs.fileno()
            paths = json.dumps([str(path) for path in sys.path])
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(number), paths],
                stdin=subprocess.DEVNULL,
                stdout=2,  # standard output belongs to the results of this process
                pass_fds=[number],
                env={**os.environ, "TMPDIR": self._folder},
            )
        self._connection = ours
        self.idle = True

    def prepare(self, modules: Sequence[str]) -> None:
        """Have modules imported meanwhile; one that cannot be is left to the function."""
        with suppress(OSError):
            self._connection.send_bytes(pickle.dumps(("import", list(modules))))

    def call(
        self,
        label: str,
        place: str,
        arguments: Sequence[Any],
        options: Mapping[str, Any],
        report: Callable[..., Any] | None,
    ) -> Any:
        """Run a function and return what it returns; `idle` says whether it came to its end."""
        self.idle = False
        levels = (logging.getLogger().level, logger.getEffectiveLevel())
        request = pickle.dumps(("call", (place, arguments, options, report is not None, levels)))
        with suppress(OSError):  # it has ended: receiving says so
            self._connection.send_bytes(request)
        with _Mirror() as mirror:
            while True:
                kind, value = self._receive(label)
                if kind == "log":
                    _log(value)
                elif kind == "count":
                    mirror.show(value)
                elif kind == "report" and report is not None:
                    answer = pickle.dumps(("answer", report(*value)))
                    with suppress(OSError):
                        self._connection.send_bytes(answer)
                else:
                    self.idle = True
                    if kind == "error":
                        raise value[0] from _InOwnProcess(value[1])
                    return value

    def close(self) -> None:
        """End the process; it does so by itself when it is not heard any more."""
        self._connection.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def lives(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def _receive(self, label: str) -> tuple[str, Any]:
        try:
            message: tuple[str, Any] = pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError):  # the latter in the middle of a message
            raise self._lost(label) from None
        return message

    def _lost(self, label: str) -> StageFailedError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
        code = self._process.returncode
        how = f"ended with exit code {code}"
        if code is not None and code < 0:
            names = {number.value: number.name for number in signal.Signals}
            how = f"was killed by {names.get(-code, f'signal {-code}')}"
            if -code == signal.SIGKILL:
                how += ", as the system does where memory runs out"
        return StageFailedError(
            f"{label}: its process {how}; run the stage again and it goes on from there"
        )


class _InOwnProcess(Exception):  # noqa: N818 - the cause of an error, which has its traceback
    """Where in the process an error was raised."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class _Mirror:
    """Counts here what the process counts."""

    def __init__(self) -> None:
        self._open, self._number = ExitStack(), 0
        self._work: Work | None = None

    def show(self, count: Count | None) -> None:
        """Show the numbers of a piece of work; None: nothing is counted."""
        if count is None or count.number != self._number:
            self._open.close()
            self._work, self._number = None, 0
        if count is None:
            return
        if self._work is None:
            block = counting(count.unit, count.total, done=count.start)
            self._work, self._number = self._open.enter_context(block), count.number
        self._work.reach(count.done)
        self._work.note = count.note

    def __enter__(self) -> _Mirror:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


def _log(record: logging.LogRecord) -> None:
    target = logging.getLogger(record.name)
    if target.isEnabledFor(record.levelno):
        target.handle(record)


class _Prepared:
    """The process that the next function takes; one per process, as the memory is."""

    process: _OwnProcess | None = None
    keepers = 0
    lock = threading.Lock()


def run_in_own_process(
    label: str,
    place: str,
    *arguments: Any,
    report: Callable[..., Any] | None = None,
    **options: Any,
) -> Any:
    """Run a function in a process of its own and return what it returns.

    Args:
        label: what it does, for the message where its process is killed.
        place: the function as `module:name`; this process does not import the module.
        arguments: its positional arguments, which are pickled.
        options: its keyword arguments, likewise.
        report: called here, where the function calls its keyword argument `report`; the call there
            returns what this one returns. None: the function gets no such argument.

    Raises:
        StageFailedError: the process was killed.
        Exception: what the function raised; its cause has the traceback.
    """
    with _Prepared.lock:
        process, _Prepared.process = _Prepared.process, None
    if process is not None and not process.lives:
        process.close()
        process = None
    process = process or _OwnProcess()
    try:
        return process.call(label, place, arguments, options, report)
    finally:
        _keep_or_close(process)


def _keep_or_close(process: _OwnProcess) -> None:
    with _Prepared.lock:
        keep = bool(_Prepared.keepers) and process.idle and _Prepared.process is None
        if keep:
            _Prepared.process = process
    if not keep:
        process.close()


def prepare_process(modules: Sequence[str] = ()) -> None:
    """Start the process that the next function runs in, which takes seconds, and return at once.

    Args:
        modules: what it imports meanwhile.
    """
    with _Prepared.lock:
        if _Prepared.process is None:
            _Prepared.process = _OwnProcess()
            _Prepared.process.prepare(modules)


def drop_prepared_process() -> None:
    """End the process that no function has taken, outside of `kept_process`."""
    if not _Prepared.keepers:
        _drop()


def _drop() -> None:
    with _Prepared.lock:
        process, _Prepared.process = _Prepared.process, None
    if process is not None:
        process.close()


atexit.register(_drop)


@contextmanager
def prepared_process(modules: Sequence[str] = ()) -> Iterator[None]:
    """Start the process that a function of this block will run in; end it if none has."""
    prepare_process(modules)
    try:
        yield
    finally:
        drop_prepared_process()


@contextmanager
def kept_process() -> Iterator[None]:
    """Let the functions of this block, one after the other, run in one process."""
    with _Prepared.lock:
        _Prepared.keepers += 1
    try:
        yield
    finally:
        with _Prepared.lock:
            _Prepared.keepers -= 1
        drop_prepared_process()
