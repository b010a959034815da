"""The recipes, jobs and notebooks that come with the package, and where they lie."""

from __future__ import annotations

from pathlib import Path

from genre_spark.errors import InvalidConfigError

__all__ = ["find_recipe", "shipped_folder", "shipped_recipes"]

_PACKAGE = Path(__file__).parent


def shipped_folder(name: str) -> Path:
    """Return the folder `conf`, `jobs` or `notebooks` that came with the package.

    An installed package has them inside, a checkout beside it.
    """
    inside = _PACKAGE / "starter" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def shipped_recipes() -> list[str]:
    """Return the names of the recipes that came with the package."""
    return sorted(file.name for file in shipped_folder("conf").glob("*.yaml"))


def find_recipe(name: str | Path) -> tuple[Path, Path]:
    """Return a recipe's file and the folder at which relative data paths in it start.

    A file that is there is meant itself, and its paths start at its folder. Otherwise a bare name
    means the recipe that came with the package, and its paths start as if it lay in a folder `conf`
    of the current one: `../work/demo` is ./work/demo, never a folder of the installation.

    Raises:
        InvalidConfigError: there is no such file and no such recipe.
    """
    path = Path(name).expanduser()
    if path.exists():
        return path, path.absolute().parent
    shipped = shipped_folder("conf") / path.name
    if path.name == str(path) and shipped.is_file():
        return shipped, Path.cwd() / "conf"
    raise InvalidConfigError(
        f"--config {name}: no such file, expected a YAML file or the bare name of a recipe that "
        f"comes with genre_spark: {', '.join(shipped_recipes())}"
    )
