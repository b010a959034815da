"""Gradient boosting of all labels at once, by CatBoost or XGBoost, in their own stored formats."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from genre_spark.extras import require
from genre_spark.multilabel.models.feature_block import FeatureBlock

__all__ = ["LIBRARIES", "BoostedScorer", "BoostingSettings", "Library", "fit_boosted"]

Matrix = NDArray[np.float64]
Library = Literal["catboost", "xgboost"]
LIBRARIES: tuple[Library, ...] = ("catboost", "xgboost")


@dataclass(frozen=True)
class BoostingSettings:
    """What is boosted.

    Attributes:
        library: catboost (loss MultiLogloss) or xgboost (multi_output_tree).
        iterations: number of trees, each of which answers for all labels.
        depth: of a tree.
        learning_rate: share of a tree's answer that is added, 0..1.
    """

    library: Library
    iterations: int
    depth: int
    learning_rate: float


@dataclass(frozen=True)
class BoostedScorer:
    """Boosted trees whose leaves hold an answer for each label.

    Attributes:
        library: what grew them and answers by them.
        model: in the library's own format: cbm, or XGBoost's JSON. Nothing of it is unpickled.
        constant: probability of each label that had one value in training, NaN for the others,
            which the model answers for, (labels,).
        n_features: number of features.
    """

    library: Library
    model: bytes
    constant: Matrix
    n_features: int
    kind: ClassVar[str] = "boosted"
    _loaded: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Travel as what is stored."""
        return {
            "library": self.library,
            "model": self.model,
            "constant": self.constant,
            "n_features": self.n_features,
            "_loaded": {},
        }

    @property
    def n_classes(self) -> int:
        """Number of labels."""
        return len(self.constant)

    @property
    def dense_columns(self) -> int:
        """Number of columns that become dense where sparse rows are scored."""
        return self.n_features

    def probabilities(self, block: FeatureBlock) -> Matrix:
        """Return p(label | row), (rows, labels); rows do not sum to 1."""
        found = np.tile(self.constant, (block.n_rows, 1))
        open_labels = np.isnan(self.constant)
        if open_labels.any() and block.n_rows:
            answers = self._answer(block.double())
            found[:, open_labels] = answers[:, : int(open_labels.sum())]
        return found

    def _answer(self, features: Matrix) -> Matrix:
        require(self.library)
        if "model" not in self._loaded:
            self._loaded["model"] = _load(self.library, self.model)
        model = self._loaded["model"]
        if self.library == "catboost":
            raw = model.predict(features, prediction_type="RawFormulaVal", thread_count=1)
            return np.asarray(1 / (1 + np.exp(-np.asarray(raw).reshape(len(features), -1))))
        from xgboost import DMatrix  # noqa: PLC0415 - an extra

        return np.asarray(model.predict(DMatrix(features, nthread=1)), np.float64)

    def to_bytes(self) -> bytes:
        """Return a line of JSON and the library's own format behind it."""
        values = [None if np.isnan(value) else value for value in self.constant]
        head = {"library": self.library, "constant": values, "features": self.n_features}
        return json.dumps(head).encode() + b"\n" + self.model

    @classmethod
    def from_bytes(cls, payload: bytes) -> BoostedScorer:
        """Read what `to_bytes` wrote."""
        head, _, model = payload.partition(b"\n")
        stored = json.loads(head)
        constant = [np.nan if value is None else float(value) for value in stored["constant"]]
        return cls(stored["library"], model, np.array(constant), int(stored["features"]))


def fit_boosted(
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    weights: Matrix | None,
    *,
    settings: BoostingSettings,
    seed: int,
) -> BoostedScorer:
    """Boost trees for all labels at once, with one thread.

    Args:
        features: (rows, features).
        labels: 0 or 1, (rows, labels).
        weights: of the rows, (rows,); None for 1 each.
        settings: of the trees.
        seed: of what the library draws.

    Raises:
        MissingExtraError: the library is not installed.
    """
    require(settings.library)
    varies = labels.min(axis=0) != labels.max(axis=0)
    constant = np.where(varies, np.nan, labels[0])
    target = labels[:, varies].astype(np.float64)
    if not varies.any():
        return BoostedScorer(settings.library, b"", constant, features.shape[1])
    if target.shape[1] == 1:  # both libraries want two labels at least
        target = np.repeat(target, 2, axis=1)
    fit = _fit_catboost if settings.library == "catboost" else _fit_xgboost
    model = fit(features, target, weights, settings, seed)
    return BoostedScorer(settings.library, model, constant, features.shape[1])


def _fit_catboost(
    features: NDArray[np.floating],
    target: Matrix,
    weights: Matrix | None,
    settings: BoostingSettings,
    seed: int,
) -> bytes:
    from catboost import CatBoost, Pool  # noqa: PLC0415 - an extra

    model = CatBoost(
        {
            "loss_function": "MultiLogloss",
            "iterations": settings.iterations,
            "depth": settings.depth,
            "learning_rate": settings.learning_rate,
            "random_seed": seed % 2**31,
            "thread_count": 1,
            "allow_writing_files": False,
            "logging_level": "Silent",
        }
    )
    model.fit(Pool(features, target, weight=weights))
    with tempfile.TemporaryDirectory(prefix="genre_spark-") as folder:
        file = Path(folder) / "model.cbm"
        model.save_model(str(file), format="cbm")
        return file.read_bytes()


def _fit_xgboost(
    features: NDArray[np.floating],
    target: Matrix,
    weights: Matrix | None,
    settings: BoostingSettings,
    seed: int,
) -> bytes:
    import xgboost  # noqa: PLC0415 - an extra

    booster = xgboost.train(
        {
            "objective": "binary:logistic",
            "multi_strategy": "multi_output_tree",
            "tree_method": "hist",
            "max_depth": settings.depth,
            "eta": settings.learning_rate,
            "subsample": 0.8,
            "seed": seed % 2**31,
            "nthread": 1,
            "verbosity": 0,
        },
        xgboost.DMatrix(features, target, weight=weights, nthread=1),
        num_boost_round=settings.iterations,
    )
    return bytes(booster.save_raw("json"))


def _load(library: Library, model: bytes) -> Any:
    if library == "catboost":
        from catboost import CatBoost  # noqa: PLC0415 - an extra

        found = CatBoost()
        found.load_model(blob=model)
        return found
    from xgboost import Booster  # noqa: PLC0415 - an extra

    booster = Booster({"nthread": 1})
    booster.load_model(bytearray(model))
    return booster
