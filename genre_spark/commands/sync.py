"""`genre-spark sync`: send the runs that were kept while MLflow's server was down."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from genre_spark.config import load_config
from genre_spark.errors import GenreSparkError
from genre_spark.redaction import RedactingFormatter, redact
from genre_spark.tracking import send_kept_runs

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Send what the work folder of a recipe has kept, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="genre-spark sync",
        description="Send the runs that were kept while MLflow's server was down "
        "(mlflow.required: false). It can be killed and started again.",
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="the recipe of the runs")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings over the recipe's"
    )
    options = parser.parse_intermixed_args(arguments)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("genre_spark").setLevel(logging.INFO)
    try:
        sent = send_kept_runs(load_config(options.config, options.overrides))
    except GenreSparkError as error:
        print(redact(f"genre-spark: sync: {error}"), file=sys.stderr)
        return error.exit_code
    if sent["runs"]:
        print(f"sent {sent['runs']} runs and {sent['models']} models")
    else:
        print("no runs are waiting for a server")
    return 0
