"""A fused network with what brings feature vectors to its inputs, as one file."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from genre_spark.errors import InvalidInputError
from genre_spark.features.specification import FeatureSpecification
from genre_spark.fusion.block_scaling import ScaledBlocks
from genre_spark.fusion.network.inputs import FusedInputs
from genre_spark.vision.models.fused import FusedNetwork, build_fused
from genre_spark.vision.storage import load_tensors, save_tensors

__all__ = ["FusedModel"]

_FORMAT = 1


@dataclass(frozen=True)
class FusedModel:
    """A trained network.

    Attributes:
        inputs: what it reads of a feature vector.
        network: in evaluation mode, on the CPU.
        vocabulary: genres in the order of its outputs.
    """

    inputs: FusedInputs
    network: FusedNetwork
    vocabulary: tuple[str, ...]

    def probabilities(
        self, specification: FeatureSpecification, features: sparse.csr_matrix
    ) -> NDArray[np.float64]:
        """Return p(genre | movie), (rows, genres), of whole feature vectors."""
        rows = torch.from_numpy(self.inputs.rows(specification, features)).double()
        with torch.inference_mode():
            return torch.sigmoid(self._double(rows)).numpy()

    @cached_property
    def _double(self) -> FusedNetwork:
        """The network in float64: in float32, a movie's last digit depends on the batch's size."""
        return copy.deepcopy(self.network).double()

    def save(self, path: str) -> None:
        """Write the model, whole or not at all."""
        arrays = self.inputs.blocks.to_arrays()
        heads = str(arrays.pop("blocks"))
        save_tensors(
            path,
            {
                "format": _FORMAT,
                "parts": json.dumps({name: list(read) for name, read in self.inputs.parts.items()}),
                "blocks": heads,
                "scales": {name: torch.from_numpy(array) for name, array in arrays.items()},
                "vocabulary": list(self.vocabulary),
                "hidden": self.network.hidden,
                "network": self.network.state_dict(),
            },
        )

    @classmethod
    def load(cls, path: str) -> FusedModel:
        """Read what `save` wrote.

        Raises:
            InvalidInputError: there is no such file, or it is something else.
        """
        state = load_tensors(path)
        if state is None or state.get("format") != _FORMAT or "scales" not in state:
            raise InvalidInputError(
                f"{path}: no fused network of format {_FORMAT}, expected one of `genre-spark "
                "train-fused`"
            )
        arrays = {name: tensor.numpy() for name, tensor in state["scales"].items()}
        arrays["blocks"] = np.array(state["blocks"])
        parts = {name: tuple(read) for name, read in json.loads(state["parts"]).items()}
        inputs = FusedInputs(parts, ScaledBlocks.from_arrays(arrays))
        vocabulary: Sequence[str] = state["vocabulary"]
        network = build_fused(inputs.sizes, len(vocabulary), seed=0, hidden=state["hidden"])
        network.load_state_dict(state["network"])
        return cls(inputs, network.eval(), tuple(vocabulary))
