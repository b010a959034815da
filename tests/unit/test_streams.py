"""Standard streams of a command, whose reader may end and whose terminal may be old."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = (
    "import sys\n"
    "from genre_spark.streams import make_streams_tolerant\n"
    "make_streams_tolerant()\n"
    "for number in range(3):\n"
    "    print('Am\\u00e9lie \\u2193', number, flush=True)\n"
    "    print('said', number, file=sys.stderr)\n"
    "    if number == 0: sys.stdin.readline()\n"
    "open(sys.argv[1], 'w').write('finished')\n"
    "print('the last words')"
)


def start(*words, options=(), **environment) -> subprocess.Popen[bytes]:
    command = [sys.executable, *options, "-c", PROGRAM, *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("options", [(), ("-u",)])
def test_a_command_goes_on_when_nobody_reads_what_it_prints(tmp_path, options) -> None:
    process = start(tmp_path / "done", options=options, PYTHONUTF8="1")
    assert process.stdout.readline() == "Amélie ↓ 0\n".encode()
    process.stdout.close()
    process.stdin.write(b"\n")
    process.stdin.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=30) == 0
    assert said.splitlines() == [b"said 0", b"said 1", b"said 2"]
    assert (tmp_path / "done").read_text() == "finished"


def test_a_command_goes_on_when_nobody_reads_what_it_says(tmp_path) -> None:
    process = start(tmp_path / "done", PYTHONUTF8="1")
    assert process.stderr.readline() == b"said 0\n"
    process.stderr.close()
    process.stdin.write(b"\n")
    process.stdin.close()
    assert process.stdout.read().decode().splitlines()[-1] == "the last words"
    process.stdout.close()
    assert process.wait(timeout=30) == 0


def test_characters_that_a_terminal_does_not_have_are_question_marks(tmp_path) -> None:
    process = start(tmp_path / "done", PYTHONIOENCODING="latin-1")
    out, _ = process.communicate(b"\n", timeout=30)
    assert process.returncode == 0
    assert out.splitlines()[0] == "Amélie ? 0".encode("latin-1")
