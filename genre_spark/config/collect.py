"""Settings of collecting: movies from TMDb, a join with IMDb's files, downloads of posters."""

from __future__ import annotations

import ipaddress
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from genre_spark.config.section import Section

PosterSize = Literal["w92", "w154", "w185", "w342", "w500", "w780", "original"]


class TmdbConfig(Section):
    """Movies from TMDb's API; the token comes from the environment, TMDB_API_TOKEN, alone."""

    per_genre: int = Field(
        1000, ge=1, le=10_000, description="most popular movies of each genre; TMDb lists 10,000"
    )
    genres: tuple[str, ...] | None = Field(
        None, min_length=1, description="names of TMDb's genres to list; null: all of them"
    )
    filters: dict[str, str] = Field(
        default_factory=dict,
        description="more parameters of /discover/movie, such as {vote_count.gte: '50'}",
    )
    ids: str | None = Field(
        None,
        description="in place of the lists: a file of TMDb ids (one per line, a CSV with a column "
        "id, or TMDb's daily export .json.gz); a path or URL",
    )
    limit: int | None = Field(
        None, ge=1, description="of `ids`: the first so many, of a daily export the most popular"
    )
    language: str = Field("en-US", min_length=2, description="of names and texts, as TMDb has it")
    include_adult: bool = Field(False, description="keep movies that TMDb marks as adult")
    refresh_older_than: float | None = Field(
        None, ge=0, description="days after which pages and movies are asked for again; null: never"
    )
    requests_per_second: float = Field(35, gt=0, le=50, description="TMDb allows about 40")
    connections: int = Field(16, ge=1, le=50, description="requests under way at once")
    retries: int = Field(5, ge=0, le=20, description="after an answer that cannot be used")
    timeout: float = Field(30, gt=0, le=600, description="seconds for one request")
    longest_wait: float = Field(
        300, gt=0, description="seconds that a Retry-After may ask for before the stage gives up"
    )
    poster_size: PosterSize = Field("w342", description="w342 is the smallest that covers 345x230")
    base_url: str = Field("https://api.themoviedb.org/3", description="of the API, or of a proxy")
    image_url: str = Field("https://image.tmdb.org/t/p", description="of the posters")
    journal: str | None = Field(
        None,
        description="local file that keeps every answer, so that nothing is asked for twice; null: "
        "tmdb_journal.sqlite in paths.metadata",
    )

    @field_validator("base_url")
    @classmethod
    def _encrypted(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname)):
            return value.rstrip("/")
        raise ValueError("https://..., or http:// of a loopback address: it is sent the token")

    @field_validator("image_url")
    @classmethod
    def _web(cls, value: str) -> str:
        if urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("https://... or http://...")
        return value.rstrip("/")


class ImdbConfig(Section):
    """A join with the files that IMDb offers for personal, non-commercial use."""

    source: str = Field(
        description="folder of title.basics.tsv.gz, title.ratings.tsv.gz, ...; or the http(s) URL "
        "of a mirror of them that you may use"
    )
    ids: str | None = Field(
        None, description="CSV of id,imdb_id; null: ids.csv in paths.metadata, as collect-tmdb has"
    )
    akas: bool = Field(False, description="also the titles in other countries, from title.akas")


class DownloadsConfig(Section):
    """Downloads of posters by Spark tasks, into tar archives of a bounded size."""

    links: str | None = Field(
        None,
        description="CSV of id,link, or a folder or table of Parquet with id or movie_id and link; "
        "null: posters.csv in paths.metadata",
    )
    movies: str | None = Field(
        None, description="CSV with a column id: only posters of these movies; null: all"
    )
    base_url: str = Field(
        "https://image.tmdb.org/t/p/w342", description="of links that are TMDb's paths, /abc.jpg"
    )
    per_host: float | None = Field(
        50, gt=0, description="requests per second to one host, all tasks together; null: no limit"
    )
    tasks: int | None = Field(
        None, ge=1, le=100_000, description="Spark tasks at once; null: as many as the session has"
    )
    connections: int = Field(16, ge=1, le=256, description="requests under way in each task")
    connect_timeout: float = Field(10, gt=0, description="seconds until a host answers at all")
    read_timeout: float = Field(20, gt=0, description="seconds without a byte")
    timeout: float = Field(60, gt=0, description="seconds for a whole poster")
    retries: int = Field(2, ge=0, le=20, description="of a poster, in one run")
    retry_failed: bool = Field(
        False, description="try again what failed for good earlier (gone, not an image, ...)"
    )
    redirects: int = Field(5, ge=0, le=20, description="redirects followed per poster")
    max_bytes: int = Field(10_000_000, gt=0, description="larger posters are not read to their end")
    max_pixels: int = Field(50_000_000, gt=0, description="nor are posters with more pixels")
    min_side: int = Field(16, ge=1, description="posters with a shorter side are not read on")
    shard_posters: int = Field(2000, ge=1, description="posters per archive, at most")
    shard_bytes: int = Field(128 << 20, gt=0, description="bytes per archive, about")
    robots: tuple[str, ...] = Field(
        ("noai", "noimageai", "noindex", "noimageindex"),
        description="directives of X-Robots-Tag that keep a poster from being stored",
    )
    contact: str | None = Field(
        None, description="address or page in the user agent, for those whose server is asked"
    )
    allow_networks: tuple[str, ...] = Field(
        (), description="internal networks that may be asked all the same, such as 10.1.0.0/16"
    )
    use_proxy: bool = Field(
        False, description="go through HTTP(S)_PROXY; it then decides which addresses are reached"
    )

    @field_validator("allow_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)
        return value

    @field_validator("contact")
    @classmethod
    def _one_line(cls, value: str | None) -> str | None:
        if value is not None and not (value.isascii() and value.isprintable()):
            raise ValueError("one line of ASCII characters")
        return value

    @model_validator(mode="after")
    def _fits(self) -> DownloadsConfig:
        if self.max_bytes > self.shard_bytes:
            raise ValueError(
                f"max_bytes {self.max_bytes} and shard_bytes {self.shard_bytes}, expected "
                "max_bytes <= shard_bytes"
            )
        return self


class CollectConfig(Section):
    """What is collected; a stage whose section is missing is not part of a run."""

    tmdb: TmdbConfig | None = Field(None, description="collect-tmdb")
    imdb: ImdbConfig | None = Field(None, description="collect-imdb")
    downloads: DownloadsConfig | None = Field(None, description="download-posters")


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return host is not None and ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
