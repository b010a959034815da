"""From feature vectors to the inputs of a fused network; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from genre_spark.features.specification import FeatureSpecification
from genre_spark.fusion.block_scaling import ScaledBlocks
from genre_spark.fusion.senses import empty_blocks, sense_of

__all__ = ["FusedInputs"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FusedInputs:
    """From feature vectors to what a fused network reads.

    Attributes:
        parts: name of each part -> the blocks that it reads.
        blocks: how these are scaled, in the order of the parts.
    """

    parts: Mapping[str, tuple[str, ...]]
    blocks: ScaledBlocks

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of features of each part."""
        size = {scale.name: scale.stop - scale.start for scale in self.blocks.scales}
        return tuple(sum(size[block] for block in blocks) for blocks in self.parts.values())

    def rows(self, specification: FeatureSpecification, features: sparse.csr_matrix) -> Floats:
        """Return the parts' features, and behind them 1 for each part that is known.

        Args:
            specification: of the features.
            features: CSR (rows, features).

        Returns:
            float32, (rows, features of all parts + parts).
        """
        scaled = self.blocks.apply(features).toarray()
        empty = empty_blocks(specification, features)
        known = np.ones((features.shape[0], len(self.parts)))
        for number, blocks in enumerate(self.parts.values()):
            if all(sense_of(block) is not None for block in blocks):
                known[:, number] = ~np.all([empty[block] for block in blocks], axis=0)
        return np.hstack([scaled, known]).astype(np.float32)
