"""What a stored scikit-learn model may hold: an exact list, and a check of archives against it.

A skops archive names the types and functions that are built and called while it is read. Names that
begin with `sklearn` or `numpy` are no protection: `numpy.testing.measure` evaluates text, and
FunctionTransformer and functools.partial call whatever they were given. So every node of an archive
is looked up by its kind and its full name, before skops reads it. Functions and methods are
rejected, and so is whatever else could call one.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterator
from typing import Any
from zipfile import BadZipFile, ZipFile

from genre_spark.errors import InvalidInputError

__all__ = ["KNOWN_NAMES", "find_untrusted"]

_ESTIMATORS = {
    "sklearn._loss.link": "Interval LogitLink MultinomialLogit",
    "sklearn._loss.loss": "ExponentialLoss HalfBinomialLoss HalfMultinomialLoss",
    "sklearn.calibration": "CalibratedClassifierCV _CalibratedClassifier _SigmoidCalibration",
    "sklearn.compose._column_transformer": "ColumnTransformer",
    "sklearn.decomposition._factor_analysis": "FactorAnalysis",
    "sklearn.decomposition._fastica": "FastICA",
    "sklearn.decomposition._incremental_pca": "IncrementalPCA",
    "sklearn.decomposition._kernel_pca": "KernelPCA",
    "sklearn.decomposition._lda": "LatentDirichletAllocation",
    "sklearn.decomposition._nmf": "MiniBatchNMF NMF",
    "sklearn.decomposition._pca": "PCA",
    "sklearn.decomposition._truncated_svd": "TruncatedSVD",
    "sklearn.discriminant_analysis": "LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis",
    "sklearn.dummy": "DummyClassifier",
    "sklearn.ensemble._bagging": "BaggingClassifier",
    "sklearn.ensemble._forest": "ExtraTreesClassifier RandomForestClassifier RandomTreesEmbedding",
    "sklearn.ensemble._gb": "GradientBoostingClassifier",
    "sklearn.ensemble._hist_gradient_boosting.binning": "_BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting": "HistGradientBoostingClassifier",
    "sklearn.ensemble._hist_gradient_boosting.predictor": "TreePredictor",
    "sklearn.ensemble._stacking": "StackingClassifier",
    "sklearn.ensemble._voting": "VotingClassifier",
    "sklearn.ensemble._weight_boosting": "AdaBoostClassifier",
    "sklearn.feature_extraction.text": "TfidfTransformer",
    "sklearn.feature_selection._from_model": "SelectFromModel",
    "sklearn.feature_selection._rfe": "RFE RFECV",
    "sklearn.feature_selection._sequential": "SequentialFeatureSelector",
    "sklearn.feature_selection._univariate_selection": (
        "GenericUnivariateSelect SelectFdr SelectFpr SelectFwe SelectKBest SelectPercentile"
    ),
    "sklearn.feature_selection._variance_threshold": "VarianceThreshold",
    "sklearn.gaussian_process._gpc": (
        "GaussianProcessClassifier _BinaryGaussianProcessClassifierLaplace"
    ),
    "sklearn.gaussian_process.kernels": (
        "CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation Matern Product RBF "
        "RationalQuadratic Sum WhiteKernel"
    ),
    "sklearn.impute._base": "MissingIndicator SimpleImputer",
    "sklearn.impute._knn": "KNNImputer",
    "sklearn.isotonic": "IsotonicRegression",
    "sklearn.kernel_approximation": "AdditiveChi2Sampler Nystroem PolynomialCountSketch RBFSampler",
    "sklearn.linear_model._logistic": "LogisticRegression LogisticRegressionCV",
    "sklearn.linear_model._passive_aggressive": "PassiveAggressiveClassifier",
    "sklearn.linear_model._perceptron": "Perceptron",
    "sklearn.linear_model._ridge": "RidgeClassifier RidgeClassifierCV",
    "sklearn.linear_model._stochastic_gradient": "SGDClassifier",
    "sklearn.metrics._dist_metrics": (
        "ChebyshevDistance ChebyshevDistance64 ChebyshevDistance32 EuclideanDistance "
        "EuclideanDistance64 EuclideanDistance32 ManhattanDistance ManhattanDistance64 "
        "ManhattanDistance32 MinkowskiDistance MinkowskiDistance64 MinkowskiDistance32"
    ),
    "sklearn.model_selection._classification_threshold": "FixedThresholdClassifier",
    "sklearn.multiclass": (
        "OneVsOneClassifier OneVsRestClassifier OutputCodeClassifier _ConstantPredictor"
    ),
    "sklearn.naive_bayes": "BernoulliNB CategoricalNB ComplementNB GaussianNB MultinomialNB",
    "sklearn.neighbors._ball_tree": "BallTree BallTree32 BallTree64",
    "sklearn.neighbors._classification": "KNeighborsClassifier RadiusNeighborsClassifier",
    "sklearn.neighbors._kd_tree": "KDTree KDTree32 KDTree64",
    "sklearn.neighbors._nca": "NeighborhoodComponentsAnalysis",
    "sklearn.neighbors._nearest_centroid": "NearestCentroid",
    "sklearn.neural_network._multilayer_perceptron": "MLPClassifier",
    "sklearn.neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
    "sklearn.pipeline": "FeatureUnion Pipeline",
    "sklearn.preprocessing._data": (
        "Binarizer KernelCenterer MaxAbsScaler MinMaxScaler Normalizer PowerTransformer "
        "QuantileTransformer RobustScaler StandardScaler"
    ),
    "sklearn.preprocessing._discretization": "KBinsDiscretizer",
    "sklearn.preprocessing._encoders": "OneHotEncoder OrdinalEncoder",
    "sklearn.preprocessing._label": "LabelBinarizer LabelEncoder",
    "sklearn.preprocessing._polynomial": "PolynomialFeatures",
    "sklearn.preprocessing._target_encoder": "TargetEncoder",
    "sklearn.random_projection": "GaussianRandomProjection SparseRandomProjection",
    "sklearn.semi_supervised._label_propagation": "LabelPropagation LabelSpreading",
    "sklearn.semi_supervised._self_training": "SelfTrainingClassifier",
    "sklearn.svm._classes": "LinearSVC NuSVC SVC",
    "sklearn.tree._classes": (
        "DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor"
    ),
}
_NUMBERS = (
    "bool bool_ float16 float32 float64 int8 int16 int32 int64 longlong uint8 uint16 uint32 uint64 "
    "ulonglong"
)
_LOSSES = "CyExponentialLoss CyHalfBinomialLoss CyHalfMultinomialLoss"
_MATRICES = "{0}.{1}_matrix {0}.{1}_array"


def _names(module: str, names: str) -> frozenset[str]:
    return frozenset(f"{module}.{name}" for name in names.split())


_SPARSE = " ".join(_MATRICES.format(f"_{kind}", kind) for kind in ("csr", "csc", "coo"))
# what the archive says of a node: how it is loaded, and the full name of the type
_TRUSTED: dict[str, frozenset[str]] = {
    "BytearrayNode": _names("builtins", "bytearray"),
    "BytesNode": _names("builtins", "bytes"),
    "DictNode": frozenset(
        {"builtins.dict", "collections.OrderedDict", "sklearn.utils._bunch.Bunch"}
    ),
    "DTypeNode": _names("numpy", "dtype"),
    # scores of features, which only a fit calls
    "FunctionNode": _names("sklearn.feature_selection._univariate_selection", "chi2 f_classif")
    | _names("sklearn.feature_selection._mutual_info", "mutual_info_classif"),
    "JsonNode": _names("builtins", "bool float int str NoneType"),
    "ListNode": _names("builtins", "list"),
    "LossNode": _names("sklearn._loss._loss", _LOSSES)
    | _names("_loss", _LOSSES)  # before scikit-learn 1.6
    | _names(
        "sklearn.linear_model._sgd_fast",
        "EpsilonInsensitive Hinge Huber Log ModifiedHuber SquaredEpsilonInsensitive SquaredHinge "
        "SquaredLoss",
    ),
    "MaskedArrayNode": _names("numpy.ma", "MaskedArray") | _names("numpy.ma.core", "MaskedArray"),
    "NdArrayNode": _names("numpy", f"ndarray {_NUMBERS}"),
    "ObjectNode": frozenset().union(*(_names(*entry) for entry in _ESTIMATORS.items())),
    "RandomGeneratorNode": _names("numpy.random._generator", "Generator"),
    "RandomStateNode": _names("numpy.random.mtrand", "RandomState"),
    "SetNode": _names("builtins", "set"),
    "SliceNode": _names("builtins", "slice"),
    "SparseMatrixNode": _names("scipy.sparse", _SPARSE),
    "TreeNode": _names("sklearn.tree._tree", "Tree"),
    "TupleNode": _names("builtins", "tuple"),
    "TypeNode": _names("builtins", "bool dict float int list str tuple NoneType")
    | _names("numpy", f"str_ {_NUMBERS}"),
}
_BIT_GENERATORS = {"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"}


_CHECKING = "sklearn.utils.validation.check_array"
_TRANSFORMER = "sklearn.preprocessing._function_transformer.FunctionTransformer"
_OLDEST = 1  # protocol: archives of protocol 0 name functions where nobody else looks
KNOWN_NAMES = frozenset().union(*_TRUSTED.values(), {_CHECKING, _TRANSFORMER, "functools.partial"})
"""Full names of everything that an archive may hold, wherever it stands."""


def find_untrusted(payload: bytes, trusted: Collection[str], role: str) -> list[str]:
    """Return the full names in a skops archive that are not on the list, sorted.

    Args:
        payload: the archive.
        trusted: full names that the user trusts beside the list: types, functions, methods.
        role: name of the model in messages.

    Raises:
        InvalidInputError: it is no skops archive, or of a protocol that hides names.
    """
    try:
        with ZipFile(io.BytesIO(payload)) as archive:
            schema = json.loads(archive.read("schema.json"))
        protocol = schema.get("protocol")
        if type(protocol) is not int or protocol < _OLDEST:
            raise InvalidInputError(
                f"{role}: protocol {protocol!r} of skops, expected {_OLDEST} or later"
            )
        names = _Names()
        return sorted({name for name in names.untrusted(schema) if name not in trusted})
    except (BadZipFile, KeyError, AttributeError, TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"{role}: {type(error).__name__} in the stored model, expected a skops archive"
        ) from None


class _Names:
    """Looks at every node of an archive.

    skops builds a node whose number it has met before from what it met then: a number stands for
    one kind and name only.
    """

    def __init__(self) -> None:
        self._numbered: dict[object, tuple[object, ...]] = {}

    def untrusted(self, state: Any) -> Iterator[str]:
        """Yield the names of a part of an archive that are not on the list."""
        if isinstance(state, list):
            for item in state:
                yield from self.untrusted(item)
        if not isinstance(state, dict):
            return
        if "__class__" in state or "__loader__" in state:
            yield from self._own_names(state)
            if _only_checks_arrays(state):
                yield from self._numbers(state["content"]["content"]["func"])
                state = _with_arguments_alone(state)
        for key, value in state.items():
            # a cache of fitted steps is read by pickle
            if key == "memory" and isinstance(value, dict) and not _is_null(value):
                yield f"{key}={value.get('content')}"
            yield from self.untrusted(value)

    def _own_names(self, state: dict[str, Any]) -> Iterator[str]:
        loader, name = state.get("__loader__"), _full_name(state)
        if loader == "CachedNode":  # one that was loaded before: it was looked up there
            return
        yield from self._numbers(state)
        if name not in _TRUSTED.get(str(loader), ()) and not _only_checks_arrays(state):
            yield name
        if loader == "MethodNode":  # how skops names what it trusts
            yield f"{name}.{state['content']['func']}"
        if loader == "RandomGeneratorNode":
            yield from _bit_generators(state)

    def _numbers(self, state: dict[str, Any]) -> Iterator[str]:
        """Yield the name of a node whose number stands for another one."""
        number, loader, name = state.get("__id__"), state.get("__loader__"), _full_name(state)
        looks = (loader, name, state.get("content") if loader == "JsonNode" else None)
        if number is not None and self._numbered.setdefault(number, looks) != looks:
            yield f"{name} in the place of another object"
        if loader == "PartialNode":
            yield from self._numbers(state["content"]["func"])


def _only_checks_arrays(state: dict[str, Any]) -> bool:
    """Return whether a node is a FunctionTransformer of scikit-learn's own pipelines.

    It is without function in what passes columns through, and checks arrays in
    HistGradientBoostingClassifier.
    """
    if (state.get("__loader__"), _full_name(state)) != ("ObjectNode", _TRANSFORMER):
        return False
    try:
        content = state["content"]
        settings = content["content"]
        return (
            content["__loader__"] == "DictNode"
            and (_is_null(settings["func"]) or _is_check(settings["func"]))
            and _is_null(settings["inverse_func"])
            and _is_null(settings["kw_args"])
        )
    except (AttributeError, KeyError, TypeError):
        return False


def _with_arguments_alone(state: dict[str, Any]) -> dict[str, Any]:
    """Return such a node with the arguments of its function in the function's place."""
    content = state["content"]
    func = content["content"]["func"]
    parts = func["content"] if _is_check(func) else {}
    arguments = [part for key, part in parts.items() if key != "func"]
    return {"content": {**content, "content": {**content["content"], "func": arguments}}}


def _is_null(node: dict[str, Any]) -> bool:
    return (node.get("__loader__"), node.get("content")) == ("JsonNode", "null")


def _is_check(node: Any) -> bool:
    """Return whether a node is a partial call of scikit-learn's check of arrays."""
    try:
        func = node["content"]["func"]
        return (node["__loader__"], _full_name(node)) == ("PartialNode", "functools.partial") and (
            func["__loader__"],
            _full_name(func),
        ) == ("FunctionNode", _CHECKING)
    except (KeyError, TypeError):
        return False


def _full_name(state: dict[str, Any]) -> str:
    return f"{state.get('__module__')}.{state.get('__class__')}"


def _bit_generators(state: Any) -> Iterator[str]:
    """Yield the names of the bit generators below a node that are none: skops calls them."""
    if not isinstance(state, dict):
        return
    for key, value in state.items():
        if key == "bit_generator" and isinstance(value, dict) and "key_types" not in value:
            named = value.get("__loader__") == "JsonNode"
            name = json.loads(value["content"]) if named else value.get("__class__")
            if not named or name not in _BIT_GENERATORS:
                yield f"numpy.random.{name}"
        yield from _bit_generators(value)
