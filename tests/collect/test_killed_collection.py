"""Collecting that is killed at random moments ends with the same files and asks for nothing twice.

What a server has been asked and the killed process had not yet written down is asked again: at most
one request per connection and kill.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from aiohttp import web

from genre_spark.config import load_config
from genre_spark.pipelines import collect_tmdb
from tests.collect.fake_images import FakeImages, poster
from tests.collect.fake_tmdb import GENRES, TOKEN, FakeTmdb
from tests.collect.imdb_files import write_imdb
from tests.collect.serving import LoopbackServer
from tests.e2e.running import ROOT, environment

pytestmark = pytest.mark.e2e
CONNECTIONS = 4


def recipe(folder: Path, collect: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(
        f"""
paths: {{genres_csv: data/genres.csv, metadata: data, posters: data/posters, work: work}}
spark:
  conf_file: {ROOT}/conf/spark/local.conf
  master: "local[2]"
  settings: {{spark.driver.memory: 1g, spark.sql.shuffle.partitions: "2"}}
collect:
{collect}
"""
    )
    return path


def start(stage: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "genre_spark", stage, "--config", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment(), "TMDB_API_TOKEN": TOKEN},
        start_new_session=True,
    )


def kill_when(stage: str, path: Path, reached: Callable[[], bool]) -> None:
    """Start a stage and kill it, workers and JVM included, when something is reached."""
    process = start(stage, path)
    try:
        deadline = time.monotonic() + 300
        while not reached() and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.002)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def kill_after(stage: str, path: Path, server: Any, requests: int) -> None:
    """Start a stage and kill it when the server has been asked for so much more."""
    before = sum(server.asked.values())
    kill_when(stage, path, lambda: sum(server.asked.values()) >= before + requests)


def finish(stage: str, path: Path) -> None:
    process = start(stage, path)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0, out


def lines_without_times(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {name: value for name, value in row.items() if not name.endswith("_at")}
            for row in csv.DictReader(file)
        ]


def journaled(path: Path) -> set[str]:
    """Return the requests whose answers are in a journal, as the fake TMDb names them."""
    base = sqlite3.connect(path)
    pages = base.execute("SELECT genre, page FROM pages").fetchall()
    movies = base.execute("SELECT id FROM movies").fetchall()
    base.close()
    return {f"/discover/movie?{genre} {page}" for genre, page in pages} | {
        f"/movie/{movie}" for (movie,) in movies
    }


def test_collect_tmdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(16)
    with FakeTmdb(200) as server:
        section = f"""
  tmdb: {{base_url: "{server.api}", per_genre: 45, requests_per_second: 50,
          connections: {CONNECTIONS}}}"""
        for name in ("disturbed", "whole"):
            (tmp_path / name).mkdir()
        disturbed = recipe(tmp_path / "disturbed", section)
        kills = [draw.randint(1, 40) for _ in range(3)]
        for requests in kills:
            kill_after("collect-tmdb", disturbed, server, requests)
            known = journaled(tmp_path / "disturbed" / "data" / "tmdb_journal.sqlite")
            asked = {request: server.asked[request] for request in known}
        finish("collect-tmdb", disturbed)
        assert {request: server.asked[request] for request in asked} == asked
        repeated = sum(count - 1 for count in server.asked.values())
        assert repeated <= len(kills) * CONNECTIONS
        monkeypatch.setenv("TMDB_API_TOKEN", TOKEN)
        collect_tmdb.run(None, load_config(recipe(tmp_path / "whole", section)))
    for path in sorted((tmp_path / "whole" / "data").glob("*.csv")):
        there = tmp_path / "disturbed" / "data" / path.name
        assert lines_without_times(there) == lines_without_times(path), path.name
    assert len(lines_without_times(there.parent / "tmdb_ranks.csv")) == 45 * (len(GENRES) - 1)


def finished_links(folder: Path) -> set[str]:
    """Return the links that status files and journals of open archives have."""
    links = set()
    for path in (folder / "_status").glob("*.parquet"):
        links |= set(pq.read_table(path, columns=["link"])["link"].to_pylist())
    for path in (folder / "_open").glob("*.jsonl"):
        lines = path.read_bytes().split(b"\n")[:-1]
        links |= {line.split(b'"link": "')[1].split(b'"')[0].decode() for line in lines}
    return {"/" + link.split("/", 3)[3] for link in links}


@pytest.mark.slow
def test_download_posters(tmp_path: Path) -> None:
    draw = random.Random(16)
    numbers = range(1, 301)
    with FakeImages() as server:
        server.delay = 0.02
        path = recipe(
            tmp_path,
            f"""
  downloads: {{allow_networks: [127.0.0.0/8], per_host: null, tasks: 2, shard_posters: 40,
               connections: {CONNECTIONS}}}""",
        )
        (tmp_path / "data").mkdir()
        rows = [f"{n},{server.url}/{n}.jpg" for n in numbers]
        (tmp_path / "data" / "posters.csv").write_text("\n".join(["id,link", *rows, ""]))
        kills = [draw.randint(10, 100) for _ in range(2)]
        for requests in kills:
            kill_after("download-posters", path, server, requests)
            time.sleep(0.5)  # what the dead were sent has arrived
            known = finished_links(tmp_path / "data" / "posters")
            asked = {request: server.asked[request] for request in known}
        finish("download-posters", path)
        assert {request: server.asked[request] for request in asked} == asked
        repeated = sum(count - 1 for count in server.asked.values())
        assert repeated <= len(kills) * 2 * CONNECTIONS
    found: dict[str, bytes] = {}
    for archive in (tmp_path / "data" / "posters").glob("*.tar"):
        with tarfile.open(archive) as tar:
            for member in tar:
                assert member.name not in found
                found[member.name] = tar.extractfile(member).read()
    assert found == {f"{n}.jpg": poster(n) for n in numbers}


class Mirror(LoopbackServer):
    """Serves a folder slowly, and counts what it is asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(self._answer)
        self.folder, self.asked = folder, Counter[str]()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked[request.path] += 1
        content = (self.folder / request.path.lstrip("/")).read_bytes()
        response = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await response.prepare(request)
        for start in range(0, len(content), 1 + len(content) // 10):
            await response.write(content[start : start + 1 + len(content) // 10])
            await asyncio.sleep(0.02)
        return response


def imdb_rows(work: Path) -> list[dict[str, Any]]:
    manifest = json.loads((work / "imdb" / "_manifest.json").read_text())
    tables = [pq.read_table(work / "imdb" / part) for part in manifest["paths"]]
    return sorted((row for t in tables for row in t.to_pylist()), key=lambda row: row["movie_id"])


@pytest.mark.slow
def test_collect_imdb(tmp_path: Path) -> None:
    draw = random.Random(16)
    write_imdb(tmp_path / "mirror")
    for name in ("disturbed", "whole"):
        (tmp_path / name / "data").mkdir(parents=True)
        ids = "id,imdb_id\n10,tt0000001\n20,tt0000002\n"
        (tmp_path / name / "data" / "ids.csv").write_text(ids)
    with Mirror(tmp_path / "mirror") as mirror:
        section = f'  imdb: {{source: "{mirror.url}"}}'
        path = recipe(tmp_path / "disturbed", section)
        work = tmp_path / "disturbed" / "work"
        kill_after("collect-imdb", path, mirror, draw.randint(2, 4))
        there = {f"/{file.name}" for file in (work / "imdb_files").glob("*.tsv.gz")}
        kill_when("collect-imdb", path, lambda: any((work / "imdb").glob("data-stage-*/title.*")))
        finish("collect-imdb", path)
        assert there
        assert {file: mirror.asked[file] for file in there} == dict.fromkeys(there, 1)
        assert sum(mirror.asked.values()) <= 5 + 1  # the one that was under way at the first kill
    finish("collect-imdb", recipe(tmp_path / "whole", f"  imdb: {{source: {tmp_path / 'mirror'}}}"))
    assert imdb_rows(work) == imdb_rows(tmp_path / "whole" / "work") != []
    assert not list((work / "imdb").glob("data-stage-*"))
