"""The stage as a whole: tables for the feed, unmet minima reported, the same on every run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from genre_spark.errors import InvalidConfigError, InvalidInputError, MissingTableError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.sampling.sample import run
from genre_spark.schemas import GENRES_SCHEMA
from genre_spark.storage.tables import read_manifest, table_files
from genre_spark.vision.feed.stored_values import OpenFiles, find_values
from tests.stored_rows import store_rows

VOCABULARY = ["Comedy", "Drama", "Horror", "Western"]
MOVIES = 800


def labels_of(movie: int) -> list[int]:
    """Drama nearly always, Western in one of forty."""
    draws = np.random.default_rng(movie).random(4) < (0.3, 0.8, 0.15, 0.025)
    draws[1] |= not draws.any()
    return np.flatnonzero(draws).tolist()


def poster_of(movie: int) -> bytes:
    return np.random.default_rng(movie // 2).bytes(300)  # two movies share a poster


@pytest.fixture
def tables(make_config):
    """Write genres and posters tables; the last fifty movies have no poster."""

    def write(partitions: int = 3, **sections):
        config = make_config(**sections)
        genres = [(m, [VOCABULARY[i] for i in labels_of(m)], labels_of(m)) for m in range(MOVIES)]
        posters = [(m, poster_of(m), 10, 10, 3, "raw", f"{m}.jpg") for m in range(MOVIES - 50)]
        catalogue = Catalogue(config)
        for rows, table, details in (
            (genres, catalogue.genres, {"vocabulary": VOCABULARY}),
            (posters, catalogue.posters, {}),
        ):
            kept = {"fingerprint": "f", "details": details, "files": partitions}
            store_rows(table.path, table.schema, rows, **kept)
        return config

    return write


def read(config, split: str) -> list[dict]:
    files = table_files(config.paths.samples(split))
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def test_samples_hold_posters_multi_hot_labels_and_weights_in_a_random_order(spark, tables) -> None:
    config = tables(sampling={"total": 300, "minimum_per_genre": 60})
    result = run(spark, config)
    samples = {split: read(config, split) for split in ("train", "validation", "test")}
    assert {split: len(rows) for split, rows in samples.items()} == {
        "train": 168,
        "validation": 42,
        "test": 90,
    }
    ids = [row["movie_id"] for rows in samples.values() for row in rows]
    assert len(set(ids)) == len(ids), "no movie is on two sides"
    (file,) = table_files(config.paths.samples("train"))
    stored = find_values(OpenFiles(), file, pq.read_metadata(file), 0, "image")
    assert stored is not None, "posters lie in the file as the feed reads them without a copy"
    assert bytes(stored.read(0)) == samples["train"][0]["image"]
    for rows in samples.values():
        for row in rows:
            assert row["image"] == poster_of(row["movie_id"])
            assert (row["height"], row["width"], row["channels"], row["encoding"]) == (
                10,
                10,
                3,
                "raw",
            )
            assert row["labels"] == [float(i in labels_of(row["movie_id"])) for i in range(4)]
            assert row["weight"] >= 1
        order = [row["movie_id"] for row in rows]
        assert abs(np.corrcoef(order, range(len(order)))[0, 1]) < 0.3
    horror = sum(row["labels"][2] for row in samples["train"])
    assert horror >= 60 or any("train: Horror has" in note for note in result.notes)
    assert any(
        "train: Western has" in note and "where the minimum is 60" in note for note in result.notes
    )
    assert len({row["weight"] for row in samples["test"]}) == 1, (
        "test keeps the natural distribution"
    )
    manifest = read_manifest(config.paths.samples("train"))
    assert manifest.details["vocabulary"] == VOCABULARY
    assert (
        manifest.details["height"],
        manifest.details["width"],
        manifest.details["encoding"],
    ) == (10, 10, "raw")
    assert manifest.details["counts"]["genres"]["Horror"] == horror
    beside = json.loads((Path(config.paths.work) / "samples" / "class_weights.json").read_text())
    assert beside == manifest.details["class_weights"]
    assert beside["pos_weight"]["Horror"] == pytest.approx((168 - horror) / horror)
    assert beside["vocabulary"] == VOCABULARY
    assert "Drama" in result.table
    pictures = sorted(path.name for path in Path(result.outputs["pictures"]).iterdir())
    assert pictures == [
        "1_genres_before.png", "2_genres_after.png", "3_genres_per_movie.png", "4_co_occurrence.png"
    ]  # fmt: skip
    logged = MlflowClient(config.mlflow.tracking_uri).list_artifacts(result.run_id, "balance")
    assert [item.path for item in logged] == [f"balance/{name}" for name in pictures]


def test_the_same_seed_gives_the_same_tables_whatever_the_partitions(
    spark, tables, tmp_path: Path
) -> None:
    sampling = {"total": 300, "minimum_per_genre": 20}
    one = tables(partitions=1, sampling=sampling, paths={"work": str(tmp_path / "one")})
    other = tables(partitions=7, sampling=sampling, paths={"work": str(tmp_path / "other")})
    run(spark, one)
    spark.conf.set("spark.sql.shuffle.partitions", "3")
    try:
        run(spark, other)
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", "4")
    for split in ("train", "validation", "test"):
        assert read(one, split) == read(other, split), "down to the order of the rows"


def test_all_movies_are_taken_with_weight_one_where_no_total_is_set_also_without_posters(
    spark, tables
) -> None:
    config = tables(sampling={"require_poster": False})
    result = run(spark, config)
    rows = [row for split in ("train", "validation", "test") for row in read(config, split)]
    assert sorted(row["movie_id"] for row in rows) == list(range(MOVIES))
    assert {row["weight"] for row in rows} == {1.0}
    assert "image" not in rows[0]
    assert result.counts["movies"] == MOVIES


@pytest.mark.parametrize("method", [{"group_by": "poster"}, {"method": "iterative"}])
def test_other_ways_to_split(spark, tables, method) -> None:
    config = tables(split=method)
    run(spark, config)
    side = {
        row["movie_id"]: split
        for split in ("train", "validation", "test")
        for row in read(config, split)
    }
    assert len(side) == MOVIES - 50
    if "group_by" in method:
        assert all(side[movie] == side[movie + 1] for movie in range(0, MOVIES - 50, 2))
        return
    for label in range(4):
        held = [movie for movie in side if label in labels_of(movie)]
        for split, share in (("train", 0.56), ("validation", 0.14), ("test", 0.3)):
            assert abs(sum(side[movie] == split for movie in held) - share * len(held)) <= 4


def test_movies_with_the_same_title_and_year_stay_together(spark, tables, tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()
    lines = [
        "id,name,date",
        *(f'{m},"Title, {m // 4}",20{m // 4 % 10}0-01-01' for m in range(0, 700)),
    ]
    (tmp_path / "metadata" / "movies.csv").write_text("\n".join(lines) + "\n")
    config = tables(split={"group_by": "title"})
    run(spark, config)
    side = {
        row["movie_id"]: split
        for split in ("train", "validation", "test")
        for row in read(config, split)
    }
    assert all(len({side[movie + k] for k in range(4)}) == 1 for movie in range(0, 700, 4))
    assert len({side[movie] for movie in range(700, 750)}) == 3, (
        "movies without a title go by themselves"
    )
    assert run(spark, config).reused
    (tmp_path / "metadata" / "movies.csv").write_text("\n".join(lines[:400]) + "\n")
    assert not run(spark, config).reused, "other titles, other splits"
    (tmp_path / "metadata" / "movies.csv").unlink()
    with pytest.raises(
        InvalidInputError, match=r"has no movies.csv .* since split.group_by is title"
    ):
        run.check(config)


def test_weights_of_genres_take_their_settings(spark, tables) -> None:
    config = tables(sampling={"effective_number_beta": 0.0, "negatives_per_positive": 2.0})
    run(spark, config)
    weights = read_manifest(config.paths.samples("train")).details["class_weights"]
    assert set(weights["effective_number"].values()) == {1.0}
    horror, rows = weights["counts"]["Horror"], weights["rows"]
    assert weights["negative_rate"]["Horror"] == pytest.approx(2 * horror / (rows - horror))


def test_what_cannot_be_is_told_with_exit_code_2(spark, tables, make_config) -> None:
    with pytest.raises(MissingTableError, match="group-genres"):
        run(spark, make_config(paths={"work": make_config().paths.work + "-empty"}))
    with pytest.raises(
        InvalidConfigError,
        match=r"sampling.minimum_per_genre.Opera: no such genre, expected one of",
    ):
        run(spark, tables(sampling={"minimum_per_genre": {"Opera": 3}}))
    with pytest.raises(
        InvalidConfigError,
        match=r"iterative with 750 movies, expected at most split\.max_iterative",
    ):
        run(spark, tables(split={"method": "iterative", "max_iterative": 100}))
    with pytest.raises(InvalidConfigError, match=r"split: .*group_by null with method iterative"):
        make_config(split={"method": "iterative", "group_by": "title"})
    config = tables()
    genres, details = [(10**6, ["Drama"], [1])], {"vocabulary": VOCABULARY}
    store_rows(config.paths.genres, GENRES_SCHEMA, genres, fingerprint="g", details=details)
    with pytest.raises(
        InvalidInputError,
        match=r"no movie has both genres and a poster \(1 movies with genres, 750",
    ):
        run(spark, config)
