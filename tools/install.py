"""Install the package with extras into the virtual environment of the running Python.

    .venv/bin/python tools/install.py --constraints constraints.txt dev

uv installs, several times faster than pip; pip's index settings hold for it too. Where uv cannot be
had, or pip has a setting that uv does not know, pip installs. A line appears every few seconds.
"""

from __future__ import annotations

import argparse
import ast
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
QUIET = 5.0  # seconds without a line after which one says what is waited for

# pip's setting -> the variable by which uv takes it
VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "cache-dir": "",  # from here on: settings that do not change what is installed
    "constraint": "",  # given as an option
    "disable-pip-version-check": "",
    "no-color": "",
    "no-input": "",
    "no-warn-script-location": "",
    "progress-bar": "",
    "quiet": "",
    "retries": "",
    "root-user-action": "",
    "verbose": "",
}
# what uv prints
BEGAN = re.compile(r"\s*(Downloading|Building) ([\w-]+)(?: \(|==| @)")
ENDED = re.compile(r"\s*(Downloaded|Built) ([\w-]+)")
# one line per installed package; pip's word on each index that lacks a package
DROPPED = re.compile(r"\s*([+~-] \S|WARNING: Location .* is ignored|Requirement already)")
PROXIES = {"proxy": ("HTTP_PROXY", "HTTPS_PROXY")}


def pip_settings() -> dict[str, str]:
    """Return pip's settings from files and environment, the strongest of each name."""
    lines = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    ranked: dict[str, tuple[int, str]] = {}
    for line in lines:
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        rank = {"global": 0, "install": 1, ":env:": 2}.get(section)
        if rank is not None and rank >= ranked.get(name, (0, ""))[0]:
            ranked[name] = (rank, str(ast.literal_eval(value)))
    return {name: value for name, (_, value) in ranked.items()}


def uv_environment(settings: dict[str, str]) -> dict[str, str] | None:
    """Return the environment in which uv uses pip's indexes, or None where it cannot."""
    variables = {"UV_INDEX_STRATEGY": "unsafe-best-match"}  # the best of all indexes, as with pip
    for name, value in settings.items():
        if name in PROXIES:
            variables.update(dict.fromkeys(PROXIES[name], value))
        elif name not in VARIABLES:
            return None
        elif VARIABLES[name]:
            separator = "," if name == "find-links" else " "
            variables[VARIABLES[name]] = separator.join(value.split())
    return {**variables, **os.environ}  # the user's own UV_ variables win


def install_with_uv(target: str, constraints: Sequence[str], settings: dict[str, str]) -> bool:
    """Install with uv and return whether it could."""
    environment = uv_environment(settings)
    if environment is None or not have_uv(constraints):
        return False
    options = [word for file in constraints for word in ("--constraint", file)]
    command = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable]
    return run_talking([*command, *options, "--editable", target], environment) == 0


def have_uv(constraints: Sequence[str]) -> bool:
    """Put uv into the environment where it is not there, and return whether it is."""
    options = [word for file in constraints for word in ("--constraint", file)]
    command = [sys.executable, "-m", "pip", "install", "--quiet", *options, "uv"]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def install_with_pip(target: str, constraints: Sequence[str]) -> bool:
    """Install with pip and return whether it could."""
    options = [word for file in constraints for word in ("--constraint", file)]
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *options]
    return run_talking([*command, "--editable", target], dict(os.environ)) == 0


def run_talking(command: Sequence[str], environment: dict[str, str]) -> int:
    """Run a command, pass its lines on, say every few seconds what it works at; return its code."""
    started = time.monotonic()
    working: dict[str, str] = {}  # package -> what is done with it
    otherwise = "choosing releases"
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        for line in lines_or_silence(process):
            if line is None:
                what = ", ".join(f"{work} {name}" for name, work in working.items())
                print(f"  {time.monotonic() - started:.0f} s: {what or otherwise}", flush=True)
                continue
            if began := BEGAN.match(line):
                working[began[2]] = began[1].lower()
            if ended := ENDED.match(line):
                working.pop(ended[2], None)
                otherwise = "unpacking"
            if not DROPPED.match(line):
                print(f"  {line.strip()}", flush=True)
    return process.returncode


def lines_or_silence(process: subprocess.Popen[str]) -> Iterator[str | None]:
    """Yield the lines of a process as they come, and None after every few seconds without one."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=QUIET)
        except queue.Empty:
            yield None
            continue
        if not line:
            return
        yield line


def main() -> int:
    """Install and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("extras", help="for example dev, or spark,test")
    parser.add_argument("--constraints", required=True, help="one set of releases that works")
    options = parser.parse_args()
    settings = pip_settings()
    target = f"{ROOT}[{options.extras}]"
    constraints = [options.constraints, *settings.get("constraint", "").split()]
    if install_with_uv(target, constraints, settings):
        return 0
    print("  uv is not to be had or could not install: pip does it", flush=True)
    return 0 if install_with_pip(target, constraints[:1]) else 1


if __name__ == "__main__":
    sys.exit(main())
