"""`genre-spark verify`: whether what the stages have stored is still what they wrote."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence

from genre_spark.config import Config, load_config
from genre_spark.errors import GenreSparkError, InvalidConfigError, UserError
from genre_spark.pipelines.stage_list import STAGES
from genre_spark.redaction import redact

__all__ = ["find_damaged", "main"]

_SHOWN = 5  # files per stage


def main(arguments: Sequence[str]) -> int:
    """Compare sizes and checksums of all tables and models; return 0 where all are whole, else 1.

    What is damaged is printed with the command that makes it again. Where no stage has stored
    anything, 2 is returned: the work folder is another one.
    """
    options = _parser().parse_args(arguments)
    try:
        config = load_config(options.config, options.overrides)
        _require_a_result(config)
        damaged = find_damaged(config, full=not options.quick)
    except GenreSparkError as error:
        print(redact(f"genre-spark: verify: {error}"), file=sys.stderr)
        return error.exit_code
    if not damaged:
        print(redact(f"{config.paths.work}: everything is as it was written"))
        return 0
    words = shlex.join([options.config, *options.overrides])
    for stage, flaws in damaged.items():
        print(redact("\n".join(flaws[:_SHOWN])))
        if len(flaws) > _SHOWN:
            print(f"... and {len(flaws) - _SHOWN:,} more files of {stage}")
        print(redact(f"  made again by: genre-spark {stage} --config {words} --force"))
    return 1


def _require_a_result(config: Config) -> None:
    if not any(entry.load().has_record(config) for entry in STAGES.values()):
        raise InvalidConfigError(
            f"paths.work: {config.paths.work}, where no stage has stored anything; expected the "
            "work folder of a run"
        )


def find_damaged(config: Config, *, full: bool) -> dict[str, list[str]]:
    """Return stage -> a sentence per stored file that is not what the stage has written.

    Args:
        config: the recipe.
        full: compare checksums, which reads every byte; otherwise sizes only.
    """
    damaged: dict[str, list[str]] = {}
    for entry in STAGES.values():
        try:
            found = entry.load().damage(config, full=full)
        except UserError:
            continue  # the recipe has no settings for this stage
        if found:
            damaged[entry.name] = list(dict.fromkeys(found))
    return damaged


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="genre-spark verify",
        description="Compare all tables and models of a work folder with the sizes and checksums "
        "that they had when they were written. Every byte is read: about a second per gigabyte.",
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="a recipe")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings over its own")
    parser.add_argument("--quick", action="store_true", help="compare sizes only")
    return parser
