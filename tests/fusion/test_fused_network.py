from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy import sparse

from genre_spark.config import FusedNetworkConfig, build_config
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.features.blocks import EmbeddingBlock, NumbersBlock
from genre_spark.features.specification import FeatureSpecification
from genre_spark.fusion.block_scaling import fit_scales
from genre_spark.fusion.network.inputs import FusedInputs
from genre_spark.fusion.network.model import FusedModel
from genre_spark.vision.feed.vector_feed import VectorFeed
from genre_spark.vision.models.fused import build_fused
from genre_spark.vision.plans.jobs import FusedTraining
from genre_spark.vision.plans.sample_facts import count_labels
from genre_spark.vision.training.fused_training import train_fused

SIZES = (4, 3)


def write_rows(folder, name, rows, *, seed, missing=0.0, groups=40):
    """Two parts that know a genre each; the flags say which are there."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((rows, 2)) < 0.4).astype(np.float32)
    parts = rng.normal(size=(rows, 7)).astype(np.float32) * 0.3
    parts[:, 0] += labels[:, 0]
    parts[:, 4] += labels[:, 1]
    known = (rng.random((rows, 2)) >= missing).astype(np.float32)
    features = np.hstack([parts, known])
    table = pa.table(
        {
            "movie_id": pa.array(np.arange(rows)),
            "features": pa.array(features.tolist(), pa.list_(pa.float32())),
            "labels": pa.array(labels.tolist(), pa.list_(pa.float32())),
            "weight": pa.array(np.ones(rows)),
        }
    )
    file = folder / f"{name}.parquet"
    pq.write_table(table, file, row_group_size=groups)
    return str(file), features, labels


def test_the_feed_gives_each_row_once_in_an_order_of_seed_and_epoch(tmp_path):
    file, features, labels = write_rows(tmp_path, "rows", 100, seed=1)
    feed = VectorFeed([file], batch_size=16, seed=3, shuffle_buffer=60)
    assert (feed.rows, feed.batches_per_epoch) == (100, 7)

    def epoch(number, skip=0):
        batches = list(feed.epoch(number, skip))
        return np.concatenate([b.images for b in batches]), np.concatenate(
            [b.labels for b in batches]
        )

    first, found = epoch(0)
    order = [int(np.flatnonzero((features == row).all(axis=1))[0]) for row in first]
    assert sorted(order) == list(range(100)) != order
    assert np.array_equal(found, labels[order])
    assert np.array_equal(epoch(0)[0], first)
    assert np.array_equal(epoch(0, 2)[0], first[32:])
    assert not np.array_equal(epoch(1)[0], first)
    still = VectorFeed([file], batch_size=64, shuffle=False)
    assert np.array_equal(np.concatenate([b.images for b in still.epoch(0)]), features)
    with pytest.raises(InvalidInputError, match="no rows"):
        VectorFeed([], batch_size=1)


def test_a_missing_part_does_not_count_and_the_others_make_up_for_it():
    network = build_fused(SIZES, 2, seed=1, hidden=8).eval()
    with torch.no_grad():
        for layer in (*network.paths, network.head):
            layer.weight.normal_()
    inputs = torch.randn(5, 9)
    inputs[:, 7:] = torch.tensor([1.0, 0.0])
    other = inputs.clone()
    other[:, 4:7] = 100.0
    assert torch.equal(network(inputs), network(other))
    inputs[:, 7:] = 0.0
    assert torch.equal(network(inputs), network.head.bias.expand(5, 2))


def test_parts_are_dropped_in_training_alone_and_never_all_of_them():
    network = build_fused(SIZES, 2, seed=1, hidden=8, drop_part=0.5)
    known = network._drop(torch.tensor([[1.0, 1.0], [1.0, 0.0]]).repeat(500, 1))
    assert (known.sum(dim=1) >= 1).all()
    assert 650 < known[0::2].sum() < 850  # half of the movies lack one of two
    assert torch.equal(known[1::2], torch.tensor([[1.0, 0.0]]).repeat(500, 1))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fused")
    train_file, _, _ = write_rows(folder, "train", 400, seed=1, missing=0.1)
    validation, _, _ = write_rows(folder, "validation", 100, seed=2)
    settings = FusedNetworkConfig(hidden=16, epochs=12, learning_rate=0.02, weight_decay=0.0)
    job = FusedTraining(
        settings,
        5,
        ([train_file], [validation]),
        SIZES,
        count_labels([train_file], 2),
        str(folder / "checkpoints"),
    )
    return folder, job, *train_fused(job)


def test_it_learns_each_part_and_does_without_one(trained):
    folder, _, network, outcome = trained
    _, features, labels = write_rows(folder, "test", 300, seed=3)

    def wrong(rows):
        with torch.inference_mode():
            return ((network(torch.from_numpy(rows)) > 0).numpy() != labels).mean(axis=0)

    assert outcome.finished
    assert wrong(features).max() < 0.12
    without = features.copy()
    without[:, 8] = 0  # the second part is missing: the first genre is known all the same
    assert wrong(without)[0] < 0.12 < wrong(without)[1]


def test_a_finished_training_is_not_repeated_and_the_seed_gives_the_same_weights(trained, tmp_path):
    _, job, network, outcome = trained
    again, same = train_fused(job)
    assert same.history == outcome.history
    anew, _ = train_fused(
        FusedTraining(job.settings, 5, job.files, SIZES, job.facts, str(tmp_path))
    )
    for other in (again, anew):
        for name, value in network.state_dict().items():
            assert torch.equal(value, other.state_dict()[name])


def test_features_become_inputs_with_marks_of_what_is_missing(tmp_path):
    fill = np.array([0.5, -1.0])
    specification = FeatureSpecification(
        (NumbersBlock(("year",), (1990.0,)), EmbeddingBlock("poster_embedding", fill, False)), 3
    )
    rows = sparse.csr_matrix([[1990.0, 0, 3, 1], [2000, 0, 0.5, -1], [1980, 1, 2, 2]])
    parts = {"metadata": ("numbers",), "poster": ("poster_embedding",)}
    scales = fit_scales(
        rows,
        specification.blocks,
        dict.fromkeys(("numbers", "poster_embedding"), 1.0),
        dense=("poster_embedding",),
        numbers=("numbers",),
    )
    inputs = FusedInputs(parts, scales)
    found = inputs.rows(specification, rows)
    assert (inputs.sizes, found.shape) == ((2, 2), (3, 6))
    assert found[:, 4:].tolist() == [[1, 1], [1, 0], [1, 1]]
    network = build_fused(inputs.sizes, 2, seed=1, hidden=8).eval()
    model = FusedModel(inputs, network, ("Comedy", "Drama"))
    model.save(str(tmp_path / "fused.pt"))
    again = FusedModel.load(str(tmp_path / "fused.pt"))
    assert np.array_equal(
        again.probabilities(specification, rows), model.probabilities(specification, rows)
    )
    (tmp_path / "other.pt").write_bytes(b"no model")
    with pytest.raises(InvalidInputError):
        FusedModel.load(str(tmp_path / "other.pt"))


def test_a_movie_has_the_same_probabilities_in_batches_of_any_size():
    """Partitions differ between clusters: the last digit may not."""
    block = EmbeddingBlock("poster_embedding", np.zeros(1280), False)
    specification = FeatureSpecification((block,), 3)
    rows = sparse.csr_matrix(np.random.default_rng(1).normal(size=(64, 1280)))
    weights = {"poster_embedding": 1.0}
    scales = fit_scales(rows, specification.blocks, weights, dense=tuple(weights), numbers=())
    inputs = FusedInputs({"poster": ("poster_embedding",)}, scales)
    network = build_fused(inputs.sizes, 19, seed=1, hidden=8).eval()
    model = FusedModel(inputs, network, tuple("abcdefghijklmnopqrs"))
    whole = model.probabilities(specification, rows).astype(np.float32)
    for size in (1, 3, 5):
        parts = [rows[start : start + size] for start in range(0, 64, size)]
        found = [model.probabilities(specification, part).astype(np.float32) for part in parts]
        assert np.array_equal(np.concatenate(found), whole), size


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"parts": {"text": []}}, "parts.text: no block"),
        ({"parts": {"a": ["words"], "b": ["words"]}}, "words twice"),
        ({"name": "Fused!"}, "small letters"),
    ],
)
def test_networks_that_cannot_be_are_rejected(tmp_path, section, message):
    paths = {name: str(tmp_path) for name in ("genres_csv", "posters", "metadata", "work")}
    with pytest.raises(InvalidConfigError, match=message):
        build_config({"paths": paths, "fused_network": section})
