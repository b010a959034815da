"""MLflow as a team runs it: a server whose store is PostgreSQL, which several processes use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from genre_spark.config import build_config
from genre_spark.serving.package_description import ModelDescription
from genre_spark.tracking import (
    CHALLENGER,
    find_version,
    log_headline,
    model_run,
    open_run,
    register_challenger,
)
from genre_spark.tracking.movie_models import log_movie_model
from genre_spark.tracking.stores.servers import wait_for_server
from tests.cluster import free_port
from tests.serving.packages import FOREST, write_package

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WRITERS = 3
WRITER = """
import sys
from genre_spark.tracking import open_run, model_run
from tests.tracking.test_postgresql import recipe
work, address, number = sys.argv[1:]
with open_run(recipe(work, address), f"stage-{number}") as stage:
    for model in range(3):
        name = f"model-{number}-{model}"
        with model_run(stage, name, family="multilabel", method="forest") as run:
            run.log_params({"number": number, "model": model})
            run.log_metrics({f"f1/{genre}": 0.5 for genre in range(60)})
            run.log_text("hello", "note.txt")
"""


def recipe(work, address: str):
    paths = {"genres_csv": "g.csv", "posters": "p", "metadata": "m", "work": str(work)}
    return build_config({"paths": paths, "mlflow": {"tracking_uri": address, "experiment": "team"}})


@contextmanager
def database() -> Iterator[str]:
    """Start PostgreSQL in a folder of its own and yield the address of an empty database."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("no PostgreSQL (apt install postgresql)")
    pytest.importorskip("psycopg2", reason="needs psycopg2-binary")
    bin_ = programs[-1].parent
    user = "postgres" if os.geteuid() == 0 else None  # it rejects root
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    if user:
        shutil.chown(folder, user)
    port = free_port()

    def call(*words: object) -> None:
        command = [str(word) for word in words]
        subprocess.run(command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)

    start = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    call(bin_ / "initdb", "-D", folder / "data", "-U", "team", "--auth=trust")
    control = [bin_ / "pg_ctl", "-D", folder / "data", "-w"]
    call(*control, "-l", folder / "log", "-o", start, "start")
    try:
        call(bin_ / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "team", "mlflow")
        yield f"postgresql://team@127.0.0.1:{port}/mlflow"
    finally:
        call(*control, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[tuple[str, str]]:
    """The address of MLflow's server, and of its database."""
    folder = tmp_path_factory.mktemp("server")
    with database() as store:
        port = free_port()
        driver = store.replace("postgresql:", "postgresql+psycopg2:")
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", driver]
        command += ["--artifacts-destination", str(folder / "artifacts"), "--workers", "1"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            address = f"http://127.0.0.1:{port}"
            assert wait_for_server(address, seconds=120, required=True), (
                folder / "log"
            ).read_text()
            yield address, store
        finally:
            os.killpg(process.pid, 15)
            process.wait(timeout=30)


def test_processes_write_at_the_same_time_and_every_run_is_whole(server, tmp_path) -> None:
    psycopg2 = pytest.importorskip("psycopg2")
    address, store = server
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / str(n)), address, str(n)])
        for n in range(WRITERS)
    ]
    assert [writer.wait(timeout=300) for writer in writers] == [0] * WRITERS
    with psycopg2.connect(store) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.name, r.status, count(m.key) FROM runs r JOIN metrics m USING (run_uuid) "
            "WHERE r.name LIKE 'model-%' GROUP BY r.name, r.status"
        )
        found = sorted(cursor.fetchall())
    expected = [(f"model-{n}-{m}", "FINISHED", 60) for n in range(WRITERS) for m in range(3)]
    assert found == expected


def test_a_model_is_registered_and_found_by_its_alias(server, tmp_path) -> None:
    address, _ = server
    config = recipe(tmp_path, address)
    with open_run(config, "package-models") as stage:
        with model_run(stage, "forest", family="multilabel", method="forest") as run:
            log_headline(run, {"f1_micro": 0.5})
            package = write_package(tmp_path / "made", FOREST)
            log_movie_model(stage, run.run_id, package, ModelDescription.load(package))
        register_challenger(stage, "genres", training_run=run.run_id, tags={"model": "forest"})
        began = time.monotonic()
        found = find_version(stage, "genres", CHALLENGER)
    assert found is not None
    assert found.version == "1"
    assert time.monotonic() - began < 60
