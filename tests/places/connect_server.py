"""A Spark Connect server inside the JVM of the tests' session, and a session that uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def connect_session(spark: Any) -> Iterator[Any]:
    """Yield a Connect session served by the JVM of `spark`; pyspark's API is Connect's meanwhile.

    A second JVM would cost seconds; what the client can reach is the same.
    """
    module = pytest.importorskip("pyspark.sql.connect.session", reason="needs the extra [connect]")
    address = start_server(spark)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")
        session = module.SparkSession.builder.remote(address).create()
        session.conf.set("spark.sql.shuffle.partitions", "4")
        session.conf.set("spark.sql.session.timeZone", "UTC")
        try:
            yield session
        finally:
            session.stop()


def start_server(spark: Any) -> str:
    """Start the server, where it does not run yet, on a free port; return its URL."""
    context = spark.sparkContext
    jvm = context._jvm
    kind = "org.apache.spark.sql.connect.service.SparkConnectService$"
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    service = loader.loadClass(kind).getField("MODULE$").get(None)
    settings = context._jsc.sc().conf()  # the one of SparkEnv, which is closed in Spark 4.3
    settings.set("spark.connect.grpc.binding.address", "127.0.0.1")
    settings.set("spark.connect.grpc.binding.port", "0")
    service.start(context._jsc.sc())  # nothing where it runs
    return f"sc://127.0.0.1:{service.localPort()}"
