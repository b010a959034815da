"""Labels as names: from arrays of names to vectors, through models and metrics, and back."""

import warnings

import numpy as np
import pytest
from pyspark.ml import Pipeline
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql.types import ArrayType, IntegerType, StringType, StructField, StructType
from scipy.sparse import csr_matrix
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import genre_spark.multilabel as ml
from genre_spark.errors import InvalidConfigError, InvalidInputError, InvalidLabelsError
from genre_spark.multilabel.evaluation.metrics import MultilabelMetrics
from genre_spark.workers.errors import worker_errors
from tests.multilabel.tables import ESTIMATORS, fit_in_process, matrices

GENRES = [["Drama", "Crime"], ["Drama"], [], ["Horror", "Drama", "Drama"], ["Crime"]]
NAMED = StructType(
    [StructField("id", IntegerType()), StructField("names", ArrayType(StringType()))]
)
SCORED = StructType(
    [
        StructField("id", IntegerType()),
        StructField("prediction", VectorUDT()),
        StructField("probabilities", VectorUDT()),
    ]
)


def named(spark, lists):
    return spark.createDataFrame(list(enumerate(lists)), NAMED)


def vectors_of(data, column="labels"):
    rows = data.orderBy("id").collect()
    return [None if row[column] is None else row[column].toArray().tolist() for row in rows]


def test_names_become_vectors_in_the_order_that_is_asked_for(spark, tmp_path):
    movies = named(spark, GENRES)
    model = ml.MultilabelBinarizer().fit(movies)
    assert model.getLabelNames() == ["Crime", "Drama", "Horror"]
    assert model.numLabels == 3
    by_count = ml.MultilabelBinarizer(labelOrder="frequency").fit(movies)
    assert by_count.getLabelNames() == ["Drama", "Crime", "Horror"]
    assert vectors_of(model.transform(movies)) == [
        [1, 1, 0],
        [0, 1, 0],
        [0, 0, 0],
        [0, 1, 1],
        [1, 0, 0],
    ]
    model.write().save(str(tmp_path / "model"))
    loaded = ml.MultilabelBinarizerModel.load(str(tmp_path / "model"))
    assert loaded.getLabelNames() == model.getLabelNames()
    assert vectors_of(loaded.transform(movies)) == vectors_of(model.transform(movies))


def test_unknown_names_and_nulls_stop_are_ignored_or_skip_the_row(spark):
    model = ml.MultilabelBinarizer().fit(named(spark, GENRES))
    new = named(spark, [["Drama", "Opera"], ["Crime"], None, ["Crime", None]])
    with (
        pytest.raises(InvalidLabelsError, match="names: 'Opera', expected one of training's"),
        worker_errors(),
    ):
        model.transform(new.where("id = 0")).collect()
    with pytest.raises(InvalidLabelsError, match="names: null"), worker_errors():
        model.transform(new.where("id = 2")).collect()
    ignored = vectors_of(model.setHandleInvalid("ignore").transform(new))
    assert ignored == [[0, 1, 0], [1, 0, 0], None, [1, 0, 0]]
    assert vectors_of(model.setHandleInvalid("skip").transform(new)) == [[1, 0, 0]]
    with pytest.raises(InvalidLabelsError, match="names: null, expected arrays of names"):
        ml.MultilabelBinarizer().fit(new)
    fitted = ml.MultilabelBinarizer(handleInvalid="skip").fit(new)
    assert fitted.getLabelNames() == ["Crime", "Drama", "Opera"]
    for data, message in (
        (named(spark, [[], []]), "no names, expected at least one"),
        (new.drop("names").withColumnRenamed("id", "names"), "type int, expected array<string>"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            ml.MultilabelBinarizer(handleInvalid="ignore").fit(data)


def test_vectors_become_names_the_most_probable_first_and_null_stays_null(spark):
    vector = Vectors.dense
    data = spark.createDataFrame(
        [
            (0, vector([1, 0, 1]), vector([0.6, 0.1, 0.9])),
            (1, vector([1, 1, 0]), vector([0.5, 0.5, 0.2])),
            (2, Vectors.sparse(3, {}), vector([0.1, 0.2, 0.3])),
            (3, None, vector([0.1, 0.2, 0.3])),
        ],
        SCORED,
    )
    stage = ml.LabelNames(labelNames=["Crime", "Drama", "Horror"])
    found = [row["names"] for row in stage.transform(data).orderBy("id").collect()]
    assert found == [["Horror", "Crime"], ["Crime", "Drama"], [], None]
    unsorted = stage.copy({stage.probabilitiesCol: ""}).transform(data)
    assert unsorted.orderBy("id").first()["names"] == ["Crime", "Horror"]
    with pytest.raises(InvalidInputError, match="its metadata has no names of labels"):
        ml.LabelNames().transform(data)
    with (
        pytest.raises(InvalidInputError, match="prediction: a vector of length 3, expected 2"),
        worker_errors(),
    ):
        ml.LabelNames(labelNames=["a", "b"]).transform(data).collect()


def test_names_travel_through_a_pipeline_from_arrays_to_arrays(spark, tmp_path):
    x, _ = matrices(rows=len(GENRES))
    rows = [
        (index, names, Vectors.dense(row))
        for index, (names, row) in enumerate(zip(GENRES, x, strict=True))
    ]
    schema = StructType([*NAMED.fields, StructField("features", VectorUDT())])
    data = spark.createDataFrame(rows, schema)
    stages = [
        ml.MultilabelBinarizer(),
        ml.LabelPrior(),
        ml.LabelNames(outputCol="predicted"),
    ]
    model = Pipeline(stages=stages).fit(data)
    names = ["Crime", "Drama", "Horror"]
    assert model.stages[1].getLabelNames() == names
    scored = model.transform(data).cache()
    assert {tuple(row["predicted"]) for row in scored.collect()} == {("Drama",)}
    told = scored.select(
        model.stages[1].labelsOf("labels").alias("truth"),
        model.stages[1].labelsOf("labels", "probabilities").alias("ranked"),
    ).first()
    assert (told["truth"], told["ranked"]) == (["Crime", "Drama"], ["Drama", "Crime"])
    with pytest.raises(InvalidConfigError, match="labelNames: not set, expected the labels' names"):
        ml.LabelPriorModel(numLabels=3).labelsOf("labels")
    model.stages[2].write().save(str(tmp_path / "stage"))
    loaded = ml.LabelNames.load(str(tmp_path / "stage"))
    assert loaded.extractParamMap() == stages[2].extractParamMap()

    metrics = ml.MultilabelEvaluator().evaluateAll(scored)
    assert metrics.label_frame().index.tolist() == names
    assert metrics.label_frame()["support"].tolist() == [2, 3, 1]
    assert metrics.frame()["value"]["f1_micro"] == metrics["f1_micro"]
    with pytest.raises(InvalidConfigError, match="labelNames: 2 names, expected 3"):
        ml.MultilabelEvaluator(labelNames=["a", "b"]).evaluateAll(scored)
    scored.unpersist()


def test_metrics_print_as_tables_with_the_labels_names():
    metrics = MultilabelMetrics(
        {"hamming_loss": 0.25, "f1_micro": 0.51239, "f1_macro": 0.4},
        {"f1": np.array([0.4, np.nan]), "support": np.array([3.0, 12.0])},
        15.0,
        ("Drama", "<Crime>"),
    )
    text = str(metrics)
    assert text.splitlines()[0] == "15 rows"
    for line in (
        "      metric  value",
        "hamming_loss 0.2500",
        "metric  micro  macro",
        "    f1 0.5124 0.4000",
        "  label     f1 support",
        "  Drama 0.4000       3",
    ):
        assert line in text.splitlines(), text
    html = metrics._repr_html_()
    assert html.count("<table") == 3
    assert "&lt;Crime&gt;" in html
    numbered = MultilabelMetrics({}, {"f1": np.arange(50.0)}, 1.0)
    assert "10 more labels" in str(numbered)
    assert len(numbered.label_frame()) == 50


WITH_CLASSIFIER = [name for name, make in ESTIMATORS.items() if not isinstance(make, type)]


@pytest.mark.parametrize("name", WITH_CLASSIFIER)
def test_sparse_matrices_of_scipy_are_scored_as_dense_ones(name):
    x, y = matrices(rows=30)
    x[np.abs(x) < 0.8] = 0.0
    stage = ESTIMATORS[name]()
    model = fit_in_process(stage, x, y)
    assert (model.predict_proba(csr_matrix(x)) == model.predict_proba(x)).all()
    assert (model.predict(csr_matrix(x).tocoo()) == model.predict(x)).all()
    with pytest.raises(InvalidInputError, match=r"shape \(30, 2\), expected \(rows, 5\)"):
        model.predict_proba(csr_matrix(x[:, :2]))
    holes = csr_matrix(np.where(x > 1.5, np.nan, x))
    with pytest.raises(InvalidInputError, match="features: nan in feature"):
        model.predict_proba(holes)


def test_no_classifier_warns_of_what_we_set():
    x, y = matrices(rows=30)
    forests = [kind(3, n_jobs=2) for kind in (RandomForestClassifier, ExtraTreesClassifier)]
    others = [
        LogisticRegression(n_jobs=2),
        KNeighborsClassifier(3, n_jobs=2),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for classifier in [*forests, *others]:
            model = fit_in_process(ml.BinaryRelevance(classifier=classifier), x, y)
            assert model.predict_proba(x).shape == y.shape
        for classifier in forests:
            stage = ml.MultilabelRandomForest(classifier=classifier)
            assert fit_in_process(stage, x, y).predict(x).shape == y.shape
