"""Ctrl-C, SIGTERM and a hangup end a command with one sentence and the exit code 128 + signal.

Before any work has begun, a signal ends the process at once. Later it raises `Interrupted` in the
main thread, so that open runs, files and sessions are closed as after any error; whatever that
raises on its way is no news. A second signal changes nothing, a third one ends the process, and so
does closing that takes too long.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

__all__ = [
    "Interrupted",
    "end_interrupted",
    "handle_signals",
    "interruption",
    "keeping_handlers",
    "on_interruption",
    "working",
]

_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE = 30.0  # seconds that closing may take
_GOES_ON = "start it again and it goes on with what is left to do"
_WORDS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "ended with its terminal",
}


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end."""


class _State:
    """What the handler knows; one per process, as signals are."""

    label = "genre-spark"
    received: list[int]
    works = False
    callbacks: list[Callable[[], None]]
    below: list[Any]

    def __init__(self) -> None:
        self.received, self.callbacks, self.below = [], [], []


_state = _State()


def handle_signals(label: str | None = None) -> None:
    """Take over SIGINT, SIGTERM and SIGHUP.

    A signal that the caller has set to be ignored (`nohup`, a shell's background job) stays so.
    Nothing happens outside the main thread, where Python allows no handlers.

    Args:
        label: what the sentence begins with; None leaves it.
    """
    _state.label = label or _state.label
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _HANDLED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


def interruption() -> int | None:
    """Return the exit code of the signal that has arrived, or None."""
    return 128 + _state.received[0] if _state.received else None


def _describe_interruption() -> str:
    """Return the sentence for the user."""
    number = signal.Signals(_state.received[0])
    return f"{_state.label}: {_WORDS[number]}; {_GOES_ON}"


def end_interrupted() -> int:
    """Say that a signal ended the command, silence what comes after, and return the exit code."""
    with suppress(OSError):  # the terminal may be gone
        print(_describe_interruption(), file=sys.stderr, flush=True)  # noqa: T201 - for the user
    for number in _HANDLED:  # the interpreter's end would restore what they do to any process
        signal.signal(number, signal.SIG_IGN)
    _end_children()
    with suppress(OSError):  # a library's last words then
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)
    return interruption() or 1


@contextmanager
def working() -> Iterator[None]:
    """Let a signal raise `Interrupted` in this block, where there is something to close."""
    _state.works = True
    try:
        yield
    finally:
        _state.works = False


@contextmanager
def keeping_handlers() -> Iterator[None]:
    """Keep libraries from taking the handled signals over in this block.

    PySpark's own handler, set when a context starts, asks the JVM on the connection whose answer
    the interrupted call is waiting for.
    """
    given = signal.signal

    def only_ignore(number: int, handler: Any) -> Any:
        kept = number in _HANDLED and callable(handler)
        return signal.getsignal(number) if kept else given(number, handler)

    signal.signal = only_ignore  # type: ignore[assignment]
    try:
        yield
    finally:
        signal.signal = given


def on_interruption(callback: Callable[[], None]) -> None:
    """Call a function in the handler, before it raises; its errors are no news."""
    _state.callbacks.append(callback)


def _handle(number: int, _: FrameType | None) -> None:
    _state.received.append(number)
    if len(_state.received) == 2:
        return
    if len(_state.received) > 2 or not _state.works:
        _end_at_once()
    _silence()
    _state.below = _descendants()  # some lose their parent while this process closes
    watch = threading.Timer(_PATIENCE, _end_at_once)
    watch.daemon = True
    watch.start()
    for callback in _state.callbacks:
        with suppress(Exception):
            callback()
    raise Interrupted


def _end_at_once() -> None:
    _end_children()
    with suppress(OSError):
        os.write(2, f"{_describe_interruption()}\n".encode())
    os._exit(interruption() or 1)


def _end_children() -> None:
    """End the processes that this one has started.

    A JVM whose launch was interrupted would stay: it fails before it begins to watch its parent.
    """
    for child in {*_descendants(), *_state.below}:
        with suppress(Exception):  # it has ended
            child.terminate()


def _descendants() -> list[Any]:
    """Return the processes below this one."""
    with suppress(Exception):
        import psutil  # noqa: PLC0415 - not among what the commands need to begin

        return list(psutil.Process().children(recursive=True))
    return []


def _silence() -> None:
    """Keep what breaks because of the signal off the terminal."""
    logging.disable(logging.CRITICAL)
    warnings.showwarning = lambda *_, **__: None
    threading.excepthook = lambda _: None
    sys.unraisablehook = lambda _: None
