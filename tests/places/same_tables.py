"""The stages of a small sample, and what is in the tables that they write."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from genre_spark.config import Config, load_config
from genre_spark.pipelines.stage_list import STAGES
from genre_spark.storage.files import filesystem
from genre_spark.storage.tables import read_manifest, table_files

SAMPLE = (
    "group-genres",
    "prepare-posters",
    "build-features",
    "sample",
    "train-multilabel",
    "evaluate",
)
"""The stages of the quick test."""
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
OTHERS = {
    "build-features": ("poster-embeddings", "text-embeddings"),
    "evaluate": ("search-cnn", "train-cnn", "train-fused", "train-stack"),
    "compare": ("explain-models", "ablate"),
    "predict": ("promote", "explore", "predict-posters"),
}
"""The other stages with Spark, each before the stage that is named."""
EVERY_STAGE = (
    *(name for stage in STAGE_NAMES for name in (*OTHERS.get(stage, ()), stage)),
    "publish-tables",
)
"""All that read a data set in the Letterboxd layout."""
EVERY_RECIPE = (
    "cnn.epochs=1",
    "cnn.batch_size=16",
    "cnn.feed=parquet",
    "cnn.threads=1",
    "features.blocks.text_embedding=true",
    "posters.height=80",
    "posters.width=76",
    "fused_network.parts={text: [text_embedding], metadata: [numbers, countries]}",
    "fused_network.epochs=2",
    "fused_network.threads=1",
    "stack.models={fused: [binary_relevance, text, scratch_cnn_one]}",
    "stack.folds=2",
    "cnn.architecture=scratch_cnn_one",
    "search={trials: 2, epochs: 1, parallelism: 2}",
    "linear.models={text: {blocks: {words: 1}}, both: {blocks: {words: 1, numbers: 1}}}",
    "embeddings.networks=[efficientnet_lite0]",
    "explanations.rows=60",
    "explanations.repeats=2",
    "explanations.features=4",
    "explanations.posters=2",
    "mlflow.registered_model=genres",
    "paths.tables=spark_catalog.published",
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
    "embeddings/efficientnet_lite0",
    "text_embeddings",
    "predictions/scratch_cnn_one/test",
    "predictions/fused_network/test",
    "predictions/fused/test",
    "importances/binary_relevance",
    "importances/fused",
    "heat_maps/scratch_cnn_one",
    "predictions/scratch_cnn_one/posters",
    "ablation/both/all/test",
)
NOT_CONTENT = ("row_hash", "predicted_at", "model_version", "source")  # times, versions and places


def small_recipe(
    work: Path | str, data: Path | str, words: Sequence[str] = (), **spark: Any
) -> Config:
    """Return a recipe for 120 movies that takes seconds."""
    own = [
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
    return load_config("demo.yaml", [*own, *words])


def make_data(folder: Path) -> Path:
    """Write the synthetic data set of the recipe, without Spark."""
    config = small_recipe(folder / "unused", folder)
    STAGES["make-sample"].load()(None, config)
    return folder


def run_stages(session: Any, config: Config, stages: Sequence[str] = STAGE_NAMES) -> dict[str, str]:
    """Run the stages and return a digest per table of what its rows say, whatever their order."""
    for name in stages:
        STAGES[name].load()(session, config)
    tables = {name: f"{config.paths.work}/{name}" for name in TABLES}
    return {name: digest(path) for name, path in tables.items() if read_manifest(path)}


def digest(folder: str) -> str:
    """Return a digest of a table's rows as a set; floats to seven digits."""
    rows: list[str] = []
    for file in table_files(folder):
        system, inner = filesystem(file)
        with system.open(inner, "rb") as source:
            table = pq.ParquetFile(source).read()
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
