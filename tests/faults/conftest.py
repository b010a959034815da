"""One finished pipeline for all injected faults."""

from tests.e2e.conftest import finished

__all__ = ["finished"]
