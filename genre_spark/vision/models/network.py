"""From uint8 posters to logits: normalisation, backbone, head."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genre_spark.vision.models.architectures import IMAGENET, find_architecture
from genre_spark.vision.plans.poster_form import Normalisation

__all__ = ["PosterNetwork", "build_network"]


class PosterNetwork(nn.Module):
    """A network that takes posters as they are stored, so that they are always prepared alike.

    Args:
        architecture: name of a registered architecture.
        labels: number of genres.
        height: pixels that the backbone takes; posters of another size are resized on the device.
        width: likewise.
        dropout: share of activations dropped in the head.
        hidden: units of the hidden layer in the heads of pretrained networks.
        normalisation: normalisation of the training set; pretrained networks bring their own.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        architecture: str,
        labels: int,
        height: int,
        width: int,
        *,
        dropout: float = 0.0,
        hidden: int = 0,
        normalisation: Normalisation | None = None,
    ) -> None:
        super().__init__()
        chosen = find_architecture(architecture)
        chosen.check_size(height, width)
        self.architecture, self.labels, self.hidden = architecture, labels, hidden
        self.size = (height, width)
        self.backbone, self.feature_count, self.top, self.depths = chosen.backbone(height, width)
        self.head = chosen.head(self.feature_count, labels, dropout, hidden)
        mean, std = chosen.normalisation or normalisation or IMAGENET
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        # the order that convolutions are fastest in, on CUDA and on CPUs
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def normalise(self, images: Tensor) -> Tensor:
        """Return pixels of mean 0 and standard deviation 1, of the network's size.

        Args:
            images: uint8 (or float, after augmentation), (N, 3, H, W), RGB, 0..255.
        """
        pixels = images.to(self.mean.dtype)
        if tuple(pixels.shape[-2:]) != self.size:
            pixels = F.interpolate(
                pixels, self.size, mode="bilinear", antialias=True, align_corners=False
            )
        pixels = (pixels - self.mean) / self.std
        return pixels.contiguous(memory_format=torch.channels_last)

    def features(self, images: Tensor) -> Tensor:
        """Return features, float (N, feature_count), of uint8 posters (N, 3, H, W)."""
        result: Tensor = self.backbone(self.normalise(images))
        return result

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, labels) of uint8 posters (N, 3, H, W)."""
        result: Tensor = self.head(self.features(images))
        return result

    @torch.no_grad()
    def answer_always(self, logits: Tensor) -> None:
        """Set the bias of the last layer to these logits (labels,), where training begins.

        From 0 a network would first have to learn that most genres are rare, and a low learning
        rate may never get there (after Lin et al., Focal loss for dense object detection, 2017,
        section 4.1).
        """
        last = [module for module in self.head.modules() if isinstance(module, nn.Linear)][-1]
        last.bias.copy_(logits)

    def freeze(self, *, all_but: tuple[str, ...] = ()) -> None:
        """Freeze the backbone, except the named submodules."""
        for name, parameter in self.backbone.named_parameters():
            parameter.requires_grad_(any(name.startswith(f"{part}.") for part in all_but))

    def frozen_modules(self) -> Iterator[nn.Module]:
        """Yield modules whose parameters are all frozen: their statistics must not move either."""
        for module in self.backbone.modules():
            parameters = list(module.parameters(recurse=False))
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                yield module

    def train(self, mode: bool = True) -> PosterNetwork:
        """Set training mode, in which frozen batch normalisation keeps its statistics."""
        super().train(mode)
        if mode:
            for module in self.frozen_modules():
                module.eval()
        return self


def build_network(
    architecture: str,
    labels: int,
    height: int,
    width: int,
    *,
    seed: int,
    dropout: float = 0.0,
    hidden: int = 0,
    normalisation: Normalisation | None = None,
) -> PosterNetwork:
    """Return a network whose initial weights depend on the seed alone.

    Raises:
        InvalidConfigError: unknown architecture.
        InvalidInputError: the posters are too small for it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PosterNetwork(
            architecture,
            labels,
            height,
            width,
            dropout=dropout,
            hidden=hidden,
            normalisation=normalisation,
        )
