"""Run a command and say how much memory its processes took at most: Python, JVMs, and all.

    python benchmarks/memory.py genre-spark run --config conf/demo.yaml

Resident set sizes are sampled ten times a second; pages shared between processes count in each of
them, so the sum is an upper bound. `--json` before the command prints one object instead of a
table.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict

import psutil

MIB = 1024**2


def main(arguments: list[str]) -> int:
    as_json = arguments[:1] == ["--json"]
    command = arguments[1:] if as_json else arguments
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    started = time.monotonic()
    process = subprocess.Popen(command)
    largest: dict[str, int] = defaultdict(int)
    together = 0
    while process.poll() is None:
        sizes = sample_tree(process.pid)
        for kind, size in sizes:
            largest[kind] = max(largest[kind], size)
        together = max(together, sum(size for _, size in sizes))
        time.sleep(0.1)
    report = {
        "exit_code": process.returncode,
        "seconds": round(time.monotonic() - started, 1),
        "largest_mib": {kind: round(size / MIB) for kind, size in sorted(largest.items())},
        "together_mib": round(together / MIB),
    }
    if as_json:
        print(json.dumps(report))
    else:
        for kind, size in report["largest_mib"].items():
            print(f"largest {kind:16} {size:>8,} MiB")
        print(f"all together             {report['together_mib']:>8,} MiB")
    return process.returncode


def sample_tree(root: int) -> list[tuple[str, int]]:
    """Return (kind, resident bytes) of a process and everything below it."""
    sizes = []
    try:
        parent = psutil.Process(root)
        processes = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
    for item in processes:
        try:
            name = item.name()
            kind = (
                "java"
                if "java" in name
                else "python"
                if "python" in name or "genre" in name
                else name
            )
            sizes.append((kind, item.memory_info().rss))
        except psutil.NoSuchProcess:
            continue
    return sizes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
