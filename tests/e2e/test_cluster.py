"""The whole pipeline on a standalone cluster of two workers gives the tables of local[2]."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.running import all_rows, spark_submit

pytestmark = [pytest.mark.e2e, pytest.mark.cluster, pytest.mark.slow]


def test_a_cluster_gives_the_same_tables_as_local_mode(
    finished, standalone_cluster, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    done = spark_submit(
        "run",
        finished.recipe,
        f"paths.work={work}",
        "sample_data=null",
        "spark.master=null",
        options=("--master", standalone_cluster, "--conf", "spark.driver.bindAddress=127.0.0.1"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert all_rows(work) == all_rows(finished.work)
