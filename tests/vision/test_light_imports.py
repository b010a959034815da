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


def test_a_run_knows_the_names_of_networks_before_it_begins_without_torch(tmp_path):
    (tmp_path / "recipe.yaml").write_text(
        "paths: {genres_csv: g.csv, posters: p, metadata: m, work: w}\n"
        "stack: {models: {all: [binary_relevance, resnet18], more: [all, lenet]}}\n"
    )
    (tmp_path / "w" / "predictions" / "lenet").mkdir(parents=True)
    program = (
        "import sys\n"
        "from genre_spark.config import load_config\n"
        "from genre_spark.pipelines.model_settings import check_models\n"
        "from genre_spark.pipelines.run import stages_of\n"
        "for name in ('resnet18', 'torchvision_alexnet'):\n"
        "    words = [f'cnn.architecture={name}', 'cnn.name=resnet18']\n"
        "    config = load_config(sys.argv[1], words)\n"
        "    check_models(config, [entry.name for entry in stages_of(config)])\n"
        "print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "recipe.yaml")]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout.strip() == b"False"
