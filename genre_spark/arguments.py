"""The words of the command line; nothing heavy is imported, so that help is there at once."""

from __future__ import annotations

import argparse

from genre_spark import __version__
from genre_spark.pipelines.stage_list import STAGES

__all__ = ["argument_parser"]


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser of `genre-spark STAGE --config FILE [key=value ...]`."""
    stages = "\n".join(f"  {entry.name:18}{entry.summary}" for entry in STAGES.values())
    parser = argparse.ArgumentParser(
        prog="genre-spark",
        description="Predict the genres of movies from posters and metadata, on Apache Spark.",
        epilog=f"stages:\n{stages}\n  {'run':18}all of them in order\n"
        f"  {'ui':18}the MLflow UI, and the address of the ranked models\n\n"
        "genre-spark init FOLDER copies recipes, jobs and notebooks to a folder of yours\n"
        "genre-spark guess tells the genres of one movie; genre-spark sync sends runs that waited "
        "for MLflow's server\n\n"
        "example:\n  genre-spark run --config demo.yaml paths.work=/tmp/demo cnn.epochs=2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "stage", choices=[*STAGES, "run", "ui"], metavar="STAGE", help="one of the stages below"
    )
    parser.add_argument(
        "--config",
        required=True,
        metavar="FILE",
        help="a recipe: a file, or the bare name of one that comes with genre_spark (demo.yaml)",
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings over the recipe's"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the result as one JSON object on standard output"
    )
    parser.add_argument(
        "--force", action="store_true", help="repeat the stage even if nothing has changed"
    )
    parser.add_argument("--port", type=_port, default=5000, help="port of ui (5000)")
    parser.add_argument("--version", action="version", version=f"genre-spark {__version__}")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number from 1 to 65535")
    return int(text)
