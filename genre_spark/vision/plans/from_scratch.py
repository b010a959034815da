"""What the driver knows of architectures that start from random weights, without torch."""

from __future__ import annotations

from genre_spark.errors import InvalidInputError

__all__ = ["FROM_SCRATCH", "check_size"]

FROM_SCRATCH: dict[str, tuple[int, int]] = {
    "lenet": (76, 76),
    "scratch_cnn": (8, 8),
    "scratch_cnn_one": (1, 1),
}
"""Architectures of which there are no pretrained weights -> smallest height and width, pixels."""


def check_size(name: str, minimum: tuple[int, int], height: int, width: int) -> None:
    """Check that a network can take images of this size.

    Args:
        name: the architecture.
        minimum: smallest height and width that its layers can take, pixels.
        height: height of the images, pixels.
        width: width of the images, pixels.

    Raises:
        InvalidInputError: they are too small.
    """
    if height < minimum[0] or width < minimum[1]:
        raise InvalidInputError(
            f"cnn.architecture {name}: images of {height}x{width} pixels, expected at least "
            f"{minimum[0]}x{minimum[1]} (height x width)"
        )
