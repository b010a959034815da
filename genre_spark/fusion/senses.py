"""What a movie may lack as a whole, its poster or its texts, and which feature vectors lack it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from genre_spark.features.blocks import EmbeddingBlock
from genre_spark.features.specification import FeatureSpecification

__all__ = ["SENSES", "empty_blocks", "lacking", "sense_of", "senses_of"]

Flags = NDArray[np.bool_]

SENSES = ("poster", "text")
_TEXTS = ("words", "characters")


def sense_of(block: str) -> str | None:
    """Return the sense that a block of features is of; None for metadata."""
    if block.startswith("poster"):
        return "poster"
    return "text" if block in _TEXTS or block.startswith("text") else None


def senses_of(blocks: Iterable[str]) -> tuple[str, ...]:
    """Return the senses that a model of some blocks needs, in the order of SENSES."""
    found = {sense_of(block) for block in blocks}
    return tuple(sense for sense in SENSES if sense in found)


def lacking(specification: FeatureSpecification, features: sparse.csr_matrix) -> dict[str, Flags]:
    """Return which rows know nothing of a sense, (rows,), for each that has a block.

    Args:
        specification: of the features.
        features: CSR (rows, features).
    """
    found: dict[str, Flags] = {}
    for name, empty in empty_blocks(specification, features).items():
        sense = sense_of(name)
        if sense is not None:
            found[sense] = found.get(sense, np.True_) & empty
    return found


def empty_blocks(
    specification: FeatureSpecification, features: sparse.csr_matrix
) -> dict[str, Flags]:
    """Return which rows a block knows nothing of, (rows,), for blocks of posters and texts.

    That is where no word counts, or a vector is what stands for a missing one.

    Args:
        specification: of the features.
        features: CSR (rows, features).
    """
    found: dict[str, Flags] = {}
    for part in specification.parts:
        if sense_of(part.name) is None:
            continue
        block = features[:, specification.blocks[part.name]]
        if isinstance(part, EmbeddingBlock):
            length = len(part.fill)
            found[part.name] = np.asarray(block[:, :length].toarray() == part.fill).all(axis=1)
        else:
            found[part.name] = np.diff(block.tocsr().indptr) == 0
    return found
