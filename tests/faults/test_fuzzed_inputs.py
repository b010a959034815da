"""Damaged archives and model folders: each file is read or has its reason, never another error.

A sample of each in every run of the tests, thousands by `make faults`.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import tarfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from genre_spark.errors import GenreSparkError, InvalidInputError
from genre_spark.imaging import RejectedImage, store_poster
from genre_spark.posters.listing import list_posters
from genre_spark.posters.reading import read_posters
from genre_spark.posters.rejects import ReadFailure
from genre_spark.serving.movie_model import MovieModel
from tests.faults.mutations import fault_seconds, fault_seed, mutate
from tests.posters.pictures import encoded, jpeg, picture
from tests.serving.packages import FOREST, LINEAR, write_package

EXTENT = [
    pytest.param((250, 10.0), id="sample"),
    pytest.param((100_000, 0.0), id="many", marks=pytest.mark.faults),
]


def repeat(extent: tuple[int, float], share: float, once: Callable[[random.Random], str]) -> None:
    """Do something for some times or seconds, and print what came out how often."""
    draw = random.Random(fault_seed())
    times, seconds = extent
    end = time.monotonic() + (seconds or fault_seconds(share))
    outcomes: Counter[str] = Counter()
    for _ in range(times):
        outcomes[once(draw)] += 1
        if time.monotonic() > end:
            break
    print(dict(outcomes))
    assert outcomes


def archives() -> dict[str, bytes]:
    files = {"1.jpg": jpeg(seed=1), "a/2.jpg": jpeg(seed=2), "notes.txt": b"x", "3.png": b"png"}
    tar, stored = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("4.jpg")
        link.type, link.linkname = tarfile.LNKTYPE, "1.jpg"
        archive.addfile(link)
    with zipfile.ZipFile(stored, "w") as archive:
        for name, content in files.items():
            method = zipfile.ZIP_DEFLATED if name == "1.jpg" else zipfile.ZIP_STORED
            archive.writestr(name, content, method)
    return {"p.tar": tar.getvalue(), "p.zip": stored.getvalue()}


@pytest.mark.parametrize("extent", EXTENT)
def test_damaged_archives_are_read_as_far_as_they_go(tmp_path: Path, extent) -> None:
    sources = archives()

    def once(draw: random.Random) -> str:
        name = draw.choice(sorted(sources))
        place = tmp_path / name
        place.write_bytes(mutate(sources[name], draw))
        try:
            listing = list_posters(str(place))
        except InvalidInputError as error:
            assert str(place.name) in str(error) or "paths.posters" in str(error)
            return f"{name}: rejected"
        rows = listing.posters.to_pylist()
        found = list(read_posters(str(place), rows, max_bytes=10**6))
        assert len(found) == len(rows)
        assert all(isinstance(content, bytes | ReadFailure) for content in found)
        assert all(len(content) <= 10**6 for content in found if isinstance(content, bytes))
        return f"{name}: read"

    repeat(extent, 0.03, once)


@pytest.fixture
def quiet_decoders() -> Iterator[None]:
    """Send what libjpeg says of each damaged picture nowhere; it writes past Python."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    yield
    os.dup2(kept, 2)
    os.close(kept)
    os.close(nothing)


@pytest.mark.parametrize("extent", EXTENT)
def test_damaged_pictures_are_stored_or_have_a_reason(extent, quiet_decoders) -> None:
    kinds = [encoded(picture(), kind) for kind in ("PNG", "WEBP", "GIF")]
    pictures = [jpeg(seed=1), jpeg(seed=2, progressive=True), *kinds]

    def once(draw: random.Random) -> str:
        content = mutate(draw.choice(pictures), draw)
        try:
            stored = store_poster(
                content,
                height=24,
                width=16,
                fit="stretch",
                encoding="jpeg",
                quality=90,
                keep_originals=True,
                max_pixels=10**6,
                min_side=2,
            )
        except RejectedImage as flaw:
            return flaw.reason
        assert len(stored.content) > 0
        return "stored"

    repeat(extent, 0.03, once)


@pytest.mark.parametrize("extent", [pytest.param((40, 10.0), id="sample"), EXTENT[1]])
@pytest.mark.parametrize("part", [FOREST, LINEAR], ids=["forest", "linear"])
def test_a_damaged_model_is_named_or_answers_as_before(tmp_path: Path, extent, part) -> None:
    whole = write_package(tmp_path / "whole", part)
    movies = pd.DataFrame({"date": ["1959", None], "countries": [["UK"], None]})
    expected = MovieModel(whole).predict(movies).probabilities
    names = [file.relative_to(whole) for file in Path(whole).rglob("*") if file.is_file()]

    def once(draw: random.Random) -> str:
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(whole, copy)
        victim = copy / draw.choice(sorted(names))
        if draw.random() < 0.2:
            victim.unlink()
        else:
            victim.write_bytes(mutate(victim.read_bytes(), draw))
        try:
            answer = MovieModel(copy).predict(movies).probabilities
        except GenreSparkError as error:
            assert str(copy) in str(error)
            return "named"
        assert (answer == expected).all(), victim
        return "the same answer"

    repeat(extent, 0.03, once)
