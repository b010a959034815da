"""Ctrl-C, SIGTERM and a hangup: one sentence and the exit code 128 + signal, at any moment."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genre_spark.signals import interruption

BEGIN = """
import sys, threading, time
from genre_spark.signals import end_interrupted, handle_signals, interruption, working
handle_signals("genre-spark: sample")
def say(word):
    print(word, flush=True)
"""
CASES = {
    "before any work": "say('ready'); time.sleep(60)",
    "in a stage": """
try:
    with working():
        try:
            say('ready'); time.sleep(60)
        finally:
            say('closed')
except BaseException:
    sys.exit(end_interrupted())
""",
    "with errors on the way out": """
def broken():
    time.sleep(1)
    raise ConnectionError("the JVM is gone")
try:
    with working():
        threading.Thread(target=broken).start()
        try:
            say('ready'); time.sleep(60)
        finally:
            say('closed')
            raise AttributeError("'NoneType' object has no attribute '_jsc'")
except BaseException:
    assert interruption() is not None
    sys.exit(end_interrupted())
""",
    "where a library swallows it": """
with working():
    try:
        say('ready'); time.sleep(60)
    except BaseException:
        say('closed')
if interruption() is not None:
    sys.exit(end_interrupted())
""",
}


def by_default() -> None:
    """Undo what `nohup` or a background job has set for the tests themselves."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def signalled(code: str, *signals: int) -> tuple[int, str, str]:
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        preexec_fn=by_default,  # noqa: PLW1509 - starts no thread
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for number in signals:
        process.send_signal(number)
        time.sleep(0.1)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "ended with its terminal"),
    ],
)
def test_a_signal_ends_with_its_code_and_one_sentence(case, number, code, word) -> None:
    ended, out, err = signalled(CASES[case], number)
    sentence = f"genre-spark: sample: {word}; start it again and it goes on with what is left to do"
    assert (ended, err.splitlines()) == (code, [sentence])
    assert out == ("" if case == "before any work" else "closed\n")


def test_a_second_signal_changes_nothing_and_a_third_ends_at_once() -> None:
    slow = CASES["in a stage"].replace("say('closed')", "time.sleep(2); say('closed')")
    ended, out, err = signalled(slow, signal.SIGINT, signal.SIGINT)
    assert (ended, out, len(err.splitlines())) == (130, "closed\n", 1)
    ended, out, err = signalled(slow, signal.SIGINT, signal.SIGTERM, signal.SIGINT)
    assert (ended, out, len(err.splitlines())) == (130, "", 1)


def test_processes_that_were_started_end_too() -> None:
    started = "import subprocess; child = subprocess.Popen(['sleep', '300'])\n"
    code = started + CASES["in a stage"].replace("say('ready')", "say('ready'); say(child.pid)")
    ended, out, _ = signalled(code, signal.SIGTERM)
    assert ended == 143
    child = Path("/proc") / out.split()[0] / "status"
    deadline = time.monotonic() + 30
    while child.exists() and "zombie" not in child.read_text():
        assert time.monotonic() < deadline, "the child lives"
        time.sleep(0.05)


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_a_signal_that_is_ignored_stays_so(name: str) -> None:
    code = f"import signal; signal.signal(signal.{name}, signal.SIG_IGN); handle_signals()\n"
    wait = "say('ready'); time.sleep(0.5); say('done')"
    ended, out, _ = signalled(code + wait, signal.Signals[name])
    assert (ended, out) == (0, "done\n")
    assert interruption() is None
