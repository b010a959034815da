"""Whether Python workers that start on this machine can run this package."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from genre_spark.errors import InvalidConfigError

__all__ = ["check_interpreter"]

_NEEDED = ("numpy", "pandas", "pyarrow", "sklearn")
_QUESTION = """
import importlib.util, json, sys
missing = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
print(json.dumps([list(sys.version_info[:2]), missing]))
"""


def check_interpreter(command: str, *, package_is_shipped: bool = False) -> None:
    """Raise when Spark's workers would start an interpreter that cannot run this package.

    Without the check the first job fails inside a worker, with a long traceback that does not say
    what to set. An interpreter other than the running one is asked once per process.

    Args:
        command: what Spark starts: a path, or a name that is looked up on PATH.
        package_is_shipped: the session sends genre_spark to its workers itself (--py-files).

    Raises:
        InvalidConfigError: it is not there, has another version of Python, or misses packages.
    """
    problem = _problem(command, sys.executable, package_is_shipped)
    if problem:
        raise InvalidConfigError(
            f"PYSPARK_PYTHON: Spark's workers start {command!r}, {problem}; expected "
            f"{sys.executable}: set os.environ['PYSPARK_PYTHON'] = sys.executable and make the "
            "Spark session anew (in a notebook: restart the kernel first)"
        )


@lru_cache(maxsize=16)
def _problem(command: str, running: str, package_is_shipped: bool) -> str | None:
    found = shutil.which(command)
    if found is None:
        return "which is not an executable file"
    if _same_environment(found, running):
        return None
    modules = _NEEDED if package_is_shipped else ("genre_spark", *_NEEDED)
    try:
        answer = subprocess.run(
            [found, "-c", _QUESTION, *modules],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        version, missing = json.loads(answer.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None  # a wrapper of another kind: Spark knows it better
    if tuple(version) != sys.version_info[:2]:
        here = ".".join(map(str, sys.version_info[:2]))
        return f"Python {version[0]}.{version[1]} where this program runs {here}"
    return f"which has no {', '.join(missing)}" if missing else None


def _same_environment(found: str, running: str) -> bool:
    """Whether both are one interpreter of one folder.

    Links are not followed: the interpreters of all virtual environments are links to one file.
    """
    one, other = Path(found).absolute(), Path(running).absolute()
    return one.parent == other.parent and one.samefile(other)
