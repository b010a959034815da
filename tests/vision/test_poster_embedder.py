"""Several networks and depths in one vector, any network of a library, and what is missing."""

from __future__ import annotations

import copy
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torchvision import models

from genre_spark.config import build_config
from genre_spark.errors import InvalidConfigError, InvalidInputError, MissingExtraError
from genre_spark.features.blocks import POSTER_EMBEDDING, EmbeddingBlock
from genre_spark.features.specification import FeatureSpecification
from genre_spark.imaging import encode_pixels
from genre_spark.pipelines.features.network_features import features_depend_on, store_embedder
from genre_spark.serving.embedders import Embedders
from genre_spark.serving.package_description import ModelDescription
from genre_spark.storage.tables import TableManifest, commit_table
from genre_spark.vision.inference.network_file import prepare_for_inference
from genre_spark.vision.inference.poster_embedder import load_embedder, save_embedder
from genre_spark.vision.models import build_network
from genre_spark.vision.models.depths import find_depths
from genre_spark.vision.models.weights import load_pretrained
from genre_spark.vision.plans.poster_form import PosterForm
from tests.features.specifications import FORM

HEIGHT, WIDTH = 66, 50
POSTERS = PosterForm(HEIGHT, WIDTH)
images = np.random.default_rng(1).integers(0, 256, (3, 3, HEIGHT, WIDTH), np.uint8)


@pytest.fixture(scope="module")
def networks():
    return [
        build_network(name, 1, HEIGHT, WIDTH, seed=3) for name in ("resnet18", "efficientnet_lite0")
    ]


def test_features_of_networks_and_depths_stand_side_by_side(networks, tmp_path) -> None:
    file = str(tmp_path / "networks.pt")
    length = save_embedder(file, networks, POSTERS, mirror=False, depths=True)
    found = load_embedder(file).features(images)
    assert found.shape == (3, length)
    resnet, efficient = networks
    assert length == 512 + 2 * (128 + 256 + 512) + 1280 + 2 * (40 + 80 + 112 + 192 + 320)
    with torch.inference_mode():
        pixels = resnet.eval().normalise(torch.from_numpy(images))
        last = resnet.backbone(pixels)
        trunk = torch.nn.Sequential(*list(resnet.backbone.children())[:6])
        maps = trunk(pixels)  # up to layer2
    np.testing.assert_allclose(found[:, :512], last, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found[:, 512:640], maps.mean((2, 3)), rtol=1e-3, atol=1e-4)
    spread = maps.std((2, 3), correction=0)
    np.testing.assert_allclose(found[:, 1408:1536], spread, rtol=1e-3, atol=1e-4)
    efficient = copy.deepcopy(efficient)  # the others need it as it is
    prepare_for_inference(efficient)
    with torch.inference_mode():
        alone = efficient.features(torch.from_numpy(images))
    np.testing.assert_allclose(found[:, 2304:3584], alone, rtol=1e-3, atol=1e-4)


def test_a_mirrored_poster_has_the_same_features_where_both_are_averaged(networks, tmp_path):
    file = str(tmp_path / "networks.pt")
    save_embedder(file, networks[:1], POSTERS, mirror=True, depths=True)
    embedder = load_embedder(file)
    flipped = np.ascontiguousarray(images[:, :, :, ::-1])
    np.testing.assert_allclose(
        embedder.features(images), embedder.features(flipped), rtol=1e-4, atol=1e-5
    )


def test_bf16_gives_nearly_the_same_features(networks, tmp_path) -> None:
    found = []
    for precision in ("float32", "bf16"):
        file = str(tmp_path / f"{precision}.pt")
        save_embedder(file, networks[1:], POSTERS, mirror=False, depths=True, precision=precision)
        found.append(load_embedder(file).features(images))
    assert found[1].dtype == np.float32
    assert not np.array_equal(*found)
    assert np.corrcoef(found[0].ravel(), found[1].ravel())[0, 1] > 0.999


def test_any_network_of_torchvision_takes_its_weights_from_a_file(tmp_path) -> None:
    torch.manual_seed(5)
    whole = models.shufflenet_v2_x0_5(weights=None).eval()
    torch.save(whole.state_dict(), tmp_path / "weights.pth")
    network = build_network("torchvision_shufflenet_v2_x0_5", 1, 64, 64, seed=0).eval()
    load_pretrained(network, str(tmp_path / "weights.pth"))
    pixels = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(whole.fc(network.backbone(pixels)), whole(pixels), atol=1e-5)
    depths = find_depths(network.backbone, 64, 64)
    assert depths[-1] == "conv5"
    with pytest.raises(InvalidConfigError, match="torchvision_alexnet2, expected a classifier of"):
        build_network("torchvision_alexnet2", 1, 64, 64, seed=0)
    with pytest.raises(InvalidInputError, match=r"depths: true, but the network has no maps"):
        find_depths(torch.nn.Flatten(), 64, 64)


def test_timm_that_is_not_installed_is_reported_with_the_command(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"timm_resnet10t: .* expected `pip install timm`"):
        build_network("timm_resnet10t", 1, 64, 64, seed=0)


def make_recipe(work, **embeddings):
    """A recipe with a posters table that says how it stores posters."""
    paths = {"genres_csv": "g", "posters": "p", "metadata": "m", "work": str(work)}
    posters = {"height": HEIGHT, "width": WIDTH}
    cnn = {"architecture": "resnet18", "pretrained": "none"}
    table = str(work / "posters")
    commit_table(table, TableManifest("f", (), 0, details={"encoding": "png"}))
    return build_config({"paths": paths, "posters": posters, "cnn": cnn, "embeddings": embeddings})


def test_a_model_embeds_new_posters_as_the_stage_does(tmp_path) -> None:
    weights = {"efficientnet_lite0": "none"}
    networks = ["resnet18", "efficientnet_lite0"]
    config = make_recipe(tmp_path, networks=networks, weights=weights, depths=True, mirror=True)
    stored = store_embedder(config)
    assert store_embedder(config) == stored
    assert stored.table.endswith("embeddings/resnet18+efficientnet_lite0+depths")
    specification = FeatureSpecification(
        (EmbeddingBlock(POSTER_EMBEDDING, np.zeros(stored.features), marked=False),), 1
    )
    form = FORM.__class__(HEIGHT, WIDTH, "stretch", "png", 90, True, 10**6, 10**6, 4)
    description = ModelDescription("m", "v", ("a",), "fixed", (0.5,), (0.5,), {}, form)
    poster = np.ascontiguousarray(images[0].transpose(1, 2, 0)[:, :, ::-1])
    frame = pd.DataFrame({"image": [bytes(encode_pixels(poster, encoding="png"))]})
    added = Embedders(specification, description, stored.file).add(frame, [[]])
    expected = load_embedder(stored.file).features(images[:1])[0]
    # a GPU computes in bfloat16, whose numbers have three digits
    far, relative = (0.05, 1e-2) if torch.cuda.is_available() else (1e-5, 1e-4)
    np.testing.assert_allclose(added["poster_embedding"][0], expected, rtol=relative, atol=far)


def test_what_changes_a_poster_s_vector_changes_its_version(tmp_path) -> None:
    weights = {"efficientnet_lite0": "none"}
    kinds: list[dict[str, object]] = [
        {},
        {"depths": True},
        {"mirror": True},
        {"precision": "bf16"},
        {"networks": ["resnet18", "efficientnet_lite0"], "weights": weights},
    ]
    configs = [make_recipe(tmp_path, **kind) for kind in kinds]
    assert len({store_embedder(config).version for config in configs}) == len(kinds)
    assert len({str(features_depend_on(config)) for config in configs}) == len(kinds)
    with pytest.raises(InvalidConfigError, match=r"embeddings.*weights.vgg16: not in networks"):
        make_recipe(tmp_path, weights={"vgg16": "none"})
    with pytest.raises(InvalidConfigError, match="resnet18 is there twice, expected each network"):
        make_recipe(tmp_path, networks=["resnet18", "resnet18"])
    with pytest.raises(InvalidConfigError, match=r"'lenet' has no pretrained weights, expected"):
        store_embedder(make_recipe(tmp_path, networks=["lenet"]))
