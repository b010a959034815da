"""torchvision's networks, imported when one is asked for: that takes seconds in every process."""

from __future__ import annotations

from types import ModuleType

__all__ = ["torchvision_models"]


def torchvision_models() -> ModuleType:
    """Return the module `torchvision.models`."""
    from torchvision import models  # noqa: PLC0415 - a process that predicts may need none of it

    return models
