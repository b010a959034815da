"""A host of posters on loopback: slow, broken, circular, lying, huge.

It counts what it is asked for.
"""

from __future__ import annotations

import asyncio
import gzip
import struct
import threading
import zlib
from collections import Counter

from aiohttp import web

from tests.collect.serving import LoopbackServer
from tests.posters.pictures import jpeg

_BOMB = gzip.compress(bytes(50_000_000))


def poster(number: int) -> bytes:
    """Return a JPEG that is another one for each number."""
    return jpeg(height=90, width=60, seed=number)


def png_header(width: int, height: int) -> bytes:
    """Return the beginning of a PNG of that size."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


class FakeImages(LoopbackServer):
    """Attributes: asked, answered: path -> how often; sent: bytes of endless answers."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.sent = 0
        self.delay = 0.0
        self.most_at_once = 0
        self.times: list[float] = []
        self._now = 0
        self._lock = threading.Lock()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked[request.path] += 1
        self.times.append(asyncio.get_running_loop().time())
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            if self.delay:
                await asyncio.sleep(self.delay)
            kind, _, rest = request.path.lstrip("/").partition("/")
            response = await getattr(self, f"_{kind}", self._poster)(request, rest)
            self.answered[request.path] += 1
            return response
        finally:
            self._now -= 1

    async def _poster(self, request: web.Request, rest: str) -> web.StreamResponse:
        number = int("".join(filter(str.isdigit, request.path)) or 0)
        return web.Response(body=poster(number), content_type="image/jpeg")

    async def _html(self, request: web.Request, rest: str) -> web.StreamResponse:
        return web.Response(text="<!doctype html><p>Log in first</p>", content_type="text/html")

    async def _status(self, request: web.Request, rest: str) -> web.StreamResponse:
        return web.Response(status=int(rest))

    async def _twice(self, request: web.Request, rest: str) -> web.StreamResponse:
        """Fail the first time."""
        if self.asked[request.path] == 1:
            return web.Response(status=500)
        return await self._poster(request, rest)

    async def _limited(self, request: web.Request, rest: str) -> web.StreamResponse:
        if self.asked[request.path] == 1:
            return web.Response(status=429, headers={"Retry-After": "1"})
        return await self._poster(request, rest)

    async def _robots(self, request: web.Request, rest: str) -> web.StreamResponse:
        response = await self._poster(request, rest)
        response.headers["X-Robots-Tag"] = {"1": "noai", "2": "otherbot: noai", "3": "all"}[rest]
        return response

    async def _circle(self, request: web.Request, rest: str) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": f"/circle/{int(rest) + 1}"})

    async def _moved(self, request: web.Request, rest: str) -> web.StreamResponse:
        return web.Response(status=301, headers={"Location": f"/{rest}.jpg"})

    async def _to(self, request: web.Request, rest: str) -> web.StreamResponse:
        """Redirect to the address in the query."""
        return web.Response(status=302, headers={"Location": request.query["where"]})

    async def _broken(self, request: web.Request, rest: str) -> web.StreamResponse:
        """Promise more than comes."""
        content = poster(1)
        response = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await response.prepare(request)
        await response.write(content[: len(content) // 2])
        assert request.transport is not None
        request.transport.close()
        return response

    async def _slow(self, request: web.Request, rest: str) -> web.StreamResponse:
        """Send a byte now and then, for ever."""
        response = web.StreamResponse()
        await response.prepare(request)
        for byte in poster(1) * 100:
            await response.write(bytes([byte]))
            await asyncio.sleep(0.05)
        return response

    async def _silent(self, request: web.Request, rest: str) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    async def _bomb(self, request: web.Request, rest: str) -> web.StreamResponse:
        """Send 50 MB of zeros in 50 kB of gzip that nobody asked for."""
        headers = {"Content-Encoding": "gzip", "Content-Type": "image/jpeg"}
        return web.Response(body=_BOMB, headers=headers)

    async def _pixels(self, request: web.Request, rest: str) -> web.StreamResponse:
        """Begin a PNG of 10 gigapixels and go on for ever."""
        return await self._endless(request, png_header(100_000, 100_000))

    async def _announced(self, request: web.Request, rest: str) -> web.StreamResponse:
        """Say that 10 GB come."""
        response = web.StreamResponse(headers={"Content-Length": str(10 * 2**30)})
        await response.prepare(request)
        return await self._stream(response, poster(1))

    async def _huge(self, request: web.Request, rest: str) -> web.StreamResponse:
        """Send 10 GB after a good header, without saying so."""
        return await self._endless(request, poster(1)[:-2])

    async def _endless(self, request: web.Request, head: bytes) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        return await self._stream(response, head)

    async def _stream(self, response: web.StreamResponse, head: bytes) -> web.StreamResponse:
        await response.write(head)
        for _ in range(10 * 2**10):
            await response.write(bytes(2**20))
            self.sent += 2**20
        return response
