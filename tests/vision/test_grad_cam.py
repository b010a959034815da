"""Where networks look: one that reads a corner lights up this corner; every architecture works."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from genre_spark.errors import InvalidInputError
from genre_spark.vision.figures.heat_maps import LookedAt, draw_heat_maps
from genre_spark.vision.inference.grad_cam import heat_maps, last_convolution
from genre_spark.vision.inference.network_file import TrainedNetwork, prepare_for_inference
from genre_spark.vision.models import architecture_names, build_network
from genre_spark.vision.plans.poster_form import PosterForm

CPU = torch.device("cpu")
GENRES = ("Drama", "Horror")


def trained(name, height, width):
    network = build_network(name, len(GENRES), height, width, seed=1)
    return TrainedNetwork(network, GENRES, CPU, PosterForm(height, width))


def noise(count, height, width):
    return np.random.default_rng(0).integers(0, 256, (count, 3, height, width), dtype=np.uint8)


def test_a_network_that_reads_one_corner_lights_up_this_corner():
    """A LeNet whose first genre depends on one corner, and its second on the opposite one."""
    found = trained("lenet", 160, 152)
    features = found.network.feature_count // 16
    height, width = 6, 5  # of the maps behind the last pooling
    assert features == height * width
    weights = torch.zeros(2, 16, height, width)
    weights[0, :, :2, :2] = weights[1, :, -2:, -2:] = 1.0
    found.network.head = nn.Linear(16 * features, 2)
    with torch.no_grad():
        found.network.head.weight.copy_(weights.flatten(1))
    found.network.eval()
    heat = heat_maps(found, noise(4, 160, 152), [0, 1, 0, 1])
    assert heat.shape == (4, 12, 11)
    assert heat.max(axis=(1, 2)) == pytest.approx(1.0)
    for number, values in enumerate(heat):
        corner = values[:4, :4] if number % 2 == 0 else values[-5:, -5:]
        assert corner.sum() == pytest.approx(values.sum())


def test_the_patch_that_a_pooled_network_answers_to_is_hot():
    """A mean over the maps of one convolution that sees red: the red patch is hot."""
    found = trained("scratch_cnn_one", 40, 30)
    convolution = found.network.backbone[0]
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.weight[:, 0, 1, 1] = 1.0
        convolution.bias.zero_()
        for layer in found.network.head.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.fill_(1.0)
    found.network.eval()
    images = np.zeros((1, 3, 40, 30), np.uint8)
    images[0, 0, 20:30, 10:20] = 255
    (heat,) = heat_maps(found, images, [1])
    assert heat[20:30, 10:20].min() > 0.9
    heat[20:30, 10:20] = 0
    assert heat.max() < 0.1


@pytest.mark.parametrize("name", architecture_names())
def test_every_architecture_has_heat_maps_and_is_left_as_it_was(name):
    found = trained(name, 96, 80)
    prepare_for_inference(found.network)
    images = noise(3, 96, 80)
    before = found.probabilities(images)
    heat = heat_maps(found, images, [0, 1, 1])
    assert heat.shape[0] == 3
    assert heat.ndim == 3
    assert min(heat.shape[1:]) > 1
    assert (heat >= 0).all()
    assert (heat <= 1).all()
    assert (found.probabilities(images) == before).all()
    assert not any(module._forward_hooks for module in found.network.modules())


def test_the_last_convolution_is_that_which_computes_last():
    """Modules are listed in another order than they compute in."""

    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.second = nn.Conv2d(4, 5, 1)
            self.first = nn.Conv2d(3, 4, 1)

        def forward(self, images):
            return self.second(self.first(images.float()))

    network = Turned()
    assert last_convolution(network, noise(1, 8, 8), CPU) is network.second
    with pytest.raises(InvalidInputError, match="Flatten: no convolution, expected one"):
        last_convolution(nn.Flatten(), noise(1, 8, 8), CPU)


def test_pictures_have_the_genre_above_and_the_true_ones_below():
    pixels = noise(1, 40, 30)[0].transpose(1, 2, 0)
    right = LookedAt(pixels, np.eye(4), "Horror", 0.97, ("Horror", "Thriller"))
    wrong = LookedAt(pixels, np.eye(4), "Drama", 0.9, ())
    above_right, above_wrong, _, below_right, below_wrong, _ = draw_heat_maps(
        [right, wrong], title="x"
    ).axes
    assert (above_right.get_title(), above_wrong.get_title()) == ("Horror 0.97", "Drama 0.90")
    assert below_right.get_xlabel() == "true: Horror, Thriller"
    assert below_wrong.get_xlabel() == "true: none"
