"""collect-imdb on small files in IMDb's form, whole and flawed, from a folder and a mirror."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tenacity import wait_none

from genre_spark.collect import imdb_files
from genre_spark.config import Config, build_config
from genre_spark.errors import InvalidInputError
from genre_spark.pipelines import collect_imdb
from genre_spark.pipelines.catalogue import Catalogue
from tests.collect.imdb_files import ROWS, write_imdb
from tests.collect.serving import LoopbackServer
from tests.stored_rows import read_rows

IDS = "id,imdb_id,wikidata_id\n10,tt0000001,Q1\n20,tt0000002,\n30,tt0000777,\n40,,\n50,nonsense,\n"


def make_config(folder: Path, **settings: Any) -> Config:
    paths = {"genres_csv": str(folder / "genres.csv"), "posters": str(folder / "posters")}
    paths |= {"metadata": str(folder), "work": str(folder / "work")}
    section = {"source": str(folder / "imdb"), **settings}
    return build_config({"paths": paths, "collect": {"imdb": section}})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_imdb(tmp_path / "imdb")
    (tmp_path / "ids.csv").write_text(IDS)
    return tmp_path


def rows(config: Config) -> dict[int, dict[str, Any]]:
    return {row["movie_id"]: row for row in read_rows(Catalogue(config).imdb.path)}


def rejects(config: Config) -> list[tuple[str, str]]:
    found = read_rows(config.paths.rejects("imdb"))
    return sorted((row["source"], row["reason"]) for row in found)


def test_the_files_are_joined_by_imdb_id(spark, folder) -> None:
    config = make_config(folder, akas=True)
    (folder / "genres.csv").write_text("id,genre\n10,Science Fiction\n20,Drama\n")
    result = collect_imdb.run(spark, config)
    assert result.counts["movies"] == 2
    assert result.notes == ("IMDb and genres.csv share a genre for 100.0% of 1 movies",)
    assert rows(config) == {
        10: {
            "movie_id": 10,
            "imdb_id": "tt0000001",
            "title_type": "movie",
            "title": "The First",
            "original_title": "Le Premier",
            "year": 1999,
            "minute": 101.0,
            "rating": 7.4,
            "votes": 1234,
            "imdb_genres": ["Drama", "Sci-Fi"],
            "directors": ["Anna Director"],
            "writers": ["Bert Actor", "Anna Director"],
            "principals": [
                _person(1, "Anna Director", "director"),
                _person(2, "Bert Actor", "actress", characters=["Herself", 'A "Star"']),
            ],
            "titles": [{"title": "Der Erste", "region": "DE", "language": "de"}],
        },
        20: {
            "movie_id": 20,
            "imdb_id": "tt0000002",
            "title_type": "movie",
            "title": "\"Quoted\" and 'odd'",
            "original_title": '"Quoted',
            "year": 2001,
            "minute": None,
            "rating": None,
            "votes": None,
            "imdb_genres": [],
            "directors": [],
            "writers": [],
            "principals": [],
            "titles": [],
        },
    }
    assert rejects(config) == [("30", "not in title.basics")]
    assert not list((folder / "work" / "imdb").glob("data-stage-*"))
    assert collect_imdb.run(spark, config).reused


def _person(ordering: int, name: str, category: str, **values: Any) -> dict[str, Any]:
    person = {"ordering": ordering, "name": name, "category": category}
    return {**person, "job": None, "characters": None, **values}


def test_a_few_lines_of_another_width_are_rejected(spark, folder) -> None:
    write_imdb(folder / "imdb", {"title.ratings": [*ROWS["title.ratings"], "tt0000002\t6.6"]})
    config = make_config(folder)
    collect_imdb.run(spark, config)
    expected = [("30", "not in title.basics"), ("title.ratings", "not as many fields as columns")]
    assert rejects(config) == expected


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("title.crew", lambda text: text.replace(b"writers", b"authors"), "expected tconst, dir"),
        ("title.crew", lambda text: text.replace(b"\t", b","), "expected tconst, directors"),
        ("title.crew", lambda text: b"", "expected tconst, directors"),
        ("title.basics", lambda text: text.splitlines(True)[0] + b"a\tb\n" * 9, "9 of 9 rows"),
        ("title.basics", lambda text: text.splitlines(True)[0], "a header and no rows"),
    ],
)
def test_a_file_that_is_another_one_is_an_error_and_nothing_is_written(
    spark, folder, name, change, message
) -> None:
    path = folder / "imdb" / f"{name}.tsv.gz"
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))
    config = make_config(folder)
    with pytest.raises(InvalidInputError, match=message):
        collect_imdb.run(spark, config)
    assert not Catalogue(config).imdb.is_whole()


@pytest.mark.parametrize("name", ["title.principals", "name.basics"])
@pytest.mark.parametrize("keep", [0.5, 0.98])
def test_a_gzip_file_that_is_cut_off_is_an_error_and_nothing_is_written(
    spark, folder, name, keep
) -> None:
    lines = [line for n in range(5000) for line in (ROWS[name][n % 3].replace("0", str(n % 10)),)]
    write_imdb(folder / "imdb", {name: [*ROWS[name], *lines]})
    path = folder / "imdb" / f"{name}.tsv.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    config = make_config(folder)
    with pytest.raises(InvalidInputError, match="not a whole gzip file"):
        collect_imdb.run(spark, config)
    assert not Catalogue(config).imdb.is_whole()


def test_a_file_that_is_missing_is_named(folder) -> None:
    (folder / "imdb" / "title.crew.tsv.gz").unlink()
    with pytest.raises(InvalidInputError, match=r"has no title\.crew\.tsv\.gz"):
        collect_imdb.run.check(make_config(folder))


class Mirror(LoopbackServer):
    """Serves a folder; the first try of every file breaks off."""

    def __init__(self, folder: Path) -> None:
        super().__init__(self._answer)
        self.folder = folder
        self.asked: list[str] = []

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name = request.path.lstrip("/")
        self.asked.append(name)
        if not (self.folder / name).exists():
            return web.Response(status=404)
        content = (self.folder / name).read_bytes()
        if self.asked.count(name) > 1:
            return web.Response(body=content)
        response = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await response.prepare(request)
        await response.write(content[:20])
        request.transport.close()
        return response


def test_a_mirror_is_downloaded_once_and_whole(spark, folder, monkeypatch) -> None:
    monkeypatch.setattr(imdb_files, "wait_exponential", lambda **_: wait_none())
    with Mirror(folder / "imdb") as mirror:
        config = make_config(folder, source=mirror.url)
        assert collect_imdb.run(spark, config).counts["movies"] == 2
        collect_imdb.run(spark, config, force=True)
        assert len(mirror.asked) == 10  # two tries for each of five files
        with pytest.raises(InvalidInputError, match="HTTP 404"):
            collect_imdb.run(spark, make_config(folder, source=f"{mirror.url}/x/", akas=True))
