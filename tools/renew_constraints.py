"""Write both constraints files anew: one set of releases that works per Python, on Linux.

    make constraints             # adds what pyproject.toml names newly, keeps the other releases
    make constraints UPGRADE=1   # takes the newest releases that fit

Then run the tests in clean environments of all three (`make test PYTHON=python3.10 VENV=...`).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from install import pip_settings, uv_environment

ROOT = Path(__file__).resolve().parent.parent
FILES = {
    "constraints.txt": (
        ("dev", "all", "benchmarks", "docs"),
        "# One complete set of releases that is known to work together, so that installs are\n"
        "# repeatable. pyproject.toml says why the limits are where they are; `make constraints`\n"
        "# writes this file.\n",
    ),
    "constraints-multilabel.txt": (
        ("spark", "test"),
        "# The newest releases with which genre_spark.multilabel has been tested, by `make\n"
        "# test-multilabel`: no limit of the pipeline holds there. `make constraints` writes this\n"
        "# file.\n",
    ),
}
PYTHONS = ("3.10", "3.11", "3.12")


def resolve(name: str, extras: tuple[str, ...], python: str, *, upgrade: bool) -> dict[str, str]:
    """Return package -> release for one Python on Linux; releases of the present file are kept."""
    words = [word for extra in extras for word in ("--extra", extra)]
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-annotate"]
    command += ["--no-header", "--python-version", python, "--python-platform", "linux", *words]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        if not upgrade and (ROOT / name).exists():
            shutil.copyfile(ROOT / name, file)  # uv keeps what its output file says
        # an index with some wheels of some Pythons would decide for all of them
        local = ("extra-index-url", "find-links")
        kept = {key: value for key, value in pip_settings().items() if key not in local}
        subprocess.run(
            [*command, "--output-file", str(file), "pyproject.toml"],
            cwd=ROOT,
            env=uv_environment(kept),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        lines = file.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def merge(releases: dict[str, dict[str, str]]) -> list[str]:
    """Return lines for all Pythons: one where all of them have the same release, else one each."""
    lines = []
    for package in sorted({package for each in releases.values() for package in each}):
        pythons: dict[str, list[str]] = {}
        for python, each in releases.items():
            if package in each:
                pythons.setdefault(each[package], []).append(python)
        for release, those in pythons.items():
            marker = (
                ""
                if len(pythons) == 1
                else " or ".join(f'python_version == "{python}"' for python in those)
            )
            lines.append(f"{package}=={release}" + (f" ; {marker}" if marker else ""))
    return lines


def main() -> None:
    """Write both files."""
    upgrade = "--upgrade" in sys.argv
    for name, (extras, header) in FILES.items():
        releases = {python: resolve(name, extras, python, upgrade=upgrade) for python in PYTHONS}
        text = header + "\n".join(merge(releases)) + "\n"
        (ROOT / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
