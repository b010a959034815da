"""One line per stage: rewritten on a terminal, every 30 s in a log, a bar in a notebook."""

from __future__ import annotations

import html
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from genre_spark.progress.work import TaskCounts, Work, current_work

__all__ = ["LineHandler", "describe", "hand_over", "show_progress"]

_TERMINAL, _NOTEBOOK, _LOG = 0.5, 1.0, 30.0  # seconds between two lines
_QUIET = 1.0  # seconds before which a terminal shows nothing: most steps are shorter


_blocks: list[object] = []  # the innermost last: only that one shows


class _Screen(Protocol):
    """Where progress is shown."""

    interval: float

    def show(self, text: str, work: Work | None) -> None: ...

    def clear(self) -> None: ...


class _Terminal:
    interval = _TERMINAL

    def __init__(self) -> None:
        self._shown = False

    def show(self, text: str, work: Work | None) -> None:  # noqa: ARG002 - a line of text
        sys.stderr.write(f"\r\x1b[K  {text}")
        sys.stderr.flush()
        self._shown = True

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        self._shown = False


class LineHandler(logging.StreamHandler):
    """Writes records to standard error, each on a line of its own beside that of progress."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        """Standard error as it is now: who replaced it for a while may have closed theirs."""
        return sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record in place of the line that is shown; that comes again below it."""
        if _blocks and self.stream.isatty():
            self.stream.write("\r\x1b[K")
        super().emit(record)


class _Log:
    interval = _LOG

    def show(self, text: str, work: Work | None) -> None:  # noqa: ARG002 - a line of text
        sys.stderr.write(f"  {text}\n")
        sys.stderr.flush()

    def clear(self) -> None:
        """Leave the lines where they are."""


class _Notebook:
    interval = _NOTEBOOK

    def __init__(self, display: Any, page: Any) -> None:
        self._display, self._page = display, page
        self._handle: Any = None

    def show(self, text: str, work: Work | None) -> None:
        bar = ""
        if work is not None and work.total:
            bar = f"<progress value='{work.done}' max='{work.total}'></progress> "
        shown = self._page(f"<span>{bar}{html.escape(text)}</span>")
        if self._handle is None:
            self._handle = self._display(shown, display_id=True)
        else:
            self._handle.update(shown)

    def clear(self) -> None:
        if self._handle is not None:
            self._handle.update(self._page(""))


def _screen() -> _Screen:
    if "ipykernel" in sys.modules and "IPython" in sys.modules:
        tools = sys.modules["IPython"]
        shell = tools.get_ipython()
        if type(shell).__name__ == "ZMQInteractiveShell":
            return _Notebook(tools.display.display, tools.display.HTML)
    return _Terminal() if sys.stderr.isatty() else _Log()


@contextmanager
def show_progress(
    label: str, tasks: TaskCounts | None = None, *, interval: float | None = None
) -> Iterator[None]:
    """Show how far the work in this block is.

    Inside another such block, only the inner one shows.

    Args:
        label: what is done, in a few words.
        tasks: asks how far the running Spark jobs are; None where there are none.
        interval: seconds between two lines; None: 0.5 on a terminal, 30 in a file or pipe.
    """
    screen, ended = _screen(), threading.Event()
    watcher = threading.Thread(
        target=_watch,
        args=(label, tasks, screen, screen.interval if interval is None else interval, ended),
        name="progress",
        daemon=True,
    )
    _blocks.append(ended)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        _blocks.remove(ended)


@contextmanager
def hand_over() -> Iterator[None]:
    """Show nothing in this block: somebody else writes to the terminal."""
    mark = object()
    _blocks.append(mark)
    try:
        yield
    finally:
        _blocks.remove(mark)


def _watch(
    label: str,
    tasks: TaskCounts | None,
    screen: _Screen,
    interval: float,
    ended: threading.Event,
) -> None:
    began = time.monotonic()
    while not ended.wait(interval):
        if _blocks[-1] is not ended:
            screen.clear()
            continue
        now = time.monotonic()
        if screen.interval < _LOG and now - began < min(_QUIET, 2 * interval):
            continue
        done, total = _ask(tasks)
        work = current_work()
        if work is not None:
            work.see_tasks(done, total)
        screen.show(describe(label, work, done, total, now, now - began), work)
    screen.clear()


def _ask(tasks: TaskCounts | None) -> tuple[int, int]:
    try:
        return (0, 0) if tasks is None else tasks()
    except Exception:
        return 0, 0


def describe(
    label: str, work: Work | None, done: int, total: int, now: float, elapsed: float
) -> str:
    """Return one line: what is counted, the rate and the time that is left.

    Args:
        label: what is done.
        work: what is counted, or None.
        done: tasks of the running Spark jobs that are done.
        total: tasks of the running Spark jobs.
        now: the time by `time.monotonic`.
        elapsed: seconds since the beginning.
    """
    parts: list[str] = []
    if work is not None:
        of = "" if work.total is None else f" of {work.total:,}"
        parts.append(f"{work.done:,}{of} {work.unit}")
        if (rate := work.rate(now)) > 0:
            parts.append(_rate(rate))
        if work.note:
            parts.append(work.note)
    elif total:
        parts.append(f"a Spark job, {done:,} of {total:,} tasks")
    parts.append(_duration(elapsed))
    if work is not None and (left := work.seconds_left(now)) is not None:
        parts.append(f"{_duration(left)} left")
    return f"{label}: {', '.join(parts)}"


def _rate(rate: float) -> str:
    if rate >= 10:
        return f"{rate:,.0f}/s"
    return f"{rate:.1f}/s" if rate >= 0.1 else f"{60 * rate:.1f}/min"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
