"""download-posters with Spark against a host of posters on loopback."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from genre_spark.collect import downloads
from genre_spark.collect.downloads import _download, _Job
from genre_spark.config import Config, build_config
from genre_spark.config.collect import DownloadsConfig
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.pipelines import download_posters, prepare_posters
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.stage import StageResult
from tests.collect.fake_images import FakeImages, poster
from tests.stored_rows import read_rows

Download = Callable[..., StageResult]


@pytest.fixture
def host() -> Iterator[FakeImages]:
    with FakeImages() as server:
        yield server


def make_config(folder: Path, **settings: Any) -> Config:
    quick = {
        "allow_networks": ["127.0.0.0/8"],
        "per_host": None,
        "timeout": 2,
        "connect_timeout": 1,
        "read_timeout": 1,
        "retries": 0,
        "tasks": 2,
        **settings,
    }
    return build_config(
        {
            "paths": {
                "genres_csv": str(folder / "genres.csv"),
                "metadata": str(folder),
                "posters": str(folder / "posters"),
                "work": str(folder / "work"),
            },
            "posters": {"height": 90, "width": 60},
            "collect": {"downloads": quick},
        }
    )


@pytest.fixture
def download(spark, tmp_path) -> Download:
    def run(table: dict[Any, str] | None = None, **settings: Any) -> StageResult:
        if table is not None:
            rows = [f'{movie},"{link}"' for movie, link in table.items()]
            (tmp_path / "posters.csv").write_text("\n".join(["id,link", *rows, ""]))
        return download_posters.run(spark, make_config(tmp_path, **settings))

    return run


def statuses(folder: Path) -> dict[int, str]:
    rows = read_rows(Catalogue(make_config(folder)).downloads.path)
    return {row["movie_id"]: row["status"] for row in rows}


def rejects(folder: Path) -> list[tuple[str, str]]:
    rows = read_rows(make_config(folder).paths.rejects("downloads"))
    return sorted((row["source"], row["reason"]) for row in rows)


def prepared(spark, folder: Path) -> dict[int, bytes]:
    config = make_config(folder)
    prepare_posters.run(spark, config)
    return {row["movie_id"]: row["image"] for row in read_rows(Catalogue(config).posters.path)}


def test_links_become_archives_that_prepare_posters_reads(spark, tmp_path, host, download) -> None:
    links = {n: f"{host.url}/{n}.jpg" for n in range(1, 121)}
    result = download(links, shard_posters=25)
    assert result.counts["stored"] == 120
    archives = list((tmp_path / "posters").glob("*.tar"))
    assert 120 / 25 <= len(archives) <= 120 / 25 + 2  # two tasks, each with a last one
    assert prepared(spark, tmp_path) == {n: poster(n) for n in range(1, 121)}
    assert statuses(tmp_path) == dict.fromkeys(range(1, 121), "stored")


def test_every_link_has_a_status_and_what_failed_is_rejected_with_its_reason(
    spark, tmp_path, host, download
) -> None:
    links = {
        1: f"{host.url}/1.jpg",
        2: f"{host.url}/html/2.jpg",
        3: f"{host.url}/status/404",
        4: f"{host.url}/circle/0",
        5: f"{host.url}/slow/5.jpg",
        6: f"{host.url}/pixels/6.png",
        7: f"{host.url}/status/500",
        "x8": f"{host.url}/8.jpg",
        9: "",
        10: "http://169.254.169.254/latest/meta-data",
        "11.0": f"{host.url}/11.jpg",
    }
    download(links)
    assert statuses(tmp_path) == {
        1: "stored",
        2: "not an image",
        3: "gone",
        4: "too many redirects",
        5: "timeout",
        6: "too many pixels",
        7: "server error",
        10: "internal address",
        11: "stored",
    }
    assert rejects(tmp_path) == [
        ("10", "internal address"),
        ("2", "not an image"),
        ("3", "gone"),
        ("4", "too many redirects"),
        ("5", "timeout"),
        ("6", "too many pixels"),
        ("7", "server error"),
        ("9", "no link"),
        ("x8", "id is not a number"),
    ]


def test_the_next_run_asks_for_what_is_new_and_for_what_may_pass(
    spark, tmp_path, host, download
) -> None:
    links = {
        1: f"{host.url}/1.jpg",
        2: f"{host.url}/status/404",
        3: f"{host.url}/twice/3.jpg",
    }
    download(links)
    result = download({**links, 4: f"{host.url}/4.jpg"})
    assert result.counts["asked"] == 2
    assert host.asked == {"/1.jpg": 1, "/status/404": 1, "/twice/3.jpg": 2, "/4.jpg": 1}
    assert statuses(tmp_path) == {1: "stored", 2: "gone", 3: "stored", 4: "stored"}
    again = download()
    assert (again.reused, again.counts["asked"]) == (True, 0)
    download(retry_failed=True)
    assert host.asked["/status/404"] == 2
    assert sum(host.asked.values()) == 6


def test_a_forced_run_writes_what_is_known_again_and_asks_nothing(
    spark, tmp_path, host, download
) -> None:
    """Damage that changes no size is found by checksums, and mended so."""
    download({1: f"{host.url}/1.jpg"})
    config = make_config(tmp_path)
    file = Path(Catalogue(config).downloads.files()[0])
    whole = file.read_bytes()
    file.write_bytes(whole[:60] + bytes(20) + whole[80:])
    assert download_posters.run.damage(config, full=True)
    assert not download_posters.run(spark, config, force=True).reused
    assert not download_posters.run.damage(config, full=True)
    assert statuses(tmp_path) == {1: "stored"}
    assert sum(host.asked.values()) == 1


def test_a_new_link_of_a_movie_takes_the_place_of_the_old_poster(
    spark, tmp_path, host, download
) -> None:
    download({1: f"{host.url}/1.jpg", 2: f"{host.url}/2.jpg"})
    assert prepared(spark, tmp_path)[1] == poster(1)
    download({1: f"{host.url}/100.jpg", 2: f"{host.url}/2.jpg"})
    assert host.asked["/2.jpg"] == 1
    assert prepared(spark, tmp_path) == {1: poster(100), 2: poster(2)}


def test_an_archive_that_was_deleted_is_downloaded_again(spark, tmp_path, host, download) -> None:
    download({1: f"{host.url}/1.jpg"})
    for archive in (tmp_path / "posters").glob("*.tar"):
        archive.unlink()
    download()
    assert host.asked["/1.jpg"] == 2
    assert prepared(spark, tmp_path) == {1: poster(1)}


def test_one_host_gets_no_more_than_its_rate_from_all_tasks_together(host, download) -> None:
    download({n: f"{host.url}/{n}.jpg" for n in range(120)}, per_host=40, tasks=2)
    assert host.times[-1] - host.times[0] >= 110 / 40


def test_no_more_connections_than_allowed_are_open_at_once(host, download) -> None:
    host.delay = 0.01
    download({n: f"{host.url}/{n}.jpg" for n in range(150)}, tasks=2, connections=3)
    assert 1 < host.most_at_once <= 6


def test_only_posters_of_the_movies_wanted_are_downloaded(spark, tmp_path, host, download) -> None:
    (tmp_path / "mine.csv").write_text("id,genre\n2,Drama\n2,War\n77,Drama\n")
    download({n: f"{host.url}/{n}.jpg" for n in range(5)}, movies=str(tmp_path / "mine.csv"))
    assert host.asked == {"/2.jpg": 1}


def test_links_may_be_parquet_and_paths_of_tmdb(spark, tmp_path, host, download) -> None:
    rows = [(1, "/1.jpg"), (2, f"{host.url}/2.jpg"), (2, f"{host.url}/3.jpg"), (3, None)]
    spark.createDataFrame(rows, "movie_id long, link string").write.parquet(str(tmp_path / "links"))
    download(base_url=f"{host.url}/w342", links=str(tmp_path / "links"))
    assert host.asked == {"/w342/1.jpg": 1, "/2.jpg": 1}
    assert rejects(tmp_path) == [
        ("2", "another link of the movie is used"),
        ("3", "no link"),
    ]


@pytest.mark.parametrize(
    ("settings", "files", "error", "message"),
    [
        ({}, {}, InvalidInputError, "has no posters.csv"),
        ({"links": "absent.csv"}, {}, InvalidInputError, "absent.csv: no such file"),
        ({}, {"posters.csv": "id,url\n1,x\n"}, InvalidInputError, "no column link"),
        ({}, {"posters.csv": "id,link\n", "posters": "x"}, InvalidConfigError, "is a file"),
    ],
)
def test_input_that_cannot_be_used_is_a_clear_error(
    spark, tmp_path, download, settings, files, error, message
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(error, match=message):
        download(**settings)


def test_without_its_section_the_stage_asks_no_server(spark, tmp_path) -> None:
    config = make_config(tmp_path).model_copy(
        update={
            "collect": build_config({"paths": make_config(tmp_path).paths.model_dump()}).collect
        }
    )
    with pytest.raises(InvalidConfigError, match=r"collect\.downloads: missing"):
        download_posters.run(spark, config)


def test_a_task_that_is_tried_again_asks_for_nothing_twice(spark, tmp_path, host) -> None:
    """The first attempt of the only task dies in the middle, as a worker that is killed does."""
    config = DownloadsConfig(allow_networks=("127.0.0.0/8",), shard_posters=4, connections=1)
    job = _Job(str(tmp_path), "run", config, None)

    class Batch:
        def column(self, index: int) -> Any:
            values = [list(range(10)), [f"{host.url}/{n}.jpg" for n in range(10)]][index]
            return type("Column", (), {"to_pylist": lambda self: values})()

    def dying(batches: Any) -> Iterator[Any]:
        for number, row in enumerate(
            downloads.LinkRow(n, f"{host.url}/{n}.jpg") for n in range(10)
        ):
            if number == 7:
                raise RuntimeError("killed")
            yield row

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(downloads, "_rows", dying)
        with pytest.raises(RuntimeError):
            list(_download(job, [Batch()]))
    [counts] = _download(job, [Batch()])
    assert counts.to_pydict()["links"] == [10]
    assert Counter(host.asked.values()) == {1: 10}
