"""A SparkContext that starts while a stage's packages are imported: each is a wait of seconds."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path

from genre_spark.pipelines.stage_list import STAGES

__all__ = ["start_context_for"]


def start_context_for(options: argparse.Namespace) -> None:
    """Start the SparkContext of a stage, or of a whole run, that has no earlier result.

    Whether a stage has work is known once its packages are imported; here a record of an earlier
    result in a local work folder stands for none. A recipe that cannot be read is told of later.

    Args:
        options: the words of the command line.
    """
    name, entry = options.stage, STAGES.get(options.stage)
    if name != "run" and (entry is None or not entry.needs_spark):
        return
    from genre_spark.config import load_config  # noqa: PLC0415 - pydantic, not for --help
    from genre_spark.spark.launch import start_context_early  # noqa: PLC0415 - PySpark

    with suppress(Exception):
        config = load_config(options.config, options.overrides)
        records = Path(config.paths.work, "stages").glob(
            "*.json" if entry is None else f"{name}.json"
        )
        if "://" not in config.paths.work and (options.force or not any(records)):
            sklearn = entry is not None and "sklearn" in entry.imports
            app_name = f"genre_spark {name}"
            start_context_early(config.spark, config.paths.work, app_name=app_name, sklearn=sklearn)
