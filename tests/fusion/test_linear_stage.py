from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pyspark.ml.linalg import Vectors
from pyspark.sql import functions as F

from genre_spark.config import LinearConfig, LinearModelConfig, build_config
from genre_spark.errors import InvalidConfigError
from genre_spark.features.specification import FeatureSpecification
from genre_spark.fusion.linear.tables import linear_inputs, predict_batches
from genre_spark.fusion.vectors import decode_vectors
from genre_spark.pipelines import build_features, group_genres, sample, train_linear, train_stack
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.schemas import PREDICTIONS_SCHEMA
from tests.stored_rows import read_rows

MOVIES = 150
KNOWN = {"Drama": "tears", "Comedy": "jokes", "War": "soldiers"}


def write_movies(folder, *, leak=None):
    """Movies whose description mostly names the genre; countries know nothing."""
    rng = np.random.default_rng(3)
    genres, movies, countries, themes = ["id,genre"], [], ["id,country"], ["id,theme"]
    movies.append("id,name,date,tagline,description,minute,rating")
    for movie in range(MOVIES):
        mine = [name for name in KNOWN if rng.random() < 0.4] or ["Drama"]
        genres += [f"{movie},{name}" for name in mine]
        told = [KNOWN[name] for name in mine if rng.random() < 0.9]
        movies.append(f"{movie},Movie,{1990 + movie % 30},,{' '.join(told)} film,90,3")
        countries.append(f"{movie},{'France' if rng.random() < 0.5 else 'Italy'}")
        if leak is None or movie in leak:
            themes += [f"{movie},about {name}" for name in mine]
    for name, lines in (
        ("genres", genres),
        ("movies", movies),
        ("countries", countries),
        ("themes", themes),
    ):
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")


def recipe(folder, **changes):
    off = dict.fromkeys(("languages", "studios", "people", "poster_summary"), False)
    values = {
        "paths": {
            "genres_csv": str(folder / "genres.csv"),
            "posters": str(folder),
            "metadata": str(folder),
            "work": str(folder / "work"),
        },
        "split": {"test": 0.3, "validation": 0.2},
        "sampling": {"require_poster": False},
        "features": {"blocks": off, "min_count": 2},
        "linear": {
            "models": {
                "text": {"blocks": {"words": 1}},
                "places": {"blocks": {"countries": 1}},
                "themes": {"blocks": {"words": 1, "themes": 1}},
            }
        },
        "stack": {"models": {"fused": ["text", "places"]}, "folds": 3},
    }
    return build_config({**values, **changes})


def run_all(spark, config):
    for stage in (group_genres, build_features, sample, train_linear):
        stage.run(spark, config)


def hamming(config, model):
    rows = read_rows(Catalogue(config).predictions(model, "test").path)
    wrong = [np.not_equal(row["labels"], row["prediction"]).mean() for row in rows]
    return float(np.mean(wrong))


def probabilities(config, model):
    rows = read_rows(Catalogue(config).predictions(model, "test").path)
    return np.array([r["probabilities"] for r in sorted(rows, key=lambda row: row["movie_id"])])


@pytest.fixture(scope="module")
def trained(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("linear")
    write_movies(folder)
    config = recipe(folder)
    run_all(spark, config)
    return config


def test_models_are_as_good_as_their_blocks(spark, trained):
    text, places, themes = (hamming(trained, m) for m in ("text", "places", "themes"))
    assert text < 0.15 < places
    assert themes < text + 0.02
    details = Catalogue(trained).predictions("text", "test").manifest().details
    assert (details["family"], details["blocks"]) == ("linear", ["words"])
    assert train_linear.run(spark, trained).reused


def test_a_stack_is_fitted_on_what_models_say_of_training_movies_that_they_have_not_seen(
    spark, trained
):
    tables = Catalogue(trained)
    assert not tables.predictions("themes", "train").is_whole()  # no stack reads it
    predicted = tables.predictions("text", "train").read(spark)
    assert predicted.count() == tables.samples("train").manifest().rows
    result = train_stack.run(spark, trained)
    assert result.counts["movies_fused"] == predicted.count()
    assert (result.notes, train_stack.run(spark, trained).reused) == ((), True)
    assert tables.predictions("fused", "test").manifest().details["fit_on"] == "out_of_fold"
    assert hamming(trained, "fused") < hamming(trained, "places")


def test_a_training_movies_own_labels_do_not_move_its_out_of_fold_prediction(spark, trained):
    specification = FeatureSpecification.load(trained.paths.model("features"))
    train = train_linear._with_features(spark, trained, "train")
    train = train.withColumn("fold", train_linear._fold(trained))
    turned = F.transform("labels", lambda on: (1 - on).cast("float"))
    mixed = train.withColumn(
        "labels", F.when(F.col("fold") == 0, turned).otherwise(F.col("labels"))
    )

    def predict(rows):
        models = train_linear._fit_all(trained, rows, specification)["text"][1:]
        by_fold = {fold: [model] for fold, model in enumerate(models)}
        found = linear_inputs(rows).mapInArrow(
            lambda batches: (
                found for _, found in predict_batches(batches, by_fold, size=specification.size)
            ),
            PREDICTIONS_SCHEMA,
        )
        found = found.join(train.select("movie_id", "fold"), "movie_id").orderBy("movie_id")
        rows = found.collect()
        return np.array([row.probabilities for row in rows]), np.array([row.fold for row in rows])

    (before, fold), (after, _) = predict(train), predict(mixed)
    assert np.array_equal(before[fold == 0], after[fold == 0])
    assert not np.array_equal(before[fold == 1], after[fold == 1])


def test_a_block_that_gives_labels_away_helps_only_the_models_that_read_it(spark, trained):
    """Themes equal the labels here: what they do to a model says which blocks it reads."""
    assert hamming(trained, "themes") < 0.03
    assert hamming(trained, "text") > 0.03


def test_what_only_test_movies_have_moves_no_score(spark, trained, tmp_path):
    """Themes equal the labels, but for test movies alone: nothing can be learnt from them."""
    test = {row.movie_id for row in Catalogue(trained).samples("test").read(spark).collect()}
    write_movies(tmp_path, leak=test)
    with_leak = recipe(tmp_path)
    models = {name: model for name, model in with_leak.linear.models.items() if name != "themes"}
    with_leak = with_leak.model_copy(
        update={"linear": with_leak.linear.model_copy(update={"models": models})}
    )
    run_all(spark, with_leak)
    for model in models:
        assert np.array_equal(probabilities(trained, model), probabilities(with_leak, model))


def test_a_block_that_no_training_movie_knows_is_named(spark, trained, tmp_path):
    write_movies(tmp_path, leak=())
    config = recipe(tmp_path)
    for stage in (group_genres, build_features, sample):
        stage.run(spark, config)
    with pytest.raises(InvalidConfigError, match=r"linear.models.themes.blocks: themes"):
        train_linear.run(spark, config)


def test_the_same_figures_whatever_the_partitions(spark, trained):
    before = probabilities(trained, "text")
    features = Catalogue(trained).features
    details = features.manifest().details
    rows = spark.createDataFrame(features.read(spark).collect(), features.schema)
    features.write(rows.repartition(5), fingerprint="dealt otherwise", details=details)
    assert not train_linear.run(spark, trained).reused
    assert np.array_equal(before, probabilities(trained, "text"))


def test_blocks_that_are_off_are_rejected(spark, trained):
    linear = LinearConfig(models={"people": LinearModelConfig(blocks={"people": 1})})
    with pytest.raises(InvalidConfigError, match=r"linear.models.people.blocks: people, expected"):
        train_linear.run(spark, trained.model_copy(update={"linear": linear}))


@pytest.mark.parametrize("weight", [0, -1])
def test_weights_must_be_positive(tmp_path, weight):
    with pytest.raises(InvalidConfigError, match="must be > 0"):
        recipe(tmp_path, linear={"models": {"text": {"blocks": {"words": weight}}}})


def test_sparse_and_dense_vectors_become_one_matrix(spark):
    vectors = [
        Vectors.sparse(4, {1: 2.0, 3: 1.0}),
        Vectors.dense([1, 0, 0, 5]),
        Vectors.sparse(4, {}),
    ]
    frame = spark.createDataFrame(list(enumerate(vectors)), ["n", "v"]).coalesce(1)

    def decode(batches):
        for batch in batches:
            matrix = decode_vectors(batch.column(0), size=4).toarray()
            yield pa.RecordBatch.from_pydict({"row": pa.array(matrix.tolist())})

    rows = frame.select(F.unwrap_udt("v").alias("v")).mapInArrow(decode, "row array<double>")
    assert [row.row for row in rows.collect()] == [[0, 2, 0, 1], [1, 0, 0, 5], [0, 0, 0, 0]]
