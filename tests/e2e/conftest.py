"""One small pipeline, run once as a user runs it, for all tests of its results."""

from __future__ import annotations

import pytest

from tests.cluster import standalone_cluster
from tests.e2e.running import Finished, finish

__all__ = ["finished", "standalone_cluster"]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The whole pipeline on generated data, run through the command line."""
    return finish(tmp_path_factory.mktemp("pipeline"))
