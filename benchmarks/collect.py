"""Posters per second of download-posters against plain asyncio clients on the same loopback server.

    python benchmarks/collect.py [--posters 4000] [--bytes 25000] [--tasks 2] [--rounds 3] [--json]

The clients are what one writes by hand: a pool of workers over one session of httpx (or aiohttp)
that reads a poster and writes it to a file of its own. They check nothing and keep no record.
The time of download-posters is that of the whole call: what is done already, the count, Spark's
jobs, archives and status files; the session and its Python workers are warm.

The server is a process of its own, which shares the machine's cores with the clients.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import httpx
from aiohttp import web
from pyspark.sql import SparkSession

from genre_spark.collect.downloads import download_posters
from genre_spark.config.collect import DownloadsConfig
from genre_spark.session import spark_session

CONNECTIONS = 16


def serve(content: bytes, port: multiprocessing.Queue) -> None:
    """Answer every request with the same bytes."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=content, content_type="image/jpeg")

    async def run() -> None:
        application = web.Application()
        application.router.add_get("/{name}", answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port.put(site._server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    asyncio.run(run())


def jpeg_of(size: int) -> bytes:
    """Return a small JPEG, padded behind its end to a size."""
    import cv2  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    pixels = np.random.default_rng(0).integers(0, 255, (90, 60, 3), dtype=np.uint8)
    head = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])[1].tobytes()
    return head + bytes(max(0, size - len(head)))


async def in_a_pool(links: list[str], folder: Path, get: Callable[[str], Awaitable[bytes]]) -> None:
    left = iter(enumerate(links))

    async def work() -> None:
        for number, link in left:
            (folder / f"{number}.jpg").write_bytes(await get(link))

    await asyncio.gather(*[work() for _ in range(CONNECTIONS)])


async def with_httpx(links: list[str], folder: Path) -> None:
    async with httpx.AsyncClient() as client:

        async def get(link: str) -> bytes:
            response = await client.get(link)
            return response.raise_for_status().content

        await in_a_pool(links, folder, get)


async def with_aiohttp(links: list[str], folder: Path) -> None:
    async with aiohttp.ClientSession() as session:

        async def get(link: str) -> bytes:
            async with session.get(link, raise_for_status=True) as response:
                return await response.read()

        await in_a_pool(links, folder, get)


def time_client(client: Callable[..., Awaitable[None]], links: list[str], folder: Path) -> float:
    started = time.perf_counter()
    asyncio.run(client(links, folder))
    return len(links) / (time.perf_counter() - started)


def time_stage(spark: SparkSession, links: list[str], folder: Path, tasks: int) -> float:
    config = DownloadsConfig(
        allow_networks=("127.0.0.0/8",), per_host=None, connections=CONNECTIONS
    )
    table = spark.createDataFrame(list(enumerate(links)), "movie_id long, link string")
    table.write.parquet(str(folder / "links"))
    stored = spark.read.parquet(str(folder / "links"))
    started = time.perf_counter()
    done = download_posters(stored, str(folder / "posters"), config, run="benchmark", tasks=tasks)
    seconds = time.perf_counter() - started
    assert done.statuses == {"stored": len(links)}, done
    return len(links) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posters", type=int, default=4000)
    parser.add_argument("--bytes", type=int, default=25_000)
    parser.add_argument("--tasks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ports: multiprocessing.Queue = multiprocessing.Queue()
    server = multiprocessing.Process(
        target=serve, args=(jpeg_of(options.bytes), ports), daemon=True
    )
    server.start()
    port = ports.get(timeout=30)
    links = [f"http://127.0.0.1:{port}/{number}.jpg" for number in range(options.posters)]
    rates: dict[str, list[float]] = {"httpx": [], "aiohttp": [], "download-posters": []}
    settings = {"spark.ui.enabled": "false", "spark.driver.memory": "1g"}
    master = f"local[{options.tasks}]"
    with spark_session(app_name="collect", master=master, settings=settings) as spark:
        place = Path(tempfile.mkdtemp(prefix="collect-"))
        time_stage(spark, links[:500], _empty(place), options.tasks)  # workers start, imports
        for _ in range(options.rounds):
            rates["httpx"].append(time_client(with_httpx, links, _empty(place)))
            rates["aiohttp"].append(time_client(with_aiohttp, links, _empty(place)))
            rates["download-posters"].append(time_stage(spark, links, _empty(place), options.tasks))
        shutil.rmtree(place)
    server.terminate()
    medians = {name: round(statistics.median(found), 1) for name, found in rates.items()}
    ratios = {
        f"against {name}": round(medians["download-posters"] / medians[name], 2)
        for name in ("httpx", "aiohttp")
    }
    if options.json:
        print(json.dumps({"posters_per_second": rates, "medians": medians, "ratios": ratios}))
        return
    for name, median in medians.items():
        print(f"{name:18}{median:10,.0f} posters per second   {[round(r) for r in rates[name]]}")
    for name, ratio in ratios.items():
        print(f"download-posters {name}: {ratio}")


def _empty(place: Path) -> Path:
    folder = Path(tempfile.mkdtemp(dir=place))
    (folder / "posters").mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
