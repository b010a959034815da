"""The line that says how far the work is: what is counted, the rate, the time that is left."""

from __future__ import annotations

import io
import logging
import sys
import time
import types

from genre_spark.progress import LineHandler, Work, counting, hand_over, show_progress
from genre_spark.progress.display import describe


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def wait_for(text: str, stream: io.StringIO) -> str:
    deadline = time.monotonic() + 20
    while text not in stream.getvalue():
        assert time.monotonic() < deadline, stream.getvalue()
        time.sleep(0.005)
    return stream.getvalue()


def work_after(seconds: float, work: Work) -> tuple[Work, float]:
    work._began = 100.0
    return work, 100.0 + seconds


def test_a_line_has_counts_rate_and_remaining_time():
    work, now = work_after(4, Work("posters", 1500))
    work.advance(500)
    line = describe("prepare-posters", work, 3, 9, now, 5.0)
    assert line == "prepare-posters: 500 of 1,500 posters, 125/s, 5 s, 8 s left"
    work, now = work_after(600, Work("fits", 40, done=10))
    work.advance(5, note="binary_relevance")
    line = describe("train-multilabel", work, 0, 0, now, 600.0)
    assert line == (
        "train-multilabel: 15 of 40 fits, 0.5/min, binary_relevance, 10 min, 50 min left"
    )
    work, now = work_after(2, Work("movies"))
    work.advance(50)
    assert describe("collect", work, 0, 0, now, 2.0) == "collect: 50 movies, 25/s, 2 s"
    assert describe("sample", None, 3, 8, now, 2.0) == "sample: a Spark job, 3 of 8 tasks, 2 s"
    assert describe("sample", None, 0, 0, now, 2.0) == "sample: 2 s"


def test_tasks_stand_for_what_they_do_and_the_count_never_falls():
    work = Work("posters", 1000, done=200, by_tasks=True)
    work.see_tasks(1, 4)
    assert work.done == 400
    work.see_tasks(0, 8)  # the next job
    assert work.done == 400
    alone = Work("epochs", 4)
    alone.see_tasks(3, 4)
    assert alone.done == 0


def test_a_terminal_has_one_line_of_the_innermost_block(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with show_progress("outer", lambda: (1, 4), interval=0.01):
        wait_for("\r\x1b[K  outer: a Spark job, 1 of 4 tasks", terminal)
        with show_progress("inner", interval=0.01), counting("movies", 9) as work:
            work.advance(2)
            wait_for("inner: 2 of 9 movies", terminal)
            terminal.truncate(0)
            terminal.seek(0)
            wait_for("inner", terminal)
            assert "outer" not in terminal.getvalue()
        wait_for("outer", terminal)
        with hand_over():
            wait_for("\r\x1b[K", terminal)
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert "\n" not in terminal.getvalue()


def test_a_log_has_whole_lines_and_short_work_none(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with show_progress("sample"), counting("movies", 9):
        pass
    assert log.getvalue() == ""
    with show_progress("sample", interval=0.01), counting("movies", 9):
        text = wait_for("sample: 0 of 9 movies", log)
    assert text.endswith("\n")
    assert "\r" not in text


def test_a_session_that_ends_costs_no_more_than_the_line(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)

    def broken() -> tuple[int, int]:
        raise RuntimeError("the session has ended")

    with show_progress("sample", broken, interval=0.01):
        wait_for("sample: 0 s", log)


def test_a_notebook_has_a_bar_that_is_updated(monkeypatch):
    shown = []

    class Handle:
        def update(self, page):
            shown.append(page)

    def display(page, display_id):
        assert display_id
        shown.append(page)
        return Handle()

    shell = type("ZMQInteractiveShell", (), {})()
    tools = types.SimpleNamespace(
        get_ipython=lambda: shell, display=types.SimpleNamespace(display=display, HTML=str)
    )
    monkeypatch.setitem(sys.modules, "IPython", tools)
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    with show_progress("sample <1>", interval=0.01), counting("movies", 8) as work:
        work.advance(2)
        while len(shown) < 2:
            time.sleep(0.005)
    assert "<progress value='2' max='8'></progress> sample &lt;1&gt;: 2 of 8 movies" in shown[0]
    assert shown[-1] == ""


def test_records_go_to_standard_error_as_it_is_when_they_come(monkeypatch):
    handler, first, second = LineHandler(), io.StringIO(), io.StringIO()
    record = logging.LogRecord("genre_spark", logging.INFO, "", 0, "hello", None, None)
    monkeypatch.setattr(sys, "stderr", first)
    handler.emit(record)
    first.close()
    monkeypatch.setattr(sys, "stderr", second)
    handler.emit(record)
    assert second.getvalue() == "hello\n"
