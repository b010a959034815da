from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.transforms.v2 import functional as T

from genre_spark.config import AugmentationConfig, CnnConfig, ScheduleConfig
from genre_spark.errors import InvalidInputError, StageFailedError, TrainingDivergedError
from genre_spark.vision.feed.memory_feed import MemoryFeed
from genre_spark.vision.inference.network_file import PosterForm, TrainedNetwork
from genre_spark.vision.models import build_network
from genre_spark.vision.training.augmentation import augment
from genre_spark.vision.training.loop import train
from genre_spark.vision.training.losses import LabelWeights, build_loss
from genre_spark.vision.training.optimizers import build_optimizer, build_schedule
from tests.vision.small import AUGMENTED, set_up, set_up_rows


class Interrupted(Exception):
    pass


class StoppingFeed:
    """A feed that dies after so many batches, like a process that is killed."""

    def __init__(self, feed, after):
        self.feed, self.left = feed, after
        self.rows, self.batches_per_epoch = feed.rows, feed.batches_per_epoch

    def epoch(self, epoch, skip_batches=0):
        for batch in self.feed.epoch(epoch, skip_batches):
            if self.left == 0:
                raise Interrupted
            self.left -= 1
            yield batch


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("stop_after", [1, 6, 11])
def test_a_run_stopped_at_any_batch_reaches_the_weights_of_an_undisturbed_one(
    tmp_path, posters, optimizer, stop_after
):
    settings = {
        **AUGMENTED,
        "optimizer": optimizer,
        "schedule": {"kind": "cosine", "warmup_epochs": 0.5},
    }
    whole = set_up(tmp_path / "whole", posters, **settings)
    expected = train(*whole)

    network, loss, (feed, validation), plan, checkpoints = set_up(
        tmp_path / "stopped", posters, **settings
    )
    with pytest.raises(Interrupted):
        train(network, loss, (StoppingFeed(feed, stop_after), validation), plan, checkpoints)
    resumed = set_up(tmp_path / "stopped", posters, **settings)
    torch.rand(17)  # whatever else happened in the new process
    outcome = train(*resumed)

    for name, value in whole[0].state_dict().items():
        assert torch.equal(value, resumed[0].state_dict()[name]), name
    assert [record.train_loss for record in outcome.history] == [
        record.train_loss for record in expected.history
    ]
    assert outcome.best_epoch == expected.best_epoch


def test_a_killed_process_goes_on_from_its_last_checkpoint_to_the_same_weights(tmp_path):
    """The real thing: kill -9 somewhere in the middle, then the same command again."""
    script = Path(__file__).parent / "train_alone.py"
    command = [sys.executable, str(script)]

    def run(folder, pause):
        return subprocess.Popen([*command, str(folder), str(pause)], cwd=script.parents[2])

    assert run(tmp_path / "whole", 0).wait(timeout=120) == 0
    process = run(tmp_path / "killed", 0.2)
    deadline = time.monotonic() + 100
    while not (tmp_path / "killed" / "last.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)  # some batches further
    process.kill()
    assert process.wait() != 0
    last = torch.load(tmp_path / "killed" / "last.pt", weights_only=True)
    assert not last["outcome"]["finished"]
    assert run(tmp_path / "killed", 0).wait(timeout=120) == 0
    whole, again = (
        torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "killed")
    )
    assert all(
        torch.equal(whole["network"][key], again["network"][key]) for key in whole["network"]
    )


def numbers(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(3, 2, (rows, 4)).astype(np.float32), (rng.random((rows, 3)) < 0.4).astype(
        np.float32
    )


def normalised() -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))


def test_a_last_batch_of_one_row_trains_weights_and_leaves_the_statistics_of_normalisation(
    tmp_path,
):
    features, labels = numbers(9)
    run = set_up_rows(
        tmp_path, features, labels, network=normalised(), batch_size=8, optimizer="sgd"
    )
    first = next(run[2][0].epoch(0)).images
    train(*run)
    statistics = run[0][0]
    assert int(statistics.num_batches_tracked) == 1  # the batch of eight rows alone
    torch.testing.assert_close(statistics.running_mean, 0.1 * first.mean(0))
    torch.testing.assert_close(statistics.running_var, 0.9 + 0.1 * first.var(0))
    eight = set_up_rows(
        tmp_path / "8", *(part[:8] for part in (features, labels)), network=normalised()
    )
    train(*eight)
    assert not torch.equal(eight[0][1].weight, run[0][1].weight)


@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_run_stopped_before_a_last_batch_of_one_row_reaches_the_same_weights(
    tmp_path, stop_after
):
    whole = set_up_rows(
        tmp_path / "whole", *numbers(9), network=normalised(), batch_size=8, epochs=3
    )
    train(*whole)
    network, loss, (feed, validation), plan, checkpoints = set_up_rows(
        tmp_path / "stopped", *numbers(9), network=normalised(), batch_size=8, epochs=3
    )
    with pytest.raises(Interrupted):
        train(network, loss, (StoppingFeed(feed, stop_after), validation), plan, checkpoints)
    resumed = set_up_rows(
        tmp_path / "stopped", *numbers(9), network=normalised(), batch_size=8, epochs=3
    )
    train(*resumed)
    for name, value in whole[0].state_dict().items():
        assert torch.equal(value, resumed[0].state_dict()[name]), name


def test_a_stopped_run_draws_the_same_negatives_again(tmp_path):
    def start(folder):
        run = set_up_rows(
            tmp_path / folder, *numbers(20), network=normalised(), batch_size=8, epochs=3
        )
        weights = LabelWeights((2.0, 1.0, 0.5), (0.5, 1.0, 2.0))
        return run[0], build_loss("bce", weights=weights, negative_rate=(0.3, 0.5, 0.7)), *run[2:]

    whole, plain = (
        start("whole"),
        set_up_rows(tmp_path / "plain", *numbers(20), network=normalised(), batch_size=8),
    )
    train(*whole), train(*plain)
    network, loss, (feed, validation), plan, checkpoints = start("stopped")
    with pytest.raises(Interrupted):
        train(network, loss, (StoppingFeed(feed, 5), validation), plan, checkpoints)
    resumed = start("stopped")
    train(*resumed)
    for name, value in whole[0].state_dict().items():
        assert torch.equal(value, resumed[0].state_dict()[name]), name
    assert not torch.equal(whole[0][1].weight, plain[0][1].weight)


@pytest.mark.parametrize(("weight", "copies"), [(2, 2), (0, 0)])
def test_a_sample_of_weight_2_counts_like_two_and_one_of_weight_0_like_none(
    tmp_path, weight, copies
):
    features, labels = numbers(10)
    sgd = {"optimizer": "sgd", "learning_rate": 0.1, "epochs": 4, "patience": 9}

    def linear():
        torch.manual_seed(4)
        return nn.Linear(4, 3)

    weights = np.ones(10, np.float32)
    weights[3] = weight
    weighted = set_up_rows(
        tmp_path / "w", features, labels, weights=weights, network=linear(), **sgd
    )
    rows = [row for row in range(10) for _ in range(copies if row == 3 else 1)]
    repeated = set_up_rows(tmp_path / "r", features[rows], labels[rows], network=linear(), **sgd)
    first, second = train(*weighted), train(*repeated)
    torch.testing.assert_close(weighted[0].weight, repeated[0].weight)
    for one, other in zip(first.history, second.history, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-5)
        assert one.validation_loss == pytest.approx(other.validation_loss, rel=1e-5)


def test_a_gradient_is_clipped_to_its_largest_norm(tmp_path):
    run = set_up_rows(
        tmp_path,
        *numbers(12),
        network=normalised(),
        optimizer="sgd",
        momentum=0.0,
        learning_rate=1.0,
        clip_norm=0.01,
    )
    before = [value.detach().clone() for value in run[0].parameters()]
    train(*run)
    moved = torch.cat(
        [(new - old).flatten() for new, old in zip(run[0].parameters(), before, strict=True)]
    )
    assert float(moved.detach().norm()) == pytest.approx(0.01, rel=1e-3)


def test_bfloat16_computes_otherwise_and_keeps_weights_in_float32(tmp_path, posters):
    runs = {
        name: set_up(tmp_path / name, posters, epochs=2, precision=name)
        for name in ("float32", "bf16")
    }
    exact, mixed = (train(*run) for run in runs.values())
    assert all(value.dtype == torch.float32 for value in runs["bf16"][0].parameters())
    assert mixed.history[-1].validation_loss == pytest.approx(
        exact.history[-1].validation_loss, rel=0.05
    )
    assert mixed.history[-1].validation_loss != exact.history[-1].validation_loss


class Greedy(nn.Module):
    """Asks for more memory than there is, in training or in validation."""

    def __init__(self, phase):
        super().__init__()
        self.layer, self.phase, self.size = nn.Linear(4, 3), phase, (345, 230)

    def forward(self, rows):
        if self.training == (self.phase == "training"):
            raise torch.cuda.OutOfMemoryError("x")
        return self.layer(rows)


@pytest.mark.parametrize("phase", ["training", "validation"])
def test_a_gpu_without_memory_left_is_told_with_what_to_lower(tmp_path, phase):
    run = set_up_rows(tmp_path, *numbers(8), network=Greedy(phase))
    with pytest.raises(
        StageFailedError, match=r"cnn\.batch_size=8 at 345x230 pixels: lower cnn\.batch_size.*\(x\)"
    ):
        train(*run)


def test_a_gpu_without_memory_left_is_told_in_prediction_too(monkeypatch):
    network = build_network("scratch_cnn_one", 3, 80, 76, seed=0)
    trained = TrainedNetwork(network, ("a", "b", "c"), torch.device("cpu"), PosterForm(80, 76))

    def fail(images):
        raise torch.cuda.OutOfMemoryError("x")

    monkeypatch.setattr(network, "features", fail)
    for predict in (trained.probabilities, trained.features):
        with pytest.raises(StageFailedError, match=r"embeddings\.batch_size=2 at 80x76 pixels"):
            predict(np.zeros((2, 3, 80, 76), np.uint8))


def test_the_best_checkpoint_is_whole_and_a_training_can_go_on_from_it(tmp_path, posters):
    run = set_up(tmp_path, posters, epochs=3)
    whole = train(*run)
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    last = torch.load(tmp_path / "last.pt", weights_only=True)
    assert set(best) == set(last) | {"epoch", "loss"}
    assert best["outcome"]["epoch"] == whole.best_epoch + 1
    (tmp_path / "last.pt").write_bytes((tmp_path / "best.pt").read_bytes())
    again = set_up(tmp_path, posters, epochs=3)
    assert [record.train_loss for record in train(*again).history] == [
        record.train_loss for record in whole.history
    ]


def test_checkpoints_load_without_running_code(tmp_path, posters):
    run = set_up(tmp_path, posters, epochs=1)
    train(*run)
    for file in ("last.pt", "best.pt"):
        assert torch.load(tmp_path / file, weights_only=True)["architecture"] == "scratch_cnn_one"
    assert not list(tmp_path.glob("*.tmp"))
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_checkpoint_of_another_architecture_is_told(tmp_path, posters):
    train(*set_up(tmp_path, posters, epochs=1))
    with pytest.raises(
        InvalidInputError, match="a checkpoint of scratch_cnn_one, expected one of lenet"
    ):
        train(*set_up(tmp_path, posters, epochs=1, name="lenet"))


def test_a_damaged_checkpoint_is_told_with_its_path(tmp_path, posters):
    (tmp_path / "last.pt").write_bytes(b"no weights at all")
    with pytest.raises(InvalidInputError, match=r"last\.pt: not a file of tensors"):
        train(*set_up(tmp_path, posters, epochs=1))


def test_a_loss_that_is_not_a_number_stops_with_epoch_batch_and_rate_and_keeps_the_last_good_state(
    tmp_path, posters
):
    images, labels = posters
    network, loss, (_, validation), plan, checkpoints = set_up(tmp_path, posters)
    spoilt = labels.copy()
    spoilt[np.random.default_rng([5, 0]).permutation(len(labels))[20]] = (
        np.nan
    )  # in the third batch of the first epoch
    with pytest.raises(
        TrainingDivergedError, match=r"epoch 1, batch 3 of 6, at learning rate 0\.001"
    ):
        train(
            network,
            loss,
            (MemoryFeed(images, spoilt, batch_size=8, seed=5), validation),
            plan,
            checkpoints,
        )
    kept = checkpoints.load_last()
    assert kept is not None
    assert kept["outcome"]["batch"] == 2
    assert all(torch.isfinite(value).all() for value in kept["network"].values())


def test_a_gradient_that_overflows_stops_before_it_reaches_the_weights(tmp_path, posters):
    run = set_up(tmp_path, posters, optimizer="sgd", learning_rate=1e30)
    with pytest.raises(TrainingDivergedError, match=r"lower cnn\.learning_rate"):
        train(*run)


def test_training_stops_when_the_validation_loss_no_longer_improves_and_keeps_the_best_weights(
    tmp_path, posters
):
    images, labels = posters
    network, loss, (feed, _), plan, checkpoints = set_up(
        tmp_path, posters, epochs=30, patience=2, learning_rate=0.02, dropout=0.0
    )
    opposite = MemoryFeed(
        images, 1 - labels, batch_size=48, shuffle=False
    )  # the better it learns, the worse
    outcome = train(network, loss, (feed, opposite), plan, checkpoints)
    assert outcome.best_epoch == 0
    assert len(outcome.history) == 3
    best = checkpoints.load_best()
    assert best is not None
    assert all(
        torch.equal(best["network"][name], value) for name, value in network.state_dict().items()
    )


def test_a_report_can_stop_the_training(tmp_path, posters):
    network, loss, feeds, plan, checkpoints = set_up(tmp_path, posters, epochs=9)
    outcome = train(
        network, loss, feeds, plan, checkpoints, report=lambda record: record.epoch == 1
    )
    assert len(outcome.history) == 2


def test_a_batch_larger_than_the_data_is_told(tmp_path, posters):
    network, loss, (_, validation), plan, checkpoints = set_up(tmp_path, posters)
    few = MemoryFeed(posters[0][:5], posters[1][:5], batch_size=8)
    with pytest.raises(InvalidInputError, match=r"cnn\.batch_size: 8, expected at most 5"):
        train(network, loss, (few, validation), plan, checkpoints)


def test_biases_and_normalisation_do_not_decay():
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    optimizer = build_optimizer(network, CnnConfig(weight_decay=0.5), learning_rate=0.1)
    assert [(len(group["params"]), group["weight_decay"]) for group in optimizer.param_groups] == [
        (1, 0.5),
        (3, 0.0),
    ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("constant", [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]),
        ("linear", [0.25, 0.5, 0.75, 1.0, 2 / 3, 1 / 3]),
        ("cosine", [0.25, 0.5, 0.75, 1.0, 0.75, 0.25]),
    ],
)
def test_the_rate_warms_up_and_then_follows_its_course(kind, expected):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = build_schedule(
        optimizer, ScheduleConfig(kind=kind, warmup_epochs=1), epochs=2, batches=3
    )
    rates = []
    for _ in range(6):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx(expected)


def test_augmentation_keeps_shape_type_and_range_and_changes_posters(posters):
    images = torch.from_numpy(posters[0][:6])
    torch.manual_seed(0)
    changed = augment(images, AugmentationConfig(flip=True, crop=0.2, colour=0.3))
    assert changed.shape == images.shape
    assert changed.dtype == torch.uint8
    assert not torch.equal(changed, images)
    assert torch.equal(augment(images, AugmentationConfig()), images)


def test_mirroring_is_drawn_for_each_poster(posters):
    images = torch.from_numpy(posters[0][:16])
    torch.manual_seed(0)
    changed = augment(images, AugmentationConfig(flip=True))
    mirrored = [torch.equal(new, old.flip(2)) for new, old in zip(changed, images, strict=True)]
    kept = [torch.equal(new, old) for new, old in zip(changed, images, strict=True)]
    assert any(mirrored)
    assert any(kept)
    assert all(a or b for a, b in zip(mirrored, kept, strict=True))


def test_a_crop_shows_a_part_of_the_poster_at_its_whole_size():
    ramp = (
        torch.arange(100, dtype=torch.uint8).view(1, 1, 1, 100).expand(2, 3, 50, 100).contiguous()
    )
    torch.manual_seed(0)
    seen = [augment(ramp, AugmentationConfig(crop=0.4)).int() for _ in range(20)]
    spans = [int(images.max() - images.min()) for images in seen]
    assert all(images.shape == ramp.shape for images in seen)
    assert sum(torch.equal(images[0], images[1]) for images in seen) < 3  # a crop for each poster
    assert 55 <= min(spans) < max(spans) <= 99  # 60 % of the width at least
    assert len({int(images.min()) for images in seen}) > 3  # at different places


def test_colours_change_within_their_bounds_and_places_do_not():
    images = torch.full((1, 3, 8, 8), 100, dtype=torch.uint8)
    images[:, 0] = 120
    torch.manual_seed(0)
    means = [
        float(augment(images, AugmentationConfig(colour=0.3)).float().mean()) for _ in range(30)
    ]
    assert min(means) >= 106 * 0.7 - 1
    assert max(means) <= 107 * 1.3 + 1
    assert min(means) < 100 < 115 < max(means)
    changed = augment(images, AugmentationConfig(colour=0.3))
    assert all(len(channel.unique()) == 1 for channel in changed[0])


def test_colours_are_drawn_for_each_poster_and_change_as_in_torchvision(posters):
    images = torch.from_numpy(posters[0][:5])
    torch.manual_seed(3)
    changed = augment(images, AugmentationConfig(colour=0.4))
    torch.manual_seed(3)
    factors = 1 + (2 * torch.rand(3, 5) - 1) * 0.4
    for number, image in enumerate(images.float() / 255):
        brightness, contrast, saturation = factors[:, number].tolist()
        expected = T.adjust_contrast(T.adjust_brightness(image, brightness), contrast)
        expected = T.adjust_saturation(expected, saturation) * 255
        torch.testing.assert_close(changed[number].float(), expected, rtol=0, atol=0.51)


def test_training_posters_are_augmented_and_validation_posters_are_not(tmp_path, posters):
    """With a rate of almost 0 nothing is learnt: losses tell what the network was shown."""
    still = {"optimizer": "sgd", "learning_rate": 1e-12, "dropout": 0.0, "epochs": 2}
    augmented = {**still, "augmentation": {"crop": 0.3, "colour": 0.5}}
    plain = train(*set_up(tmp_path / "plain", posters, **still)).history
    changed = train(*set_up(tmp_path / "changed", posters, **augmented)).history
    assert plain[0].train_loss == pytest.approx(plain[1].train_loss, rel=1e-6)
    assert changed[0].train_loss != pytest.approx(plain[0].train_loss, rel=1e-4)
    assert changed[0].train_loss != pytest.approx(
        changed[1].train_loss, rel=1e-4
    )  # other changes in every epoch
    assert changed[0].validation_loss == pytest.approx(plain[0].validation_loss, rel=1e-6)
