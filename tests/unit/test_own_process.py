"""A function in a process of its own: what arrives here, and what happens when one of them ends."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from genre_spark.errors import InvalidInputError, StageFailedError
from genre_spark.progress.work import current_work
from genre_spark.workers import own_process
from genre_spark.workers.own_process import (
    kept_process,
    prepare_process,
    prepared_process,
    run_in_own_process,
)

FUNCTIONS = "tests.unit.own_process_functions:"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def nothing_stays(monkeypatch):
    """No process of other tests, and none is left to them."""
    monkeypatch.setattr(own_process._Prepared, "keepers", 0)
    monkeypatch.setattr(own_process._Prepared, "process", None)
    yield
    assert own_process._Prepared.process is None
    assert not own_process._Prepared.keepers


def run(name: str, *arguments, **options):
    return run_in_own_process("a test", FUNCTIONS + name, *arguments, **options)


def wait_until(holds) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_function_runs_elsewhere_with_its_arguments():
    process, arguments, options = run("facts", 1, "two", three=[3])
    assert process != os.getpid()
    assert (arguments, options) == ((1, "two"), {"three": [3]})
    assert not psutil.pid_exists(process)


def test_modules_are_imported_from_where_this_process_has_them(tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def answer():\n    return 42\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run_in_own_process("a test", "only_here:answer") == 42
    assert "only_here" not in sys.modules


def test_log_records_are_handled_here_at_the_level_of_here(caplog, capfd):
    with caplog.at_level(logging.INFO, logger="genre_spark"):
        run("tell", "a word")
    assert [record.getMessage() for record in caplog.records] == ["told: a word"]
    assert capfd.readouterr().out == ""


def test_records_of_other_loggers_and_warnings_come_here_too(caplog):
    with caplog.at_level(logging.WARNING):
        run("tell_otherwise", "a word")
    told = [(record.name, record.getMessage()) for record in caplog.records]
    assert told[0] == ("somebody.else", "a word")
    assert told[1][0] == "py.warnings"
    assert "UserWarning: a word" in told[1][1]


def test_a_logger_that_is_quiet_here_is_quiet(caplog):
    quiet = logging.getLogger("somebody.else")
    before = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        run("tell_otherwise", "a word")
    finally:
        quiet.setLevel(before)
    assert "somebody.else" not in [record.name for record in caplog.records]


def test_modules_of_the_working_folder_do_not_stand_for_those_of_python(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('somebody else')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path or str(ROOT) for path in sys.path])
    assert run("facts", 1)[1] == (1,)


def test_paths_of_modules_may_be_any_kind_of_path(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, tmp_path])
    assert run("facts", 1)[1] == (1,)


def test_temporary_files_go_with_the_process():
    folder = Path(run("make_a_temporary_file"))
    assert not folder.exists()
    assert not folder.parent.exists()


def test_reports_are_answered_here():
    seen = []
    assert run("count_to", 3, report=seen.append) == 3
    assert run("count_to", 9, report=lambda number: number == 4) == 4
    assert seen == [0, 1, 2]


def test_an_error_of_the_report_ends_the_process_and_is_raised():
    def refuse(number: int) -> None:
        raise KeyError(number)

    with pytest.raises(KeyError):
        run("count_to", 3, report=refuse)


def test_what_is_counted_there_is_counted_here(tmp_path):
    marker = tmp_path / "go on"
    thread = threading.Thread(target=run, args=("work_slowly", 3, str(marker)))
    thread.start()
    wait_until(lambda: (work := current_work()) is not None and work.note == "step 2")
    work = current_work()
    assert (work.unit, work.total, work.start, work.done) == ("steps", 10, 2, 5)
    marker.touch()
    thread.join(60)
    assert current_work() is None


@pytest.mark.parametrize(
    ("kind", "expected", "text"),
    [
        ("ours", InvalidInputError, "posters.height: 0, expected more"),
        ("disk", OSError, "No space left on device"),
        ("other", RuntimeError, "LocalError: cannot travel"),
    ],
)
def test_an_error_is_raised_here_with_the_traceback_of_there(kind, expected, text):
    with pytest.raises(expected, match=text) as caught:
        run("fail", kind)
    assert "own_process_functions.py" in str(caught.value.__cause__)


def test_a_result_that_cannot_be_sent_is_an_error():
    with pytest.raises(Exception, match="pickle"):
        run("unpicklable")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (signal.SIGKILL, "was killed by SIGKILL, as the system does where memory runs out"),
        (signal.SIGRTMIN + 6, r"was killed by signal \d+"),
        (0, "ended with exit code 3"),
    ],
)
def test_a_process_that_is_killed_is_told_of(number, text):
    with pytest.raises(StageFailedError, match=f"a test: its process {text}.*run the stage again"):
        run("die", int(number))


def test_functions_of_a_block_share_a_process_until_one_is_lost():
    with kept_process():
        first, second = run("facts")[0], run("facts")[0]
        with pytest.raises(InvalidInputError):
            run("fail", "ours")
        third = run("facts")[0]
        with pytest.raises(StageFailedError):
            run("die", 0)
        assert first == second == third != run("facts")[0]


def test_a_prepared_process_has_imported_already():
    prepare_process(["genre_spark.numeric.splitmix", "no_such_module"])
    process = own_process._Prepared.process
    assert "genre_spark.numeric.splitmix" in run("modules")
    assert not process.lives


def test_a_prepared_process_that_has_died_is_replaced():
    with prepared_process():
        lost = own_process._Prepared.process
        lost._process.kill()
        lost._process.wait()
        assert run("facts")[0] != lost._process.pid


def test_a_prepared_process_that_nobody_takes_ends_with_the_block():
    with prepared_process():
        process = own_process._Prepared.process
    assert not process.lives


def test_the_process_ends_when_this_one_is_killed(tmp_path):
    file = tmp_path / "number"
    program = (
        "from genre_spark.workers.own_process import run_in_own_process;"
        f"run_in_own_process('a test', {FUNCTIONS + 'write_forever'!r}, {str(file)!r})"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    wait_until(lambda: file.exists() and file.read_text())
    child = psutil.Process(int(file.read_text().split()[0]))
    parent.kill()
    parent.wait()
    child.wait(10)
