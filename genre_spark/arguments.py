"""The words of the command line; nothing heavy is imported, so that help is there at once."""

from __future__ import annotations

import argparse
import ast
import textwrap
from collections.abc import Sequence
from pathlib import Path

from genre_spark import __version__
from genre_spark.pipelines.stage_list import STAGES

__all__ = ["argument_parser"]


_EXAMPLE = "example:\n  genre-spark run --config demo.yaml paths.work=/tmp/demo cnn.epochs=2"
_OTHERS = {
    "run": "all of them in order",
    "ui": "the MLflow UI, and the address of the ranked models",
}
_COMMANDS = (
    "genre-spark init FOLDER copies recipes, jobs and notebooks to a folder of yours\n"
    "genre-spark guess tells the genres of one movie\n"
    "genre-spark verify says whether tables and models are still as they were written\n"
    "genre-spark sync sends runs that waited for MLflow's server\n"
    "genre-spark archive-classes keeps Spark's classes, so that sessions start with less work\n"
    "each of them has a --help, as each stage has"
)


def argument_parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser of `genre-spark STAGE --config FILE [key=value ...]`.

    Args:
        words: the words to parse; where a stage is among them, --help is about that stage.
    """
    names = [*STAGES, *_OTHERS]
    stage = next((word for word in words if word in names), None)
    parser = argparse.ArgumentParser(
        prog="genre-spark",
        usage=None if stage is None else _usage(stage),
        description="Predict the genres of movies from posters and metadata, on Apache Spark."
        if stage is None
        else _describe(stage),
        epilog=_list_stages()
        if stage is None
        else "genre-spark --help lists all stages and commands",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "stage",
        choices=names,
        metavar="STAGE",
        help="one of the stages below" if stage is None else argparse.SUPPRESS,
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
        "--json",
        action="store_true",
        help=argparse.SUPPRESS
        if stage == "ui"
        else "print the result as one JSON object on standard output",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help=argparse.SUPPRESS if stage == "ui" else "repeat the stage even if nothing has changed",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=5000,
        help="port of ui (5000)" if stage in (None, "ui") else argparse.SUPPRESS,
    )
    parser.add_argument("--version", action="version", version=f"genre-spark {__version__}")
    return parser


def _list_stages() -> str:
    summaries = {name: entry.summary for name, entry in STAGES.items()} | _OTHERS
    stages = "\n".join(f"  {name:18}{summary}" for name, summary in summaries.items())
    return f"stages:\n{stages}\n\n{_COMMANDS}\n\n{_EXAMPLE}"


def _usage(stage: str) -> str:
    own = "[--port PORT]" if stage == "ui" else "[--json] [--force]"
    return f"genre-spark {stage} [-h] --config FILE [key=value ...] {own}"


def _describe(stage: str) -> str:
    """Return what is known of a stage without an import of its module, which takes seconds."""
    if stage in _OTHERS:
        in_run = ", ".join(name for name, entry in STAGES.items() if entry.in_run)
        what = f"all stages in order, as far as the recipe has them\n\n{textwrap.fill(in_run, 90)}"
        return f"{stage}: {what if stage == 'run' else _OTHERS[stage]}"
    entry = STAGES[stage]
    first = f"{stage}: {entry.summary}"
    file = Path(__file__).parent / "pipelines" / f"{entry.place.replace('.', '/')}.py"
    try:
        body = ast.parse(file.read_text(encoding="utf-8")).body
    except OSError:  # installed without its source
        return first
    runs = [part for part in body if isinstance(part, ast.FunctionDef) and part.name == "run"]
    words = ast.get_docstring(runs[0]) if runs else None
    return f"{first}\n\n{words}" if words else first


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number from 1 to 65535")
    return int(text)
