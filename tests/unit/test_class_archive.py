"""The archive of Spark's classes: who gets it, and who goes without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from genre_spark.commands import archive_classes
from genre_spark.spark.class_archive import archive_file, with_class_archive
from genre_spark.spark.launch import classic_settings
from genre_spark.spark.settings import JAVA_OPTIONS, with_late_compiling
from genre_spark.user_cache import NAME

OWN = "spark.driver.extraJavaOptions"


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(NAME, str(tmp_path))
    return tmp_path


@pytest.fixture
def archive(cache) -> Path:
    file = archive_file()
    assert file is not None and file.parent == cache
    file.write_bytes(b"classes")
    return file


def test_a_local_session_maps_the_archive_that_is_there(archive) -> None:
    found = with_class_archive({"spark.master": "local[2]", OWN: "-Xss4m"})
    assert f"-XX:SharedArchiveFile={archive} " in found[JAVA_OPTIONS]
    assert found[OWN] == "-Xss4m"
    kept = with_class_archive({JAVA_OPTIONS: "-Dmine=1"})[JAVA_OPTIONS]
    assert kept.startswith("-Dmine=1 -XX:SharedArchiveFile=")


@pytest.mark.parametrize("option", ["-Xshare:off", "-XX:SharedArchiveFile=mine.jsa"])
def test_options_about_archives_stay_as_they_are(archive, option: str) -> None:
    assert with_class_archive({OWN: option}) == {OWN: option}


def test_without_an_archive_nothing_changes(cache) -> None:
    assert with_class_archive({OWN: "-Xss4m"}) == {OWN: "-Xss4m"}


def test_a_local_jvm_compiles_late_and_one_for_a_cluster_does_not(cache) -> None:
    scaling = "-XX:CompileThresholdScaling=4"
    assert classic_settings("local[2]", {JAVA_OPTIONS: "-Da=1"})[JAVA_OPTIONS] == f"-Da=1 {scaling}"
    assert JAVA_OPTIONS not in classic_settings("spark://host:7077", {})
    mine = {OWN: "-XX:CompileThresholdScaling=1"}
    assert with_late_compiling(mine) == mine


def test_settings_of_the_installation_stay(cache, tmp_path, monkeypatch) -> None:
    """Those of the command line, as the session's are, would otherwise take their place."""
    defaults = {
        JAVA_OPTIONS: "-Dproxy=theirs",
        "spark.python.daemon.module": "their.daemon",
        "spark.theirs": "1",
    }
    (tmp_path / "spark-defaults.conf").write_text(
        "\n".join(f"{key} {value}" for key, value in defaults.items())
    )
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    found = classic_settings("local[2]", {"spark.mine": "2"})
    assert found[JAVA_OPTIONS] == "-Dproxy=theirs -XX:CompileThresholdScaling=4"
    assert found["spark.mine"] == "2"
    assert not {"spark.python.daemon.module", "spark.theirs"} & set(found)
    mine = classic_settings("local[2]", {"spark.theirs": "1", JAVA_OPTIONS: "-Dmine=1"})
    assert mine["spark.theirs"] == "1"
    assert mine[JAVA_OPTIONS].startswith("-Dmine=1 ")


def test_another_java_has_another_archive(cache, monkeypatch) -> None:
    before = archive_file()
    java = cache / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(cache / "jdk"))
    assert archive_file() not in (None, before)


def test_without_a_folder_to_keep_it_the_command_ends_with_2_and_a_sentence(
    monkeypatch, capsys
) -> None:
    monkeypatch.setenv(NAME, "")
    assert archive_classes.main([]) == 2
    assert "no folder to keep classes in (GENRE_SPARK_CACHE" in capsys.readouterr().err


def test_an_archive_that_is_there_is_not_made_again(archive) -> None:
    before = archive.stat()
    assert archive_classes.main(["--once"]) == 0
    assert archive.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.slow
def test_the_command_makes_an_archive_whose_classes_a_session_maps(cache) -> None:
    code = (
        "from genre_spark.spark.session import spark_session\n"
        "with spark_session(app_name='x', master='local[1]') as spark:\n"
        "    beans = spark._jvm.java.lang.management.ManagementFactory\n"
        "    print(beans.getRuntimeMXBean().getInputArguments())\n"
    )
    made = subprocess.run(
        [sys.executable, "-m", "genre_spark", "archive-classes"], check=False, timeout=600
    )
    assert made.returncode == 0
    (file,) = cache.glob("classes-*.jsa")
    assert file.stat().st_size > 50e6
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert str(file) in done.stdout
