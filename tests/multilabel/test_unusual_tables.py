"""Tables as joins, nested files and text make them: names, nulls, weights, sparse rows."""

import logging

import numpy as np
import pyarrow as pa
import pytest
from pyspark.ml.classification import (
    GBTClassifier,
    LogisticRegression,
    MultilayerPerceptronClassifier,
)
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, LongType, StructField, StructType
from scipy.sparse import csr_matrix
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression as LocalLogistic
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import genre_spark.multilabel as ml
from genre_spark.errors import InvalidConfigError, InvalidInputError, InvalidLabelsError
from genre_spark.multilabel.fitting import with_spark
from genre_spark.multilabel.fitting.statistics import TrainingStatistics
from genre_spark.multilabel.fitting.training_data import TrainingMatrix, unpack_training
from genre_spark.multilabel.fitting.with_sklearn import _check_size
from genre_spark.multilabel.matrices import (
    check_features,
    decode_vector_struct,
    decode_vectors,
)
from genre_spark.multilabel.methods.baselines import RandomPredictor
from genre_spark.multilabel.models.feature_block import FeatureBlock
from genre_spark.multilabel.models.from_sklearn import export_sklearn, takes_sparse
from tests.multilabel.tables import fit_in_process, frame, logistic, matrices

VECTORS = StructType(
    [
        StructField("id", LongType()),
        StructField("features", VectorUDT()),
        StructField("labels", VectorUDT()),
        StructField("w", DoubleType()),
    ]
)


VECTOR = pa.struct(
    [
        ("type", pa.int8()),
        ("size", pa.int32()),
        ("indices", pa.list_(pa.int32())),
        ("values", pa.list_(pa.float64())),
    ]
)


@pytest.fixture(scope="module")
def data(spark):
    table = frame(spark, *matrices(rows=40), partitions=1).cache()
    yield table
    table.unpersist()


@pytest.fixture(scope="module")
def models(data):
    """A model that scores in workers, and one that Spark applies."""
    perceptron = MultilayerPerceptronClassifier(layers=[5, 2], maxIter=2, seed=1)
    return [
        fit_in_process(ml.BinaryRelevance(classifier=GaussianNB()), *matrices(rows=40)),
        ml.BinaryRelevance(classifier=perceptron).fit(data),
    ]


def test_columns_that_are_there_twice_or_have_any_name_pass_through(data, models):
    titles = data.select(F.col("id"), F.lit("t").alias("a title"))
    twice = data.alias("a").join(titles.alias("b"), F.col("a.id") == F.col("b.id"))
    backtick = data.withColumn("a`b", F.lit(1)).withColumn("c.d", F.lit(2))
    for model in models:
        for table in (twice, backtick):
            scored = model.transform(table)
            assert scored.columns == [*table.columns, "probabilities", "prediction"]
            assert scored.count() == 40
            assert scored.first()["probabilities"].size == 4


def test_a_column_that_is_read_may_be_nested_and_not_twice(data, models):
    nested = data.select("id", F.struct("features", "labels").alias("s"), F.struct("w").alias("u"))
    for model in models:
        inside = model.copy({model.featuresCol: "s.features"})
        expected = model.transform(data).orderBy("id").first()["probabilities"]
        assert inside.transform(nested).orderBy("id").first()["probabilities"] == expected
    prior = ml.LabelPrior(featuresCol="s.features", labelsCol="s.labels", weightCol="u.w")
    assert prior.fit(nested).numFeatures == 5
    with pytest.raises(InvalidInputError, match=r"no column 's\.nothing'"):
        ml.LabelPrior(featuresCol="s.nothing").fit(nested)
    both = data.select("*", F.col("features"))
    with pytest.raises(InvalidInputError, match="featuresCol: 2 columns 'features', expected one"):
        models[0].transform(both)


def test_a_null_among_vectors_of_labels_is_named(spark):
    x, y = matrices(rows=6)
    rows = [
        (n, Vectors.dense(a), Vectors.dense(b), 1.0)
        for n, (a, b) in enumerate(zip(x, y, strict=True))
    ]
    data = spark.createDataFrame(rows, VECTORS).coalesce(1)
    hole = data.withColumn("labels", F.when(F.col("id") != 3, F.col("labels")))
    for act in (
        lambda: ml.LabelPrior().fit(hole),
        lambda: ml.BinaryRelevance(classifier=logistic()).fit(hole),
        lambda: ml.MultilabelEvaluator().evaluate(hole.withColumn("prediction", F.col("labels"))),
        lambda: ml.ThresholdTuner(probabilitiesCol="labels").fit(hole),
    ):
        with pytest.raises(InvalidInputError, match=r"labels(Col)?: null in 1 rows"):
            act()
    with pytest.raises(InvalidLabelsError, match="labels: null in 1 rows"):
        ml.LabelPrior().fit(hole)


def test_a_bootstrap_that_draws_no_weight_is_replaced_by_all_rows(spark):
    x, y = matrices(rows=60)
    weights = (np.arange(60) < 2).astype(float)
    y[:2] = [[1, 0, 1, 0], [0, 1, 1, 0]]
    for stage in (
        ml.MultilabelRandomForest(classifier=RandomForestClassifier(20)),
        ml.EnsembleOfClassifierChains(
            classifier=LocalLogistic(max_iter=5), sample="bootstrap", numModels=8
        ),
        ml.HOMER(classifier=LocalLogistic(max_iter=5), clusters=2),
    ):
        scores = fit_in_process(stage, x, y, weights).predict_proba(x)
        assert np.isfinite(scores).all(), stage
        assert (scores[:, 3] < 0.2).all(), "a label that no row of weight has"
    weighted = frame(spark, x, y, weights=weights)
    chains = ml.EnsembleOfClassifierChains(
        classifier=logistic(), sample="bootstrap", numModels=2, weightCol="w"
    )
    assert np.isfinite(chains.fit(weighted).predict_proba(x)).all()


def test_methods_of_labelsets_say_that_they_need_a_multi_class_classifier(data):
    for kind in (ml.RAkEL, ml.LabelPowerset, ml.PrunedSets, ml.EnsembleOfPrunedSets):
        for classifier in (GBTClassifier(), LogisticRegression(family="binomial")):
            with pytest.raises(InvalidConfigError, match="expected a multi-class classifier"):
                kind(classifier=classifier).fit(data)


def test_a_metric_that_a_fold_does_not_define_stops_or_leaves_the_label_out(spark, caplog):
    x, y = matrices(rows=30)
    y[:, 0] = 0
    data = frame(spark, x, y, partitions=1).withColumn("fold", (F.col("id") % 2).cast("int"))
    chain = ml.LabelPrior()
    search = CrossValidator(
        estimator=chain,
        estimatorParamMaps=ParamGridBuilder().addGrid(chain.threshold, [0.3, 0.5]).build(),
        evaluator=ml.MultilabelEvaluator(metricName="roc_auc_macro"),
        numFolds=2,
        foldCol="fold",
    )
    message = r"roc_auc_macro is not defined for 1 of 4 labels \(0\): no row has them"
    with pytest.raises(InvalidInputError, match=message):
        search.fit(data)
    scored = chain.fit(data).transform(data)
    measure = ml.MultilabelEvaluator(metricName="roc_auc_macro", handleUndefined="skip")
    with caplog.at_level(logging.WARNING):
        assert measure.evaluate(scored) == 0.5
    assert "the mean is over the other labels" in caplog.text
    with pytest.raises(InvalidInputError, match="not defined for 4 of 4 labels"):
        measure.evaluate(scored.limit(1))
    with pytest.raises(InvalidConfigError, match="handleUndefined: 'drop', must be"):
        measure.copy({measure.handleUndefined: "drop"}).evaluate(scored)


def sparse_matrices(rows=60, features=400, seed=0):
    rng = np.random.default_rng(seed)
    x = np.where(rng.random((rows, features)) < 0.02, np.round(rng.random((rows, features)), 3), 0)
    x[:, :3] = np.where(rng.random((rows, 3)) < 0.5, 1.0, 0.0)
    return x, np.column_stack([x[:, 0], x[:, 1] * x[:, 0], x[:, 2] == 0]).astype(float)


def sparse_frame(spark, x, y):
    rows = []
    for number, (features, labels) in enumerate(zip(x, y, strict=True)):
        on = np.flatnonzero(features)
        vector = Vectors.sparse(len(features), on.tolist(), features[on].tolist())
        if number % 7 == 0:
            vector = Vectors.dense(features)
        rows.append((number, vector, Vectors.dense(labels), 1.0))
    return spark.createDataFrame(rows, VECTORS).coalesce(1)


SPARSE = {
    "linear of scikit-learn": lambda: ml.BinaryRelevance(classifier=LocalLogistic(max_iter=20)),
    "forest": lambda: ml.ClassifierChain(classifier=RandomForestClassifier(4, max_depth=5)),
    "one forest": lambda: ml.MultilabelRandomForest(classifier=RandomForestClassifier(4)),
    "needs dense rows": lambda: ml.BinaryRelevance(classifier=GaussianNB()),
}


@pytest.mark.parametrize("name", SPARSE)
def test_sparse_rows_give_the_model_that_dense_rows_give(name):
    x, y = sparse_matrices()
    dense = fit_in_process(SPARSE[name](), x, y)
    expected = dense.predict_proba(x)
    assert dense.predict_proba(csr_matrix(x)) == pytest.approx(expected, abs=1e-9)
    if name != "needs dense rows":
        matrix = TrainingMatrix(csr_matrix(x.astype(np.float32)), y.astype(np.uint8), None)
        sparse = fit_in_process(SPARSE[name](), x, y, matrix=matrix)
        assert sparse.predict_proba(x) == pytest.approx(expected, abs=1e-3)


def test_a_fit_on_sparse_vectors_makes_no_dense_copy(spark, monkeypatch):
    x, y = sparse_matrices()
    data = sparse_frame(spark, x, y)
    dealt, in_order = list[int](), with_spark._in_order

    def deal(rows, partitions):
        dealt.append(partitions)
        return in_order(rows, partitions)

    for stage in (
        ml.BinaryRelevance(classifier=LocalLogistic(max_iter=20)),
        ml.ClassifierChain(classifier=logistic()),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(with_spark, "_VALUES", x.size // 4)  # more than are stored
            patch.setattr(with_spark, "_in_order", deal)
            model = stage.fit(data)
        rows = model.transform(data).orderBy("id").collect()
        scores = np.array([row["probabilities"].toArray() for row in rows])
        monkeypatch.setattr(csr_matrix, "toarray", None)
        assert model.predict_proba(csr_matrix(x)) == pytest.approx(scores, abs=1e-9)
        monkeypatch.undo()
        assert model.predict_proba(x) == pytest.approx(scores, abs=1e-9)
    assert dealt[0] == 1, "by stored values, not by cells"
    broken = x.copy()
    broken[4, 399] = np.nan
    for model_or_stage in (model.transform, ml.BinaryRelevance(classifier=logistic()).fit):
        with pytest.raises(Exception, match="features: nan in feature 399, expected finite"):
            found = model_or_stage(sparse_frame(spark, broken, y))
            found.collect()


def test_vectors_are_decoded_to_csr_where_few_features_are_stored():
    parts = {
        "type": np.array([0, 1, 0]),
        "size": np.array([300, None, 300], dtype=object),
        "indices": [np.array([2, 299]), None, np.array([], dtype=int)],
        "values": [np.array([1.0, 2.0]), np.arange(300.0) * 0, np.array([])],
    }
    parts = {name: np.array([*values, None], dtype=object)[:-1] for name, values in parts.items()}
    mixed = decode_vectors(parts, "features")
    assert not isinstance(mixed, csr_matrix), "a third of all features are stored"
    few = {name: values[[0, 2]] for name, values in parts.items()}
    matrix = decode_vectors(few, "features", 300)
    assert isinstance(matrix, csr_matrix)
    assert (matrix.toarray() == mixed[[0, 2]]).all()
    rows = [
        {name: few[name][row] for name in ("type", "size", "indices", "values")} for row in (0, 1)
    ]
    column = pa.array(rows * 2, VECTOR)
    assert (decode_vector_struct(column[1:], "features").toarray() == mixed[[2, 0, 2]]).all()
    for decode, given in ((decode_vectors, few), (decode_vector_struct, column)):
        with pytest.raises(InvalidInputError, match="a vector of length 300, expected 301"):
            decode(given, "features", 301)
    matrix.data[1] = np.inf
    with pytest.raises(InvalidInputError, match=r"inf in feature 299 \(last\)"):
        check_features(matrix, "features", [*["name"] * 299, "last"])


def test_what_needs_dense_rows_says_how_large_they_become(caplog):
    def statistics(rows, features, stored):
        nothing = np.zeros(1)
        return TrainingStatistics(rows, features, 1, nothing, 1.0, nothing, dict, stored)

    with caplog.at_level(logging.WARNING):
        _check_size(statistics(100, 262_144, 4000), 8, sparse=False)
    assert "100 rows x 262,144 features x 8 bytes = 0.2 GiB, dense" in caplog.text
    message = "4,800 rows x 262,144 features x 8 bytes = 9.4 GiB, dense, a scikit-learn"
    with pytest.raises(InvalidInputError, match=message):
        _check_size(statistics(4800, 262_144, 200_000), 8, sparse=False)
    _check_size(statistics(4800, 262_144, 200_000), 8, sparse=True)


def test_blocks_of_both_kinds_become_one_matrix():
    x = np.eye(3, 4)
    common = {"y": b"\x00", "w": np.ones(3).tobytes(), "n_rows": 3, "n_features": 4, "n_labels": 1}
    sparse = csr_matrix(x)
    blocks = [
        common
        | {"x": x.tobytes(), "columns": None, "starts": None, "h": np.array([5, 3, 1]).tobytes()},
        common
        | {
            "x": sparse.data.tobytes(),
            "columns": sparse.indices.astype(np.int32).tobytes(),
            "starts": sparse.indptr.astype(np.int64).tobytes(),
            "h": np.array([4, 2, 0]).tobytes(),
        },
    ]
    dense = unpack_training(blocks, single=False, weighted=False).features
    assert (dense == x[[2, 2, 1, 1, 0, 0]]).all()
    kept = unpack_training(blocks, single=False, weighted=False, sparse=True).features
    assert isinstance(kept, csr_matrix)
    assert (kept.toarray() == dense).all()


def test_a_sparse_block_gives_the_columns_of_a_dense_one():
    x, _ = sparse_matrices(rows=5)
    blocks = [FeatureBlock(matrix, room=2) for matrix in (x, csr_matrix(x))]
    for block in blocks:
        block.append(0, np.array([1.0, 0.0, 1.0, 0.0, 1.0]))
    dense, sparse = blocks
    assert (sparse.sparse(402).toarray() == dense.double(402)).all()
    columns = np.array([0, 7, 399, 400, 401])
    assert (sparse.some_columns(columns) == dense.double(402)[:, columns]).all()
    sparse.append(1, np.ones(5))
    dense.append(1, np.ones(5))
    assert (sparse.single(402) == dense.single(402)).all()
    random = RandomPredictor(2, 0.5, seed=3)
    assert (random.predict(dense, 0.5)[0] == random.predict(sparse, 0.5)[0]).all()


def test_who_takes_sparse_rows_is_known_from_the_classifier():
    for classifier, takes in (
        (RandomForestClassifier(), True),
        (LocalLogistic(), True),
        (GaussianNB(), False),
        (HistGradientBoostingClassifier(), False),
        (make_pipeline(StandardScaler(), LocalLogistic()), False),
        (make_pipeline(StandardScaler(with_mean=False), LocalLogistic()), True),
        (object(), False),
    ):
        assert takes_sparse(classifier) is takes, classifier


def test_a_forest_without_splits_answers_sparse_rows_too():
    tree = DecisionTreeClassifier(min_samples_leaf=4).fit(np.zeros((4, 2)), [1, 0, 1, 1])
    scorer = export_sklearn(tree, 2)
    for block in (FeatureBlock(csr_matrix((3, 2))), FeatureBlock(np.zeros((3, 2)))):
        assert scorer.probabilities(block)[:, 1].tolist() == [0.75] * 3
