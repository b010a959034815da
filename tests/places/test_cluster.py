"""A cluster of two workers gives the models and tables of local mode, though executors are lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cluster import standalone_cluster  # noqa: F401
from tests.places.on_cluster import KINDS, METHODS, WORKERS, answers, on_cluster
from tests.places.same_tables import make_data, run_stages, small_recipe

pytestmark = pytest.mark.cluster

STAGE = "prepare-posters"
"""Its Python workers write files themselves; a slow test has every stage."""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def found(standalone_cluster, data, tmp_path_factory) -> dict[str, Any]:  # noqa: F811
    """What one driver has found there, with a method of each kind."""
    losing = ["distributed forest"]  # rows that are cached, and a job per level
    work = tmp_path_factory.mktemp("work")
    return on_cluster(
        standalone_cluster, methods=KINDS, losing=losing, stages=[STAGE], work=work, data=data
    )


def compare(found: dict[str, Any], spark: Any) -> None:
    for name, probabilities in found["answers"].items():
        expected = answers(spark, name)
        np.testing.assert_allclose(probabilities, expected, atol=1e-9, err_msg=name)


def test_a_method_of_each_kind_gives_the_model_of_a_local_session(spark, found) -> None:
    assert set(found["answers"]) == set(KINDS)
    assert "distributed forest" in found["lost"]
    compare(found, spark)


def test_fits_are_spread_over_the_workers(found) -> None:
    tasks = found["tasks"].values()
    assert len(tasks) == WORKERS
    assert min(tasks) >= 0.2 * sum(tasks), found["tasks"]


def test_a_stage_that_loses_an_executor_gives_the_table_of_a_local_session(
    spark, found, data, tmp_path
) -> None:
    assert STAGE in found["lost"]
    expected = run_stages(spark, small_recipe(tmp_path, data), [STAGE])
    assert found["digests"] == expected
    assert set(expected) == {"posters"}


@pytest.mark.slow
def test_every_method_gives_the_same_model_though_it_loses_an_executor(
    spark,
    standalone_cluster,  # noqa: F811
) -> None:
    found = on_cluster(standalone_cluster, methods=tuple(METHODS), losing=tuple(METHODS))
    assert set(found["lost"]) == set(METHODS)
    compare(found, spark)
