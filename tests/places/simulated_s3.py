"""A simulated S3 in this process, on loopback, which child processes reach too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import fsspec
import pytest

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
ADDRESS = (*KEYS, "AWS_ENDPOINT_URL")
"""Variables that a process needs to reach the store."""


@contextmanager
def simulated_s3(bucket: str) -> Iterator[str]:
    """Yield the address of an empty bucket, `s3a://BUCKET`; credentials are in the environment."""
    kind = pytest.importorskip("s3fs", reason="needs the packages s3fs and moto[s3]")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
            patch.setenv(name, value)
        kind.S3FileSystem.clear_instance_cache()  # of another server
        fsspec.filesystem("s3").mkdir(bucket)
        try:
            yield f"s3a://{bucket}"
        finally:
            server.stop()
            kind.S3FileSystem.clear_instance_cache()
