"""`genre-spark guess`: the genres of one movie, or of several posters, without Spark."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genre_spark.errors import GenreSparkError, InvalidInputError, made_again_by
from genre_spark.redaction import redact
from genre_spark.storage.files import file_exists, join, read_checked_json

__all__ = ["main"]

_LISTS = ("countries", "languages", "studios", "people", "themes")
_TEXTS = ("name", "date", "tagline", "description")
_NUMBERS = ("minute", "rating", "budget", "revenue", "votes", "popularity")
_SHOWN = 5
_WORK = "work/demo"
_HELP = {
    "languages": "with their kind, such as 'Spoken language English'",
    "people": "with their role, such as 'director Jane Campion'",
}


def main(arguments: Sequence[str]) -> int:
    """Print the genres of the movie that the arguments describe, and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        rows = _movies(options)
        answers = _answer(options.model, rows)
    except GenreSparkError as error:
        print(redact(f"genre-spark: guess: {error}"), file=sys.stderr)
        return error.exit_code
    if options.json:
        print(json.dumps(answers))
    else:
        print("\n\n".join(map(_describe, answers)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="genre-spark guess",
        description="Guess the genres of a movie from what is known of it; all may be missing.",
    )
    parser.add_argument("--poster", nargs="*", default=[], metavar="FILE", help="image files")
    for name in (*_TEXTS, *_NUMBERS):
        parser.add_argument(f"--{name}", metavar="TEXT")
    for name in _LISTS:
        parser.add_argument(f"--{name}", nargs="*", metavar="NAME", help=_HELP.get(name))
    parser.add_argument(
        "--model",
        default=_WORK,
        metavar="FOLDER",
        help="folder of a packaged model, or a work folder, whose best model is taken; or an "
        "MLflow URI such as models:/genres@champion, in the store that MLFLOW_TRACKING_URI names "
        "or in work/demo/mlflow.db (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    return parser


def _movies(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the raw fields of each movie, and `poster`, the name of its file."""
    known = {name: getattr(options, name) for name in (*_TEXTS, *_NUMBERS, *_LISTS)}
    fields = {name: value for name, value in known.items() if value is not None}
    if not fields and not options.poster:
        raise InvalidInputError("nothing is known of the movie, expected --poster, --name, ...")
    if not options.poster:
        return [fields]
    rows = []
    for name in options.poster:
        try:
            rows.append({**fields, "poster": name, "image": Path(name).read_bytes()})
        except OSError as error:
            raise InvalidInputError(f"--poster {name}: {error.strerror}") from None
    return rows


def _answer(model: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    import pandas as pd  # noqa: PLC0415 - half a second, which --help does not need

    from genre_spark.serving.movie_model import MovieModel  # noqa: PLC0415

    found = MovieModel(_folder(model))
    frame = pd.DataFrame([{k: v for k, v in row.items() if k != "poster"} for row in rows])
    answers = found.predict(frame).as_frame()
    return [
        {
            **({"poster": row["poster"]} if "poster" in row else {}),
            **{str(key): value for key, value in answer.items()},
            "model": found.description.name,
        }
        for row, answer in zip(rows, answers.to_dict("records"), strict=True)
    ]


def _folder(model: str) -> str:
    if model.startswith(("models:", "runs:")):
        from genre_spark.config import MlflowConfig  # noqa: PLC0415 - pydantic
        from genre_spark.tracking.movie_models import fetch_package  # noqa: PLC0415 - mlflow
        from genre_spark.tracking.stores.addresses import existing_store  # noqa: PLC0415

        try:
            store = existing_store(MlflowConfig(), _WORK)
        except InvalidInputError as error:
            raise InvalidInputError(f"--model {model}: {error}") from None
        return fetch_package(model, store)
    path = join(model, "movie_models", "best.json")
    best = read_checked_json(path)
    if best is None and file_exists(path):
        raise InvalidInputError(f"{path}: damaged; {made_again_by('package-models')}")
    return f"{model}/movie_models/{best['model']}" if best else model


def _describe(answer: dict[str, Any]) -> str:
    lines = [answer["poster"]] if "poster" in answer else []
    lines.append(f"genres: {', '.join(answer['genres']) or 'none reaches its threshold'}")
    shown = list(answer["probabilities"].items())[: max(_SHOWN, len(answer["genres"]))]
    for genre, value in shown:
        mark = "*" if genre in answer["genres"] else " "
        lines.append(f"  {mark} {genre:18}{value:6.1%}  {'#' * round(30 * value)}")
    lines += [f"  note: {note}" for note in answer["notes"]]
    lines.append(f"  ({answer['model']}, version {answer['model_version']})")
    return "\n".join(lines)
