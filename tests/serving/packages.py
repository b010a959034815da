"""Small packages of models, made without Spark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_matrix

from genre_spark.features.blocks import (
    CategoriesBlock,
    NumbersBlock,
    PosterForm,
)
from genre_spark.features.specification import FeatureSpecification
from genre_spark.fusion.block_scaling import fit_scales
from genre_spark.fusion.calibration.calibrators import Calibrator
from genre_spark.fusion.linear.model import fit_linear
from genre_spark.fusion.logistic import LogisticFit
from genre_spark.fusion.network.inputs import FusedInputs
from genre_spark.fusion.network.model import FusedModel
from genre_spark.fusion.stacks.stacking import Penalty, StackedModel
from genre_spark.serving.package_description import ModelDescription
from genre_spark.serving.packaging import package_model
from genre_spark.vision.inference.network_file import save_network
from genre_spark.vision.models import build_network
from genre_spark.vision.models.fused import build_fused
from genre_spark.vision.plans.poster_form import PosterForm as NetworkForm

GOLDEN = Path(__file__).parents[1] / "golden" / "multilabel" / "native"
GENRES = ("Comedy", "Drama", "Horror", "Western")
FORM = PosterForm(80, 76, "stretch", "png", 90, False, 10**6, 10**6, 8)
SPECIFICATION = FeatureSpecification(
    (NumbersBlock(("year",), (1990.0,)), CategoriesBlock("countries", ("UK", "USA", "France"))),
    training_movies=80,
)
FOREST = {"kind": "multilabel", "folder": "parts/forest", "class": "MultilabelRandomForestModel"}
LINEAR = {"kind": "linear", "file": "parts/linear.npz"}
FUSED = {"kind": "fused", "file": "parts/fused.pt"}
NETWORK = {"kind": "network", "file": "parts/network.pt"}


def describe(part, *, rule="f1_micro", thresholds=(0.3,)) -> ModelDescription:
    return ModelDescription(
        name="small",
        version="abc",
        vocabulary=GENRES,
        rule=rule,
        thresholds=thresholds,
        prior=(0.4, 0.5, 0.2, 0.1),
        part=part,
        posters=FORM,
    )


def linear_model():
    rows = np.random.default_rng(0).integers(0, 2, (40, 5)).astype(float)
    weights = {"numbers": 0.5, "countries": 1.0}
    places = dict(SPECIFICATION.blocks)
    return fit_linear(csr_matrix(rows), rows[:, 1:], places, weights, penalty=1.0)


def fused_model():
    """A network over metadata alone, with random weights."""
    rows = csr_matrix(np.random.default_rng(0).integers(0, 2, (40, 5)).astype(float))
    parts = {"year": ("numbers",), "places": ("countries",)}
    weights = {"numbers": 1.0, "countries": 1.0}
    scales = fit_scales(rows, SPECIFICATION.blocks, weights, dense=(), numbers=("numbers",))
    inputs = FusedInputs(parts, scales)
    network = build_fused(inputs.sizes, len(GENRES), seed=2, hidden=4).eval()
    with torch.no_grad():
        network.head.weight.fill_(0.3)
    return FusedModel(inputs, network, GENRES)


def write_package(folder: Path, part, **settings) -> str:
    """Write a package of the golden forest, a random network, or a stack of both."""
    sources = folder / "sources"
    sources.mkdir(parents=True)
    network = build_network("scratch_cnn_one", len(GENRES), 80, 76, seed=1)
    save_network(str(sources / "network.pt"), network, GENRES, NetworkForm(80, 76))
    weights = np.vstack([np.eye(len(GENRES)), np.eye(len(GENRES)) * 0.5])
    forest_alone = np.vstack([np.eye(len(GENRES)), np.zeros((4, 4))])
    fits = {
        (True, True): LogisticFit(weights, np.full(4, -0.1)),
        (True, False): LogisticFit(forest_alone, np.full(4, 0.2)),
    }
    stack = StackedModel(("forest", "network"), fits, Penalty(1.0, None))
    (sources / "stack.npz").write_bytes(stack.to_bytes())
    curves = Calibrator("platt", ((0.5,),) * 4, ((-1.0,),) * 4)
    (sources / "calibration.json").write_text(curves.to_json())
    fused_model().save(str(sources / "fused.pt"))
    (sources / "linear.npz").write_bytes(linear_model().to_bytes())
    package_model(
        str(folder / "package"),
        describe(part, **settings),
        files={
            "parts/forest": str(GOLDEN),
            "parts/network.pt": str(sources / "network.pt"),
            "parts/linear.npz": str(sources / "linear.npz"),
            "parts/fused.pt": str(sources / "fused.pt"),
            "parts/stack.npz": str(sources / "stack.npz"),
            "parts/calibration.json": str(sources / "calibration.json"),
        },
        features=SPECIFICATION,
        backbone=None,
    )
    return str(folder / "package")
