"""The stages of a small sample, and what is in the tables that they write."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from genre_spark.config import Config, load_config
from genre_spark.pipelines.stage_list import STAGES
from genre_spark.tables import table_files

STAGE_NAMES = (
    "group-genres",
    "prepare-posters",
    "build-features",
    "sample",
    "train-multilabel",
    "train-linear",
    "evaluate",
    "package-models",
    "compare",
    "predict",
)
TABLES = (
    "genres",
    "posters",
    "features",
    "samples/train",
    "samples/validation",
    "samples/test",
    "predictions/binary_relevance/test",
    "predictions/pruned_sets/test",
    "predictions/text/test",
    "movie_predictions",
    "evaluation",
)
NOT_CONTENT = ("row_hash", "predicted_at", "model_version", "source")  # times, versions and places


def small_recipe(work: Path, data: Path, **spark: Any) -> Config:
    """Return a recipe for 120 movies that takes seconds; Spark's trees and scikit-learn's."""
    words = [
        f"paths.work={work}",
        f"paths.genres_csv={data}/genres.csv",
        f"paths.posters={data}/posters",
        f"paths.metadata={data}",
        f"paths.new={data}",
        "sample_data.movies=120",
        "posters.height=24",
        "posters.width=16",
        "features.text_words=40",
        "features.max_categories=15",
        "sampling.minimum_per_genre=3",
        "multilabel.methods=[binary_relevance,pruned_sets]",
        "multilabel.forest.trees=3",
        "multilabel.forest.max_depth=4",
        "stack=null",
        "spark.conf_file=null",
        *(f"spark.{key}={value}" for key, value in spark.items()),
    ]
    return load_config("demo.yaml", words)


def make_data(folder: Path) -> Path:
    """Write the synthetic data set of the recipe, without Spark."""
    config = small_recipe(folder / "unused", folder)
    STAGES["make-sample"].load()(None, config)
    return folder


def run_stages(session: Any, config: Config) -> dict[str, str]:
    """Run the stages and return a digest per table of what its rows say, whatever their order."""
    for name in STAGE_NAMES:
        STAGES[name].load()(session, config)
    return {name: digest(f"{config.paths.work}/{name}") for name in TABLES}


def digest(folder: str) -> str:
    """Return a digest of a table's rows as a set; floats to seven digits."""
    rows: list[str] = []
    for file in table_files(folder):
        table = pq.ParquetFile(file).read()
        kept = [name for name in table.column_names if name not in NOT_CONTENT]
        rows += [repr(sorted(row.items())) for row in map(_plain, table.select(kept).to_pylist())]
    assert rows, folder
    return hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value
