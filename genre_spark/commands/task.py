"""`genre-spark-task`: a stage as a task of a Databricks job, from the job's parameters.

A task gives named parameters (`--stage=sample --catalog=main ...`); those of the job come beside
them. What a recipe leaves to the place is filled in: the volume's folders, MLflow of the workspace,
tables in Unity Catalog. A task that ends with another exit code than 0 raises: the caller looks at
exceptions alone.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from genre_spark.__main__ import main as run_command
from genre_spark.errors import GenreSparkError, StageFailedError, UserError

__all__ = ["main", "task_overrides"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a stage with the settings of its place.

    Raises:
        UserError: bad input or configuration; what is wrong is in the task's output.
        StageFailedError: anything else that the stage could not finish for.
    """
    options, settings = _parser().parse_known_args(arguments)
    bad = [word for word in settings if "=" not in word or word.startswith("-")]
    if bad:
        raise UserError(f"parameters: {', '.join(bad)}, expected key=value")
    os.environ.setdefault("MLFLOW_TRACKING_URI", "databricks")
    os.environ.setdefault("MLFLOW_REGISTRY_URI", "databricks-uc")
    words = [options.stage, "--config", options.recipe, *task_overrides(options), *settings]
    code = run_command(words)
    if code:
        kind: type[GenreSparkError] = UserError if code == UserError.exit_code else StageFailedError
        raise kind(f"genre-spark {options.stage}: exit code {code}; the reason is in the output")


def task_overrides(options: argparse.Namespace) -> list[str]:
    """Return the settings of a recipe that the place decides."""
    volume = f"/Volumes/{options.catalog}/{options.schema}/{options.volume}"
    experiment = options.experiment or f"/Shared/genre_spark/{options.catalog}.{options.schema}"
    return [
        f"paths.genres_csv={volume}/data/genres.csv",
        f"paths.posters={volume}/data/posters",
        f"paths.metadata={volume}/data",
        f"paths.work={volume}/work",
        f"paths.new={volume}/new",
        f"mlflow.experiment={experiment}",
        f"mlflow.registered_model={options.catalog}.{options.schema}.genres",
        f"paths.tables={options.catalog}.{options.schema}",
        "spark.conf_file=null",
        "cnn.feed.reader=parquet",  # the runtimes' pyarrow is newer than petastorm's
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="genre-spark-task", allow_abbrev=False)
    parser.add_argument("--stage", required=True, help="name of a stage")
    parser.add_argument("--catalog", required=True, help="catalog of Unity Catalog")
    parser.add_argument("--schema", required=True, help="schema in the catalog")
    parser.add_argument("--volume", required=True, help="volume of data and work")
    parser.add_argument("--recipe", default="letterboxd.yaml", help="a recipe")
    parser.add_argument("--experiment", help="MLflow experiment; a path of the workspace")
    return parser
