"""A local session listens on loopback alone, its UI too, without any settings of the user's."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys

import pytest

from genre_spark.spark.session import with_retry

SCRIPT = """
import json, os, psutil
from genre_spark.spark.session import spark_session
with spark_session(app_name="t", master="local[1]", settings={}) as spark:
    spark.range(2).mapInArrow(lambda batches: batches, "id long").count()
    me = psutil.Process()
    found = {str(c.laddr.ip) for p in [me, *me.children(recursive=True)]
             for c in p.net_connections("inet") if c.status == "LISTEN"}
    print(json.dumps([sorted(found), spark.conf.get("spark.master"), spark.sparkContext.uiWebUrl]))
"""


def test_a_local_session_listens_on_loopback_alone_and_gives_tasks_a_second_try() -> None:
    without = ("PYSPARK_", "SPARK_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(without)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        env=clean,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    addresses, master, ui = json.loads(done.stdout.splitlines()[-1])
    assert addresses
    assert all(
        ipaddress.ip_address(address.removeprefix("::ffff:")).is_loopback for address in addresses
    )
    assert master == "local[1,2]"
    assert ui.startswith("http://")


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("local", "local[1,2]"),
        ("local[*]", "local[*,2]"),
        ("local[8]", "local[8,2]"),
        ("local[4,1]", "local[4,1]"),
        ("local-cluster[2,1,1024]", "local-cluster[2,1,1024]"),
        ("spark://host:7077", "spark://host:7077"),
        ("yarn", "yarn"),
    ],
)
def test_local_masters_get_a_second_try_unless_they_say_how_many(given: str, used: str) -> None:
    assert with_retry(given) == used
