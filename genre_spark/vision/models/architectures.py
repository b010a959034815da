"""The list of architectures, and what an architecture consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from genre_spark.errors import InvalidConfigError
from genre_spark.vision.plans.from_scratch import check_size
from genre_spark.vision.plans.poster_form import Normalisation

__all__ = [
    "IMAGENET",
    "Architecture",
    "Backbone",
    "PretrainedWeights",
    "architecture_names",
    "find_architecture",
    "register",
    "register_family",
]


IMAGENET = Normalisation(
    (0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255)
)


class Backbone(NamedTuple):
    """The part of a network that can be frozen.

    Attributes:
        module: module that maps normalised posters, float32 (N, 3, H, W), to (N, features).
        features: length of the feature vector.
        top: names of the submodules that fine-tuning trains again; empty where there are no
            pretrained weights.
        depths: names of the submodules whose maps describe a poster at several depths; empty where
            they are found by looking (`find_depths`).
    """

    module: nn.Module
    features: int
    top: tuple[str, ...] = ()
    depths: tuple[str, ...] = ()


@dataclass(frozen=True)
class PretrainedWeights:
    """Where ImageNet weights of a backbone come from.

    Attributes:
        convert: function from the file's parameters to those of the backbone, both by name; what it
            leaves out is not loaded.
        package: importable package that carries the weights, or None.
        file: path of the file in that package.
        extra: extra of genre_spark that installs the package.
        torchvision: name of torchvision's weights, for a download; None: it has none.
    """

    convert: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
    package: str | None = None
    file: str = ""
    extra: str = ""
    torchvision: str | None = None


@dataclass(frozen=True)
class Architecture:
    """How to build a network.

    Attributes:
        name: value of `cnn.architecture` in recipes.
        backbone: function of height and width (pixels) that returns a backbone with random weights.
        head: function of features, labels, dropout and hidden units that returns a module (N,
            features) -> logits (N, labels).
        normalisation: normalisation that the pretrained weights expect; None: the training set's.
        weights: ImageNet weights; None: there are none.
        minimum: smallest height and width that the layers can take.
    """

    name: str
    backbone: Callable[[int, int], Backbone]
    head: Callable[[int, int, float, int], nn.Module]
    normalisation: Normalisation | None = None
    weights: PretrainedWeights | None = None
    minimum: tuple[int, int] = (1, 1)

    def check_size(self, height: int, width: int) -> None:
        """Check that the network can take images of this size.

        Raises:
            InvalidInputError: they are too small.
        """
        check_size(self.name, self.minimum, height, width)


_ARCHITECTURES: dict[str, Architecture] = {}
_FAMILIES: dict[str, Callable[[str], Architecture]] = {}


def register(architecture: Architecture) -> Architecture:
    """Add an architecture to the list; a module of `vision.models` does so when it is imported."""
    _ARCHITECTURES[architecture.name] = architecture
    return architecture


def register_family(prefix: str, find: Callable[[str], Architecture]) -> None:
    """Add all networks of a library, whose names begin with a prefix.

    Args:
        prefix: what `find` gets names without.
        find: returns an architecture by its name in the library.
    """
    _FAMILIES[prefix] = find


def architecture_names() -> list[str]:
    """Return the known names, sorted."""
    return sorted(_ARCHITECTURES)


def find_architecture(name: str, *, setting: str = "cnn.architecture") -> Architecture:
    """Return an architecture by name.

    Args:
        name: the architecture.
        setting: where the name was given, for the message.

    Raises:
        InvalidConfigError: there is none with that name; the text lists the known ones.
    """
    found = _ARCHITECTURES.get(name)
    if found is not None:
        return found
    for prefix, find in _FAMILIES.items():
        if name.startswith(prefix):
            return find(name.removeprefix(prefix))
    others = " or ".join(f"{prefix}NAME" for prefix in _FAMILIES)
    raise InvalidConfigError(
        f"{setting}: {name!r}, expected one of {', '.join(architecture_names())}, or "
        f"{others} with a file of weights"
    )
