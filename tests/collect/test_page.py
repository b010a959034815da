"""docs/collect.md: what it tells a newcomer to paste is run, against servers on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.collect.fake_images import FakeImages
from tests.collect.fake_tmdb import TOKEN, FakeTmdb
from tests.e2e.running import ROOT, environment

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1500)]


def pasted(heading: str) -> list[str]:
    """Return the lines of the first block of code below a heading."""
    section = (ROOT / "docs" / "collect.md").read_text().split(f"## {heading}\n")[1]
    lines = section.split("\n## ")[0].splitlines()
    return [line.strip() for line in lines if line.startswith("    ")]


def small_recipe(folder: Path, api: str, images: str) -> Path:
    """Write the shipped recipe with few movies, small posters and the servers of the test."""
    recipe = yaml.safe_load((ROOT / "conf" / "tmdb_collect.yaml").read_text())
    recipe["spark"] = {
        "conf_file": f"{ROOT}/conf/spark/local.conf",
        "master": "local[2]",
        "settings": {"spark.driver.memory": "1g", "spark.sql.shuffle.partitions": "2"},
    }
    recipe["collect"]["tmdb"] |= {"base_url": api, "per_genre": 25, "image_url": f"{images}/t/p"}
    recipe["collect"]["downloads"] |= {"allow_networks": ["127.0.0.0/8"]}
    recipe["posters"] = {"height": 90, "width": 60}
    recipe["multilabel"]["forest"] |= {"trees": 5, "max_depth": 4}
    (folder / "conf").mkdir()
    path = folder / "conf" / "small.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def test_from_a_token_to_a_trained_model(tmp_path: Path) -> None:
    commands = pasted("From a token to a trained model")
    assert len(commands) == 10
    with FakeTmdb(120) as tmdb, FakeImages() as images:
        recipe = small_recipe(tmp_path, tmdb.api, images.url)
        script = ["set -e", f"export TMDB_API_TOKEN={TOKEN}", f"recipe={recipe}", *commands[2:]]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", "\n".join(script)],
            cwd=tmp_path,
            env={**environment(), "PATH": path},
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    work = tmp_path / "work" / "tmdb_collect"
    assert json.loads((work / "posters" / "_manifest.json").read_text())["rows"] > 50
    assert json.loads((work / "evaluation" / "_manifest.json").read_text())["rows"] > 0
    assert TOKEN not in done.stdout + done.stderr
