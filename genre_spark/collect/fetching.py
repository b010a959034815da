"""One link -> the bytes of a poster, or the reason why there are none.

Nothing is read further than it has to be: length, kind and size in pixels are judged as soon as
they are known. Redirects are followed by hand, so that every host on the way is checked.
"""

from __future__ import annotations

import asyncio
import functools
from types import TracebackType
from typing import NamedTuple

import aiohttp
from tenacity import AsyncRetrying, RetryCallState, stop_after_attempt, wait_exponential_jitter
from yarl import URL

from genre_spark import __version__
from genre_spark.collect.addresses import AddressRules, CheckedResolver, InternalAddressError
from genre_spark.collect.politeness import Host, Hosts, forbidden_by_robots, retry_after
from genre_spark.config.collect import DownloadsConfig
from genre_spark.imaging.headers import ImageHeader, read_header
from genre_spark.imaging.rejected import NOT_AN_IMAGE, TOO_MANY_PIXELS, TOO_SMALL, RejectedImage

__all__ = ["PASSING", "STORED", "Fetched", "PosterFetcher"]

STORED = "stored"
BAD_LINK = "not a link"
INTERNAL = "internal address"
REDIRECTS = "too many redirects"
ROBOTS = "forbidden by robots directives"
ENCODED = "compressed answer"
TOO_MANY_BYTES = "too many bytes"
GONE = "gone"
REFUSED = "refused"
HTTP_ERROR = "unexpected HTTP status"
# reasons that may pass: the next run tries these posters again
TIMEOUT = "timeout"
BROKEN = "connection broken"
UNREACHABLE = "host not reachable"
SERVER_ERROR = "server error"
LIMITED = "too many requests"
PASSING = frozenset({TIMEOUT, BROKEN, UNREACHABLE, SERVER_ERROR, LIMITED})

_AGENT = "genre_spark"
_NO_RETRY_AFTER = 5.0  # seconds to leave a host alone that answers 429 and does not say how long
_LONGEST_PAUSE = 120.0  # seconds; a host that asks for more is asked again by the next run
_HEADER_BYTES = 256 << 10  # a JPEG whose frame header comes later is judged when it is whole
_REMEMBERED_HOSTS = 10_000


class Fetched(NamedTuple):
    """What became of a link.

    Attributes:
        status: STORED, or the reason why there is no poster.
        detail: what was seen, for people.
        http: status of the last answer, 0 where there was none.
        content: the file; empty unless STORED.
        header: what the file says of itself; None unless STORED.
    """

    status: str
    detail: str = ""
    http: int = 0
    content: bytes = b""
    header: ImageHeader | None = None


class _NoPosterError(Exception):
    """A poster that cannot be had, with a reason."""

    def __init__(self, status: str, detail: str, *, http: int = 0) -> None:
        super().__init__(detail)
        self.fetched = Fetched(status, detail, http)


class PosterFetcher:
    """An async context manager that fetches posters over kept connections.

    Args:
        config: bounds, timeouts, retries.
        per_host: requests per second to one host, of this fetcher; None: no limit.
    """

    def __init__(self, config: DownloadsConfig, *, per_host: float | None) -> None:
        self._config = config
        self._rules = AddressRules(config.allow_networks)
        self._check_host = functools.lru_cache(_REMEMBERED_HOSTS)(self._rules.check_host)
        self._hosts = Hosts(per_host)

    async def __aenter__(self) -> PosterFetcher:
        config = self._config
        contact = f" ({config.contact})" if config.contact else ""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=config.connections, resolver=CheckedResolver(self._rules), ttl_dns_cache=300
            ),
            timeout=aiohttp.ClientTimeout(
                total=config.timeout,
                sock_connect=config.connect_timeout,
                sock_read=config.read_timeout,
            ),
            headers={
                "User-Agent": f"{_AGENT}/{__version__}{contact}",
                "Accept": "image/*",
                "Accept-Encoding": "identity",
            },
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=config.use_proxy,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def fetch(self, link: str) -> Fetched:
        """Return the poster under a link, or the reason why there is none; never raises for it."""
        first = await self._try(link)
        if first.status not in PASSING or self._config.retries == 0:
            return first  # nearly all of them, without what counting tries costs
        answers = iter([first])

        async def answer() -> Fetched:
            return next(answers, None) or await self._try(link)

        tries = AsyncRetrying(
            stop=stop_after_attempt(1 + self._config.retries),
            wait=wait_exponential_jitter(initial=0.2, max=10, jitter=0.5),
            retry=_may_pass,
            retry_error_callback=_last_result,
        )
        return await tries(answer)

    async def _try(self, link: str) -> Fetched:
        hops = 0
        try:
            url = _check_link(URL(link))  # what is checked is what aiohttp connects to
            while True:
                self._check_host(url.raw_host or "")
                found = await self._ask(url)
                if isinstance(found, Fetched):
                    return found
                hops += 1
                if hops > self._config.redirects:
                    raise _NoPosterError(
                        REDIRECTS, f"more than {self._config.redirects}, last: {url}"
                    )
                url = _check_link(url.join(URL(found)))
        except _NoPosterError as failure:
            return failure.fetched
        except InternalAddressError as error:
            return Fetched(INTERNAL, str(error))
        except ValueError as error:  # yarl's, of links that are none
            return Fetched(BAD_LINK, str(error)[:200])

    async def _ask(self, url: URL) -> Fetched | str:
        """Return the poster, or where a redirect leads."""
        name = url.raw_authority
        host = self._hosts[name]
        await host.turn()
        if host.given_up:
            raise _NoPosterError(UNREACHABLE, f"{name}: has not answered for minutes, given up")
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                host.answered()
                if response.status in (301, 302, 303, 307, 308):
                    return response.headers.get("Location", "")
                _check_status(response, host)
                self._check_headers(response)
                return await self._read(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            host.failed()
            raise _NoPosterError(UNREACHABLE, f"{name}: {error}") from None
        except asyncio.TimeoutError:
            raise _NoPosterError(
                TIMEOUT, f"no whole poster within {self._config.timeout:g} s"
            ) from None
        except aiohttp.InvalidURL as error:
            raise _NoPosterError(BAD_LINK, str(error)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _NoPosterError(BROKEN, f"{type(error).__name__}: {error}") from None

    def _check_headers(self, response: aiohttp.ClientResponse) -> None:
        headers, limit = response.headers, self._config.max_bytes
        directive = forbidden_by_robots(
            headers.getall("X-Robots-Tag", []), agent=_AGENT, directives=self._config.robots
        )
        if directive:
            raise _NoPosterError(ROBOTS, f"X-Robots-Tag: {directive}", http=response.status)
        encoding = headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):  # not asked for, and what bombs are made of
            raise _NoPosterError(
                ENCODED, f"Content-Encoding: {encoding[:50]}", http=response.status
            )
        if response.content_length is not None and response.content_length > limit:
            detail = f"{response.content_length} bytes, at most {limit}"
            raise _NoPosterError(TOO_MANY_BYTES, detail, http=response.status)

    async def _read(self, response: aiohttp.ClientResponse) -> Fetched:
        """Read a poster as far as it is one."""
        parts: list[bytes] = []
        header, size, stream = None, 0, response.content
        while not stream.at_eof():
            parts.append(await stream.readany())
            size += len(parts[-1])
            if size > self._config.max_bytes:
                detail = f"more than {self._config.max_bytes}"
                raise _NoPosterError(TOO_MANY_BYTES, detail, http=response.status)
            if header is None and size <= _HEADER_BYTES:
                header = self._judge(b"".join(parts), response.status, whole=False)
        content = b"".join(parts)
        header = header or self._judge(content, response.status, whole=True)
        return Fetched(STORED, "", response.status, content, header)

    def _judge(self, content: bytes, http: int, *, whole: bool) -> ImageHeader | None:
        """Return the header of an image, or None where it is not there yet."""
        try:
            header = read_header(content)
        except RejectedImage as flaw:
            # the first bytes tell that a file is no image; that it ends too soon, only its end
            if whole or (flaw.reason == NOT_AN_IMAGE and len(content) >= 12):
                raise _NoPosterError(flaw.reason, flaw.detail, http=http) from None
            return None
        height, width = header.height, header.width
        if height * width > self._config.max_pixels:
            detail = f"{width}x{height}, at most {self._config.max_pixels} pixels"
            raise _NoPosterError(TOO_MANY_PIXELS, detail, http=http)
        if min(height, width) < self._config.min_side:
            detail = f"{width}x{height}, at least {self._config.min_side} pixels each way"
            raise _NoPosterError(TOO_SMALL, detail, http=http)
        return header


def _may_pass(state: RetryCallState) -> bool:
    return state.outcome is not None and state.outcome.result().status in PASSING


def _last_result(state: RetryCallState) -> Fetched:
    result: Fetched = state.outcome.result() if state.outcome else Fetched(BROKEN)
    return result


def _check_link(url: URL) -> URL:
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise _NoPosterError(BAD_LINK, f"{str(url)[:200]}, expected http(s)://host/...")
    if url.raw_user is not None or url.raw_password is not None:
        raise _NoPosterError(BAD_LINK, "a link with a user's name in it")
    if url.raw_authority.split() != [url.raw_authority]:
        raise _NoPosterError(BAD_LINK, f"{str(url)[:200]}: a blank in the host's name")
    return url


def _check_status(response: aiohttp.ClientResponse, host: Host) -> None:
    status = response.status
    if status == 200:
        return
    detail = f"HTTP {status}"
    if status in (429, 503):
        asked = retry_after(response.headers.get("Retry-After"))
        seconds = asked if asked is not None else _NO_RETRY_AFTER if status == 429 else 0.0
        host.pause(min(seconds, _LONGEST_PAUSE))
        raise _NoPosterError(LIMITED if status == 429 else SERVER_ERROR, detail, http=status)
    if status in (404, 410):
        raise _NoPosterError(GONE, detail, http=status)
    if status in (401, 402, 403, 451):
        raise _NoPosterError(REFUSED, detail, http=status)
    if status >= 500 or status in (408, 425):
        raise _NoPosterError(SERVER_ERROR, detail, http=status)
    raise _NoPosterError(HTTP_ERROR, detail, http=status)
