"""Posters to measure with: synthetic JPEG files of the size and decoding cost of real ones."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

PICTURES = 64  # different pictures, shifted in another way for every poster


def make_posters(
    folder: Path, count: int, *, height: int = 345, width: int = 230, seed: int = 7
) -> Path:
    """Write ID.jpg files, 26 to 34 kB at 230x345, all different.

    Files that exist are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / f"{count}.jpg").exists():
        return folder
    rng = np.random.default_rng(seed)
    pictures = [_draw(rng, height, width) for _ in range(min(PICTURES, count))]
    for number in range(1, count + 1):
        picture = pictures[number % len(pictures)]
        shifted = np.roll(picture, (number * 7 % height, number * 13 % width), axis=(0, 1))
        content = cv2.imencode(".jpg", shifted, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        (folder / f"{number}.jpg").write_bytes(content)
    return folder


def link_posters(source: Path, folder: Path, count: int) -> Path:
    """Make a larger folder of hard links: the same bytes under more ids, in the same page cache."""
    folder.mkdir(parents=True, exist_ok=True)
    originals = sorted(source.glob("*.jpg"))
    for number in range(1, count + 1):
        target = folder / f"{number}.jpg"
        if not target.exists():
            os.link(originals[number % len(originals)], target)
    return folder


def warm(folder: Path) -> int:
    """Read every file once, so that no run reads from the disk; return the number of bytes."""
    return sum(len(path.read_bytes()) for path in folder.iterdir())


def _draw(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a picture of smooth colours, edges and grain, as posters have them."""
    base = cv2.resize(
        rng.integers(0, 255, (9, 6, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    for _ in range(24):
        corner = tuple(int(value) for value in rng.integers(0, (width, height)))
        colour = tuple(int(value) for value in rng.integers(0, 255, 3))
        cv2.circle(
            base, corner, int(rng.integers(4, 40)), colour, int(rng.choice([-1, 1, 2])), cv2.LINE_AA
        )
        cv2.putText(base, "POSTER", corner, cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, 1, cv2.LINE_AA)
    grain = rng.normal(0, 6, base.shape)
    return np.clip(base + grain, 0, 255).astype(np.uint8)
