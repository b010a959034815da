"""How to treat other people's data and servers: terms, rates, pauses, robots directives."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from aiolimiter import AsyncLimiter

__all__ = [
    "IMDB_NOTICE",
    "POSTERS_NOTICE",
    "TMDB_ATTRIBUTION",
    "TMDB_NOTICE",
    "Host",
    "Hosts",
    "forbidden_by_robots",
    "gather_all",
    "pace",
    "retry_after",
    "run_async",
]

# TMDb's terms ask for this sentence, word for word, wherever its data or images are used
TMDB_ATTRIBUTION = "This product uses the TMDB API but is not endorsed or certified by TMDB."
TMDB_NOTICE = (
    "TMDb's terms of use apply to what is collected now. As we read them: show TMDb's logo and the "
    f'sentence "{TMDB_ATTRIBUTION}"; do not keep its data for more than six months without asking '
    "again (collect.tmdb.refresh_older_than=180); commercial use, and training models on its data "
    "or images, may need an agreement with TMDb. Read "
    "https://www.themoviedb.org/api-terms-of-use and decide whether your use is allowed."
)
IMDB_NOTICE = (
    "IMDb's files are for personal and non-commercial use, under the conditions at "
    "https://developer.imdb.com/non-commercial-datasets/; decide whether your use is allowed. "
    'Its sentence: "Information courtesy of IMDb (https://www.imdb.com). Used with permission."'
)
POSTERS_NOTICE = (
    "Posters belong to their studios, and servers to those who run them: download what you may use."
)
_WITH_VALUE = {"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"}
_REMEMBERED_HOSTS = 10_000
_FAILURES = 10  # failed connections in a row ...
_PATIENCE = 120.0  # ... and seconds since the first of them, after which a host is given up
_LONGEST_BREAK = 20.0  # seconds between two connections to a host that fails


def pace(per_second: float) -> AsyncLimiter:
    """Return a limiter that spaces requests evenly, without a burst at the start."""
    return AsyncLimiter(1, 1 / per_second)


def retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, or None where it says nothing usable.

    Args:
        value: seconds, or an HTTP date (RFC 9110, 10.2.3).
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return None if math.isnan(seconds) else max(0.0, seconds)


def forbidden_by_robots(headers: Iterable[str], *, agent: str, directives: Iterable[str]) -> str:
    """Return the first directive of X-Robots-Tag that forbids using an image, or "".

    A value may begin with the name of the agent that it is for (`otherbot: noai, noindex`), as
    img2dataset reads it too.

    Args:
        headers: all values of X-Robots-Tag.
        agent: our name, as in the user agent.
        directives: what counts, in lower case.
    """
    wanted = set(directives)
    for header in headers:
        name, colon, rest = header.lower().partition(":")
        for_an_agent = bool(colon) and "," not in name and name.strip() not in _WITH_VALUE
        if for_an_agent and name.strip() not in ("*", agent.lower()):
            continue
        for word in (rest if for_an_agent else header.lower()).split(","):
            if word.strip() in wanted:
                return word.strip()
    return ""


class Host:
    """What a task knows of one host: its rate, its pauses, and whether it answers at all."""

    def __init__(self, per_second: float | None) -> None:
        self._failures = 0  # connections that failed since the last answer
        self._failing_since = 0.0
        self._limiter = None if per_second is None else pace(per_second)
        self._resume_at = 0.0

    async def turn(self) -> None:
        """Wait until the host may be asked again."""
        loop = asyncio.get_running_loop()
        while (delay := self._resume_at - loop.time()) > 0:
            await asyncio.sleep(delay)
        if self._limiter is not None:
            await self._limiter.acquire()

    @property
    def given_up(self) -> bool:
        """Whether the host has not answered for so long that it is not asked any more."""
        silent = asyncio.get_running_loop().time() - self._failing_since
        return self._failures >= _FAILURES and silent > _PATIENCE

    def answered(self) -> None:
        """Note that the host has answered."""
        self._failures = 0

    def failed(self) -> None:
        """Note that a connection failed, and leave the host alone for longer each time."""
        if self._failures == 0:
            self._failing_since = asyncio.get_running_loop().time()
        self._failures += 1
        self.pause(min(0.2 * self._failures, _LONGEST_BREAK))

    def pause(self, seconds: float) -> None:
        """Ask the host for nothing before so many seconds have passed."""
        self._resume_at = max(self._resume_at, asyncio.get_running_loop().time() + seconds)


class Hosts:
    """The hosts that a task has asked lately: as many as memory has room for."""

    def __init__(self, per_second: float | None) -> None:
        self._per_second = per_second
        self._hosts: OrderedDict[str, Host] = OrderedDict()

    def __getitem__(self, name: str) -> Host:
        host = self._hosts.pop(name, None) or Host(self._per_second)
        self._hosts[name] = host
        if len(self._hosts) > _REMEMBERED_HOSTS:
            self._hosts.popitem(last=False)
        return host


T = TypeVar("T")


async def gather_all(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all coroutines and return their results; when one fails, the others are ended first."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; where an event loop runs already (a notebook), in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
