"""`genre-spark` and `python -m genre_spark`: the commands, imported when they are asked for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from genre_spark.collecting import without_collecting
from genre_spark.signals import handle_signals
from genre_spark.streams import make_streams_tolerant

_COMMANDS = {
    "init": "genre_spark.commands.init",
    "guess": "genre_spark.commands.guess",
    "verify": "genre_spark.commands.verify",
    "sync": "genre_spark.commands.sync",
    "archive-classes": "genre_spark.commands.archive_classes",
}  # everything else is a stage


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command or a stage and return the exit code."""
    make_streams_tolerant()
    words = list(sys.argv[1:] if arguments is None else arguments)
    handle_signals(": ".join(["genre-spark", *words[:1]]))  # before imports: Ctrl-C may be early
    command = words.pop(0) if words and words[0] in _COMMANDS else None
    return _run(command, words)


def _run(command: str | None, words: list[str]) -> int:
    from genre_spark.early_context import start_context_for  # noqa: PLC0415
    from genre_spark.errors import (  # noqa: PLC0415
        MissingExtraError,
        UserError,
        describe_full_disk,
        describe_path_error,
    )
    from genre_spark.redaction import redact  # noqa: PLC0415

    try:
        with without_collecting(freeze=True):
            if command is None:
                start_context_for(_read_words(words))
            module = import_module(_COMMANDS[command] if command else "genre_spark.cli")
    except MissingExtraError as error:
        print(f"genre-spark: {error}", file=sys.stderr)
        return error.exit_code
    try:
        return int(module.main(words))
    except OSError as error:
        sentence, full = describe_path_error(error), describe_full_disk(error)
        if sentence is None and full is None:
            raise
        print(redact(f"genre-spark: {sentence or full}"), file=sys.stderr)
        return UserError.exit_code if sentence else 1


def _read_words(words: Sequence[str]) -> argparse.Namespace:
    from genre_spark.arguments import argument_parser  # noqa: PLC0415
    from genre_spark.extras import EXTRAS, require  # noqa: PLC0415

    options = argument_parser(words).parse_intermixed_args(words)  # --help, and wrong words
    require(*EXTRAS["spark"], *EXTRAS["pipeline"])
    return options


if __name__ == "__main__":
    sys.exit(main())
