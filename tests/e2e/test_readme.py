"""README.md: its examples work when they are pasted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import short_lived_jvm
from tests.e2e.running import ROOT, environment

pytestmark = pytest.mark.e2e
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
SKIPPED = ("collect-tmdb", "download-posters", "prepare-posters", "build-features", "sample")
SKIPPED += ("train-multilabel", "train-cnn", "train-linear", "train-stack", "evaluate", "compare")
SKIPPED += ("package-models",)


def paste(command: list[str], folder: Path) -> str:
    """Run a command in a folder as a user does, and return what it prints."""
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    java = {"JDK_JAVA_OPTIONS": short_lived_jvm()}
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        env={**environment(), **python, **java},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_estimators_learn_what_the_example_has_in_it(tmp_path):
    answer = paste([sys.executable, "-c", PYTHON[0]], tmp_path)
    assert float(answer.split()[-1]) > 0.9


def test_the_notebook_example_prints_counts(tmp_path):
    code = PYTHON[1].replace("/tmp/demo", str(tmp_path / "demo"))
    code = code.replace("sample_data.movies=300", "sample_data.movies=60")
    paths = [f"paths.{name}={tmp_path}/data" for name in ("metadata",)]
    paths += [f"paths.genres_csv={tmp_path}/data/genres.csv", f"paths.posters={tmp_path}/data/p"]
    code = code.replace('"sample_data', f'{", ".join(map(repr, paths))}, "sample_data', 1)
    assert "'movies':" in paste([sys.executable, "-c", code], tmp_path)


def test_the_commands_of_the_pipeline_run_in_a_folder_of_the_users(tmp_path):
    command = re.search(r"^ +(spark-submit jobs/run\.py --config conf/demo\.yaml)$", TEXT, re.M)
    assert command, "README.md has no such command"
    paste([sys.executable, "-m", "genre_spark", "init", "my-movies"], tmp_path)
    words = command[1].split()
    words[0] = str(Path(sys.executable).parent / words[0])
    small = ["sample_data.movies=60", f"skip_stages=[{', '.join(SKIPPED)}]"]
    out = paste([*words, *small], tmp_path / "my-movies")
    assert "group-genres" in out
    assert (tmp_path / "my-movies" / "work" / "demo" / "genres" / "_manifest.json").is_file()


def test_every_page_and_picture_that_is_named_is_there():
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", TEXT)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []
