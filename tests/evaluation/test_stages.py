"""The stages evaluate and compare on two synthetic models: one knows something, one guesses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mlflow import MlflowClient
from sklearn.metrics import accuracy_score, f1_score, hamming_loss, jaccard_score

from genre_spark.config import Config, build_config
from genre_spark.errors import MissingTableError
from genre_spark.pipelines import compare, evaluate
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.schemas import PREDICTIONS_SCHEMA, SAMPLES_WITHOUT_POSTERS_SCHEMA
from genre_spark.tables import write_table
from genre_spark.tracking import resolve_tracking_uri

VOCABULARY = ["Comedy", "Drama", "Horror", "War"]
ROWS = 80


def recipe(folder, **sections) -> Config:
    paths = {"genres_csv": "g.csv", "posters": "p", "metadata": "m", "work": str(folder)}
    return build_config({"paths": paths, **sections})


def made_up(model: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Truth and probabilities; `expert` knows something, `guess` does not. War is never true."""
    random = np.random.default_rng([len(model), len(split)])
    truth = (random.random((ROWS, 4)) < [0.3, 0.5, 0.2, 0.0]).astype(np.float32)
    known = 0.45 * truth if model == "expert" else 0.0
    return truth, np.clip(0.1 + known + 0.35 * random.random((ROWS, 4)), 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def evaluated(spark, tmp_path_factory):
    config = recipe(tmp_path_factory.mktemp("work"), mlflow={"registered_model": "genres"})
    truth, _ = made_up("expert", "train")
    rows = [(index, row.tolist(), 1.0) for index, row in enumerate(truth)]
    train = spark.createDataFrame(rows, SAMPLES_WITHOUT_POSTERS_SCHEMA)
    write_table(train, config.paths.samples("train"), fingerprint="a")
    for model in ("expert", "guess"):
        for split in ("validation", "test"):
            truth, scores = made_up(model, split)
            rows = [
                (
                    index,
                    truth[index].tolist(),
                    scores[index].tolist(),
                    (scores[index] >= 0.5).astype(float).tolist(),
                )
                for index in range(ROWS)
            ]
            details = {
                "vocabulary": VOCABULARY,
                "family": "multilabel",
                "method": model,
                "run_id": "",
            }
            place = config.paths.predictions(model, split)
            frame = spark.createDataFrame(rows, PREDICTIONS_SCHEMA)
            write_table(frame, place, fingerprint=model, details=details)
    result = evaluate.run(spark, config)
    table = Catalogue(config).evaluation.read(spark).collect()
    return config, result, table


def lookup(table, **wanted) -> float:
    found = [
        row["value"] for row in table if all(row[key] == value for key, value in wanted.items())
    ]
    assert len(found) == 1, (wanted, found)
    return found[0]


@pytest.mark.parametrize("model", ["expert", "guess"])
@pytest.mark.parametrize("rule", ["fixed", "exact_match", "f1_micro"])
def test_metrics_are_scikit_learns(evaluated, model, rule) -> None:
    _, _, table = evaluated
    threshold = lookup(table, model=model, rule=rule, metric="threshold", label=None)
    truth, scores = made_up(model, "test")
    predicted = scores.astype(float) >= threshold
    expected = {
        "hamming_loss": hamming_loss(truth, predicted),
        "subset_accuracy": accuracy_score(truth, predicted),
        "jaccard_samples": jaccard_score(truth, predicted, average="samples", zero_division=0),
        "f1_micro": f1_score(truth, predicted, average="micro", zero_division=0),
        "f1_macro": f1_score(truth, predicted, average="macro", zero_division=0),
    }
    for metric, value in expected.items():
        assert lookup(
            table, model=model, split="test", rule=rule, metric=metric, label=None
        ) == pytest.approx(value)
    for label, value in zip(
        VOCABULARY, f1_score(truth, predicted, average=None, zero_division=0), strict=True
    ):
        assert lookup(
            table, model=model, split="test", rule=rule, metric="f1", label=label
        ) == pytest.approx(value)


def test_the_tuned_threshold_is_the_best_on_validation(evaluated) -> None:
    _, _, table = evaluated
    truth, scores = made_up("expert", "validation")
    best = max(accuracy_score(truth, scores >= threshold) for threshold in np.unique(scores))
    tuned = {"model": "expert", "split": "validation", "rule": "exact_match", "label": None}
    assert lookup(table, metric="subset_accuracy", **tuned) == pytest.approx(best)
    best = max(
        f1_score(truth, scores >= threshold, average="micro") for threshold in np.unique(scores)
    )
    assert lookup(table, metric="f1_micro", **{**tuned, "rule": "f1_micro"}) == pytest.approx(best)


def test_the_expert_beats_the_baselines(evaluated) -> None:
    _, _, table = evaluated
    expert = lookup(
        table, model="expert", split="test", rule="exact_match", metric="f1_micro", label=None
    )
    for baseline in ("baseline_most_common", "baseline_random"):
        assert (
            expert
            > lookup(
                table, model=baseline, split="test", rule="none", metric="f1_micro", label=None
            )
            + 0.2
        )


def test_each_model_is_a_child_run_with_metrics_tags_and_pictures(evaluated) -> None:
    config, result, table = evaluated
    client = MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
    experiment = client.get_run(result.run_id).info.experiment_id
    children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{result.run_id}'")
    assert {run.info.run_name for run in children} == {
        "expert",
        "guess",
        "baseline_most_common",
        "baseline_random",
    }
    run = next(run for run in children if run.info.run_name == "expert")
    assert run.data.tags["family"] == "multilabel"
    fixed = lookup(table, model="expert", split="test", rule="fixed", metric="f1_micro", label=None)
    assert run.data.metrics["test/f1_micro"] == pytest.approx(fixed)
    assert {
        "test_tuned/f1_micro",
        "test_per_label/f1_micro",
        "f1/Drama",
        "f1_tuned_f1/Drama",
    } <= run.data.metrics.keys()
    pictures = {
        file.path for file in client.list_artifacts(run.info.run_id) if file.path.endswith(".png")
    }
    assert pictures == {"f1.png", "thresholds.png", "precision_recall.png", "correlations.png"}


def test_nothing_is_measured_twice(spark, evaluated) -> None:
    config, _, _ = evaluated
    assert evaluate.run(spark, config).reused


def test_compare_lays_models_side_by_side_and_names_the_best(spark, evaluated) -> None:
    config, _, _ = evaluated
    result = compare.run(spark, config)
    assert result.counts["models"] == 4
    assert [line.split()[0] for line in result.table.splitlines()[2:]] == [
        "baseline_most_common", "baseline_random", *["expert"] * 4, *["guess"] * 4
    ]  # fmt: skip
    assert (
        result.notes[0].startswith("best on validation by f1_micro") and "expert" in result.notes[0]
    )
    assert result.notes[1] == "expert is not registered: its predictions name no training run"
    client = MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
    artifacts = {file.path for file in client.list_artifacts(result.run_id)}
    assert {"comparison.txt", "comparison.json", "comparison.png", "genres.png"} <= artifacts


def test_models_of_different_test_movies_are_distinguished(spark, evaluated) -> None:
    config, result, _ = evaluated
    models = [evaluate._open_model(spark, config, name) for name in ("expert", "guess")]
    assert result.notes == evaluate._compare_movies(models) == ()
    fewer = replace(
        models[1], predictions={"test": models[1].predictions["test"].where("movie_id != 5")}
    )
    assert "expert 80, guess 79" in evaluate._compare_movies([models[0], fewer])[0]


def test_without_predictions_the_user_is_reported_what_to_run(spark, tmp_path) -> None:
    with pytest.raises(
        MissingTableError, match="no predictions yet; expected the output of `genre-spark train-"
    ):
        evaluate.run(spark, recipe(tmp_path))
    with pytest.raises(MissingTableError, match="unheard/validation: no such table yet"):
        evaluate.run(spark, recipe(tmp_path, evaluation={"models": ["unheard"]}))
    with pytest.raises(MissingTableError, match="genre-spark evaluate"):
        compare.run(spark, recipe(tmp_path))
