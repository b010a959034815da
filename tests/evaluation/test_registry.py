"""The registry: models of every kind are registered, and promoted when they are better."""

from __future__ import annotations

from collections.abc import Iterator

import mlflow
import pytest
from mlflow import MlflowClient
from sklearn.metrics import f1_score

from genre_spark.config import Config
from genre_spark.errors import InvalidConfigError, InvalidInputError, StageFailedError
from genre_spark.pipelines import compare, package_models, promote
from genre_spark.serving.movie_model import INPUTS
from genre_spark.tracking import find_version, open_run, register_challenger
from tests.evaluation.registry_work import Work, recipe, write_evaluation, write_work
from tests.serving.packages import GENRES

CHALLENGERS = ("scratch", "regression", "multilabel_random_forest", "fused")


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Iterator[Work]:
    with pytest.MonkeyPatch.context() as patch:  # pictures take seconds, and are tested elsewhere
        patch.setattr(compare, "_log_pictures", lambda *_: None)
        yield write_work(tmp_path_factory.mktemp("registry"))


def aliases(config: Config) -> dict[str, str]:
    with open_run(config, "look") as run:
        found = {alias: find_version(run, "genres", alias) for alias in ("champion", "challenger")}
    return {alias: version.version for alias, version in found.items() if version}


def register_best(spark, config: Config, name: str):
    write_evaluation(config, name)
    package_models.run(spark, config)
    return compare.run(spark, config)


@pytest.fixture(scope="module")
def verdicts(spark, work) -> list:
    """Every kind of model in turn is the best one of a comparison, and is to be promoted."""
    found = []
    for number, name in enumerate(CHALLENGERS, start=1):
        result = register_best(spark, work.config, name)
        assert result.notes[-1].startswith(f"registered as version {number} of genres, alias chall")
        if name == "fused":
            before = aliases(work.config)
            dry = promote.run(spark, recipe(work.config.paths.work, promotion={"dry_run": True}))
            assert (dry.counts["promoted"], dry.notes[1]) == (0, "dry run: nothing was changed")
            assert aliases(work.config) == before
        found.append(promote.run(spark, work.config))
    return found


def test_a_model_of_any_kind_is_measured_by_what_it_answers_to_raw_fields(work, verdicts) -> None:
    for name, verdict in zip(CHALLENGERS, verdicts, strict=True):
        expected = f1_score(work.truth, work.decided[name], average="micro", zero_division=0)
        assert verdict.metrics["challenger/f1_micro"] == pytest.approx(expected, abs=1e-4)
    assert verdicts[-1].metrics["challenger/f1_micro"] == 1


def test_a_champion_is_measured_anew_and_replaced_by_more_than_noise_alone(verdicts) -> None:
    assert "Version 1 (scratch) is the first champion" in verdicts[0].notes[0]
    champion = verdicts[0].metrics["challenger/f1_micro"]
    for verdict in verdicts[1:]:
        assert verdict.metrics["champion/f1_micro"] == champion
        better = verdict.metrics["gain_low"] > 0
        assert verdict.counts["promoted"] == better
        if better:
            champion = verdict.metrics["challenger/f1_micro"]
    assert verdicts[-1].counts["promoted"] == 1
    assert "Version 4 (fused) beats version" in verdicts[-1].notes[0]


def test_a_worse_challenger_is_kept_back_and_the_version_says_by_how_much(
    spark, work, verdicts
) -> None:
    assert verdicts[-1].counts["promoted"] == 1
    register_best(spark, work.config, "scratch")
    worse = promote.run(spark, work.config)
    assert worse.counts["promoted"] == 0
    assert "Version 5 (scratch) does not beat version 4 (fused)" in worse.notes[0]
    assert "It fell short by 0." in worse.notes[0]
    assert aliases(work.config) == {"champion": "4", "challenger": "5"}
    with open_run(work.config, "look") as run:
        client = MlflowClient(run.tracking_uri)
    version = client.get_model_version("genres", "5")
    assert version.description == worse.notes[0]
    assert version.tags["verdict"] == "kept as challenger"
    assert float(version.tags["gain_high"]) < 0
    assert float(version.tags["champion_f1_micro"]) > float(version.tags["challenger_f1_micro"])

    register_best(spark, work.config, "fused")  # it keeps its version
    assert aliases(work.config) == {"champion": "4", "challenger": "4"}
    again = promote.run(spark, work.config)
    assert again.notes == ("version 4 of genres is the champion already",)


def test_the_registered_model_takes_movies_and_has_a_whole_signature(work, verdicts) -> None:
    with open_run(work.config, "look"):  # makes its store MLflow's own
        pass
    for number in range(1, len(verdicts) + 1):
        model = mlflow.pyfunc.load_model(f"models:/genres/{number}")
        signature = model.metadata.signature
        assert signature.inputs.input_names() == list(INPUTS)
        assert not any(column.required for column in signature.inputs)
        assert [str(column.type) for column in signature.outputs] == [
            "Array(string)",
            "Map(str -> DataType.double)",
            "Array(string)",
            "DataType.string",
        ]
        answer = model.predict(model.input_example).iloc[0]
        assert sorted(answer["probabilities"]) == sorted(GENRES)
        assert list(answer["notes"]) == []


def test_a_champion_goes_back_by_one_command(spark, work, verdicts) -> None:
    promoted = [number for number, verdict in enumerate(verdicts, 1) if verdict.counts["promoted"]]
    config = recipe(work.config.paths.work, promotion={"rollback": True})
    for earlier in reversed(promoted[:-1]):
        back = promote.run(spark, config)
        assert back.notes[0].startswith(f"genres: version {earlier} is the champion again")
        assert aliases(work.config)["champion"] == str(earlier)
    with pytest.raises(InvalidInputError, match="version 1 is the first champion"):
        promote.run(spark, config)


def test_a_model_without_a_package_is_not_registered_and_compare_says_why(spark, work) -> None:
    config = recipe(work.config.paths.work, mlflow={"registered_model": "others"})
    write_evaluation(config, "regression")  # and package-models has not run since
    assert "regression is not registered" in compare.run(spark, config).notes[-1]


def test_what_cannot_be_promoted_is_rejected_with_a_clear_message(spark, work, tmp_path) -> None:
    unnamed = recipe(tmp_path, mlflow={"registered_model": None})
    with pytest.raises(InvalidConfigError, match=r"mlflow\.registered_model: not set"):
        promote.run(spark, unnamed)
    nobody = recipe(work.config.paths.work, mlflow={"registered_model": "nobody"})
    with pytest.raises(InvalidInputError, match="nobody: no version has the alias challenger"):
        promote.run(spark, nobody)
    with (
        open_run(work.config, "empty") as run,
        pytest.raises(StageFailedError, match="it has no packaged model"),
    ):
        register_challenger(run, "genres", training_run=run.run_id, tags={})
