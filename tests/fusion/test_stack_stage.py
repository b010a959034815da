from __future__ import annotations

import numpy as np
import pytest

from genre_spark.config import build_config
from genre_spark.errors import InvalidConfigError, InvalidInputError, MissingTableError
from genre_spark.fusion.stacks.stacking import Penalty, StackedModel
from genre_spark.fusion.stacks.tables import (
    fit_cross_fitted,
    join_predictions,
    predict_stack,
    without_senses,
)
from genre_spark.pipelines import train_stack
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.storage.files import join
from tests.stored_rows import store_rows

GENRES = ["Comedy", "Drama", "War"]


@pytest.fixture
def config(tmp_path):
    folder = str(tmp_path)
    return build_config(
        {
            "paths": {"genres_csv": folder, "posters": folder, "metadata": folder, "work": folder},
            "stack": {"models": {"fused": ["one", "two"]}},
        }
    )


def rows_of(labels, noise, seed, first=0):
    rng = np.random.default_rng(seed)
    logits = (2 * labels - 1) + noise * rng.normal(size=labels.shape)
    odds = 1 / (1 + np.exp(-logits))
    return [
        (first + n, labels[n].tolist(), odds[n].tolist(), (odds[n] >= 0.5).astype(float).tolist())
        for n in range(len(labels))
    ]


def write(config, labels, vocabulary=GENRES, models=("one", "two")):
    """Predictions of two models, each with errors of its own."""
    for number, model in enumerate(models):
        for split, truth in labels.items():
            table = Catalogue(config).predictions(model, split)
            first = 0 if split == "validation" else 10_000
            rows = rows_of(truth, 1.5, [number, first], first)
            details = {"vocabulary": list(vocabulary)}
            name = f"{model}-{split}"
            store_rows(table.path, table.schema, rows, fingerprint=name, details=details, files=3)


def draw_labels(rows, seed):
    return (np.random.default_rng(seed).random((rows, 3)) < [0.5, 0.3, 0.1]).astype(float)


def read(spark, config, split):
    rows = Catalogue(config).predictions("fused", split).read(spark).orderBy("movie_id").collect()
    return np.array([row.probabilities for row in rows])


def loss(labels, odds):
    return -np.log(np.where(labels > 0, odds, 1 - odds)).sum(1).mean()


def test_a_stack_beats_its_models_and_its_predictions_can_be_evaluated(spark, config):
    labels = {"validation": draw_labels(200, 1), "test": draw_labels(200, 2)}
    write(config, labels)
    result = train_stack.run(spark, config)
    assert result.counts["movies_fused"] == 200
    stacked = loss(labels["test"], read(spark, config, "test"))
    for model in ("one", "two"):
        frame = Catalogue(config).predictions(model, "test").read(spark).orderBy("movie_id")
        alone = np.array([row.probabilities for row in frame.collect()])
        assert stacked < loss(labels["test"], alone)
    details = Catalogue(config).predictions("fused", "test").manifest().details
    assert (details["family"], details["vocabulary"]) == ("stack", GENRES)
    assert train_stack.run(spark, config).reused
    file = join(config.paths.model("fused"), "stack.npz")
    with open(file, "rb") as stored:  # noqa: PTH123 - a path of the recipe
        assert StackedModel.from_bytes(stored.read()).models == ("one", "two")


def test_a_validation_movies_own_labels_do_not_move_its_prediction(spark, config):
    """Labels of one movie are turned round: the others' predictions move, its own does not."""
    labels = draw_labels(60, 1)
    frames = {m: rows_of(labels, 1.5, n) for n, m in enumerate(("one", "two"))}
    schema = Catalogue(config).predictions("one", "test").schema

    def predict(turned):
        changed = {
            model: [
                (i, [1 - v for v in truth] if i == turned else truth, odds, made)
                for i, truth, odds, made in rows
            ]
            for model, rows in frames.items()
        }
        joined = join_predictions(
            {model: spark.createDataFrame(rows, schema) for model, rows in changed.items()}
        )
        stack = fit_cross_fitted(
            joined,
            ["one", "two"],
            folds=3,
            seed=7,
            most_rows=1000,
            penalties=[Penalty(3, 100)],
        )
        found = predict_stack(joined, stack, seed=7, fitted_rows=True).orderBy("movie_id")
        return np.array([row.probabilities for row in found.collect()])

    before, after = predict(None), predict(5)
    assert np.array_equal(before[5], after[5])
    assert not np.array_equal(before, after)


def test_a_movie_that_one_model_has_not_predicted_is_predicted_all_the_same(spark, config):
    labels = {"validation": draw_labels(100, 1), "test": draw_labels(50, 2)}
    write(config, labels)
    table = Catalogue(config).predictions("two", "test")
    rows = [row for row in table.read(spark).collect() if row.movie_id != 10_000]
    details = {"vocabulary": GENRES}
    store_rows(table.path, table.schema, rows, fingerprint="x", details=details)
    result = train_stack.run(spark, config)
    assert any("fused is fitted on validation" in note for note in result.notes)
    found = read(spark, config, "test")
    assert len(found) == 50
    assert found[0] == pytest.approx(labels["validation"].mean(axis=0), abs=0.02)


def test_what_a_movie_lacks_silences_the_models_that_need_it(spark):
    rows = [(1, [1.0], [0.5], [0.25]), (2, [0.0], [0.5], [0.75]), (3, [0.0], [0.5], [0.25])]
    lists = ", ".join(f"{name} array<float>" for name in ("labels", "m0", "m1"))
    joined = spark.createDataFrame(rows, f"movie_id long, {lists}")
    lacks = [(1, True, False), (2, True, True)]  # nothing is known of movie 3
    lacks = spark.createDataFrame(lacks, "movie_id long, poster boolean, text boolean")
    found = without_senses(joined, lacks, [("poster",), ("text", "poster")]).orderBy("movie_id")
    assert [(row.m0, row.m1) for row in found.collect()] == [
        (None, None),
        (None, None),
        ([0.5], [0.25]),
    ]
    found = without_senses(joined, lacks, [(), ("text",)]).orderBy("movie_id")
    assert [(row.m0, row.m1) for row in found.collect()] == [
        ([0.5], [0.25]),
        ([0.5], None),
        ([0.5], [0.25]),
    ]


def test_labels_of_test_movies_do_not_move_anything(spark, config):
    labels = {"validation": draw_labels(100, 1), "test": draw_labels(50, 2)}
    write(config, labels)
    train_stack.run(spark, config)
    before = read(spark, config, "validation"), read(spark, config, "test")
    for model in ("one", "two"):  # as before, with labels that are all wrong
        table = Catalogue(config).predictions(model, "test")
        rows = [
            (row.movie_id, [1 - v for v in row.labels], row.probabilities, row.prediction)
            for row in table.read(spark).collect()
        ]
        details = {"vocabulary": GENRES}
        store_rows(table.path, table.schema, rows, fingerprint="turned", details=details)
    assert not train_stack.run(spark, config).reused
    assert np.array_equal(before[0], read(spark, config, "validation"))
    assert np.array_equal(before[1], read(spark, config, "test"))


def reading(config, models):
    """The same recipe with one stack of these models."""
    stack = config.stack.model_copy(update={"models": {"fused": models}})
    return config.model_copy(update={"stack": stack})


def test_models_of_other_genres_and_missing_predictions_are_rejected(spark, config):
    with pytest.raises(
        InvalidConfigError, match=r"stack\.models\.fused: 'one', expected models that"
    ):
        train_stack.run(spark, config)
    with pytest.raises(MissingTableError, match="predictions/lenet/"):
        train_stack.run(spark, reading(config, ("lenet",)))
    labels = {"validation": draw_labels(40, 1), "test": draw_labels(40, 2)}
    write(config, labels)
    write(config, labels, vocabulary=["Comedy", "Drama", "Western"], models=("two",))
    with pytest.raises(InvalidInputError, match="two predicts 3 genres"):
        train_stack.run(spark, config)


def test_too_few_validation_movies_are_rejected(spark, config):
    write(config, {"validation": draw_labels(6, 1), "test": draw_labels(6, 2)})
    with pytest.raises(InvalidInputError, match=r"6 movies that any of one, two.*at least 10"):
        train_stack.run(spark, config)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"fused": ["fused"]}, "reads itself"),
        ({"fused": []}, "no model"),
        ({"Fused!": ["one"]}, "small letters"),
        ({"binary_relevance": ["one"]}, "no multi-label method has"),
    ],
)
def test_stacks_that_cannot_be_are_rejected(config, models, message):
    paths = config.paths.model_dump()
    with pytest.raises(InvalidConfigError, match=message):
        build_config({"paths": paths, "stack": {"models": models}})
