"""A stage: a step of the pipeline that is tracked, timed and not repeated without need."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from pyspark.sql import SparkSession

from genre_spark import __version__
from genre_spark.config import Config
from genre_spark.errors import DamagedTableError, MissingTableError, UserError
from genre_spark.pipelines.stage_result import StageResult, read_result, record_result
from genre_spark.progress import show_progress
from genre_spark.spark.connect import session_settings
from genre_spark.spark.jvm import named_jvm_end
from genre_spark.spark.session import check_workers, recipe_settings, task_counts
from genre_spark.storage.caching import keep_in_folder
from genre_spark.storage.files import (
    filesystem,
    fingerprint,
    join,
    read_checked_json,
    require_writable,
    write_checked_json,
)
from genre_spark.storage.inventory import find_damage, read_states, take_inventory
from genre_spark.storage.ownership import claimed
from genre_spark.storage.tables import Table
from genre_spark.tracking import TrackedRun, open_run, opening_store
from genre_spark.workers.errors import worker_errors
from genre_spark.workers.kept_memory import give_back_memory

__all__ = ["Body", "Output", "Stage", "StageResult", "git_commit", "require_models", "stage"]


Body = Callable[[Any, Config, TrackedRun], StageResult]
"""What a stage does with the Spark session (None where it needs none), the recipe and its run."""


_MODELS = ("models", "movie_models")  # folders under `paths.work` whose files a record lists


class Output(Protocol):
    """What a stage writes."""

    @property
    def path(self) -> str:
        """Return the folder or file."""
        ...

    def is_whole(self) -> bool:
        """Return whether all of it is there."""
        ...

    def damage(self, *, full: bool = False) -> list[str]:
        """Return a sentence per file that is not what was written."""
        ...


class Stage:
    """A step of the pipeline; its name is the name of its module, with hyphens.

    Its result stands as long as the digest of what it depends on is the same and its tables are
    whole. A record of the last result is written last, so a killed stage is run again; it has the
    sizes and checksums of the files of models.

    Args:
        body: does the work.
        depends_on: returns JSON values that the result depends on: sections of the configuration
            and digests of what is read. It is called before anything else and raises UserError for
            inputs that are not there.
        outputs: returns what must be whole for the earlier result to stand, mostly tables.
        always: whether the body finds out by itself what is left to do (incremental work).
        standing: for such a stage: returns its result where nothing is left and that can be seen
            without Spark, else None.
        needs_spark: whether the body gets a Spark session.
        logs_metrics: whether the stage's run gets the metrics; not where the body has logged them
            to the runs of models or of the pipeline.
    """

    def __init__(
        self,
        body: Body,
        *,
        depends_on: Callable[[Config], list[object]],
        outputs: Callable[[Config], Sequence[Output]],
        always: bool = False,
        standing: Callable[[Config], StageResult | None] | None = None,
        needs_spark: bool = True,
        logs_metrics: bool = True,
    ) -> None:
        self.__doc__ = body.__doc__
        self.name = body.__module__.rpartition(".")[2].replace("_", "-")
        self._body = body
        self._depends_on = depends_on
        self._outputs = outputs
        self._always = always
        self._find_standing = standing
        self._needs_spark = needs_spark
        self._logs_metrics = logs_metrics

    def __call__(
        self,
        spark: SparkSession | None,
        config: Config,
        *,
        parent: str | None = None,
        force: bool = False,
    ) -> StageResult:
        """Run the stage in a session, or return the earlier result where it stands.

        Args:
            spark: the session; None for a stage that needs none.
            config: the recipe.
            parent: id of the MLflow run that this one belongs to.
            force: run it even if nothing has changed.

        Raises:
            UserError: something that the stage reads is missing or cannot be used, in this process
                or in a Python worker.
            SparkEndedError: Spark's JVM ended meanwhile.
        """
        settings = recipe_settings(config.spark) if spark is not None else {}
        with named_jvm_end(), session_settings(spark, settings):
            return self.start(lambda: spark, config, parent=parent, force=force)

    def start(
        self,
        session: Callable[[], SparkSession | None],
        config: Config,
        *,
        digest: str | None = None,
        parent: str | None = None,
        force: bool = False,
    ) -> StageResult:
        """Do the same with a session that is only started when there is something to do.

        Args:
            session: returns the session; called at most once.
            config: the recipe.
            digest: of `check`, where that has just been called.
            parent: id of the MLflow run that this one belongs to.
            force: run it even if nothing has changed.
        """
        digest = digest or self.check(config)
        standing = None if force else self._standing(config, digest)
        if standing is not None:
            return standing
        require_writable(config.paths.work, "paths.work")
        with claimed(self._places(config), self.name, otherwise=config.second_writer) as waited:
            if waited:  # the other one may have done what was to be done
                digest = self.check(config)
                standing = None if force else self._standing(config, digest)
                if standing is not None:
                    return standing
            return self._run(session, config, digest, parent=parent, force=force)

    def _run(
        self,
        session: Callable[[], SparkSession | None],
        config: Config,
        digest: str,
        *,
        parent: str | None,
        force: bool,
    ) -> StageResult:
        with opening_store(config):
            spark = session() if self._needs_spark else None
        if spark is not None:
            check_workers(spark)
        started = time.monotonic()
        tags = {"stage": self.name, "data_digest": digest, "git_commit": git_commit()}
        with open_run(config, self.name, parent=parent, tags=tags) as tracked:
            tracked.digest, tracked.force = digest, force
            tasks = None if spark is None else task_counts(spark)
            give_back_memory()
            with worker_errors(), show_progress(self.name, tasks), self._keeping(config):
                result = self._body(spark, config, tracked)
            seconds = round(time.monotonic() - started, 2)
            result = replace(result, stage=self.name, seconds=seconds, run_id=tracked.run_id)
            tracked.log_metrics({f"count/{key}": value for key, value in result.counts.items()})
            metrics = result.metrics if self._logs_metrics else {}
            tracked.log_metrics({**metrics, "seconds": result.seconds})
            self._remember(config, digest, result)
        return result

    def _places(self, config: Config) -> list[str]:
        """Return what only one process may write at a time: the stage's record and its tables."""
        tables = [output.path for output in self._outputs(config) if isinstance(output, Table)]
        return [join(config.paths.work, f"stage-{self.name}"), *tables]

    def _keeping(self, config: Config) -> AbstractContextManager[None]:
        """Return the block in which data that a session cannot cache becomes tables."""
        folder = join(config.paths.work, "scratch", self.name)
        return keep_in_folder(folder, serverless=config.spark.serverless)

    def earlier(self, config: Config) -> StageResult | None:
        """Return the earlier result, or None where it does not stand any more; needs no Spark."""
        return self._standing(config, self.check(config))

    def stands(self, config: Config, digest: str) -> bool:
        """Return whether there is an earlier result, of a digest of `check`, that stands."""
        return self._standing(config, digest) is not None

    def damage(self, config: Config, *, full: bool = False) -> list[str]:
        """Return a sentence per stored file that is not what the stage has written.

        Args:
            config: the recipe.
            full: compare checksums too, which reads every byte; otherwise sizes only.
        """
        done = read_checked_json(self._record(config))
        if done is None:
            return (
                [f"{self._record(config)}: changed or cut off"] if self.has_record(config) else []
            )
        found = find_damage(config.paths.work, read_states(done.get("files")), full=full)
        other = self._is_of_another_recipe(config, done.get("fingerprint"))
        for output in self._outputs(config):
            flaws = output.damage(full=full)
            if other and not isinstance(output, Table):
                continue  # whether it is whole depends on the recipe
            if not flaws and not output.is_whole():
                flaws = [f"{output.path}: its manifest is missing, cut off or changed"]
            found += flaws
        return found

    def _is_of_another_recipe(self, config: Config, recorded: object) -> bool:
        try:
            return self.check(config) != recorded
        except UserError:
            return False  # what it reads is gone, which nobody can tell from another recipe

    def check(self, config: Config) -> str:
        """Return the digest of everything that the result depends on.

        Raises:
            UserError: something that the stage reads is not there.
        """
        return fingerprint(self.name, __version__, config.seed, self._depends_on(config))

    def check_paths(self, config: Config) -> None:
        """Check the user's own files and folders; tables may come later.

        Raises:
            UserError: one of them is not there.
        """
        with suppress(MissingTableError):
            self._depends_on(config)

    def _standing(self, config: Config, digest: str) -> StageResult | None:
        if self._always:
            found = None if self._find_standing is None else self._find_standing(config)
            return None if found is None else replace(found, stage=self.name, reused=True)
        done = read_checked_json(self._record(config))
        if not done or done.get("fingerprint") != digest:
            return None
        if not all(output.is_whole() for output in self._outputs(config)):
            return None
        if find_damage(config.paths.work, read_states(done.get("files"))):
            return None
        return replace(read_result(done["result"], config.paths.work), reused=True)

    def _remember(self, config: Config, digest: str, result: StageResult) -> None:
        work = config.paths.work.rstrip("/")
        below = [place[len(work) + 1 :] for place in result.outputs.values()]
        models = [name for name in below if name.startswith(_MODELS)]
        value = {
            "fingerprint": digest,
            "result": record_result(result, work),
            "files": take_inventory(work, models),
        }
        write_checked_json(self._record(config), value)

    def has_record(self, config: Config) -> bool:
        """Return whether the stage has ever stored a result in the work folder."""
        system, inner = filesystem(self._record(config))
        return bool(system.exists(inner))

    def _record(self, config: Config) -> str:
        """Return the file that remembers the last result."""
        return join(config.paths.work, "stages", f"{self.name}.json")


def require_models(config: Config) -> None:
    """Check the sizes of the files of all models that stages have recorded.

    Raises:
        DamagedTableError: one of them is not what was written; the text names its stage.
    """
    system, inner = filesystem(join(config.paths.work, "stages"))
    records = system.ls(inner, detail=False) if system.exists(inner) else []
    for name in sorted(str(entry).rsplit("/", 1)[-1] for entry in records):
        done = read_checked_json(join(config.paths.work, "stages", name)) or {}
        files = read_states(done.get("files"))
        models = {file: state for file, state in files.items() if file.startswith("models/")}
        for flaw in find_damage(config.paths.work, models):
            producer = name.removesuffix(".json")
            raise DamagedTableError(f"{flaw}; `genre-spark {producer}` makes the model again")


def stage(
    *,
    depends_on: Callable[[Config], list[object]],
    outputs: Callable[[Config], Sequence[Output]],
    always: bool = False,
    standing: Callable[[Config], StageResult | None] | None = None,
    needs_spark: bool = True,
    logs_metrics: bool = True,
) -> Callable[[Body], Stage]:
    """Turn the decorated `run(spark, config, tracked)` into a `Stage`, with its arguments."""
    return partial(
        Stage,
        depends_on=depends_on,
        outputs=outputs,
        always=always,
        standing=standing,
        needs_spark=needs_spark,
        logs_metrics=logs_metrics,
    )


def git_commit() -> str:
    """Return the commit of the source tree that runs, or the version where there is none."""
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
