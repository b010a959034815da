"""What a stored model may hold: classifiers of scikit-learn, and nothing that could be called."""

import dataclasses
import functools
import io
import json
import operator
import os
import pickle
import subprocess
import warnings
import zipfile

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import sklearn.utils
import skops.io
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, Matern, WhiteKernel
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    QuantileTransformer,
    StandardScaler,
)
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.discovery import all_estimators

import genre_spark.multilabel as ml
from genre_spark.errors import InvalidInputError
from genre_spark.multilabel import persistence
from genre_spark.multilabel.models.archives import dump_sklearn, load_sklearn
from genre_spark.multilabel.models.feature_block import FeatureBlock
from genre_spark.multilabel.models.forest_arrays import ForestArrays
from genre_spark.multilabel.models.from_sklearn import SkopsScorer, tree_nodes

REJECTED = "which scikit-learn's classifiers do not need"


def stored(value):
    """Return an archive of a classifier that has a value among its attributes."""
    classifier = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    classifier.gadget = value
    return skops.io.dumps(classifier)


def renamed(loader, module, name, protocol=None, **more):
    """Return an archive with a node as nobody wrote it."""
    archive = zipfile.ZipFile(io.BytesIO(stored(None)))
    schema = json.loads(archive.read("schema.json"))
    schema["content"]["content"]["gadget"] = {
        "__class__": name,
        "__module__": module,
        "__loader__": loader,
        **more,
    }
    schema["protocol"] = schema["protocol"] if protocol is None else protocol
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as changed:
        for part in archive.namelist():
            whole = json.dumps(schema) if part == "schema.json" else archive.read(part)
            changed.writestr(part, whole)
    return buffer.getvalue()


def text(value, **more):
    """Return a node of a JSON value."""
    node = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode"}
    return {**node, "content": json.dumps(value), **more}


def transformer(loader, content):
    """Return an archive with a FunctionTransformer that says it has no function."""
    nothing = {name: text(None) for name in ("func", "inverse_func", "kw_args")}
    content = {**content, "content": {**content["content"], **nothing}}
    module = "sklearn.preprocessing._function_transformer"
    return renamed(loader, module, "FunctionTransformer", content=content)


COMMAND = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode"} | {
    "content": [text("echo called")]
}
CALLED = {"__class__": "system", "__module__": "os", "__loader__": "ConstructorFromReduceNode"} | {
    "content": COMMAND
}
PARTIAL = {
    "func": {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"},
    "args": COMMAND,
    "kwds": text(None),
    "namespace": text(None),
    "content": {},
}
NOTHING = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": []}
GADGETS = {
    "numpy.testing.measure": lambda: stored(np.testing.measure),
    "numpy.vectorize": lambda: stored(np.vectorize(len)),
    "numpy.apply_along_axis": lambda: stored(np.apply_along_axis),
    "numpy.fromfunction": lambda: stored(np.fromfunction),
    "numpy.load": lambda: stored(np.load),
    "numpy.exp": lambda: renamed("FunctionNode", "numpy", "exp"),
    "scipy.optimize.minimize": lambda: stored(scipy.optimize.minimize),
    "scipy.special.logsumexp": lambda: stored(scipy.special.logsumexp),
    "functools.partial of numpy": lambda: stored(functools.partial(np.load, "file")),
    "functools.partial of sklearn": lambda: stored(functools.partial(clone)),
    "FunctionTransformer": lambda: stored(FunctionTransformer(np.load)),
    "FunctionTransformer that inverts": lambda: stored(FunctionTransformer(inverse_func=np.load)),
    "FunctionTransformer of a partial": lambda: stored(
        FunctionTransformer(functools.partial(np.testing.measure, "1"))
    ),
    "FunctionTransformer in a pipeline": lambda: skops.io.dumps(
        make_pipeline(FunctionTransformer(np.log1p), LogisticRegression())
    ),
    "FunctionTransformer in columns": lambda: stored(
        ColumnTransformer([("a", FunctionTransformer(np.load), [0])])
    ),
    "a kernel that is called": lambda: stored(SVC(kernel=np.testing.measure)),
    "weights that are called": lambda: stored(KNeighborsClassifier(weights=np.load)),
    "scores that are called": lambda: stored(SelectKBest(np.testing.measure)),
    "sklearn.utils.resample": lambda: stored(sklearn.utils.resample),
    "sklearn.base.clone": lambda: stored(clone),
    "os.system": lambda: stored(os.system),
    "subprocess.Popen": lambda: stored(subprocess.Popen),
    "builtins.eval": lambda: stored(eval),
    "builtins.getattr": lambda: renamed("TypeNode", "builtins", "getattr"),
    "pickle.loads": lambda: stored(pickle.loads),
    "operator.attrgetter": lambda: stored(operator.attrgetter("__class__")),
    "operator.methodcaller": lambda: stored(operator.methodcaller("fit")),
    "a bound method": lambda: stored(GaussianNB().fit),
    "a class of numpy as a type": lambda: renamed("TypeNode", "numpy", "memmap"),
    "a class of numpy that is constructed": lambda: renamed(
        "ConstructorFromReduceNode", "numpy", "memmap", content=NOTHING
    ),
    "a loss that is none": lambda: renamed(
        "LossNode", "numpy.testing", "measure", __reduce__={"args": NOTHING}, content=NOTHING
    ),
    "a list that is none": lambda: renamed("ListNode", "subprocess", "Popen", content=[]),
    "an array that is none": lambda: renamed(
        "NdArrayNode", "numpy", "fromfile", type="json", content=[], shape=NOTHING
    ),
    "a bit generator that is none": lambda: renamed(
        "RandomGeneratorNode",
        "numpy.random._generator",
        "Generator",
        content={"content": {"bit_generator": {"__loader__": "JsonNode", "content": '"test"'}}},
    ),
    "a cache of fitted steps": lambda: stored(make_pipeline(GaussianNB(), memory="/tmp/cache")),
    "a FunctionTransformer whose attributes are a call": lambda: transformer("ObjectNode", CALLED),
    "a FunctionTransformer that is a partial": lambda: transformer("PartialNode", PARTIAL),
    "a cache that was named before": lambda: renamed(
        "ListNode",
        "builtins",
        "list",
        content=[
            text("/tmp/cache", __id__=7),
            {"memory": text(None) | {"__loader__": "CachedNode"}},
        ],
    ),
    "a number that stands for two objects": lambda: renamed(
        "ListNode", "builtins", "list", content=[text("test", __id__=7), text("PCG64", __id__=7)]
    ),
    "an unknown kind of node": lambda: renamed("NewNode", "builtins", "dict", content={}),
}


@pytest.mark.parametrize("name", GADGETS)
def test_a_stored_model_cannot_hold_what_could_be_called(name):
    with pytest.raises(InvalidInputError, match=REJECTED):
        load_sklearn(GADGETS[name](), "model")


def test_archives_of_protocols_that_hide_names_are_rejected():
    hidden = {"module_path": "os", "function": "system"}
    module = "sklearn.feature_selection._univariate_selection"
    for protocol in (0, -1, True, "2"):
        archive = renamed("FunctionNode", module, "chi2", protocol, content=hidden)
        with pytest.raises(InvalidInputError, match=f"model: protocol {protocol!r} of skops"):
            load_sklearn(archive, "model")


def test_what_skops_finds_by_itself_must_be_known_too(monkeypatch):
    monkeypatch.setattr("genre_spark.multilabel.models.archives.find_untrusted", lambda *_: [])
    for name in ("os.system", "numpy.testing.measure", "operator.methodcaller"):
        with pytest.raises(InvalidInputError, match="where no classifier has it"):
            load_sklearn(GADGETS[name](), "model")


def test_scoring_is_under_the_same_rule_wherever_it_happens():
    scorer = SkopsScorer(GADGETS["numpy.testing.measure"](), n_classes=2, n_features=1)
    arrived = pickle.loads(pickle.dumps(scorer))  # as it travels to a worker
    for one in (scorer, arrived):
        with pytest.raises(InvalidInputError, match=REJECTED):
            one.probabilities(FeatureBlock(np.zeros((1, 1))))


def test_trust_takes_full_names_and_no_packages(monkeypatch):
    monkeypatch.setattr("genre_spark.multilabel.models.archives._trusted", set())
    for name in ("sklearn", "sklearn.*", 3):
        with pytest.raises(InvalidInputError, match="expected the full name"):
            ml.trust_types(name)
    archive = stored(np.fromfunction)
    with pytest.raises(InvalidInputError, match=r"trust_types\('numpy\.fromfunction'\)"):
        load_sklearn(archive, "model")
    ml.trust_types("numpy.fromfunction")
    assert load_sklearn(archive, "model").gadget is np.fromfunction
    for broken in (b"", b"no archive", archive[:100]):
        with pytest.raises(InvalidInputError, match="expected a skops archive"):
            load_sklearn(broken, "model")


def single_classifiers():
    """Return every classifier of scikit-learn that gives probabilities and needs no other."""
    found = []
    for name, kind in all_estimators(type_filter="classifier"):
        try:
            classifier = kind()
        except TypeError:
            continue
        if hasattr(classifier, "predict_proba") and name != "TunedThresholdClassifierCV":
            found.append(classifier)
    return found


def test_every_classifier_of_scikit_learn_is_stored_and_loaded():
    rng = np.random.default_rng(0)
    x = np.abs(rng.normal(size=(60, 4)))
    two, three = (x[:, 0] > 0.6).astype(int), np.digitize(x[:, 1], [0.4, 0.9])
    few = {"n_estimators": 3, "max_iter": 20}
    forest, linear = RandomForestClassifier(3), LogisticRegression()
    combined = [
        CalibratedClassifierCV(SVC(), ensemble=False),
        CalibratedClassifierCV(GaussianNB(), method="isotonic"),
        VotingClassifier([("a", forest), ("b", linear)], voting="soft"),
        StackingClassifier([("a", forest), ("b", linear)]),
        AdaBoostClassifier(linear, n_estimators=2),
        GaussianProcessClassifier(Matern() + WhiteKernel() * RBF()),
        KNeighborsClassifier(metric="manhattan", algorithm="ball_tree"),
        MLPClassifier((3,), solver="sgd", max_iter=5),
        GradientBoostingClassifier(n_estimators=2, loss="log_loss"),
        HistGradientBoostingClassifier(max_iter=2, categorical_features=[0]),
        make_pipeline(StandardScaler(), PCA(2), linear),
        make_pipeline(SelectKBest(chi2, k=2), linear),
        make_pipeline(KBinsDiscretizer(3, quantile_method="linear"), linear),
        make_pipeline(FeatureUnion([("a", PCA(2)), ("b", StandardScaler())]), forest),
        make_pipeline(
            ColumnTransformer(
                [("a", OneHotEncoder(handle_unknown="ignore"), [0])],
                remainder=QuantileTransformer(n_quantiles=5),
            ),
            linear,
        ),
    ]
    loaded = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few iterations
        for classifier in [*single_classifiers(), *combined]:
            names = set(classifier.get_params())
            classifier.set_params(**{name: v for name, v in few.items() if name in names})
            for target in (two, three):
                try:
                    fitted = clone(classifier).fit(x, target)
                except ValueError:  # it takes other features, or two classes
                    continue
                again = load_sklearn(dump_sklearn(fitted), "model")
                expected = pytest.approx(fitted.predict_proba(x), abs=1e-12)
                assert again.predict_proba(x) == expected, classifier
                loaded += 1
    assert loaded > 60


@pytest.mark.parametrize(
    ("part", "value"), [("right", 9), ("right", 0), ("feature", 7), ("starts", 1), ("values", None)]
)
def test_a_stored_forest_whose_nodes_lead_nowhere_is_rejected(part, value):
    tree = DecisionTreeClassifier().fit([[0.0], [1.0], [2.0]], [0, 1, 0])
    forest = ForestArrays.from_trees([tree_nodes(tree.tree_)], 1)
    assert ForestArrays.from_bytes(forest.to_bytes()).n_trees == 1
    wrong = getattr(forest, part).copy()
    if value is None:
        wrong = wrong[:-1]
    else:
        wrong[0] = value
    with pytest.raises(InvalidInputError, match="nodes that do not make trees"):
        ForestArrays.from_bytes(dataclasses.replace(forest, **{part: wrong}).to_bytes())


@pytest.mark.parametrize(
    "kind", [DecisionTreeClassifier, RandomForestClassifier, GradientBoostingClassifier]
)
def test_trees_of_scikit_learn_whose_nodes_lead_nowhere_are_rejected(kind):
    x, y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 2
    for name, value in (("left_child", 10**6), ("right_child", 0), ("feature", 3)):
        fitted = make_pipeline(StandardScaler(), kind(max_depth=2).fit(x, y))
        load_sklearn(dump_sklearn(fitted), "model")
        tree = fitted.steps[-1][1]
        tree = np.ravel(getattr(tree, "estimators_", tree))[0].tree_
        state = tree.__getstate__()
        state["nodes"][name][0] = value
        tree.__setstate__(state)
        with pytest.raises(InvalidInputError, match="nodes that do not make trees"):
            load_sklearn(dump_sklearn(fitted), "model")


def test_boosted_histograms_whose_nodes_lead_nowhere_are_rejected():
    x, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2
    for name in ("left", "feature_idx"):
        fitted = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=5).fit(x, y)
        load_sklearn(dump_sklearn(fitted), "model")
        fitted._predictors[1][0].nodes[name][0] = 10**6
        with pytest.raises(InvalidInputError, match="nodes that do not make trees"):
            load_sklearn(dump_sklearn(fitted), "model")


def test_a_stored_spark_model_is_read_by_classes_of_spark_alone(monkeypatch):
    monkeypatch.setattr("genre_spark.multilabel.models.archives._trusted", set())
    reader = persistence.DefaultParamsReader
    monkeypatch.setattr(reader, "loadParamsInstance", lambda path, handle: path)

    def load(stored):
        monkeypatch.setattr(reader, "loadMetadata", lambda path, handle: {"class": stored})
        return persistence._load_spark_stage("model", None)

    spark = "org.apache.spark.ml.classification.MultilayerPerceptronClassificationModel"
    assert load(spark) == load(spark.replace("org.apache.spark", "pyspark")) == "model"
    for other in (
        "sklearn.utils.parallel.joblib",
        "pyspark.ml.classification.sys",
        "pyspark.ml.pipeline.PipelineModel",
        "elsewhere.Model",
    ):
        with pytest.raises(InvalidInputError, match=rf"trust_types\('{other}'\)"):
            load(other)
    ml.trust_types("elsewhere.Model")
    assert load("elsewhere.Model") == "model"
