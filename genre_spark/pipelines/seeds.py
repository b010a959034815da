"""One recipe with several seeds: what each of them repeats, and what all of them share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from genre_spark.config import Config
from genre_spark.pipelines.stage import StageResult
from genre_spark.pipelines.stage_list import STAGES, StageEntry
from genre_spark.storage.files import join
from genre_spark.tracking import TrackedRun, resolve_tracking_uri

__all__ = ["Step", "is_repeated", "list_steps", "run_of_seed", "seed_configs"]

_FIRST, _LAST = "build-features", "evaluate"


def seed_configs(config: Config) -> list[Config]:
    """Return the recipe for each seed after the first, in a work folder of its own.

    Genres, posters and embeddings depend on no seed: they are read where the first seed has them.
    """
    found = []
    for seed in range(config.seed + 1, config.seed + config.seeds):
        paths = {"work": join(config.paths.work, "seeds", str(seed)), "shared": config.paths.work}
        store = {"tracking_uri": resolve_tracking_uri(config.mlflow, config.paths.work)}
        changed = {
            "seed": seed,
            "seeds": 1,
            "paths": config.paths.model_copy(update=paths),
            "mlflow": config.mlflow.model_copy(update=store),
        }
        found.append(config.model_copy(update=changed))
    return found


def is_repeated(entry: StageEntry) -> bool:
    """Say whether a stage is run for each seed: from the split to the evaluation of the models."""
    order = list(STAGES)
    return order.index(_FIRST) <= order.index(entry.name) <= order.index(_LAST)


@dataclass(frozen=True)
class Step:
    """A stage of a run.

    Attributes:
        entry: the stage.
        config: the recipe of its seed.
        number: its place in the run, from 1.
        again: whether the seed is not the first.
    """

    entry: StageEntry
    config: Config
    number: int
    again: bool

    def name(self, result: StageResult) -> StageResult:
        """Return the result, which says of which seed it is where that is not the first."""
        if not self.again:
            return result
        return replace(result, stage=f"{result.stage} (seed {self.config.seed})")


def list_steps(entries: Sequence[StageEntry], config: Config) -> list[Step]:
    """Return the stages of the first seed, those of the others, and what comes after them."""
    repeated = [entry for entry in entries if is_repeated(entry)]
    after = entries[entries.index(repeated[-1]) + 1 :] if repeated else ()
    order = [(entry, config, False) for entry in entries if entry not in after]
    order += [(entry, own, True) for own in seed_configs(config) for entry in repeated]
    order += [(entry, config, False) for entry in after]
    return [Step(entry, own, number, again) for number, (entry, own, again) in enumerate(order, 1)]


@contextmanager
def run_of_seed(config: Config, seed: int, tracked: TrackedRun) -> Iterator[TrackedRun]:
    """Give the run that the stages of a seed belong to: the whole run's for the first seed."""
    if seed == config.seed:
        yield tracked
        return
    with tracked.child(f"seed {seed}", {"stage": "seed", "seed": str(seed)}) as run:
        yield run
