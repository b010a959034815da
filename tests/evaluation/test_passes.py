"""One job over the predictions of many models finds what a job for each of them finds."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from pyspark import TaskContext
from pyspark.sql import functions as F

from genre_spark.evaluation.passes.batch_sums import group_sums
from genre_spark.evaluation.passes.decisions import decide_labels
from genre_spark.evaluation.passes.threshold_curves import count_thresholds
from genre_spark.evaluation.scores import EXACT_MATCH, FIXED, MICRO_F1, NO_RULE, PER_LABEL
from genre_spark.multilabel import MultilabelEvaluator, ThresholdTuner
from genre_spark.multilabel.evaluation.metric_sums import (
    collect_metrics_by_group,
    group_curves,
    group_points,
    integrate_dealt,
)
from genre_spark.multilabel.evaluation.threshold_search import search_dealt
from genre_spark.multilabel.matrices import decode_arrays
from genre_spark.pipelines.evaluation.measuring.evaluation_passes import (
    count_curves,
    fit_model_thresholds,
    measure_rules,
    sum_test,
)
from genre_spark.pipelines.evaluation.measuring.gathered import gather
from genre_spark.pipelines.evaluation.measuring.model_evaluation import PredictedModel
from genre_spark.schemas import PREDICTIONS_SCHEMA
from genre_spark.storage.tables import Table, write_table
from genre_spark.workers.groups import deal_groups, split_dealt, split_groups

SPLITS = ("validation", "test")
HALVES = {"first": 0, "second": 3, "third": 0}
LABELS = {"first": 3, "second": 3, "third": 5}


def test_rows_of_a_group_come_together_and_in_order():
    batches = [
        pa.RecordBatch.from_pydict({"grp": [1, 1, 2], "x": [10, 11, 20]}),
        pa.RecordBatch.from_pydict(
            {"grp": pa.array([], pa.int64()), "x": pa.array([], pa.int64())}
        ),
        pa.RecordBatch.from_pydict({"grp": [2, 1, 3], "x": [21, 12, 30]}),
    ]
    found = [(group, batch.column(0).to_pylist()) for group, batch in split_groups(batches)]
    assert found == [(1, [10, 11, 12]), (2, [20, 21]), (3, [30])]


def test_groups_that_were_dealt_come_one_after_another(spark):
    rows = spark.range(100).select((F.col("id") % 7).cast("int").alias("grp"), "id")

    def count(batches):
        for group, parts in split_dealt(batches):
            numbers = [number for rows in parts for number in rows.column(0).to_pylist()]
            total = {"grp": [group], "rows": [len(numbers)], "total": [sum(numbers)]}
            yield pa.RecordBatch.from_pydict(total)

    for tasks in (1, 3):
        dealt = deal_groups(rows.repartition(4), tasks).mapInArrow(
            count, "grp long, rows long, total long"
        )
        found = sorted(tuple(row) for row in dealt.collect())
        members = [range(group, 100, 7) for group in range(7)]
        assert found == [(group, len(ids), sum(ids)) for group, ids in enumerate(members)]


def _curves(number, batch):
    truth, scores = (decode_arrays(batch.column(place), "rows") for place in (0, 1))
    yield group_curves(truth, np.ones(len(truth)), scores, group=number)


def _search(batches):
    return search_dealt(batches, rules=["f1_micro"], cardinality=None, half_samples={})


@pytest.mark.parametrize("reduce", [partial(integrate_dealt, _curves), _search])
def test_a_task_ends_a_group_before_it_goes_on_to_the_next(reduce):
    taken = []

    def batches():
        for group in (0, 0, 1, 1, 2, 2):
            taken.append(group)
            rows = {"truth": [[1.0, 0.0]], "scores": [[0.7, 0.2]], "weight": [1.0]}
            yield pa.RecordBatch.from_pydict({"grp": pa.array([group], pa.int32()), **rows})

    seen = [(part.column(0)[0].as_py(), list(taken)) for part in reduce(batches())]
    assert seen == [
        (0, [0, 0, 1]),  # the first row of the next one says that a group has ended
        (1, [0, 0, 1, 1, 2]),
        (2, [0, 0, 1, 1, 2, 2]),
    ]


def test_tasks_that_make_curves_share_the_groups_evenly(spark, tmp_path):
    rows = spark.range(80).select(
        (F.col("id") % 8).cast("int").alias("grp"),
        F.array((F.col("id") % 3 > 0).cast("double")).alias("truth"),
        F.array(F.col("id") / 80).alias("scores"),
    )

    def sums(number, batch):
        truth, scores = (decode_arrays(batch.column(place), "rows") for place in (0, 1))
        weight = np.ones(len(truth))
        yield group_points(truth, weight, scores=scores, group=number, curves=False)

    def curves(number, batch):
        (tmp_path / f"{TaskContext.get().partitionId()}-{number}").touch()
        yield from _curves(number, batch)

    assert set(collect_metrics_by_group(rows, sums, curves, tasks=4)) == set(range(8))
    tasks = [path.name.split("-")[0] for path in tmp_path.iterdir()]
    assert sorted(tasks) == [str(task) for task in range(4) for _ in range(2)]


@pytest.fixture(scope="module")
def models(spark, tmp_path_factory):
    """Two stored models, one of two files, and a third that is worked out."""
    random, found = np.random.default_rng(4), []
    folder = tmp_path_factory.mktemp("predictions")
    for name, labels in LABELS.items():
        tables, rows = {}, {}
        for split, count in zip(SPLITS, (40, 30), strict=True):
            truth = (random.random((count, labels)) < 0.4).astype(float)
            scores = np.clip(0.3 * truth + 0.6 * random.random(truth.shape), 0, 1).round(2)
            values = [
                (movie, truth[movie].tolist(), scores[movie].tolist(), on.tolist())
                for movie, on in enumerate((scores >= 0.5).astype(float))
            ]
            rows[split] = spark.createDataFrame(values, PREDICTIONS_SCHEMA)
            tables[split] = Table(f"{folder}/{name}/{split}", PREDICTIONS_SCHEMA, "train")
            parts = 2 if name == "second" else 1
            write_table(rows[split].repartition(parts), tables[split].path, fingerprint=name)
            rows[split] = tables[split].read(spark)
        vocabulary = tuple("abcde"[:labels])
        stored = {} if name == "third" else tables
        found.append(PredictedModel(name, "multilabel", name, vocabulary, "", rows, stored))
    return found


@pytest.fixture(scope="module")
def thresholds(spark, models):
    gathered = gather(spark, models, *SPLITS)
    return fit_model_thresholds(gathered, threshold=0.5, half_samples=HALVES)


def test_thresholds_are_those_of_the_tuner(models, thresholds):
    for model in models:
        assert thresholds[model.name][FIXED] == [0.5]
        for rule in (EXACT_MATCH, MICRO_F1, PER_LABEL):
            tuner = ThresholdTuner(rule=rule, halfSamples=HALVES[model.name], predictionCol="")
            alone = tuner.fit(model.predictions["validation"]).getThresholds()
            assert thresholds[model.name][rule] == alone


def test_metrics_are_those_of_the_evaluator(spark, models, thresholds):
    found = measure_rules(gather(spark, models, *SPLITS), thresholds)
    assert len(found) == 3 * 2 * 4
    for model in models:
        for rule in (FIXED, PER_LABEL):
            rows = model.predictions["test"]
            if rule != FIXED:
                rows = decide_labels(rows, thresholds=thresholds[model.name][rule])
            scored = "probabilities" if rule == FIXED else ""
            alone = MultilabelEvaluator(probabilitiesCol=scored).evaluateAll(rows)
            one = found[model.name, "test", rule]
            assert one.values == pytest.approx(alone.values)
            assert set(one.per_label) == set(alone.per_label)
            for name, values in alone.per_label.items():
                np.testing.assert_array_equal(one.per_label[name], values)


def test_curves_and_sums_are_those_of_each_model(spark, models, thresholds):
    gathered = gather(spark, models, *SPLITS)
    curves = count_curves(gathered)
    rules = {"first": PER_LABEL, "second": MICRO_F1, "third": FIXED}
    sums = sum_test(gathered, thresholds, rules)
    for model in models:
        rows, labels = model.predictions["test"], len(model.vocabulary)
        alone = count_thresholds(rows, labels=labels)
        np.testing.assert_array_equal(curves[model.name, "test"].predicted, alone.predicted)
        np.testing.assert_array_equal(curves[model.name, "test"].exact, alone.exact)
        rule = rules[model.name]
        decided = (
            rows if rule == FIXED else decide_labels(rows, thresholds=thresholds[model.name][rule])
        )
        np.testing.assert_array_equal(sums[model.name].groups, group_sums(decided, labels=labels))


@pytest.mark.parametrize(("rows", "tasks"), [(40, 1), (100_000, 6)])
def test_tasks_with_whole_groups_find_the_same_to_the_last_bit(
    spark, models, thresholds, rows, tasks
):
    counted = [replace(model, rows=dict.fromkeys(SPLITS, rows)) for model in models]
    few, many = (gather(spark, given, *SPLITS) for given in (counted, models))
    assert (few.in_one_task, many.in_one_task) == (tasks == 1, False)
    assert (few.group_tasks, many.group_tasks) == (tasks, 0)
    assert fit_model_thresholds(few, threshold=0.5, half_samples=HALVES) == thresholds
    one, shuffled = (measure_rules(rows, thresholds) for rows in (few, many))
    for key, expected in shuffled.items():
        np.testing.assert_equal(one[key].values, expected.values)
        np.testing.assert_equal(one[key].per_label, expected.per_label)
    rules = dict.fromkeys(LABELS, MICRO_F1)
    pairs = [
        *zip(*(count_curves(rows).values() for rows in (few, many)), strict=True),
        *zip(*(sum_test(rows, thresholds, rules).values() for rows in (few, many)), strict=True),
    ]
    for found, expected in pairs:
        np.testing.assert_equal(asdict(found), asdict(expected))


def test_a_group_that_no_task_can_hold_is_sorted_by_spark(spark, models):
    counted = [replace(model, rows={"validation": 40, "test": 2**20}) for model in models]
    assert gather(spark, counted, *SPLITS).group_tasks == 0
    assert gather(spark, counted, "validation").group_tasks == 1


def test_a_model_without_probabilities_is_measured_by_its_predictions(spark, models):
    rows = {"test": models[0].predictions["test"].drop("probabilities")}
    guess = PredictedModel("guess", "baseline", "guess", ("a", "b", "c"), "", rows)
    found = measure_rules(gather(spark, [models[0], guess], "test"), {"first": {FIXED: [0.5]}})
    assert found["guess", "test", NO_RULE]["f1_micro"] == found["first", "test", FIXED]["f1_micro"]
    assert "roc_auc_macro" not in found["guess", "test", NO_RULE].values
