"""What is said where an optional package is not installed; imports are blocked in a new process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from genre_spark.errors import MissingExtraError
from genre_spark.extras import EXTRAS, require
from tests.feed.tables import write_samples

ROOT = Path(__file__).resolve().parents[2]
BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""


def run_without(*blocked: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code where importing the named modules fails."""
    return subprocess.run(
        [sys.executable, "-c", BLOCK.format(blocked=blocked) + code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize(
    ("blocked", "imported", "extra"),
    [
        ("pyspark", "genre_spark.multilabel", "spark"),
        ("pydantic", "genre_spark.config", "pipeline"),
        ("cv2", "genre_spark.imaging", "pipeline"),
        ("cv2", "genre_spark.synthesis", "pipeline"),
        ("mlflow", "genre_spark.tracking", "pipeline"),
        ("matplotlib", "genre_spark.evaluation.figures", "pipeline"),
        ("torch", "genre_spark.vision.training.loop", "cnn"),
        ("torch", "genre_spark.pipelines.models.train_cnn", "cnn"),
        ("optuna", "genre_spark.pipelines.models.search_cnn", "cnn"),
        ("aiohttp", "genre_spark.collect", "collect"),
        ("transformers", "genre_spark.text", "text"),
        ("petastorm", "genre_spark.vision.feed.reader", "petastorm"),
    ],
)
def test_an_import_of_what_is_not_installed_names_the_extra(blocked, imported, extra) -> None:
    done = run_without(blocked, code=f"import {imported}")
    last = done.stderr.strip().splitlines()[-1]
    assert last == (
        f"genre_spark.errors.MissingExtraError: {blocked}: not installed; "
        f"expected after pip install 'genre_spark[{extra}]'"
    )


@pytest.mark.parametrize("blocked", ["pyspark", "pydantic", "mlflow"])
def test_the_command_line_without_its_packages_ends_with_2_and_one_line(blocked) -> None:
    code = "from genre_spark.__main__ import main; sys.exit(main(['run', '--config', 'demo.yaml']))"
    done = run_without(blocked, code=code)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"genre-spark: {blocked}: not installed; expected after pip ")
    assert done.stderr.count("\n") == 1


def test_a_stage_without_its_packages_ends_with_2_and_one_line(tmp_path) -> None:
    words = ["train-cnn", "--config", str(ROOT / "conf" / "demo.yaml"), f"paths.work={tmp_path}"]
    code = f"from genre_spark.__main__ import main; sys.exit(main({words!r}))"
    done = run_without("torch", code=code)
    assert done.returncode == 2
    assert done.stderr == (
        "genre-spark: train-cnn: torch: not installed; "
        "expected after pip install 'genre_spark[cnn]'\n"
    )


def test_the_estimators_import_nothing_of_the_pipeline() -> None:
    pipeline = [name for extra in EXTRAS for name in EXTRAS[extra] if extra != "spark"]
    assert run_without(*pipeline, code="import genre_spark.multilabel").stderr == ""


def test_the_version_needs_no_optional_package() -> None:
    everything = [name for names in EXTRAS.values() for name in names]
    done = run_without(*everything, code="import genre_spark; print(genre_spark.__version__)")
    assert done.returncode == 0, done.stderr


def test_a_missing_extra_is_an_import_error_with_the_module_s_name(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError) as raised:
        require("pyspark", "torch")
    assert isinstance(raised.value, MissingExtraError)
    assert raised.value.name == "torch"


def test_samples_are_read_without_petastorm_where_the_recipe_says_parquet(tmp_path) -> None:
    files = write_samples(tmp_path, [[3, 2]])
    done = run_without(
        "petastorm",
        code="from genre_spark.vision.feed.poster_feed import PosterFeed\n"
        f"feed = PosterFeed({files!r}, batch_size=5, reading='parquet')\n"
        "with feed: print([len(batch.movie_ids) for batch in feed.epoch(0)])",
    )
    assert done.stdout.strip() == "[5]", done.stderr
