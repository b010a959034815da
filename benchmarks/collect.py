"""Posters per second of download-posters against asyncio clients on the same loopback server.

    python benchmarks/collect.py [--posters 20000] [--bytes 25000] [--latency 30] [--tasks 2] \\
        [--connections 64] [--rounds 3] [--folder /dev/shm] [--clients careful ...] [--json]

All have the same number of connections to one server, which answers after `--latency` milliseconds
(0: at once), as servers on the internet do at best. No rate is kept. The clients:

- careful: what one writes by hand with care, over one session of aiohttp. It checks status, length
  and the header of the picture while it reads, bounds each request by time, writes each poster to a
  file of its own and a line about it to a log. It knows nothing of retries, redirects into our own
  network, robots directives, archives and kills. The fair one to compare with.
- aiohttp, httpx: a pool of workers that read and write, and check nothing.

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
import cv2
import httpx
import numpy as np
from pyspark.sql import SparkSession

from genre_spark.collect.downloads import download_posters
from genre_spark.config.collect import DownloadsConfig
from genre_spark.imaging.headers import read_header
from genre_spark.spark.session import spark_session


class _SamePoster(asyncio.Protocol):
    """Answers every request on a connection with the same bytes, after some seconds."""

    def __init__(self, answer: bytes, latency: float) -> None:
        self._answer, self._latency, self._begun = answer, latency, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        *requests, self._begun = (self._begun + data).split(b"\r\n\r\n")
        for _ in requests:
            if self._latency:
                loop = asyncio.get_running_loop()
                loop.call_later(self._latency, self._transport.write, self._answer)
            else:
                self._transport.write(self._answer)


def serve(content: bytes, latency: float, port: multiprocessing.Queue) -> None:
    """Answer every request with the same bytes."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}"
    answer = f"{head}\r\n\r\n".encode() + content

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _SamePoster(answer, latency), "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def jpeg_of(size: int) -> bytes:
    """Return a small JPEG, padded behind its end to a size."""
    pixels = np.random.default_rng(0).integers(0, 255, (90, 60, 3), dtype=np.uint8)
    head = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])[1].tobytes()
    return head + bytes(max(0, size - len(head)))


async def in_a_pool(
    links: list[str], connections: int, fetch: Callable[[int, str], Awaitable[None]]
) -> None:
    left = iter(enumerate(links))

    async def work() -> None:
        for number, link in left:
            await fetch(number, link)

    await asyncio.gather(*[work() for _ in range(connections)])


async def with_httpx(links: list[str], folder: Path, connections: int) -> None:
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(limits=limits) as client:

        async def fetch(number: int, link: str) -> None:
            response = await client.get(link)
            (folder / f"{number}.jpg").write_bytes(response.raise_for_status().content)

        await in_a_pool(links, connections, fetch)


async def with_aiohttp(links: list[str], folder: Path, connections: int) -> None:
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def fetch(number: int, link: str) -> None:
            async with session.get(link, raise_for_status=True) as response:
                (folder / f"{number}.jpg").write_bytes(await response.read())

        await in_a_pool(links, connections, fetch)


async def with_care(links: list[str], folder: Path, connections: int) -> None:
    bounds = DownloadsConfig()
    timeout = aiohttp.ClientTimeout(total=60, sock_connect=10, sock_read=20)
    connector = aiohttp.TCPConnector(limit=connections)
    with (folder / "log.jsonl").open("a") as log:
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

            async def fetch(number: int, link: str) -> None:
                fact = {"id": number, "link": link, "status": "stored", "at": time.time()}
                try:
                    content, size = await _read_with_care(session, link, bounds)
                    (folder / f"{number}.jpg").write_bytes(content)
                    fact |= {"bytes": len(content), "height": size[0], "width": size[1]}
                except (aiohttp.ClientError, asyncio.TimeoutError, ValueError) as error:
                    fact["status"] = repr(error)
                log.write(json.dumps(fact) + "\n")
                log.flush()

            await in_a_pool(links, connections, fetch)


async def _read_with_care(
    session: aiohttp.ClientSession, link: str, bounds: DownloadsConfig
) -> tuple[bytes, tuple[int, int]]:
    async with session.get(link, headers={"Accept": "image/*"}) as response:
        response.raise_for_status()
        if (response.content_length or 0) > bounds.max_bytes:
            raise ValueError("too long")
        content = bytearray()
        async for chunk in response.content.iter_chunked(64 << 10):
            content += chunk
            if len(content) > bounds.max_bytes:
                raise ValueError("too long")
    header = read_header(bytes(content))
    if header.height * header.width > bounds.max_pixels:
        raise ValueError("too many pixels")
    return bytes(content), (header.height, header.width)


def time_client(
    client: Callable[..., Coroutine[None, None, None]],
    links: list[str],
    folder: Path,
    connections: int,
) -> float:
    started = time.perf_counter()
    asyncio.run(client(links, folder, connections))
    seconds = time.perf_counter() - started
    assert len(list(folder.glob("*.jpg"))) == len(links)
    return seconds


def time_stage(
    spark: SparkSession, links: list[str], folder: Path, *, tasks: int, connections: int
) -> float:
    config = DownloadsConfig(
        allow_networks=("127.0.0.0/8",), per_host=None, connections=connections // tasks
    )
    table = spark.createDataFrame(list(enumerate(links)), "movie_id long, link string")
    table.write.parquet(str(folder / "links"))
    stored = spark.read.parquet(str(folder / "links"))
    started = time.perf_counter()
    done = download_posters(stored, str(folder / "posters"), config, run="benchmark", tasks=tasks)
    seconds = time.perf_counter() - started
    assert done.statuses == {"stored": len(links)}, done
    return seconds


CLIENTS = {"careful": with_care, "aiohttp": with_aiohttp, "httpx": with_httpx}
STAGE = "download-posters"


def _measure(
    spark: SparkSession, links: list[str], place: Path, options: argparse.Namespace
) -> dict[str, float]:
    """Return the posters per second of each client and of the stage, one after the other."""
    rates = {}
    for name in (*options.clients, STAGE):
        folder = Path(tempfile.mkdtemp(dir=place))
        if name == STAGE:
            seconds = time_stage(
                spark, links, folder, tasks=options.tasks, connections=options.connections
            )
        else:
            seconds = time_client(CLIENTS[name], links, folder, options.connections)
        rates[name] = len(links) / seconds
        shutil.rmtree(folder)
    return rates


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posters", type=int, default=20_000)
    parser.add_argument("--bytes", type=int, default=25_000)
    parser.add_argument("--latency", type=float, default=30, help="milliseconds")
    parser.add_argument("--tasks", type=int, default=2)
    parser.add_argument("--connections", type=int, default=64, help="in all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default="/dev/shm" if Path("/dev/shm").is_dir() else None)
    parser.add_argument("--clients", nargs="+", choices=list(CLIENTS), default=list(CLIENTS))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> None:
    options = _options()
    ports: multiprocessing.Queue = multiprocessing.Queue()
    answers = (jpeg_of(options.bytes), options.latency / 1000, ports)
    server = multiprocessing.Process(target=serve, args=answers, daemon=True)
    server.start()
    port = ports.get(timeout=30)
    links = [f"http://127.0.0.1:{port}/{number}.jpg" for number in range(options.posters)]
    rates: dict[str, list[float]] = {name: [] for name in (*options.clients, STAGE)}
    settings = {"spark.ui.enabled": "false", "spark.driver.memory": "1g"}
    master = f"local[{options.tasks}]"
    place = Path(tempfile.mkdtemp(prefix="collect-", dir=options.folder))
    try:
        with spark_session(app_name="collect", master=master, settings=settings) as spark:
            _measure(spark, links[:1000], place, options)  # imports, workers
            for _ in range(options.rounds):
                for name, rate in _measure(spark, links, place, options).items():
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
