"""IMDb's files as they are offered for non-commercial use: where they are, and that they are they.

Their columns: https://developer.imdb.com/non-commercial-datasets/
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import zlib
from collections.abc import Iterable

import aiohttp
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from genre_spark import __version__
from genre_spark.collect.politeness import run_async
from genre_spark.errors import InvalidInputError, StageFailedError
from genre_spark.storage.files import filesystem, join, whole_file

__all__ = ["COLUMNS", "check_header", "download_mirror", "find_file", "is_mirror", "needed_files"]

logger = logging.getLogger("genre_spark")

COLUMNS = {
    "title.basics": (
        "tconst",
        "titleType",
        "primaryTitle",
        "originalTitle",
        "isAdult",
        "startYear",
        "endYear",
        "runtimeMinutes",
        "genres",
    ),
    "title.ratings": ("tconst", "averageRating", "numVotes"),
    "title.principals": ("tconst", "ordering", "nconst", "category", "job", "characters"),
    "title.crew": ("tconst", "directors", "writers"),
    "title.akas": (
        "titleId",
        "ordering",
        "title",
        "region",
        "language",
        "types",
        "attributes",
        "isOriginalTitle",
    ),
    "name.basics": (
        "nconst",
        "primaryName",
        "birthYear",
        "deathYear",
        "primaryProfession",
        "knownForTitles",
    ),
}
_ENDINGS = (".tsv.gz", ".tsv")
_LONGEST_HEADER = 4096  # bytes
_CHUNK = 1 << 20
_TRIES = 5


def needed_files(*, akas: bool) -> list[str]:
    """Return the names of the files that are read."""
    return [name for name in COLUMNS if akas or name != "title.akas"]


def is_mirror(source: str) -> bool:
    """Tell whether a source is a web address and not a folder."""
    return source.startswith(("http://", "https://"))


def find_file(folder: str, name: str) -> str:
    """Return the path of NAME.tsv.gz or NAME.tsv.

    Raises:
        InvalidInputError: there is none of them.
    """
    for ending in _ENDINGS:
        path = join(folder, name + ending)
        system, inner = filesystem(path)
        if system.exists(inner):
            return path
    raise InvalidInputError(
        f"collect.imdb.source: {folder} has no {name}.tsv.gz (nor .tsv), expected the files of "
        "https://developer.imdb.com/non-commercial-datasets/"
    )


def check_header(path: str, name: str) -> None:
    """Look at the first line of a file.

    Raises:
        InvalidInputError: it does not have the columns that IMDb's file of this name has.
    """
    system, inner = filesystem(path)
    try:
        with system.open(inner, "rb") as file:
            text = gzip.GzipFile(fileobj=file) if path.endswith(".gz") else file
            line = text.readline(_LONGEST_HEADER)
    except (EOFError, OSError, zlib.error) as error:
        raise InvalidInputError(f"{path}: cannot be read: {error}") from None
    found = line.decode("utf-8", "replace").rstrip("\r\n").split("\t")
    if found != list(COLUMNS[name]):
        raise InvalidInputError(
            f"{path}: the columns {', '.join(found)[:200]!r}, expected {', '.join(COLUMNS[name])}"
        )


def download_mirror(url: str, folder: str, names: Iterable[str]) -> None:
    """Download the files that a folder does not have yet; each appears whole.

    Raises:
        InvalidInputError: the mirror does not have a file.
        StageFailedError: it does not answer.
    """
    missing = [name for name in names if not _is_there(join(folder, f"{name}.tsv.gz"))]
    if missing:
        run_async(_download(url.rstrip("/"), folder, missing))


def _is_there(path: str) -> bool:
    system, inner = filesystem(path)
    return bool(system.exists(inner))


async def _download(url: str, folder: str, names: list[str]) -> None:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
    headers = {"User-Agent": f"genre_spark/{__version__}"}
    tries = AsyncRetrying(
        stop=stop_after_attempt(_TRIES),
        wait=wait_exponential(min=0.5, max=60),
        retry=retry_if_exception_type((aiohttp.ClientError, asyncio.TimeoutError)),
        reraise=True,
    )
    async with aiohttp.ClientSession(timeout=timeout, headers=headers, trust_env=True) as session:
        for name in names:
            file = f"{name}.tsv.gz"
            logger.info("collect-imdb: downloading %s/%s", url, file)
            try:
                await tries(_download_file, session, f"{url}/{file}", join(folder, file))
            except (aiohttp.ClientError, asyncio.TimeoutError) as error:
                raise StageFailedError(f"{url}/{file}: {type(error).__name__}: {error}") from None


async def _download_file(session: aiohttp.ClientSession, url: str, path: str) -> None:
    # what counts is the file as it is, not what a server would make of its compression
    identity = {"Accept-Encoding": "identity"}
    async with session.get(url, headers=identity, auto_decompress=False) as response:
        if 400 <= response.status < 500:
            raise InvalidInputError(
                f"collect.imdb.source: {url}: HTTP {response.status}, expected IMDb's file"
            )
        response.raise_for_status()
        with whole_file(path) as file:
            async for chunk in response.content.iter_chunked(_CHUNK):
                file.write(chunk)
