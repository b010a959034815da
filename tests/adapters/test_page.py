"""docs/your-data.md: what it tells a newcomer to paste is run, on a small CSV."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.running import ROOT, environment

_COMMAND = f'genre-spark() {{ {sys.executable} -m genre_spark "$@"; }}'  # as it is installed
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1500)]


def pasted(heading: str) -> list[str]:
    """Return the lines of the first block of code below a heading."""
    section = (ROOT / "docs" / "your-data.md").read_text().split(f"## {heading}\n")[1]
    block = section.strip("\n").split("\n\n")[0]
    return [line.strip() for line in block.splitlines()]


def write_movies(path: Path) -> None:
    """Write a table in Latin-1 whose titles give the genres away."""
    draw = random.Random(7)
    genres = {"Comédie": "laughing", "Drame": "crying", "Horreur": "screaming"}
    rows = ["imdbId;Title;Genre"]
    for number in range(1, 401):
        chosen = draw.sample(sorted(genres), draw.randint(1, 2))
        words = " ".join(genres[name] for name in chosen)
        rows.append(f"{number};The {words} movie ({1950 + number % 70});{'|'.join(chosen)}")
    path.write_bytes(("\n".join(rows) + "\n").encode("latin-1"))


def test_from_a_csv_to_a_trained_model(tmp_path: Path) -> None:
    commands = pasted("From somebody's CSV to a trained model")
    assert len(commands) == 10
    write_movies(tmp_path / "movies.csv")
    done = subprocess.run(
        ["bash", "-c", "\n".join(["set -e", _COMMAND, *commands])],
        cwd=tmp_path,
        env={**environment(), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "movies.csv read as: semicolon, Windows-1252 (Latin-1)" in done.stdout + done.stderr
    work = tmp_path / "my-movies" / "work" / "table"
    vocabulary = json.loads((work / "genres" / "vocabulary.json").read_text())["vocabulary"]
    assert vocabulary == ["Comédie", "Drame", "Horreur"]
    assert json.loads((work / "evaluation" / "_manifest.json").read_text())["rows"] > 0
