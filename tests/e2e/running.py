"""Run genre_spark as a user does: in a process of its own, on a small recipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.conftest import SHORT_LIVED_JVM

ROOT = Path(__file__).resolve().parents[2]
TABLES = (
    "genres",
    "posters",
    "rejects/genres",
    "rejects/posters",
    "rejects/metadata",
    "features",
    "samples/train",
    "samples/validation",
    "samples/test",
    "predictions/binary_relevance/test",
    "predictions/lenet/test",
)


@dataclass(frozen=True)
class Finished:
    """A finished run: its recipe, its work folder and what it printed."""

    recipe: Path
    work: Path
    stages: dict[str, Any]


def write_recipe(folder: Path, *, movies: int = 150, more: str = "") -> Path:
    """Write the demo's recipe, made small: 96x80 posters, few trees, two epochs.

    Args:
        folder: where it goes.
        movies: of the synthetic data set.
        more: sections that the others do without, as YAML.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "tiny.yaml"
    recipe.write_text(
        f"""
paths: {{genres_csv: data/genres.csv, posters: data/posters, metadata: data, work: work}}
spark:
  conf_file: {ROOT}/conf/spark/local.conf
  master: "local[2]"
  settings:
    spark.driver.memory: 1g
    spark.sql.shuffle.partitions: "2"
    spark.driver.extraJavaOptions: "{SHORT_LIVED_JVM}"
mlflow: {{experiment: tiny}}
sample_data: {{movies: {movies}, flaws: true}}
posters: {{height: 96, width: 80}}
features: {{min_count: 3, max_categories: 20, text_words: 50, thumbnail: 3, histogram_bins: 4}}
sampling: {{minimum_per_genre: 3}}
multilabel:
  methods: [binary_relevance]
  forest: {{trees: 5, max_depth: 4}}
  weights: effective_number
cnn: {{architecture: lenet, epochs: 2, batch_size: 16}}
{more}"""
    )
    return recipe


def environment() -> dict[str, str]:
    """Return the environment of a user's shell in which the package is importable."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYSPARK_", "SPARK_", "MLFLOW_"))
    }
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def start(stage: str, recipe: Path, *words: str) -> subprocess.Popen[str]:
    """Start a stage in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "genre_spark", stage, "--config", str(recipe), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )


def run(
    stage: str, recipe: Path, *words: str, timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """Run a stage to its end."""
    process = start(stage, recipe, *words)
    out, err = process.communicate(timeout=timeout)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def run_json(stage: str, recipe: Path, *words: str) -> Any:
    """Run a stage that has to succeed and return what it prints with --json."""
    done = run(stage, recipe, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def finish(folder: Path, *, more: str = "") -> Finished:
    """Run the whole pipeline on generated data through the command line; see `write_recipe`."""
    recipe = write_recipe(folder, more=more)
    value = run_json("run", recipe)
    return Finished(recipe, folder / "work", {stage["stage"]: stage for stage in value["stages"]})


def submit_command(
    stage: str, recipe: Path, *words: str, options: tuple[str, ...] = ()
) -> tuple[list[str], dict[str, str]]:
    """Return the words and the environment of a job under the installed pyspark."""
    submit = Path(sys.executable).parent / "spark-submit"
    job = ROOT / "jobs" / f"{stage.replace('-', '_')}.py"
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    command = [str(submit), *options, str(job), "--config", str(recipe), *words]
    return command, {**environment(), **python}


def spark_submit(
    stage: str, recipe: Path, *words: str, options: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a job with spark-submit to its end."""
    command, env = submit_command(stage, recipe, *words, options=options)
    return subprocess.run(
        command, capture_output=True, text=True, timeout=600, env=env, check=False
    )


def table_rows(table: Path) -> list[dict[str, Any]]:
    """Return the rows of a whole table, in an order that depends on their content alone."""
    manifest = json.loads((table / "_manifest.json").read_text())
    rows: list[dict[str, Any]] = []
    for path in manifest["paths"]:
        rows += pq.read_table(table / path).to_pylist()
    return sorted(rows, key=repr)


def all_rows(work: Path, tables: Iterable[str] = TABLES) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the tables that faults may not change."""
    return {table: table_rows(work / table) for table in tables}
