"""Random damage to bytes, by a seed that is printed."""

from __future__ import annotations

import os
import random

__all__ = ["fault_seconds", "fault_seed", "mutate"]


def fault_seed() -> int:
    """Return FAULTS_SEED, or a new seed; printed, so that a failure can be repeated."""
    seed = int(os.environ.get("FAULTS_SEED", random.SystemRandom().randrange(10**6)))
    print(f"FAULTS_SEED={seed}")
    return seed


def fault_seconds(share: float) -> float:
    """Return the seconds that a test may take: a share of FAULTS_SECONDS (1,350)."""
    return share * float(os.environ.get("FAULTS_SECONDS", "1350"))


def mutate(content: bytes, draw: random.Random) -> bytes:
    """Return the bytes with some flipped, cut off, taken out, doubled, zeroed, or put in."""
    if not content:
        return bytes(draw.randrange(256) for _ in range(draw.randrange(64)))
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8))):
        start = draw.randrange(len(changed) + 1)
        end = min(len(changed), start + draw.choice((1, 2, 4, 30, 500)))
        kind = draw.choice(("flip", "flip", "number", "cut", "remove", "double", "zero", "insert"))
        if kind == "flip" and start < len(changed):
            changed[start] ^= 1 << draw.randrange(8)
        elif kind == "number":  # a size, a count or an offset that is far too large, or -1
            changed[start : start + 4] = draw.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"))
        elif kind == "cut":
            del changed[start:]
        elif kind == "remove":
            del changed[start:end]
        elif kind == "double":
            changed[start:start] = changed[start:end]
        elif kind == "zero":
            changed[start:end] = bytes(end - start)
        elif kind == "insert":
            changed[start:start] = bytes(draw.randrange(256) for _ in range(8))
        if not changed:
            break
    return bytes(changed)
