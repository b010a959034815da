"""Random changes of training posters."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import functional as T

from genre_spark.config import AugmentationConfig
from genre_spark.vision.training.augmentation import augment
from genre_spark.vision.training.loop import train
from tests.vision.small import set_up


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
    """With a rate of almost 0 nothing is learned: losses show which posters the network got."""
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
