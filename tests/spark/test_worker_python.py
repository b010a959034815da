"""A session whose Python workers would start an interpreter that cannot run this package."""

from __future__ import annotations

import gc
import os
import sys
import venv
from pathlib import Path
from zipfile import ZipFile
from zipimport import zipimporter

import pyarrow as pa
import pytest

from genre_spark.errors import InvalidConfigError
from genre_spark.multilabel import MultilabelEvaluator, RandomLabels
from genre_spark.spark.session import spark_session
from genre_spark.spark.settings import with_imports
from genre_spark.workers.daemon import SKLEARN_TOO, starting_at_once
from genre_spark.workers.interpreter import check_interpreter


@pytest.fixture
def bare_python(tmp_path, monkeypatch) -> str:
    """The interpreter of another virtual environment, which has no package."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(tmp_path)
    venv.create(tmp_path / "bare", symlinks=True)
    return str(tmp_path / "bare" / "bin" / "python")


def test_the_running_interpreter_passes_under_each_of_its_names():
    folder = Path(sys.executable).parent
    for name in ("python", "python3"):
        check_interpreter(str(folder / name))


def test_an_interpreter_that_is_not_there_is_named_with_what_to_set():
    with pytest.raises(InvalidConfigError, match="'/nowhere/python3', which is not an executable"):
        check_interpreter("/nowhere/python3")


def test_another_environment_of_the_same_python_is_rejected_for_the_packages_it_misses(bare_python):
    with pytest.raises(InvalidConfigError, match="which has no genre_spark, numpy") as raised:
        check_interpreter(bare_python)
    message = str(raised.value)
    assert "os.environ['PYSPARK_PYTHON'] = sys.executable" in message
    assert sys.executable in message
    assert "\n" not in message


def test_a_package_that_the_session_ships_need_not_be_installed(bare_python):
    with pytest.raises(InvalidConfigError, match="which has no numpy, pandas"):
        check_interpreter(bare_python, package_is_shipped=True)


def test_another_version_of_python_is_rejected(tmp_path):
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\necho '[[3, 6], []]'\n")
    old.chmod(0o755)
    with pytest.raises(InvalidConfigError, match=r"Python 3\.6 where this program runs 3\."):
        check_interpreter(str(old))


def test_a_program_that_is_no_python_is_left_to_spark(tmp_path):
    wrapper = tmp_path / "wrapper"
    wrapper.write_text("#!/bin/sh\necho started elsewhere\n")
    wrapper.chmod(0o755)
    check_interpreter(str(wrapper))


def test_a_session_with_another_python_is_rejected_before_its_first_job(
    classic, bare_python, monkeypatch
):
    rows = classic.createDataFrame([([0.0], [1.0])], "features array<double>, labels array<double>")
    monkeypatch.setattr(classic.sparkContext, "pythonExec", bare_python)
    with pytest.raises(InvalidConfigError, match="PYSPARK_PYTHON"):
        RandomLabels().fit(rows)
    with pytest.raises(InvalidConfigError, match="PYSPARK_PYTHON"):
        MultilabelEvaluator().evaluateAll(rows)
    with pytest.raises(InvalidConfigError, match="PYSPARK_PYTHON"), spark_session(app_name="adopt"):
        pass


def test_sessions_of_databricks_are_not_looked_at(classic, bare_python, monkeypatch):
    monkeypatch.setattr(classic.sparkContext, "pythonExec", bare_python)
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    with spark_session(app_name="adopt") as adopted:
        assert adopted is classic


def test_workers_of_a_local_session_are_forked_with_their_packages_imported(classic):
    def look(batches):
        for _ in batches:
            known = [name in sys.modules for name in ("pandas", "pyarrow.parquet")]
            yield pa.RecordBatch.from_pylist(
                [{"known": known, "frozen": gc.get_freeze_count() > 10_000}]
            )

    (row,) = classic.range(1).mapInArrow(look, "known array<boolean>, frozen boolean").collect()
    assert (row.known, row.frozen) == ([True, True], True)


def test_workers_of_an_rdd_have_the_daemon_of_sqls_workers(classic):
    def look(batches):
        for _ in batches:
            yield pa.RecordBatch.from_pylist([{"parent": os.getppid()}])

    (row,) = classic.range(0, 1, 1, 1).mapInArrow(look, "parent long").collect()
    lists = classic.sparkContext.parallelize([0], 1)
    assert lists.map(lambda _: os.getppid()).collect() == [row.parent]


def test_workers_import_scikit_learn_where_this_process_has(monkeypatch):
    key = f"spark.executorEnv.{SKLEARN_TOO}"
    monkeypatch.setitem(sys.modules, "sklearn", sys)
    assert with_imports({})[key] == "1"
    monkeypatch.delitem(sys.modules, "sklearn")
    assert key not in with_imports({})


def test_a_session_that_ships_the_package_or_has_a_daemon_keeps_its_own():
    shipped, own = {"spark.submit.pyFiles": "a.zip"}, {"spark.python.daemon.module": "mine"}
    assert (with_imports(shipped), with_imports(own)) == (shipped, own)


def test_a_task_does_not_read_the_directories_of_archives_first(tmp_path, monkeypatch):
    """PySpark asks every finder of an archive for it before a task: 200 ms with Spark's jar."""
    archive = str(tmp_path / "archive.zip")
    with ZipFile(archive, "w") as file:
        file.writestr("module.py", "")
    monkeypatch.setitem(sys.path_importer_cache, archive, zipimporter(archive))
    task = starting_at_once(lambda *files: (archive in sys.path_importer_cache, *files))
    assert task("in", "out") == (False, "in", "out")
