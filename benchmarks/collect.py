"""Posters per second of download-posters against plain asyncio clients on the same loopback server.

    python benchmarks/collect.py [--posters 20000] [--bytes 25000] [--tasks 2] [--rounds 3] \
        [--folder /dev/shm] [--clients httpx aiohttp] [--json]

The clients are what one writes by hand: a pool of workers over one session of httpx (or aiohttp)
that reads a poster and writes it to a file of its own. They check nothing and keep no record.
The time of download-posters is that of the whole call: what is done already, the count, Spark's
jobs, archives and status files; the session and its Python workers are warm.

The server is a process of its own, which shares the machine's cores with the clients. It does no
more than send the same bytes for every request, so that the client is measured and not the
server; with a folder in memory, the disk is not measured either.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import cast

import aiohttp
import httpx
from pyspark.sql import SparkSession

from genre_spark.collect.downloads import download_posters
from genre_spark.config.collect import DownloadsConfig
from genre_spark.session import spark_session

CONNECTIONS = 16


class _SamePoster(asyncio.Protocol):
    """Answers every request on a connection with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self._answer, self._begun = answer, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        *requests, self._begun = (self._begun + data).split(b"\r\n\r\n")
        for _ in requests:
            self._transport.write(self._answer)


def serve(content: bytes, port: multiprocessing.Queue) -> None:
    """Answer every request with the same bytes."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}"
    answer = f"{head}\r\n\r\n".encode() + content

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _SamePoster(answer), "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

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


def time_client(
    client: Callable[..., Coroutine[None, None, None]], links: list[str], folder: Path
) -> float:
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


CLIENTS = {"aiohttp": with_aiohttp, "httpx": with_httpx}
STAGE = "download-posters"


def _measure(
    spark: SparkSession, links: list[str], place: Path, tasks: int, clients: list[str]
) -> dict[str, float]:
    """Return what each client and the stage reach, one after the other."""
    rates = {}
    for name in (*clients, STAGE):
        folder = Path(tempfile.mkdtemp(dir=place))
        (folder / "posters").mkdir()
        if name == STAGE:
            rates[name] = time_stage(spark, links, folder, tasks)
        else:
            rates[name] = time_client(CLIENTS[name], links, folder)
        shutil.rmtree(folder)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posters", type=int, default=20_000)
    parser.add_argument("--bytes", type=int, default=25_000)
    parser.add_argument("--tasks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default="/dev/shm" if Path("/dev/shm").is_dir() else None)
    parser.add_argument("--clients", nargs="+", choices=sorted(CLIENTS), default=sorted(CLIENTS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ports: multiprocessing.Queue = multiprocessing.Queue()
    server = multiprocessing.Process(
        target=serve, args=(jpeg_of(options.bytes), ports), daemon=True
    )
    server.start()
    port = ports.get(timeout=30)
    links = [f"http://127.0.0.1:{port}/{number}.jpg" for number in range(options.posters)]
    rates: dict[str, list[float]] = {name: [] for name in (*options.clients, STAGE)}
    settings = {"spark.ui.enabled": "false", "spark.driver.memory": "1g"}
    master = f"local[{options.tasks}]"
    place = Path(tempfile.mkdtemp(prefix="collect-", dir=options.folder))
    try:
        with spark_session(app_name="collect", master=master, settings=settings) as spark:
            _measure(spark, links[:500], place, options.tasks, options.clients)  # imports, workers
            for _ in range(options.rounds):
                for name, rate in _measure(
                    spark, links, place, options.tasks, options.clients
                ).items():
                    rates[name].append(rate)
    finally:
        shutil.rmtree(place)
        server.terminate()
    medians = {name: round(statistics.median(found), 1) for name, found in rates.items()}
    ratios = {
        f"against {name}": round(medians[STAGE] / medians[name], 2) for name in options.clients
    }
    if options.json:
        print(json.dumps({"posters_per_second": rates, "medians": medians, "ratios": ratios}))
        return
    for name, median in medians.items():
        print(f"{name:18}{median:10,.0f} posters per second   {[round(r) for r in rates[name]]}")
    for name, ratio in ratios.items():
        print(f"download-posters {name}: {ratio}")


if __name__ == "__main__":
    main()
