"""One link at a time, against a host that is slow, breaks off, redirects, lies and is huge."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver

from genre_spark.collect import politeness
from genre_spark.collect.addresses import AddressRules, CheckedResolver, InternalAddressError
from genre_spark.collect.fetching import Fetched, PosterFetcher
from genre_spark.collect.politeness import forbidden_by_robots, retry_after
from genre_spark.config.collect import DownloadsConfig
from tests.collect.fake_images import FakeImages, poster


@pytest.fixture
def host() -> Iterator[FakeImages]:
    with FakeImages() as server:
        yield server


def fetch(
    *links: str, per_host: float | None = None, in_turn: bool = False, **settings: Any
) -> list[Fetched]:
    quick = {
        "allow_networks": ("127.0.0.0/8",),
        "timeout": 2,
        "connect_timeout": 1,
        "read_timeout": 1,
        "retries": 0,
        "max_bytes": 1_000_000,
        **settings,
    }

    async def run() -> list[Fetched]:
        async with PosterFetcher(DownloadsConfig(**quick), per_host=per_host) as fetcher:
            if in_turn:
                return [await fetcher.fetch(link) for link in links]
            return list(await asyncio.gather(*map(fetcher.fetch, links)))

    return asyncio.run(run())


def test_a_poster_comes_with_its_size(host) -> None:
    [fetched] = fetch(f"{host.url}/5.jpg")
    assert (fetched.status, fetched.http, fetched.content) == ("stored", 200, poster(5))
    assert fetched.header is not None
    assert (fetched.header.width, fetched.header.height) == (60, 90)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("html/1.jpg", "not an image"),
        ("status/404", "gone"),
        ("status/410", "gone"),
        ("status/403", "refused"),
        ("status/451", "refused"),
        ("status/418", "unexpected HTTP status"),
        ("status/204", "unexpected HTTP status"),
        ("status/500", "server error"),
        ("status/503", "server error"),
        ("status/429", "too many requests"),
        ("circle/0", "too many redirects"),
        ("broken/1.jpg", "connection broken"),
        ("slow/1.jpg", "timeout"),
        ("silent/1.jpg", "timeout"),
        ("bomb/1.jpg", "compressed answer"),
        ("pixels/1.png", "too many pixels"),
        ("announced/1.jpg", "too many bytes"),
        ("huge/1.jpg", "too many bytes"),
        ("robots/1", "forbidden by robots directives"),
        ("robots/2", "stored"),
        ("robots/3", "stored"),
        ("moved/7", "stored"),
    ],
)
def test_every_answer_has_its_status(host, path, status) -> None:
    [fetched] = fetch(f"{host.url}/{path}")
    assert fetched.status == status, fetched
    assert (fetched.content == b"") == (status != "stored")


def test_what_is_too_large_is_not_read_on(host) -> None:
    fetch(*(f"{host.url}/{kind}/1.jpg" for kind in ("huge", "pixels", "announced")))
    assert host.sent < 60 * 2**20  # of 30 GB: what the sockets between us hold


def test_small_pictures_are_not_posters(host) -> None:
    [fetched] = fetch(f"{host.url}/5.jpg", min_side=61)
    assert fetched.status == "too small"


@pytest.mark.parametrize(
    "link",
    [
        "",
        "poster.jpg",
        "ftp://example.org/1.jpg",
        "file:///etc/passwd",
        "http://",
        "http://[::1/1.jpg",
        "http://user:secret@example.org/1.jpg",
        "http://example.org:99999/1.jpg",
        "http://a b/1.jpg",
    ],
)
def test_what_is_no_link_is_never_asked_for(link) -> None:
    [fetched] = fetch(link)
    assert fetched.status == "not a link", fetched
    assert "secret" not in fetched.detail


def test_what_may_pass_is_tried_again_and_what_will_not_is_not(host) -> None:
    fetched = fetch(*(f"{host.url}/{path}" for path in ("twice/1", "limited/2")), retries=2)
    assert [each.status for each in fetched] == ["stored", "stored"]
    fetch(f"{host.url}/status/404", f"{host.url}/status/500", retries=2)
    assert (host.asked["/status/404"], host.asked["/status/500"]) == (1, 3)


def test_a_host_that_is_limiting_is_left_alone_as_long_as_it_asks(host) -> None:
    fetch(f"{host.url}/limited/1", retries=1)
    first, second = host.times
    assert second - first >= 1.0


def test_the_rate_of_a_host_is_kept_by_all_requests_together(host) -> None:
    fetch(*(f"{host.url}/{n}.jpg" for n in range(12)), per_host=20)
    assert host.times[-1] - host.times[0] >= 11 / 20 * 0.95


def test_a_host_that_never_answers_is_given_up(monkeypatch) -> None:
    monkeypatch.setattr(politeness, "_PATIENCE", 0.3)
    monkeypatch.setattr(politeness, "_LONGEST_BREAK", 0.03)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        link = f"http://127.0.0.1:{unused.getsockname()[1]}/1.jpg"
        fetched = fetch(*[link] * 30, in_turn=True)
    assert {each.status for each in fetched} == {"host not reachable"}
    assert "given up" in fetched[-1].detail


def test_a_name_that_does_not_resolve_is_not_reachable() -> None:
    [fetched] = fetch("http://no-such-host.invalid/1.jpg")
    assert fetched.status == "host not reachable"


# internal addresses
# ------------------------------------------------------------------------------------------------

INTERNAL = [
    "127.0.0.1",
    "127.1.2.3",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.5.5",
    "192.168.1.1",
    "169.254.169.254",  # metadata of cloud machines
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::1",
    "2002:c0a8:101::1",
]


@pytest.mark.parametrize("address", INTERNAL)
def test_internal_addresses_are_not_permitted(address) -> None:
    assert not AddressRules().permits(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_are_permitted(address) -> None:
    assert AddressRules().permits(address)


def test_a_network_that_the_recipe_names_is_permitted_and_no_other() -> None:
    rules = AddressRules(["10.1.0.0/16"])
    assert rules.permits("10.1.2.3")
    assert rules.permits("::ffff:10.1.2.3")
    assert not rules.permits("10.2.0.1")
    assert not rules.permits("127.0.0.1")


@pytest.mark.parametrize(
    "name", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0"]
)
def test_a_link_into_the_machine_itself_is_refused_whatever_its_spelling(host, name) -> None:
    [fetched] = fetch(f"http://{name}:{host.port}/1.jpg", allow_networks=())
    assert fetched.status in ("internal address", "not a link"), fetched
    assert sum(host.asked.values()) == 0


@pytest.mark.parametrize("where", ["http://127.0.0.2:{}/1.jpg", "http://localhost:{}/1.jpg"])
def test_a_redirect_to_an_internal_address_is_refused(host, where) -> None:
    link = f"{host.url}/to/x?where={where.format(host.port)}"
    [fetched] = fetch(link, allow_networks=("127.0.0.1/32",) if "127" in where else ())
    assert fetched.status == "internal address"
    assert host.asked["/1.jpg"] == 0


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://example.org/", "http://u:p@x/"])
def test_a_redirect_to_something_else_than_the_web_is_refused(host, where) -> None:
    [fetched] = fetch(f"{host.url}/to/x?where={where}")
    assert fetched.status == "not a link"


class Names(AbstractResolver):
    """Resolves every name to the addresses given, in turn."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def resolve(self, host, port=0, family=socket.AF_INET):
        found = self.answers.pop(0)
        numeric = {"family": socket.AF_INET, "proto": 0, "flags": 0, "hostname": host}
        return [{**numeric, "host": address, "port": port} for address in found]

    async def close(self) -> None: ...


def test_a_name_is_connected_at_the_addresses_that_were_checked() -> None:
    resolver = CheckedResolver(AddressRules(), Names(["10.0.0.1", "8.8.8.8"], ["127.0.0.1"]))
    found = asyncio.run(resolver.resolve("two.example"))
    assert [each["host"] for each in found] == ["8.8.8.8"]
    with pytest.raises(InternalAddressError, match=r"rebound\.example resolves to 127\.0\.0\.1"):
        asyncio.run(resolver.resolve("rebound.example"))


# headers
# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([], ""),
        (["all"], ""),
        (["noai"], "noai"),
        (["NoImageAI, nofollow"], "noimageai"),
        (["nofollow", "noindex"], "noindex"),
        (["otherbot: noai"], ""),
        (["otherbot: noai", "genre_spark: noai"], "noai"),
        (["*: noai"], "noai"),
        (["max-snippet:-1, noai"], "noai"),
    ],
)
def test_robots_directives_are_read_as_they_are_written(headers, found) -> None:
    directives = ("noai", "noimageai", "noindex", "noimageindex")
    assert forbidden_by_robots(headers, agent="genre_spark", directives=directives) == found


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("3", 3),
        ("0.5", 0.5),
        ("-4", 0),
        ("nan", None),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds) -> None:
    assert retry_after(value) == seconds
