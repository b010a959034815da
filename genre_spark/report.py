"""Results as people read them in a terminal."""

from __future__ import annotations

import shlex

from genre_spark.config import Config
from genre_spark.pipelines.stage import StageResult
from genre_spark.tracking import experiment_address, resolve_tracking_uri


def describe_result(result: StageResult) -> str:
    """Return a stage's result as a few aligned lines: counts, metrics, notes, outputs."""
    took = (
        "nothing has changed, the earlier result stands"
        if result.reused
        else f"{result.seconds:.1f} s"
    )
    lines = [f"  {result.stage}: {took}"]
    numbers = [(name.replace("_", " "), _number(value)) for name, value in result.counts.items()]
    numbers += [(name, f"{value:.4f}") for name, value in result.metrics.items()]
    width = max((len(name) for name, _ in numbers), default=0) + 2
    digits = max((len(number) for _, number in numbers), default=0)
    lines += [f"    {name:{width}}{number:>{digits}}" for name, number in numbers]
    lines += [f"    note: {note}" for note in result.notes]
    width = max(map(len, result.outputs), default=0) + 2
    lines += [f"    {name:{width}}{place}" for name, place in result.outputs.items()]
    if result.table:
        lines += ["", *("    " + line for line in result.table.splitlines()), ""]
    return "\n".join(lines)


def how_to_open(config: Config, *, server: str = "http://127.0.0.1:5000") -> str:
    """Return the address of the ranked models, and the command that shows them.

    Args:
        config: the recipe.
        server: where `mlflow ui` will answer, for a store in a file.
    """
    uri = resolve_tracking_uri(config.mlflow, config.paths.work)
    if not uri.startswith("sqlite:///"):
        address = experiment_address(config, uri) if uri.startswith("http") else None
        where = f"Runs are in MLflow at {uri}, experiment {config.mlflow.experiment}."
        return where if address is None else f"{where}\nThe models, ranked:\n  {address}"
    return (
        "See the models, ranked, in a browser:\n"
        f"  mlflow ui --backend-store-uri {shlex.quote(uri)} --port {server.rsplit(':', 1)[-1]}\n"
        f"and open\n  {experiment_address(config, server) or server}"
    )


def _number(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,.3f}"
