"""collect-tmdb against a TMDb on loopback that pages, limits, fails, drifts and lies."""

from __future__ import annotations

import csv
import gzip
import json
import logging
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from genre_spark.collect import tmdb_collection
from genre_spark.collect.tmdb_collection import CollectedMovies, collect_movies
from genre_spark.config.collect import TmdbConfig
from genre_spark.errors import InvalidConfigError, InvalidInputError, StageFailedError
from tests.collect.fake_tmdb import GENRES, TOKEN, V3_KEY, FakeTmdb, synthetic_movie


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMDB_API_TOKEN", TOKEN)
    monkeypatch.setattr(tmdb_collection, "_PROGRESS_EVERY", 0.2)


def collect(server: FakeTmdb, folder: Path, **settings: Any) -> CollectedMovies:
    quick = {"requests_per_second": 50, "retries": 2, "timeout": 5, "per_genre": 10, **settings}
    return collect_movies(
        TmdbConfig(base_url=server.api, **quick),
        genres_csv=str(folder / "genres.csv"),
        folder=str(folder),
        journal=str(folder / "journal.sqlite"),
        rejects_table=str(folder / "rejects"),
    )


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rejected(folder: Path) -> list[tuple[str, str]]:
    files = json.loads((folder / "rejects" / "_manifest.json").read_text())["paths"]
    found = [row for file in files for row in pq.read_table(folder / "rejects" / file).to_pylist()]
    return sorted((row["source"], row["reason"]) for row in found)


def test_the_most_popular_movies_of_each_genre_come_in_the_letterboxd_layout(tmp_path) -> None:
    with FakeTmdb(60) as server:
        done = collect(server, tmp_path, genres=("Action", "Drama"))
    ranked = rows(tmp_path, "tmdb_ranks")
    assert Counter(row["genre"] for row in ranked) == {"Action": 10, "Drama": 10}
    movies = rows(tmp_path, "movies")
    assert {row["id"] for row in movies} == {row["id"] for row in ranked}
    assert done.rows["movies"] == len(movies)
    fourth = next(row for row in movies if row["id"] == "4")
    assert fourth["name"] == "The Movie, No. 4"
    assert fourth["tagline"] == 'She said "go" and he went'
    assert (fourth["date"], fourth["minute"], fourth["rating"]) == ("1954-03-05", "84", "5.5")
    of_fourth = {
        name: [tuple(row.values())[1:] for row in rows(tmp_path, name) if row["id"] == "4"]
        for name in done.rows
    }
    del of_fourth["movies"]
    assert of_fourth == {
        "genres": [("Action",), ("Comedy",)],
        "countries": [("France",)],
        "languages": [
            ("Primary language", "English"),
            ("Spoken language", "English"),
            ("Spoken language", "French"),
        ],
        "studios": [("Studio, Inc.",)],
        "themes": [("keyword 4",)],
        "actors": [("Actor 4",), ("Extra",)],
        "crew": [("Director", "Director 1")],
        "releases": [("FR", "2001-02-03", "Theatrical", "U")],
        "numbers": [("", "10000", "12", "25")],  # TMDb's budget of 0: not known
        "ids": [("tt0000004", "Q4")],
        "posters": [("https://image.tmdb.org/t/p/w342/poster4.jpg",)],
    }


def test_a_second_run_asks_for_nothing_and_needs_no_token(tmp_path, monkeypatch) -> None:
    with FakeTmdb(60) as server:
        collect(server, tmp_path)
        asked, written = sum(server.asked.values()), (tmp_path / "movies.csv").stat().st_mtime_ns
        monkeypatch.delenv("TMDB_API_TOKEN")
        again = collect(server, tmp_path)
        assert sum(server.asked.values()) == asked
    assert (again.requests, again.unchanged) == (0, True)
    assert (tmp_path / "movies.csv").stat().st_mtime_ns == written


def test_more_movies_per_genre_ask_only_for_what_is_new(tmp_path) -> None:
    with FakeTmdb(200) as server:
        collect(server, tmp_path, per_genre=10)
        collect(server, tmp_path, per_genre=45)
        assert set(server.asked.values()) == {1}
    assert Counter(row["genre"] for row in rows(tmp_path, "tmdb_ranks")) == {
        name: 45 for name in GENRES.values() if name != "TV Movie"
    }


def test_pages_are_turned_until_enough_distinct_movies_though_popularity_shifts(tmp_path) -> None:
    with FakeTmdb(400) as server:
        server.drift = 7  # each page shows 7 movies of the page before again
        collect(server, tmp_path, genres=("Drama",), per_genre=60, connections=1)
        pages = [key for key in server.asked if key.startswith("/discover")]
    ranked = rows(tmp_path, "tmdb_ranks")
    assert len({row["id"] for row in ranked}) == 60
    assert [int(row["rank"]) for row in ranked] == list(range(1, 61))
    assert len(pages) > 3


def test_a_genre_with_fewer_movies_is_taken_whole_and_reported(tmp_path) -> None:
    with FakeTmdb(60) as server:
        server.last_page = 1  # code 22 past it, whatever the number of pages says
        done = collect(server, tmp_path, per_genre=25, genres=("Drama", "TV Movie"))
    assert done.short == {"Drama": 20, "TV Movie": 0}


def test_an_unknown_genre_is_a_clear_error(tmp_path) -> None:
    with FakeTmdb() as server, pytest.raises(InvalidConfigError, match=r"genres: Dramma, expected"):
        collect(server, tmp_path, genres=("Dramma",))


def test_the_rate_stays_below_the_limit_and_starts_without_a_burst(tmp_path) -> None:
    with FakeTmdb(60) as server:
        collect(server, tmp_path, requests_per_second=40, genres=("Drama",), per_genre=40)
        gaps = [b - a for a, b in zip(server.times, server.times[30:], strict=False)]
    assert gaps
    assert min(gaps) > 0.9 * 30 / 40  # seconds for 30 requests


def test_retry_after_is_honoured_by_all_connections(tmp_path) -> None:
    with FakeTmdb(60) as server:
        server.per_second = 12
        done = collect(server, tmp_path)
        assert 0 < server.limited < 60  # one wave of connections at a time, not a storm
        assert done.rejected == {}
        assert set(server.answered.values()) == {1}
    assert len(rows(tmp_path, "movies")) == done.wanted


def test_a_retry_after_of_a_day_ends_the_stage_and_keeps_what_there_is(tmp_path) -> None:
    with FakeTmdb(60) as server:
        server.per_second, server.retry_after = 12, "86400"
        with pytest.raises(StageFailedError, match="asks to wait 86,400 s"):
            collect(server, tmp_path)
        server.per_second = None
        collect(server, tmp_path)
        assert set(server.answered.values()) == {1}


def test_failing_answers_are_asked_for_again_and_good_ones_never(tmp_path) -> None:
    with FakeTmdb(60) as server:
        server.fail_every = 7
        done = collect(server, tmp_path)
        assert set(server.answered.values()) == {1}
        assert max(server.asked.values()) > 1
    assert done.rejected == {}
    assert len(rows(tmp_path, "movies")) == done.wanted


def test_a_movie_that_always_fails_is_rejected_and_asked_for_again_by_the_next_run(
    tmp_path,
) -> None:
    with FakeTmdb(60) as server:
        server.lies["/movie/2"] = (503, "")
        assert collect(server, tmp_path).rejected == {"no usable answer": 1}
        assert rejected(tmp_path) == [("2", "no usable answer")]
        del server.lies["/movie/2"]
        assert collect(server, tmp_path).rejected == {}
    assert "2" in {row["id"] for row in rows(tmp_path, "movies")}
    assert rejected(tmp_path) == []


def test_a_server_that_is_down_ends_the_stage_soon(tmp_path) -> None:
    with FakeTmdb(60) as server:
        collect(server, tmp_path, genres=("Drama",), per_genre=3)
        server.lies = {f"/movie/{n}": (502, "") for n in range(1, 61)}
        with pytest.raises(StageFailedError, match="20 movies in a row had no usable answer"):
            collect(server, tmp_path, per_genre=60, retries=0)


LIES = {
    "another movie": synthetic_movie(77, [18]),
    "no title": {"id": 2},
    "a list of genres that is none": {**synthetic_movie(2, [18]), "genres": "Drama"},
    "a title that is a number": synthetic_movie(2, [18], title=7),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_is_not_what_was_asked_for_is_rejected(tmp_path, lie) -> None:
    with FakeTmdb(60) as server:
        server.lies["/movie/2"] = LIES[lie]
        done = collect(server, tmp_path)
    assert done.rejected == {"not what was asked for": 1}
    assert rejected(tmp_path) == [("2", "not what was asked for")]
    assert "2" not in {row["id"] for row in rows(tmp_path, "movies")}


def test_values_that_cannot_be_used_are_rejected_one_by_one(tmp_path) -> None:
    with FakeTmdb(20) as server:
        server.movies[3].update(
            release_date="soon", poster_path="//evil.example/x.jpg", imdb_id="nm0000001"
        )
        server.movies[4].update(release_date=None, runtime=None, keywords={"keywords": None})
        done = collect(server, tmp_path)
    assert done.rejected == {
        "not a path of a poster": 1,
        "not an IMDb id": 1,
        "release date is no date": 1,
    }
    by_id = {row["id"]: row for row in rows(tmp_path, "movies")}
    assert by_id["3"]["date"] == by_id["4"]["date"] == by_id["4"]["minute"] == ""


def test_a_page_that_is_another_page_ends_the_stage(tmp_path) -> None:
    with FakeTmdb(60) as server:
        server.lies["/discover/movie"] = {"page": 4, "total_pages": 9, "results": []}
        with pytest.raises(StageFailedError, match="page 1: the answer is of page 4"):
            collect(server, tmp_path)


@pytest.mark.parametrize(
    ("status", "body"), [(404, "<html>not found</html>"), (200, "<html>hello</html>"), (302, "")]
)
def test_a_base_url_that_is_no_tmdb_is_said_to_be_none(tmp_path, status, body) -> None:
    with FakeTmdb() as server:
        server.lies["/genre/movie/list"] = (status, body)
        with pytest.raises(StageFailedError, match=r"/genre/movie/list: HTTP .* expected"):
            collect(server, tmp_path, retries=1)


def test_movies_that_tmdb_does_not_have_are_asked_for_once(tmp_path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("# mine\n5\n7\n9999\n7\nnine\n-3\n\n")
    with FakeTmdb(60) as server:
        done = collect(server, tmp_path, ids=str(ids))
        collect(server, tmp_path, ids=str(ids))
        assert server.asked == {"/movie/5": 1, "/movie/7": 1, "/movie/9999": 1}
    assert (done.wanted, done.gone) == (3, 1)
    assert [row["id"] for row in rows(tmp_path, "movies")] == ["5", "7"]
    assert [reason for _, reason in rejected(tmp_path)] == ["not a TMDb id"] * 2


def test_a_daily_export_is_read_by_popularity(tmp_path) -> None:
    lines = [
        '{"adult":false,"id":3,"original_title":"a","popularity":2.5,"video":false}',
        '{"adult":true,"id":4,"original_title":"b","popularity":99.0,"video":false}',
        '{"adult":false,"id":5,"original_title":"c","popularity":7.25,"video":false}',
        '{"adult":false,"id":6,"original_title":"d","popularity":0.6,"video":false}',
        "broken",
    ]
    export = tmp_path / "movie_ids_11_20_2026.json.gz"
    export.write_bytes(gzip.compress("\n".join(lines).encode()))
    with FakeTmdb(60) as server:
        collect(server, tmp_path, ids=str(export), limit=2)
    assert [row["id"] for row in rows(tmp_path, "movies")] == ["3", "5"]
    assert [reason for _, reason in rejected(tmp_path)] == ["not a line of TMDb's daily export"]


def test_a_csv_of_ids_is_read_by_its_column(tmp_path) -> None:
    (tmp_path / "mine.csv").write_text("name,ID\nx,8.0\ny,9\n")
    with FakeTmdb(60) as server:
        collect(server, tmp_path, ids=str(tmp_path / "mine.csv"))
    assert [row["id"] for row in rows(tmp_path, "movies")] == ["8", "9"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ids.csv", b"movie\n1\n", "no column id"),
        ("ids.txt.gz", gzip.compress(b"1\n2\n" * 999, mtime=0)[:-9], "not a whole gzip file"),
        ("absent.txt", None, "cannot be read"),
    ],
)
def test_a_file_of_ids_that_cannot_be_read_is_an_error(tmp_path, name, content, message) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with FakeTmdb() as server, pytest.raises(InvalidInputError, match=message):
        collect(server, tmp_path, ids=str(tmp_path / name))


def test_what_is_older_than_asked_is_refreshed(tmp_path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("5\n7\n")
    with FakeTmdb(60) as server:
        collect(server, tmp_path, ids=str(ids))
        base = sqlite3.connect(tmp_path / "journal.sqlite")
        base.execute("UPDATE movies SET at = at - 40 * 86400 WHERE id = 7")
        base.commit()
        base.close()
        server.movies[7]["title"] = "Renamed"
        collect(server, tmp_path, ids=str(ids))
        assert server.asked["/movie/7"] == 1
        collect(server, tmp_path, ids=str(ids), refresh_older_than=30)
        assert (server.asked["/movie/5"], server.asked["/movie/7"]) == (1, 2)
    assert [row["name"] for row in rows(tmp_path, "movies")] == ["The Movie, No. 5", "Renamed"]


@pytest.mark.parametrize("secret", [TOKEN, V3_KEY])
def test_the_token_is_sent_and_nowhere_kept_or_logged(
    tmp_path, monkeypatch, caplog, secret
) -> None:
    monkeypatch.setenv("TMDB_API_TOKEN", secret)
    caplog.set_level(logging.DEBUG)
    with FakeTmdb(30) as server:
        server.fail_every = 9
        server.lies["/movie/2"] = (503, "")
        collect(server, tmp_path)
        assert server.tokens == {secret}
    collected = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in collected if secret.encode() in path.read_bytes()]
    assert secret not in caplog.text
    texts = [record.getMessage() for record in caplog.records]
    terms = next(i for i, text in enumerate(texts) if "This product uses the TMDB API" in text)
    assert not [text for text in texts[:terms] if "movies" in text]


def test_a_token_is_needed_before_the_first_request(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("TMDB_API_TOKEN")
    with FakeTmdb() as server:
        with pytest.raises(InvalidConfigError, match="TMDB_API_TOKEN: not set"):
            collect(server, tmp_path)
        monkeypatch.setenv("TMDB_API_TOKEN", "wrong")
        with pytest.raises(InvalidConfigError, match="does not accept it") as raised:
            collect(server, tmp_path)
        assert "wrong" not in str(raised.value)
        assert sum(server.asked.values()) == 1


def test_a_token_is_not_sent_unencrypted_over_a_network() -> None:
    with pytest.raises(ValueError, match="it is sent the token"):
        TmdbConfig(base_url="http://api.themoviedb.org/3")


def test_two_processes_do_not_share_a_journal(tmp_path) -> None:
    other = sqlite3.connect(tmp_path / "journal.sqlite")
    other.execute("BEGIN EXCLUSIVE")
    with FakeTmdb() as server, pytest.raises(StageFailedError, match="another process"):
        collect(server, tmp_path)


def test_a_journal_that_is_another_file_is_an_error(tmp_path) -> None:
    (tmp_path / "journal.sqlite").write_text("id,genre\n" * 100)
    with FakeTmdb() as server, pytest.raises(InvalidInputError, match="not a journal"):
        collect(server, tmp_path)


def test_the_provenance_says_when_which_pages_and_which_version(tmp_path) -> None:
    with FakeTmdb(60) as server:
        collect(server, tmp_path, genres=("Drama",))
    provenance = json.loads((tmp_path / "tmdb_provenance.json").read_text())
    assert provenance["api_version"] == "3"
    assert provenance["genres"]["Drama"]["movies"] == 10
    assert provenance["genres"]["Drama"]["pages"] == 1
    assert provenance["first_answer"] <= provenance["last_answer"] <= provenance["written"]
    assert provenance["attribution"].startswith("This product uses the TMDB API")
