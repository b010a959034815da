"""tools/install.py: pip's settings reach uv, and something is printed while a command is silent."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[2] / "tools" / "install.py"


@pytest.fixture
def install(monkeypatch):
    """The script as a module; no setting of this machine reaches it."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_", "SSL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    spec = importlib.util.spec_from_file_location("install_tool", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pip_s_environment_wins_over_its_files(install, monkeypatch, tmp_path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = https://files.example/simple\ntimeout = 9\n[install]\ntimeout = 10\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    monkeypatch.setenv("PIP_INDEX_URL", "https://env.example/simple")
    settings = install.pip_settings()
    assert settings["index-url"] == "https://env.example/simple"
    assert settings["timeout"] == "10"


def test_uv_gets_indexes_certificate_and_timeout(install) -> None:
    environment = install.uv_environment(
        {
            "index-url": "https://a/simple",
            "extra-index-url": "https://b/simple\nfile:///c/simple",
            "find-links": "/wheels /more",
            "cert": "/ca.pem",
            "timeout": "60",
            "disable-pip-version-check": "1",
        }
    )
    assert {name: environment[name] for name in environment if name.startswith(("UV_", "SSL"))} == {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_DEFAULT_INDEX": "https://a/simple",
        "UV_INDEX": "https://b/simple file:///c/simple",
        "UV_FIND_LINKS": "/wheels,/more",
        "SSL_CERT_FILE": "/ca.pem",
        "UV_HTTP_TIMEOUT": "60",
    }


def test_uv_s_own_variables_win(install, monkeypatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mine/simple")
    environment = install.uv_environment({"index-url": "https://a/simple"})
    assert environment["UV_DEFAULT_INDEX"] == "https://mine/simple"


def test_a_setting_that_uv_does_not_know_leaves_the_work_to_pip(install) -> None:
    assert install.uv_environment({"only-binary": ":all:"}) is None


def test_a_silent_command_is_reported_with_what_it_works_at(install, monkeypatch, capsys) -> None:
    monkeypatch.setattr(install, "QUIET", 0.05)
    code = (
        "import time; print('Downloading torch (500 MiB)', flush=True); time.sleep(0.5); "
        "print(' Downloaded torch'); print(' + torch==2.11.0'); raise SystemExit(3)"
    )
    assert install.run_talking([sys.executable, "-c", code], dict(os.environ)) == 3
    lines = capsys.readouterr().out.splitlines()
    assert any(line.endswith(" s: downloading torch") for line in lines)
    assert lines[-1] == "  Downloaded torch"
