"""One finished pipeline for all injected faults, in a folder with an odd name."""

from __future__ import annotations

import pytest

from tests.cluster import standalone_cluster
from tests.e2e.running import Finished, finish

__all__ = ["finished", "standalone_cluster"]

MORE = """
linear: {models: {text: {blocks: {words: 1}, penalty: 0.3}}}
stack: {models: {fused: [binary_relevance, text, lenet]}}
explanations: {rows: 50}
"""


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The whole pipeline on generated data, run through the command line."""
    return finish(tmp_path_factory.mktemp("runs") / "of [2024] {a,b} #1 50% * é", more=MORE)
