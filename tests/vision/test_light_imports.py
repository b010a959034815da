"""What starts without torch, which takes seconds to import and half a gigabyte."""

from __future__ import annotations

import subprocess
import sys

import pytest


def imports(module: str, package: str) -> bool:
    """Whether a new process that imports the module has imported the package too."""
    program = f"import sys, {module}; print({package!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return done.stdout.strip() == b"True"


@pytest.mark.parametrize(
    "module",
    [
        "genre_spark.vision.inference.decoded_posters",  # tasks that look at pixels alone
        "genre_spark.vision.inference.prediction",  # a driver whose workers compute
        "genre_spark.pipelines.models.network_training",  # a driver whose own process trains
        "genre_spark.pipelines.models.search_cnn",
        "genre_spark.pipelines.models.train_fused",
        "genre_spark.pipelines.evaluation.network_heat_maps",
    ],
)
def test_what_computes_nothing_needs_no_torch(module):
    assert not imports(module, "torch")


def test_a_training_without_changes_of_colour_needs_no_torchvision():
    assert not imports("genre_spark.vision.training.poster_training", "torchvision")
