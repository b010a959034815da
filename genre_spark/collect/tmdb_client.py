"""Requests to TMDb's API, at a bounded rate, tried again where that helps.

The token is taken from the environment, added to a request as it leaves, and is in no error, log or
file.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple

import aiohttp
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from genre_spark import __version__
from genre_spark.collect.politeness import TMDB_NOTICE, pace, retry_after
from genre_spark.config.collect import TmdbConfig
from genre_spark.errors import InvalidConfigError, StageFailedError

__all__ = [
    "PAGE_BEYOND",
    "TOKEN",
    "RefusedRequestError",
    "TmdbClient",
    "UnusableAnswerError",
    "read_token",
]

logger = logging.getLogger("genre_spark")

TOKEN = "TMDB_API_TOKEN"  # the name of the variable
PAGE_BEYOND = 22  # TMDb's error code of a page past the last one that it lists
_NO_RETRY_AFTER = 2.0  # seconds to wait after a 429 that does not say how long
_LARGEST_ANSWER = 32 << 20  # bytes; the longest credits take about 2 MB
_V3_KEY = re.compile(r"[0-9a-fA-F]{32}")


class UnusableAnswerError(StageFailedError):
    """An answer that another try may mend: an error of the server, a broken connection, no JSON."""


class RefusedRequestError(StageFailedError):
    """An answer that says no, and would say so again.

    Attributes:
        status: of HTTP.
        code: TMDb's own, 0 where it gives none.
    """

    def __init__(self, message: str, *, status: int, code: int) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    @property
    def gone(self) -> bool:
        """Whether there is no such thing (any more), as opposed to a wrong address of the API."""
        return self.status == 404 and self.code in (6, 34)


class _Answer(NamedTuple):
    status: int
    retry_after: str | None
    body: bytes


def read_token() -> str:
    """Return the token from the environment.

    Raises:
        InvalidConfigError: there is none, or it cannot be sent in a header.
    """
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise InvalidConfigError(
            f"{TOKEN}: not set, expected your API read access token (or v3 key) of TMDb in this "
            "environment variable; https://www.themoviedb.org/settings/api has it"
        )
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise InvalidConfigError(f"{TOKEN}: has blanks or characters that no token has")
    return token


class TmdbClient:
    """An async context manager whose `get` returns JSON objects.

    All requests share one rate and one pause: when TMDb answers 429, nothing is sent before its
    Retry-After has passed.

    Args:
        config: address, rate, retries.
        token: returns the token; called before the first request, and never where all is known.

    Attributes:
        requests: sent so far, each try counted.
    """

    def __init__(self, config: TmdbConfig, token: Callable[[], str] = read_token) -> None:
        self.requests = 0
        self._config = config
        self._token = token
        self._session: aiohttp.ClientSession | None = None
        self._secret_query: dict[str, str] = {}
        self._limiter = pace(config.requests_per_second)
        self._resume_at = 0.0
        self._limited_since: float | None = None

    async def __aenter__(self) -> TmdbClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        """Return the session; before the first request, say what TMDb asks of its users."""
        if self._session is None:
            token = self._token()
            logger.info("collect-tmdb: %s", TMDB_NOTICE)
            headers = {"Accept": "application/json", "User-Agent": f"genre_spark/{__version__}"}
            if _V3_KEY.fullmatch(token):
                self._secret_query = {"api_key": token}  # it can only be sent in the query
            else:
                headers["Authorization"] = f"Bearer {token}"
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._config.connections),
                timeout=aiohttp.ClientTimeout(total=self._config.timeout),
                headers=headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=True,
            )
        return self._session

    async def get(self, path: str, query: Mapping[str, str | int] | None = None) -> dict[str, Any]:
        """Return the JSON object that TMDb has under a path, such as `/movie/550`.

        Raises:
            InvalidConfigError: TMDb does not accept the token.
            RefusedRequestError: TMDb says no.
            UnusableAnswerError: no try brought a usable answer.
            StageFailedError: TMDb wants us to wait longer than the recipe allows.
        """
        tries = AsyncRetrying(
            stop=stop_after_attempt(1 + self._config.retries),
            wait=wait_exponential_jitter(initial=0.5, max=30, jitter=1),
            retry=retry_if_exception_type(UnusableAnswerError),
            reraise=True,
        )
        return await tries(self._try, path, query or {})

    async def _try(self, path: str, query: Mapping[str, str | int]) -> dict[str, Any]:
        return self._judge(path, await self._ask(path, query))

    async def _ask(self, path: str, query: Mapping[str, str | int]) -> _Answer:
        """Send a request, and again after each 429 that it meets."""
        loop, session = asyncio.get_running_loop(), self._open()
        while True:
            while (delay := self._resume_at - loop.time()) > 0:
                await asyncio.sleep(delay)
            await self._limiter.acquire()
            if self._resume_at > loop.time():
                continue  # another request met a 429 while this one waited for its turn
            answer = await self._send(session, path, query)
            if answer.status != 429:
                self._limited_since = None
                return answer
            self._pause(answer, loop.time())

    async def _send(
        self, session: aiohttp.ClientSession, path: str, query: Mapping[str, str | int]
    ) -> _Answer:
        self.requests += 1
        url = self._config.base_url + path
        try:
            async with session.get(
                url, params={**query, **self._secret_query}, allow_redirects=False
            ) as response:
                body = await response.content.read(_LARGEST_ANSWER + 1)
                while not response.content.at_eof() and len(body) <= _LARGEST_ANSWER:
                    body += await response.content.read(_LARGEST_ANSWER + 1 - len(body))
                return _Answer(response.status, response.headers.get("Retry-After"), body)
        except asyncio.TimeoutError:
            raise UnusableAnswerError(
                f"{path}: no whole answer within {self._config.timeout:g} s"
            ) from None
        except aiohttp.ClientError as error:  # its text may hold the URL, and so a key
            raise UnusableAnswerError(f"{path}: {_without_query(error)}") from None

    def _pause(self, answer: _Answer, now: float) -> None:
        asked = retry_after(answer.retry_after)
        seconds = _NO_RETRY_AFTER if asked is None else asked
        self._limited_since = now if self._limited_since is None else self._limited_since
        waited = now - self._limited_since + seconds
        if waited > self._config.longest_wait:
            raise StageFailedError(
                f"TMDb asks to wait {seconds:,.0f} s (HTTP 429), more than "
                f"collect.tmdb.longest_wait={self._config.longest_wait:g} s; what has been "
                "collected is kept, start the stage again later"
            )
        if self._resume_at <= now:
            logger.info("collect-tmdb: TMDb asks to wait (HTTP 429): %.1f s", seconds)
        self._resume_at = max(self._resume_at, now + seconds)

    def _judge(self, path: str, answer: _Answer) -> dict[str, Any]:
        status = answer.status
        value = _read_object(answer.body)
        if status == 200:
            if len(answer.body) > _LARGEST_ANSWER:
                raise UnusableAnswerError(f"{path}: an answer of more than {_LARGEST_ANSWER} bytes")
            if value is None:
                raise UnusableAnswerError(
                    f"{path}: HTTP 200 with {answer.body[:40]!r}, expected a JSON object"
                )
            return value
        code = value.get("status_code", 0) if value else 0
        code = code if isinstance(code, int) else 0
        if status == 401:
            raise InvalidConfigError(
                f"{TOKEN}: TMDb does not accept it (HTTP 401, code {code}), expected a valid API "
                "read access token or v3 key"
            )
        # Every refusal of TMDb's is a JSON object with a code: anything else is another server's.
        if status in (408, 425) or status >= 500 or not code:
            raise UnusableAnswerError(f"{path}: HTTP {status}, expected an answer of TMDb's API")
        text = str(value.get("status_message", "")) if value else ""
        raise RefusedRequestError(
            f"{path}: HTTP {status}, code {code}: {text[:200]}", status=status, code=code
        )


def _read_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _without_query(error: Exception) -> str:
    text = re.sub(r"\?\S+", "?...", str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
