"""A cluster of two workers gives the models and tables of local mode, though executors are lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cluster import standalone_cluster  # noqa: F401
from tests.places.on_cluster import LOSING, METHODS, WORKERS, answers, on_cluster
from tests.places.same_tables import make_data, run_stages, small_recipe

pytestmark = pytest.mark.cluster

STAGES = ("group-genres", "prepare-posters")
"""A stage whose tables Spark writes, and one whose files its Python workers write."""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def found(standalone_cluster, data, tmp_path_factory) -> dict[str, Any]:  # noqa: F811
    """What one driver has found there."""
    work = tmp_path_factory.mktemp("work")
    return on_cluster(
        standalone_cluster, methods=tuple(METHODS), stages=STAGES, work=work, data=data
    )


def test_methods_of_every_kind_give_the_models_of_a_local_session(spark, found) -> None:
    assert set(LOSING) <= set(found["lost"])
    for name in METHODS:
        expected = answers(spark, name)
        np.testing.assert_allclose(found["answers"][name], expected, atol=1e-9, err_msg=name)


def test_fits_are_spread_over_the_workers(found) -> None:
    tasks = found["tasks"].values()
    assert len(tasks) == WORKERS
    assert min(tasks) >= 0.2 * sum(tasks), found["tasks"]


def test_stages_that_lose_an_executor_give_the_tables_of_a_local_session(
    spark, found, data, tmp_path
) -> None:
    assert set(STAGES) <= set(found["lost"])
    expected = run_stages(spark, small_recipe(tmp_path, data), STAGES)
    assert found["digests"] == expected
    assert set(expected) == {"genres", "posters"}
