"""Functions for tests that run them in a process of its own."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from genre_spark.errors import InvalidInputError
from genre_spark.progress import counting


def facts(*arguments: object, **options: object) -> tuple[int, tuple[object, ...], dict]:
    """Return where it ran, and with what."""
    return os.getpid(), arguments, options


def modules() -> set[str]:
    """Return the modules that the process has imported."""
    return set(sys.modules)


def tell(text: str) -> None:
    """Log a text and print another one."""
    logging.getLogger("genre_spark").info("told: %s", text)
    logging.getLogger("genre_spark").debug("not told: %s", text)
    sys.stdout.write("not for standard output\n")


def tell_otherwise(text: str) -> None:
    """Say a text as other packages do."""
    logging.getLogger("somebody.else").warning("%s", text)
    warnings.warn(text, stacklevel=1)


def make_a_temporary_file() -> str:
    """Return a file that this process leaves behind."""
    return tempfile.mkstemp()[1]


def count_to(number: int, *, report: Callable[[int], bool | None]) -> int:
    """Report numbers until one is answered with True."""
    for found in range(number):
        if report(found):
            return found
    return number


def work_slowly(steps: int, marker: str) -> None:
    """Count some steps, and wait after the last one for a file."""
    with counting("steps", 10, done=2) as work:
        for step in range(steps):
            work.advance(note=f"step {step}")
        while not Path(marker).exists():
            time.sleep(0.01)


def fail(kind: str) -> None:
    """Raise an error of this package, of Python, or one that does not travel."""
    if kind == "ours":
        raise InvalidInputError("posters.height: 0, expected more")
    if kind == "disk":
        raise OSError(28, "No space left on device")

    class LocalError(Exception):
        pass

    raise LocalError("cannot travel")


def die(number: int) -> None:
    """End the process by a signal; 0: without a word."""
    if number:
        os.kill(os.getpid(), number)
        signal.pause()
    os._exit(3)


def write_forever(file: str) -> None:
    """Write the process's number, and the time, for ever."""
    while True:
        Path(file).write_text(f"{os.getpid()} {time.monotonic()}")
        time.sleep(0.01)


def unpicklable() -> Callable[[], None]:
    """Return what cannot be sent."""
    return lambda: None
