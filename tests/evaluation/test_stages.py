"""The stages evaluate and compare on a model that knows something and one that guesses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from sklearn.metrics import accuracy_score, f1_score, hamming_loss, jaccard_score

from genre_spark.config import Config, EvaluationConfig, build_config
from genre_spark.errors import MissingTableError
from genre_spark.evaluation.comparison import rule_name
from genre_spark.evaluation.scores import RULES
from genre_spark.fusion.calibration.calibrators import Calibrator
from genre_spark.pipelines import compare, evaluate
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.evaluation.measuring.gathered import gather
from genre_spark.schemas import PREDICTIONS_SCHEMA, SAMPLES_WITHOUT_POSTERS_SCHEMA
from genre_spark.tracking import experiment_address, resolve_tracking_uri
from tests.stored_rows import store_rows

SHORT = {
    "f1_micro": "f1_micro",
    "f1_macro": "f1_macro",
    "jaccard": "jaccard_samples",
    "exact_match": "subset_accuracy",
    "hamming": "hamming_loss",
}
VOCABULARY = ["Comedy", "Drama", "Horror", "War"]
ROWS = 80


def recipe(folder, **sections) -> Config:
    paths = {"genres_csv": "g.csv", "posters": "p", "metadata": "m", "work": str(folder)}
    return build_config({"paths": paths, **sections})


def made_up(model: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Truth and probabilities; `expert` knows something, `guess` does not. War is never true."""
    random = np.random.default_rng(len(split))
    truth = (random.random((ROWS, 4)) < [0.3, 0.5, 0.2, 0.0]).astype(np.float32)
    random = np.random.default_rng([len(model), len(split)])
    known = 0.3 * truth if model == "expert" else 0.0
    return truth, np.clip(0.1 + known + 0.5 * random.random((ROWS, 4)), 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def evaluated(spark, tmp_path_factory):
    config = recipe(tmp_path_factory.mktemp("work"), mlflow={"registered_model": "genres"})
    truth, _ = made_up("expert", "train")
    rows = [(index, row.tolist(), 1.0) for index, row in enumerate(truth)]
    samples = config.paths.samples("train")
    store_rows(samples, SAMPLES_WITHOUT_POSTERS_SCHEMA, rows, fingerprint="a")
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
            store_rows(place, PREDICTIONS_SCHEMA, rows, fingerprint=model, details=details)
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


def chosen_rule(table, model: str) -> str:
    """The first of the rules that are best for micro-F1 on validation."""
    of_model = {"model": model, "split": "validation", "metric": "f1_micro", "label": None}
    rules = ("fixed", "exact_match", "f1_micro", "f1_per_label")
    return max(rules, key=lambda rule: lookup(table, rule=rule, **of_model))


def model_runs(config: Config, **tags: str) -> dict[str, Run]:
    client = MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
    experiment = client.get_experiment_by_name(config.mlflow.experiment)
    words = [f"tags.{key} = '{value}'" for key, value in {"kind": "model", **tags}.items()]
    found = client.search_runs([experiment.experiment_id], " and ".join(words))
    assert len({run.info.run_name for run in found}) == len(found)
    return {run.info.run_name: run for run in found}


def test_a_model_has_one_run_with_a_few_metrics_tables_and_pictures(evaluated) -> None:
    config, _, table = evaluated
    runs = model_runs(config)
    assert set(runs) == {"expert", "guess", "baseline_most_common", "baseline_random"}
    run = runs["expert"]
    assert run.data.tags["family"] == "multilabel"
    assert set(run.data.metrics) == {
        "calibration_error",
        *(
            name if split == "test" else f"val_{name}"
            for name in SHORT
            for split in ("test", "val")
        ),
    }
    rule = chosen_rule(table, "expert")
    assert run.data.tags["decision_rule"].startswith(RULES[rule])
    for short, metric in SHORT.items():
        value = lookup(table, model="expert", split="test", rule=rule, metric=metric, label=None)
        assert run.data.metrics[short] == round(value, 4)
    client = MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
    artifacts = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert artifacts == {
        "metrics.json",
        "per_genre.json",
        *("f1.png", "thresholds.png", "precision_recall.png", "correlations.png"),
        "reliability.png",
    }
    shown = client.load_table(run.info.experiment_id, "metrics.json", [run.info.run_id])
    row = shown[(shown["split"] == "test") & (shown["metric"] == "f1_micro")].iloc[0]
    assert round(row[rule_name(rule)], 4) == run.data.metrics["f1_micro"]


def test_nothing_is_measured_twice(spark, evaluated) -> None:
    config, _, _ = evaluated
    assert evaluate.run(spark, config).reused


def test_a_second_evaluation_writes_to_the_same_runs_and_logs_no_number_again(
    spark, evaluated
) -> None:
    config, _, _ = evaluated
    before = model_runs(config)
    evaluate.run(spark, config, force=True)
    after = model_runs(config)
    assert {name: run.info.run_id for name, run in before.items()} == {
        name: run.info.run_id for name, run in after.items()
    }
    client = MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
    for run in after.values():
        assert len(client.get_metric_history(run.info.run_id, "f1_micro")) == 1
        shown = client.load_table(run.info.experiment_id, "metrics.json", [run.info.run_id])
        assert not shown.duplicated(["split", "metric"]).any()


def test_intervals_are_in_the_table_and_the_expert_is_better_by_more_than_noise(evaluated) -> None:
    _, _, table = evaluated
    rule = chosen_rule(table, "expert")
    of_expert = {"model": "expert", "split": "test", "rule": rule, "label": None}
    low, value, high = (
        lookup(table, metric=f"f1_micro{end}", **of_expert) for end in ("_low", "", "_high")
    )
    assert 0 < low < value < high < 1
    for other in ("guess", "baseline_most_common", "baseline_random"):
        (gain,) = [
            row["value"]
            for row in table
            if (row["model"], row["metric"]) == (other, "best_gain_f1_micro_low")
        ]
        assert gain > 0


def test_compare_ranks_the_models_and_names_the_best(spark, evaluated) -> None:
    config, _, _ = evaluated
    result = compare.run(spark, config)
    assert result.counts["models"] == 4
    assert [line.split()[0] for line in result.table.splitlines()[2:]] == [
        "baseline_most_common", "baseline_random", *["expert"] * 4, *["guess"] * 4
    ]  # fmt: skip
    assert result.notes[0].startswith("Best of 2 models: expert, micro-F1 0.")
    assert "beats the next model, guess, by +0." in result.notes[2]
    assert result.notes[-1].startswith("expert is not registered: its run has no packaged model")
    client = MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
    run = client.get_run(result.run_id)
    assert run.data.metrics["f1_micro"] == model_runs(config)["expert"].data.metrics["f1_micro"]
    assert "**expert**" in run.data.tags["mlflow.note.content"]
    artifacts = {file.path for file in client.list_artifacts(result.run_id)}
    assert artifacts == {"config.yaml", "comparison.json", "comparison.png", "genres.png"}


def test_the_saved_view_ranks_the_compared_models(spark, evaluated) -> None:
    config, _, _ = evaluated
    result = compare.run(spark, config, force=True)
    client = MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
    experiment = client.get_experiment_by_name(config.mlflow.experiment)
    views = {
        json.loads(value)["name"]: json.loads(value)
        for key, value in experiment.tags.items()
        if key.startswith("mlflow.sharedViewState.")
    }
    assert set(views) == {"Models of the last comparison", "Models of all comparisons"}
    for view in views.values():
        state = json.loads(view["state"])
        assert {key: view[key] for key in state} == state
        order = f"{state['orderByKey']} {'ASC' if state['orderByAsc'] else 'DESC'}"
        found = client.search_runs(
            [experiment.experiment_id], state["searchFilter"], order_by=[order]
        )
        assert found[0].info.run_name == "expert"
        assert len(found) == 4
        assert state["selectedColumns"][0] == "metrics.`f1_micro`"
    assert result.run_id in views["Models of the last comparison"]["searchFilter"]
    address = experiment_address(config, "http://127.0.0.1:5000/")
    route = f"/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning"
    assert address.startswith(f"http://127.0.0.1:5000/#{route}&viewStateShareKey=models-")
    assert address.split("#")[1] in experiment.tags["mlflow.note.content"]


def test_calibrated_models_are_measured_and_shown_before_and_after(spark, evaluated) -> None:
    config, _, _ = evaluated
    config = config.model_copy(
        update={"evaluation": EvaluationConfig(models=("expert",), calibration="platt")}
    )
    evaluate.run(spark, config)
    run = model_runs(config)["expert"]
    assert run.data.metrics["calibration_error"] < run.data.metrics["calibration_error_before"]
    client = MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"reliability.png", "reliability_before.png"} <= files
    curves = Calibrator.from_json(Path(Catalogue(config).calibration_file("expert")).read_bytes())
    _, scores = made_up("expert", "test")
    after = Catalogue(config).evaluation.read(spark).collect()
    threshold = lookup(after, model="expert", rule="f1_micro", metric="threshold", label=None)
    predicted = curves.apply(scores).astype(np.float32).astype(float) >= threshold
    truth, _ = made_up("expert", "test")
    of_test = {"model": "expert", "split": "test", "rule": "f1_micro", "label": None}
    assert lookup(after, metric="f1_micro", **of_test) == pytest.approx(
        f1_score(truth, predicted, average="micro")
    )


def test_models_of_different_test_movies_are_distinguished(spark, evaluated) -> None:
    config, result, _ = evaluated
    models = [evaluate._open_model(spark, config, name) for name in ("expert", "guess")]
    assert result.notes == evaluate._compare_movies(gather(spark, models, "test")) == ()
    rows = models[1].predictions["test"].where("movie_id != 5")
    fewer = replace(models[1], predictions={"test": rows}, tables={})
    found = evaluate._compare_movies(gather(spark, [models[0], fewer], "test"))
    assert "expert 80, guess 79" in found[0]


def test_without_predictions_the_user_is_reported_what_to_run(spark, tmp_path) -> None:
    with pytest.raises(
        MissingTableError, match="no predictions yet; expected the output of `genre-spark train-"
    ):
        evaluate.run(spark, recipe(tmp_path))
    with pytest.raises(MissingTableError, match="unheard/validation: no such table yet"):
        evaluate.run(spark, recipe(tmp_path, evaluation={"models": ["unheard"]}))
    with pytest.raises(MissingTableError, match="genre-spark evaluate"):
        compare.run(spark, recipe(tmp_path))
