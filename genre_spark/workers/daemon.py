"""The process that Spark forks its Python workers from, with what they need already imported.

Spark's own daemon (`pyspark.daemon`) imports little before it forks: every worker imports pandas
and pyarrow for itself, most of ours scikit-learn too, which takes more than a second, and again
after each minute without work and each task that failed; after each task it collects garbage among
all objects of those packages. Here they are imported before the first fork, and `gc.freeze` keeps
them out of collections. torch stays out: it starts threads and opens devices, which a fork does not
survive.

Local sessions alone use it (`spark.python.daemon.module`): a cluster's machines may lack this
package.
"""

from __future__ import annotations

import functools
import gc
import importlib
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from typing import Any

from genre_spark.workers.sockets import acknowledged_at_once
from genre_spark.workers.tasks import forget_archives

__all__ = ["DAEMON_MODULE", "SKLEARN_TOO", "serve", "starting_at_once"]

DAEMON_MODULE = "genre_spark.workers.daemon"
SKLEARN_TOO = "GENRE_SPARK_SKLEARN_IN_WORKERS"  # environment variable; set: yes
_IMPORTED = (
    "numpy",
    "pandas",
    "pyarrow.parquet",
    "pyspark.sql.pandas.serializers",
    "pyspark.sql.pandas.types",
    "pyspark.worker",
)
_WITH_SKLEARN = ("sklearn.ensemble", "sklearn.linear_model", "genre_spark.multilabel")


def serve() -> None:
    """Import what workers need, then serve Spark's requests for workers until it ends."""
    with redirect_stdout(sys.stderr):  # Spark reads the port's number from standard output
        for name in _IMPORTED + (_WITH_SKLEARN if os.environ.get(SKLEARN_TOO) else ()):
            with suppress(ImportError):  # the worker that needs it will name it
                importlib.import_module(name)
        # releases of PySpark take the function at their import or in each worker: before both
        worker = importlib.import_module(sys.argv[1] if len(sys.argv) > 1 else "pyspark.worker")
        worker.main = starting_at_once(acknowledged_at_once(worker.main))  # type: ignore[attr-defined]
        from pyspark import daemon  # noqa: PLC0415 - it reads sys.argv when imported
    gc.collect()
    gc.freeze()
    daemon.manager()


def starting_at_once(main: Callable[..., Any]) -> Callable[..., Any]:
    """Return PySpark's function of a worker, spared the directories of archives before each task.

    Spark's core jar is one of them: 200 ms.
    """

    @functools.wraps(main)
    def run(*arguments: Any) -> Any:
        forget_archives()
        return main(*arguments)

    return run


if __name__ == "__main__":
    serve()
