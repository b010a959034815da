"""Errors of ours leave a Python worker as themselves, without the traces of Spark and Py4J."""

import traceback

import numpy as np
import pytest
from pyspark.ml.classification import NaiveBayes
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from sklearn.linear_model import LogisticRegression

import genre_spark.multilabel as ml
from genre_spark.errors import InvalidInputError, InvalidLabelsError, StageFailedError
from genre_spark.workers.errors import describe_error, raise_on_executor, worker_errors
from tests.multilabel.tables import forest, frame, matrices

NAN = "features: nan in feature 1, expected finite numbers: impute them"
SHORT = "features: a vector of length 3, expected 5"
NOISE = ("py4j", "Py4J", "org.apache.spark", "During handling", "direct cause")


@pytest.fixture(scope="module")
def models(spark):
    """One model whose parts are arrays, and one that Spark applies."""
    data = frame(spark, *matrices())
    return {
        "in workers": ml.BinaryRelevance(classifier=forest()).fit(data),
        "by Spark": ml.BinaryRelevance(classifier=NaiveBayes(modelType="gaussian")).fit(data),
    }


@pytest.fixture(scope="module")
def holes(spark):
    x, y = matrices(rows=6)
    x[3, 1] = np.nan
    return frame(spark, x, y)


@pytest.fixture(scope="module")
def short(spark):
    x, y = matrices(rows=6)
    return frame(spark, x[:, :3], y)


def assert_quiet(raised, message):
    """Check that a user sees our message, and nothing of Spark's own exception."""
    text = "".join(traceback.format_exception(raised.type, raised.value, raised.tb))
    assert message in text.splitlines()[-1]
    assert [word for word in NOISE if word in text] == []


@pytest.mark.parametrize(
    "estimator",
    [
        lambda: ml.BinaryRelevance(classifier=forest()),
        lambda: ml.BinaryRelevance(classifier=NaiveBayes()),
        lambda: ml.MultilabelRandomForest(classifier=forest()),
        ml.LabelPrior,
    ],
    ids=["local", "spark", "forest", "baseline"],
)
def test_a_fit_raises_the_error_of_its_workers(holes, estimator):
    with pytest.raises(InvalidInputError) as raised:
        estimator().fit(holes)
    assert_quiet(raised, NAN)


def test_a_fit_raises_errors_of_their_own_type(spark):
    x, y = matrices(rows=6)
    y[3, 2] = 2
    with pytest.raises(InvalidLabelsError, match="labels: value 2 of label 2, expected 0 or 1"):
        ml.LabelPrior().fit(frame(spark, x, y))


def test_what_a_classifier_raises_is_one_line_with_the_number_of_the_fit(holes):
    failing = ml.BinaryRelevance(classifier=LogisticRegression(), handleInvalid="keep")
    with pytest.raises(StageFailedError) as raised:
        failing.fit(holes)
    assert_quiet(raised, "of 4: ValueError: Input X contains NaN. LogisticRegression does not")


@pytest.mark.parametrize("kind", ["in workers", "by Spark"])
def test_a_written_table_of_scores_raises_what_was_wrong_with_a_row(
    models, holes, short, tmp_path, kind
):
    nulls = short.withColumn("features", F.lit(None).cast(VectorUDT()))
    for data, message in ((holes, NAN), (short, SHORT), (nulls, "features: null")):
        with pytest.raises(InvalidInputError) as raised, worker_errors():
            models[kind].transform(data).write.mode("overwrite").parquet(str(tmp_path / "scored"))
        assert_quiet(raised, message)


@pytest.mark.parametrize("kind", ["in workers", "by Spark"])
def test_the_evaluator_and_the_tuner_raise_what_was_wrong_with_a_scored_row(models, holes, kind):
    scored = models[kind].transform(holes)
    for action in (
        lambda: ml.MultilabelEvaluator().evaluate(scored),
        lambda: ml.MultilabelEvaluator().evaluateAll(scored),
        lambda: ml.ThresholdTuner().fit(scored),
    ):
        with pytest.raises(InvalidInputError) as raised:
            action()
        assert_quiet(raised, NAN)


@pytest.mark.parametrize("kind", ["in workers", "by Spark"])
def test_an_action_of_the_user_has_our_message_in_sparks_exception(models, short, kind):
    with pytest.raises(Exception, match=f"InvalidInputError: {SHORT}"):
        models[kind].transform(short).collect()


def failing_column(raise_error):
    """Return a column whose Python worker calls `raise_error`."""

    @pandas_udf("long")
    def fail(ids):
        raise_error()
        return ids

    return fail("id")


def test_of_an_error_and_its_cause_the_error_is_raised(spark):
    def raise_error():
        try:
            raise InvalidInputError("the cause")
        except InvalidInputError as error:
            raise InvalidLabelsError("the error") from error

    data = spark.range(3).select(failing_column(raise_error))
    with pytest.raises(InvalidLabelsError, match=r"^the error$"), worker_errors():
        data.collect()


def test_errors_that_are_not_ours_stay_as_they_are(spark):
    def raise_error():
        raise KeyError("a bug")

    with pytest.raises(Exception, match="KeyError: 'a bug'"), worker_errors():
        spark.range(3).select(failing_column(raise_error)).collect()
    with pytest.raises(ZeroDivisionError), worker_errors():
        1 / 0  # noqa: B018 - raised on purpose


def test_an_error_of_this_process_passes_unchanged():
    error = InvalidInputError("two\nlines")
    with pytest.raises(InvalidInputError) as raised, worker_errors():
        raise error
    assert raised.value is error


def test_a_column_raises_an_error_of_ours_without_a_python_worker(spark):
    message = F.concat(F.lit("id: "), F.col("id"), F.lit(", expected less"))
    checked = F.when(F.col("id") > 1, raise_on_executor(InvalidInputError, message))
    with pytest.raises(InvalidInputError, match=r"^id: 2, expected less$"), worker_errors():
        spark.range(3).select(checked.otherwise(F.col("id"))).collect()


def test_a_message_that_travels_has_one_line():
    assert describe_error(ValueError("one\n  two")) == "ValueError: one two"
