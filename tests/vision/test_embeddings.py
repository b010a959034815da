from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.io import filesystem, join, read_manifest, table_files
from genre_spark.pipelines.network_features import embeddings_table
from genre_spark.pipelines.poster_embeddings import run
from genre_spark.pipelines.predict_posters import run as predict
from genre_spark.pipelines.train_cnn import run as train
from genre_spark.schemas import FEATURES, MOVIE_ID
from genre_spark.vision.embedded import embed_samples
from genre_spark.vision.parts import list_parts, read_posters
from genre_spark.vision.trained import load_network
from tests.vision.conftest import make_config, slow

pytestmark = slow


@pytest.fixture(scope="module")
def config(sample_tables):
    return make_config(
        sample_tables,
        architecture="resnet18",
        pretrained="none",
        freeze="backbone",
        height=40,
        width=32,
        epochs=30,
        batch_size=16,
        learning_rate=0.02,
        dropout=0.0,
    )


@pytest.fixture(scope="module")
def embedded(spark, config):
    return run(spark, config)


def read_features(config) -> dict[int, np.ndarray]:
    rows = {}
    for file in table_files(embeddings_table(config), made_by="poster-embeddings"):
        table = pq.read_table(file)
        rows.update(zip(table[MOVIE_ID].to_pylist(), map(np.array, table[FEATURES].to_pylist()), strict=True))
    return rows


def test_every_poster_gets_the_features_that_the_network_gives_it_alone(config, embedded):
    assert embedded.counts["posters"] == embedded.counts["computed"] == 80
    features = read_features(config)
    assert len(features) == 80
    backbone = next(iter(filesystem(embeddings_table(config))[0].glob(f"{embeddings_table(config)}/backbone-*.pt")))
    network = load_network(backbone)
    part = list_parts(table_files(config.paths.posters_table, made_by="x"), rows=1)[0]
    images, rows = next(read_posters(part, batch_size=3))
    for movie, expected in zip(rows.column(0).to_pylist(), network.features(images), strict=True):
        np.testing.assert_allclose(features[movie], expected, rtol=1e-3, atol=1e-4)


def test_a_run_that_was_killed_computes_what_is_missing_and_no_more(spark, config, embedded):
    before = read_features(config)
    table = embeddings_table(config)
    manifest = read_manifest(table)
    assert manifest is not None
    system, _ = filesystem(table)
    lost = pq.read_metadata(join(table, manifest.paths[0])).num_rows
    system.rm(join(table, manifest.paths[0]))
    system.rm(join(table, "_manifest.json"))
    again = run(spark, config)
    assert again.counts["computed"] == lost < 80
    after = read_features(config)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[movie], after[movie]) for movie in before)
    assert run(spark, config).counts["computed"] == 0


def test_a_head_trained_on_stored_features_predicts_through_them(spark, config, embedded):
    result = train(spark, config)
    assert result.metrics["validation/micro_f1"] > 0.5  # colours show even through random convolutions
    assert read_manifest(config.paths.predictions("resnet18", "test")).rows == 16


def test_posters_without_labels_are_predicted_by_the_trained_network(spark, config, embedded):
    train(spark, config)
    result = predict(spark, config)
    assert result.counts["posters"] == 80
    frame = spark.read.parquet(
        *[join(result.outputs["predictions"], path) for path in read_manifest(result.outputs["predictions"]).paths]
    )
    by_movie = {row["movie_id"]: row["probabilities"] for row in frame.collect()}
    test = config.paths.predictions("resnet18", "test")
    for row in spark.read.parquet(*[join(test, path) for path in read_manifest(test).paths]).collect():
        assert by_movie[row["movie_id"]] == pytest.approx(row["probabilities"], abs=1e-3)
    assert all(len(row["labels"]) == 0 for row in frame.collect())


def test_samples_without_features_are_told(config, embedded, tmp_path):
    samples = table_files(config.paths.samples("train"), made_by="sample")
    some = table_files(embeddings_table(config), made_by="poster-embeddings")[:1]
    with pytest.raises(InvalidInputError, match=r"samples have no embedding .* run `genre-spark poster-embeddings`"):
        embed_samples(samples, some, features=512, folder=str(tmp_path))


def test_features_of_a_network_that_is_never_pretrained_are_refused(spark, sample_tables):
    with pytest.raises(InvalidConfigError, match="'lenet' has no pretrained weights, expected one that has"):
        run(spark, make_config(sample_tables))


def test_a_table_without_images_is_told(spark, config, tmp_path):
    spark.createDataFrame([(1, [1.0])], "movie_id long, labels array<float>").write.parquet(str(tmp_path / "t"))
    files = [str(file) for file in (tmp_path / "t").glob("*.parquet")]
    with pytest.raises(InvalidInputError, match="no column image, height, width, channels, encoding, expected posters"):
        list_parts(files, rows=1)
