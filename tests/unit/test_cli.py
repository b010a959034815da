"""The command line without Spark: exit codes, output, and messages before a JVM starts."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from genre_spark import pipelines
from genre_spark.__main__ import _COMMANDS
from genre_spark.cli import main
from genre_spark.config import load_config
from genre_spark.config.root import RunStage
from genre_spark.pipelines.run import stages_of
from genre_spark.pipelines.stage import StageResult
from genre_spark.pipelines.stage_list import STAGES
from genre_spark.report import describe_result, how_to_open

ROOT = Path(__file__).resolve().parents[2]
IN_RUN = [entry.name for entry in STAGES.values() if entry.in_run]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.yaml"
    file.write_text(
        "paths: {genres_csv: genres.csv, posters: posters, metadata: data, work: work}\n"
    )
    return file


def test_help_lists_every_stage(capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in [*STAGES, "run"])
    assert all(f"genre-spark {name} " in text for name in _COMMANDS)


@pytest.mark.parametrize("stage", STAGES)
def test_the_help_of_a_stage_is_about_that_stage(stage: str, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--config", "x", stage, "--help"])
    assert stopped.value.code == 0
    usage, first, _, says = capsys.readouterr().out.replace("\n\n", "\n", 1).splitlines()[:4]
    assert usage.startswith(f"usage: genre-spark {stage} [-h] --config FILE")
    assert first == f"{stage}: {STAGES[stage].summary}"
    assert says == (STAGES[stage].load().__doc__ or "").splitlines()[0]


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from genre_spark.__main__ import main\n"
        "try: main(['train-cnn', '--help'])\n"
        "except SystemExit: pass\n"
        "print({'numpy', 'pydantic', 'pyspark', 'mlflow', 'torch', 'yaml'} & {*sys.modules})"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_an_unknown_stage_ends_with_2(capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train-everything", "--config", "x"])
    assert stopped.value.code == 2
    assert "train-everything" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["group-genres"], "genre-spark: group-genres: paths.genres_csv: /"),
        (["run"], "genres.csv: no such file"),
        (["explore"], "genres.csv: no such file"),
        (["explore", "explore.genres=0"], "explore.genres: 0, expected"),
        (["explore", "explore.words=5"], "explore.words: unknown key"),
        (["group-genres", "genres.vocab=1"], "genres.vocab: unknown key"),
        (["make-sample"], "sample_data: missing"),
        (["sample"], "no such table yet; expected the output of `genre-spark group-genres`"),
        (["evaluate"], "predictions"),
        (
            ["run", "skip_stages=[train-lenet]"],
            "skip_stages.0: 'train-lenet', expected 'make-sample'",
        ),
        (["run", "skip_stages=[group-genres]", "sample_data=null"], "posters: no such folder"),
        (["run", "cnn.architecture=lenett"], "cnn.architecture: 'lenett', expected one of effic"),
        (
            ["run", "stack.models={a: [binary_relevance, nothing]}"],
            "stack.models.a: 'nothing', expected models that the recipe trains or that have "
            "predictions: binary_relevance, lenet\n",
        ),
        (
            ["run", "stack.models={a: [lenet]}", "skip_stages=[train-cnn]"],
            "stack.models.a: 'lenet', expected models",
        ),
        (
            ["run", "linear.models.text.blocks={word: 1}"],
            "linear.models.text.blocks: word, expected blocks that are switched on",
        ),
        (["train-stack", "stack.models={a: [nothing]}"], "stack.models.a: 'nothing', expected"),
        (
            ["train-stack", "stack.models={a: [lenet]}"],
            "the output of `genre-spark train-cnn`",
        ),
        (["run", f"skip_stages={IN_RUN}"], "expected at least one stage to be left"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_exit_code_2(
    recipe, arguments, message, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(
        "genre_spark.cli.recipe_session", lambda *_, **__: pytest.fail("Spark must not start")
    )
    stage, *words = arguments
    assert main([stage, "--config", str(recipe), *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "Traceback" not in captured.err


def test_an_address_of_the_environment_that_mlflow_does_not_know_ends_with_2(
    recipe, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "foo://x")
    monkeypatch.setattr("genre_spark.cli._run", lambda *_: [])
    assert main(["compare", "--config", str(recipe)]) == 2
    assert "compare: MLFLOW_TRACKING_URI: foo://x, expected an address" in capsys.readouterr().err


def test_a_run_leaves_out_the_stages_that_the_recipe_skips(recipe: Path) -> None:
    assert get_args(RunStage) == tuple(IN_RUN)
    forests = load_config(recipe, ["skip_stages=[train-cnn]"])
    left_out = {"make-sample", "train-cnn", "train-linear", "train-fused", "train-stack", "promote"}
    left_out |= {"collect-tmdb", "collect-imdb", "download-posters", "explain-models"}
    left_out |= {"import-data", "import-metadata"}
    assert [entry.name for entry in stages_of(forests)] == [
        name for name in IN_RUN if name not in left_out
    ]


def test_every_stage_has_a_job_of_about_five_lines() -> None:
    for name in [*STAGES, "run"]:
        text = (ROOT / "jobs" / f"{name.replace('-', '_')}.py").read_text()
        assert f'"{name}"' in text
        assert len(re.findall(r"^\S.*$", text, re.MULTILINE)) <= 6


def test_a_result_is_aligned_however_long_its_names_are() -> None:
    result = StageResult(
        "evaluate",
        outputs={"evaluation": "work/evaluation"},
        counts={"models": 4, "wall_seconds": 1.5},
        metrics={"multilabel_random_forest/f1_micro": 0.602},
        seconds=2.0,
    )
    assert describe_result(result).splitlines() == [
        "  evaluate: 2.0 s",
        "    models                                  4",
        "    wall seconds                        1.500",
        "    multilabel_random_forest/f1_micro  0.6020",
        "    evaluation  work/evaluation",
    ]


def test_the_store_is_served_on_loopback_alone_and_the_printed_command_takes_any_name(
    tmp_path: Path, recipe: Path, capsys, monkeypatch
) -> None:
    work = tmp_path / "it's $HOME (1) & more"
    words = ["--config", str(recipe), f"paths.work={work}"]
    [line] = [
        line
        for line in how_to_open(load_config(recipe, words[2:])).splitlines()
        if line.startswith("  mlflow ui")
    ]
    assert shlex.split(line)[2:4] == ["--backend-store-uri", f"sqlite:///{work}/mlflow.db"]
    served: list[list[str]] = []
    monkeypatch.setattr("genre_spark.cli._serve", lambda command: served.append(command) or 0)
    monkeypatch.setattr("genre_spark.cli.experiment_address", lambda *_: "http://127.0.0.1:5000/x")
    monkeypatch.setattr("genre_spark.cli.existing_store", lambda *_: f"sqlite:///{work}/mlflow.db")
    assert main(["ui", *words, "--port", str(free_port())]) == 0
    assert served[0][served[0].index("--host") + 1] == "127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_ui_says_that_a_port_is_in_use(recipe: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("genre_spark.cli.experiment_address", lambda *_: "http://127.0.0.1:5000/x")
    monkeypatch.setattr("genre_spark.cli.existing_store", lambda *_: "sqlite:///mlflow.db")
    monkeypatch.setattr("genre_spark.cli._serve", lambda _: pytest.fail("nothing to serve at"))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["ui", "--config", str(recipe), "--port", str(port)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"genre-spark: ui: --port {port}: another program uses it, expected a free port\n"
    )


def test_the_ui_of_a_work_folder_without_runs_makes_nothing(recipe: Path, capsys) -> None:
    assert main(["ui", "--config", str(recipe), "--port", str(free_port())]) == 2
    work = recipe.parent / "work"
    assert not work.exists()
    assert capsys.readouterr().err == (
        f"genre-spark: ui: {work}/mlflow.db: no MLflow store there, expected that of a stage that "
        "has been run, or the address of another in the environment variable MLFLOW_TRACKING_URI\n"
    )


def test_ctrl_c_ends_the_ui_and_its_server_with_one_sentence(recipe: Path) -> None:
    """The server stands for MLflow's, which answers Ctrl-C at its start with tracebacks."""
    server = "import time; print('server', flush=True); time.sleep(60)"
    program = (
        "import sys\n"
        "from genre_spark import cli, signals\n"
        "signals.handle_signals('genre-spark: ui')\n"
        "cli.existing_store = lambda *_: 'sqlite:///mlflow.db'\n"
        "cli.experiment_address = lambda *_: 'http://127.0.0.1'\n"
        "serve = cli._serve\n"
        f"cli._serve = lambda _: serve([sys.executable, '-c', {server!r}])\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    words = ["ui", "--config", str(recipe), "--port", str(free_port())]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal's foreground group
    )
    assert process.stdout is not None
    while process.stdout.readline() not in ("server\n", ""):
        pass
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said == (
        "genre-spark: ui: interrupted; start it again and it goes on with what is left to do\n"
    )


def test_every_stage_is_named_like_its_module_and_found_in_the_package() -> None:
    assert [entry.load().name for entry in STAGES.values()] == list(STAGES)
    assert [getattr(pipelines, name).run.name.replace("-", "_") for name in pipelines.__all__] == (
        sorted(name.replace("-", "_") for name in STAGES)
    )
    with pytest.raises(ImportError, match="no_such_stage"):
        importlib.import_module("genre_spark.pipelines.no_such_stage")
    with pytest.raises(AttributeError, match="no_such_stage"):
        pipelines.no_such_stage  # noqa: B018
