"""Secrets stay out of everything that is printed, logged or stored."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from genre_spark.config import build_config
from genre_spark.redaction import RedactingFormatter, redact, redact_tree, remember_secrets
from genre_spark.tracking import open_run
from tests.e2e.running import environment

PASSWORD, KEY, TOKEN = "pa55-w0rd%21", "s3cr3t/Key+0815", "t0ken-4711-abcd"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"http://ann:{PASSWORD}@host:5000/x", "http://***@host:5000/x"),
        (f"postgresql+psycopg2://ann:{PASSWORD}@db/mlflow", "postgresql+psycopg2://***@db/mlflow"),
        (f"at https://{TOKEN}@host, said it", "at https://***@host, said it"),
        (
            "GET https://h/3/movie?api_key=abc12&page=2 failed",
            "GET https://h/3/movie?api_key=***&page=2 failed",
        ),
        (
            "https://h/a.jpg?X-Amz-Signature=0f9&size=3",
            "https://h/a.jpg?X-Amz-Signature=***&size=3",
        ),
        (
            "http://h/#/runs?viewStateShareKey=models-1",
            "http://h/#/runs?viewStateShareKey=models-1",
        ),
        ("http://host:5000/a@b", "http://host:5000/a@b"),
        (
            "abfss://box@account.dfs.core.windows.net/a",
            "abfss://box@account.dfs.core.windows.net/a",
        ),
        ("models:/genres@champion", "models:/genres@champion"),
    ],
)
def test_user_and_password_of_a_url_are_masked_and_nothing_else(text, shown) -> None:
    assert redact(text) == shown


def test_what_was_once_a_secret_is_masked_wherever_it_turns_up() -> None:
    remember_secrets(
        {
            "mlflow": {"tracking_uri": f"http://ann:{PASSWORD}@host"},
            "spark": {"settings": {"spark.hadoop.fs.s3a.secret.key": KEY}},
        }
    )
    assert redact(f"login failed for {PASSWORD} or pa55-w0rd! with {KEY}") == (
        "login failed for *** or *** with ***"
    )
    record = logging.LogRecord("x", logging.INFO, "f", 1, "tried %s", (KEY,), None)
    assert RedactingFormatter("%(message)s").format(record) == "tried ***"


@pytest.mark.parametrize("write", [quote, repr, json.dumps, lambda text: quote(text, safe="")])
def test_a_secret_is_masked_as_urls_json_and_tracebacks_write_it(write) -> None:
    secret = 'wJalr/K7+MDENG"b\\x=ü'
    remember_secrets({"fs.s3a.secret.key": secret})
    assert redact(f"<{write(secret).strip(chr(34) + chr(39))}>") == "<***>"


def test_values_under_telling_names_are_masked_in_trees() -> None:
    tree = {
        "spark": {"settings": {"fs.s3a.secret.key": "short", "spark.driver.memory": "1g"}},
        "max_tokens": 256,
        "list": [f"http://ann:{PASSWORD}@host"],
    }
    assert redact_tree(tree) == {
        "spark": {"settings": {"fs.s3a.secret.key": "***", "spark.driver.memory": "1g"}},
        "max_tokens": 256,
        "list": ["http://***@host"],
    }


def test_a_run_in_mlflow_holds_no_secret(tmp_path) -> None:
    config = build_config(
        {
            "paths": {
                "genres_csv": f"ftp://ann:{PASSWORD}@host/g.csv",
                "posters": "p",
                "metadata": "m",
                "work": str(tmp_path / "work"),
            },
            "spark": {"settings": {"spark.hadoop.fs.s3a.secret.key": KEY, "my.token": TOKEN}},
        }
    )
    with pytest.raises(RuntimeError), open_run(config, "stage", tags={"said": TOKEN}) as run:
        run.log_params({"spark": {"settings": {"a.secret": KEY}}, "place": config.paths.genres_csv})
        run.set_tags({"source": f"ftp://ann:{PASSWORD}@host"})
        run.describe(f"read with {KEY}")
        run.log_text(f"{TOKEN}", "note.txt")
        run.log_dict({"password": "geheim123", "url": f"http://ann:{PASSWORD}@host"}, "d.json")
        run.log_table({"place": [f"ftp://ann:{PASSWORD}@host"]}, "t.json")
        raise RuntimeError
    assert planted_in(tmp_path, PASSWORD, KEY, TOKEN, "geheim123") == []


def planted_in(folder: Path, *secrets: str) -> list[str]:
    """Return the files below a folder that hold a secret."""
    return [
        str(file)
        for file in folder.rglob("*")
        if file.is_file() and any(secret.encode() in file.read_bytes() for secret in secrets)
    ]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe with a secret in every setting that can hold one."""
    (tmp_path / "g.csv").write_text("id,genre\n1,Drama\n")
    values = {
        "paths": {
            "genres_csv": str(tmp_path / "g.csv"),
            "posters": f"s3://ann:{PASSWORD}@bucket/posters",
            "metadata": f"ftp://ann:{PASSWORD}@host/m",
            "work": str(tmp_path / "work"),
        },
        "spark": {
            "master": "local[1]",
            "settings": {
                "spark.hadoop.fs.s3a.secret.key": KEY,
                "spark.driver.memory": "1g",
                "spark.my.token": TOKEN,
            },
        },
        "mlflow": {"tracking_uri": f"http://ann:{PASSWORD}@127.0.0.1:9", "timeout": 1},
    }
    file = tmp_path.parent / f"{tmp_path.name}.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def command(recipe: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "genre_spark", "group-genres", "--config", str(recipe), *words],
        capture_output=True,
        text=True,
        env={**environment(), "MLFLOW_TRACKING_TOKEN_OF_MINE": TOKEN},
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_a_stage_prints_and_writes_no_secret_with_its_server_down_or_tracking_kept(
    recipe, tmp_path
) -> None:
    down = command(recipe)
    assert down.returncode == 1
    assert "http://127.0.0.1:9 did not answer within 1 s (connection refused)" in down.stderr
    kept = command(recipe, "mlflow.required=false", "--json")
    assert kept.returncode == 0, kept.stderr
    assert json.loads(kept.stdout)["counts"]["movies"] == 1
    wrong = command(recipe, f"mlflow.tracking_uri=ftp://ann:{PASSWORD}@host", "--force")
    assert wrong.returncode != 0
    for done in (down, kept, wrong):
        for secret in (PASSWORD, "pa55-w0rd!", KEY, TOKEN):
            assert secret not in done.stdout + done.stderr
    assert planted_in(tmp_path, PASSWORD, "pa55-w0rd!", KEY, TOKEN) == []
    assert (tmp_path / "work" / "mlflow-unsent" / "mlflow.db").exists()
