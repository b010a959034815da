"""What every stage shares: reading order, skipping finished work, tracking, timing, and a record of the result."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from pyspark.sql import SparkSession

from genre_spark import __version__
from genre_spark.config import Config
from genre_spark.errors import MissingTableError
from genre_spark.files import fingerprint, join, read_json, write_json
from genre_spark.session import check_workers
from genre_spark.tables import read_manifest
from genre_spark.tracking import TrackedRun, open_run


@dataclass(frozen=True)
class StageResult:
    """What a stage did.

    Attributes:
        stage: the stage's name.
        outputs: name -> where it is.
        counts: name -> number of rows, files, seconds of training, ...
        metrics: name -> quality, as logged to MLflow.
        notes: sentences that the user should read (a genre that has too few movies, ...).
        table: a text table for the terminal.
        seconds: wall time.
        run_id: the MLflow run, or None where the stage logs none.
        reused: nothing had changed, so the earlier result stands.
    """

    stage: str
    outputs: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    table: str = ""
    seconds: float = 0.0
    run_id: str | None = None
    reused: bool = False


ResultT = TypeVar("ResultT", bound=StageResult)
Body = Callable[[SparkSession, Config, TrackedRun], ResultT]


class StageFunction(Protocol):
    """The signature of a stage after the `stage` decorator."""

    def __call__(
        self, spark: SparkSession, config: Config, *, parent: str | None = None, force: bool = False
    ) -> StageResult:
        """Run the stage, or return the earlier result when nothing that it depends on has changed."""
        ...

    def earlier(self, config: Config) -> StageResult | None:
        """Return the earlier result when nothing that it depends on has changed, without needing Spark."""
        ...

    def check(self, config: Config) -> None:
        """Raise UserError when something that the stage reads is not there."""
        ...

    def check_paths(self, config: Config) -> None:
        """Raise UserError when one of the user's own files or folders is not there.

        Tables may come later.
        """
        ...


def stage(
    name: str,
    *,
    depends_on: Callable[[Config], list[object]],
    outputs: Callable[[Config], list[str]],
    always: bool = False,
) -> Callable[[Body[ResultT]], StageFunction]:
    """Turn `body(spark, config, run) -> Result` into a stage that is tracked, timed and not repeated without need.

    Args:
        name: the stage's name in the CLI and in MLflow.
        depends_on: JSON values that the result depends on: sections of the configuration and
            digests of what is read. It is called before anything else and raises UserError for
            inputs that are not there.
        outputs: tables (folders with a manifest) that must be whole for the earlier result to
            stand.
        always: the stage finds out by itself what is left to do (incremental work).
    """

    def decorate(body: Body[ResultT]) -> StageFunction:
        def earlier(config: Config) -> StageResult | None:
            done = read_json(stage_record(config, name))
            if (
                always
                or not done
                or done["fingerprint"] != digest_of(config)
                or not _whole(outputs(config))
            ):
                return None
            return replace(_revive(done["result"]), reused=True)

        def digest_of(config: Config) -> str:
            return fingerprint(name, __version__, config.seed, depends_on(config))

        def run(
            spark: SparkSession, config: Config, *, parent: str | None = None, force: bool = False
        ) -> StageResult:
            digest = digest_of(config)
            done = None if force else earlier(config)
            if done is not None:
                return done
            if spark is not None:  # make-sample needs none
                check_workers(spark)
            started = time.monotonic()
            tags = {"stage": name, "data_digest": digest, "git_commit": git_commit()}
            with open_run(config, name, parent=parent, tags=tags) as tracked:
                tracked.digest, tracked.force = digest, force
                result = body(spark, config, tracked)
                result = replace(
                    result, seconds=round(time.monotonic() - started, 2), run_id=tracked.run_id
                )
                tracked.log_metrics({f"count/{key}": value for key, value in result.counts.items()})
                tracked.log_metrics({**result.metrics, "seconds": result.seconds})
                write_json(
                    stage_record(config, name), {"fingerprint": digest, "result": asdict(result)}
                )
            return result

        def check(config: Config) -> None:
            depends_on(config)

        def check_paths(config: Config) -> None:
            with suppress(MissingTableError):
                depends_on(config)

        run.__doc__ = body.__doc__
        run.earlier = earlier  # type: ignore[attr-defined]
        # functions carry attributes, their type does not say so
        run.check = check  # type: ignore[attr-defined]
        run.check_paths = check_paths  # type: ignore[attr-defined]
        return cast("StageFunction", run)

    return decorate


def stage_record(config: Config, name: str) -> str:
    """Return the file that remembers a stage's last result."""
    return join(config.paths.work, "stages", f"{name}.json")


def stage_fingerprint(config: Config, name: str) -> str | None:
    """Return the fingerprint of a stage's last result, or None when it has not finished yet."""
    done = read_json(stage_record(config, name))
    return None if done is None else str(done["fingerprint"])


def _whole(tables: list[str]) -> bool:
    return all(read_manifest(table) is not None for table in tables)


def _revive(value: Mapping[str, Any]) -> StageResult:
    known = {**value, "notes": tuple(value.get("notes", ()))}
    return StageResult(
        **{key: known[key] for key in StageResult.__dataclass_fields__ if key in known}
    )


def git_commit() -> str:
    """Return the commit of the source tree that runs, or the version where it is installed without one."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return __version__
    return answer.stdout.strip() if answer.returncode == 0 else __version__
