"""`genre-spark init FOLDER`: copies of recipes, jobs and notebooks in a folder of the user's."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from genre_spark.errors import GenreSparkError, InvalidInputError
from genre_spark.recipes import shipped_folder

__all__ = ["copy_starter", "main"]

_FOLDERS = ("conf", "jobs", "notebooks")
_KINDS = (".yaml", ".conf", ".py", ".ipynb")


def copy_starter(folder: str | Path) -> list[Path]:
    """Copy recipes, Spark settings, jobs and notebooks, and return the files that are new.

    Args:
        folder: where `conf`, `jobs` and `notebooks` go; it is made where it is not there. Files
            that are there already, the same as the package's, are left.

    Raises:
        InvalidInputError: a file is there with other content; nothing is copied then.
    """
    target = Path(folder).expanduser()
    sources = {
        target / name / file.relative_to(source): file
        for name in _FOLDERS
        for source in [shipped_folder(name)]
        for file in sorted(source.rglob("*"))
        if file.suffix in _KINDS and not any(part.startswith(".") for part in file.parts[-2:])
    }
    try:
        changed = [
            str(to)
            for to, file in sources.items()
            if to.exists() and to.read_bytes() != file.read_bytes()
        ]
        if changed:
            raise InvalidInputError(
                f"{', '.join(changed)}: there with other content, expected a folder without them"
            )
        new = [to for to in sources if not to.exists()]
        for to in new:
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(sources[to], to)
    except OSError as error:
        raise InvalidInputError(
            f"{error.filename or target}: {error.strerror}, expected a folder that can be written"
        ) from None
    return new


def main(arguments: Sequence[str]) -> int:
    """Copy what came with the package, print what to run next, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="genre-spark init",
        description="Copy recipes, spark-submit jobs and notebooks to a folder of your own.",
    )
    parser.add_argument("folder", metavar="FOLDER", help="made where it is not there")
    options = parser.parse_args(arguments)
    try:
        new = copy_starter(options.folder)
    except GenreSparkError as error:
        print(f"genre-spark: init: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{options.folder}: {len(new)} new files in conf, jobs and notebooks")
    print(f"next: cd {options.folder} && genre-spark run --config conf/demo.yaml")
    return 0
