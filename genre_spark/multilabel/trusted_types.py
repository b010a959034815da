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

__all__ = ["find_untrusted"]

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


def find_untrusted(payload: bytes, trusted: Collection[str], role: str) -> list[str]:
    """Return the full names in a skops archive that are not on the list, sorted.

    Args:
        payload: the archive.
        trusted: full names that the user trusts beside the list: types, functions, methods.
        role: name of the model in messages.

    Raises:
        InvalidInputError: it is no skops archive.
    """
    try:
        with ZipFile(io.BytesIO(payload)) as archive:
            schema = json.loads(archive.read("schema.json"))
        return sorted({name for name in _untrusted(schema) if name not in trusted})
    except (BadZipFile, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"{role}: {type(error).__name__} in the stored model, expected a skops archive"
        ) from None


def _untrusted(state: Any) -> Iterator[str]:
    """Yield the names of a part of an archive that are not on the list."""
    if isinstance(state, list):
        for item in state:
            yield from _untrusted(item)
    if not isinstance(state, dict):
        return
    loader = state.get("__loader__")
    if _only_checks_arrays(state):
        state = state["content"]["content"] | {"func": None}
    elif "__class__" in state or loader is not None:
        name = _full_name(state)
        # one that was loaded before: it was looked up there
        if loader != "CachedNode" and name not in _TRUSTED.get(str(loader), ()):
            yield name
        if loader == "MethodNode":  # how skops names what it trusts
            yield f"{name}.{state['content']['func']}"
        if loader == "RandomGeneratorNode":
            yield from _bit_generators(state)
    for key, value in state.items():
        # a cache of fitted steps is read by pickle
        if key == "memory" and isinstance(value, dict) and value.get("content") != "null":
            yield f"{key}={value.get('content')}"
        yield from _untrusted(value)


def _only_checks_arrays(state: dict[str, Any]) -> bool:
    """Return whether a node is a FunctionTransformer of scikit-learn's own pipelines.

    It is without function in what passes columns through, and checks arrays in
    HistGradientBoostingClassifier.
    """
    if _full_name(state) != "sklearn.preprocessing._function_transformer.FunctionTransformer":
        return False
    try:
        settings = state["content"]["content"]
        func, nothing = settings["func"], (settings["inverse_func"], settings["kw_args"])
        if any(one["content"] != "null" or one["__loader__"] != "JsonNode" for one in nothing):
            return False
        if func["__loader__"] == "JsonNode":
            return bool(func["content"] == "null")
        parts = func["content"]
        return (
            (func["__loader__"], _full_name(func)) == ("PartialNode", "functools.partial")
            and parts["func"]["__loader__"] == "FunctionNode"
            and _full_name(parts["func"]) == "sklearn.utils.validation.check_array"
            and not any(_untrusted([parts["args"], parts["kwds"], parts["namespace"]]))
        )
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
