"""Try releases of Spark, each in a virtual environment of its own, and print a table of what ran.

    make test-versions                            # all of them, about an hour and 8 GB
    make test-versions VERSIONS="spark-3.5"       # these

Estimators run their own tests with the newest releases of everything else; pipelines run the demo's
recipe on 200 movies, once with Petastorm's limits and once without. Environments are kept in a
cache and made again when pyproject.toml or a file of constraints changes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from install import have_uv, pip_settings, uv_environment

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "genre_spark" / "versions"
CONSTRAINTS = ROOT / "constraints.txt"
PAGE = ROOT / "docs" / "operations.md"
BEGIN, END = "<!-- versions: written by `make test-versions` -->", "<!-- /versions -->"
SHOWN = ("pyspark", "numpy", "pandas", "pyarrow", "scikit-learn")

ESTIMATORS = [
    f"tests/multilabel/test_{name}.py"
    for name in ("contract", "stages_of_pipelines", "stored", "page")
]
LONG = ("tests/multilabel/test_contract.py",)
CONNECT = ["tests/places/test_connect_estimators.py"]
RECIPE = [
    *("sample_data.movies=200", "posters.height=96", "posters.width=64", "features.text_words=50"),
    *("sampling.minimum_per_genre=3", "multilabel.forest.trees=5", "cnn.epochs=1"),
    *(
        "cnn.architecture=scratch_cnn_one",
        "stack.models={fused: [binary_relevance, text, scratch_cnn_one]}",
    ),
    *("cnn.batch_size=16", "spark.master=local[2]", "spark.settings={spark.driver.memory: 1g}"),
]


@dataclass(frozen=True)
class Trial:
    """An environment, and what is run in it.

    Attributes:
        extras: of this package.
        releases: requirements beside them.
        loosened: packages for which constraints.txt does not hold; None: it does not hold at all.
        tests: files for pytest; none: the pipeline is run.
        settings: of the recipe that is run.
        python: version of Python; None: this one's.
    """

    extras: str
    releases: tuple[str, ...]
    loosened: tuple[str, ...] | None = None
    tests: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    python: str | None = None

    @property
    def version(self) -> str:
        """The version of Python, for example 3.11."""
        return self.python or f"{sys.version_info[0]}.{sys.version_info[1]}"


def estimators(release: str) -> Trial:
    """Return the trial of the estimators with a release of pyspark and the newest of the rest."""
    return Trial("spark,connect,test", (release,), tests=(*ESTIMATORS, *CONNECT))


# Spark 3.5 asks for numpy < 2 itself, which the newest pyarrow and pandas do without; it has Spark
# ML in classic sessions only.
OLD = ("pyspark~=3.5.0", "numpy<2", "pyarrow<20", "pandas<3")


PIPELINE = "spark,connect,pipeline,cnn"
# what the feed without Petastorm frees; torch stays, as its newest release is 3 GB more
FREE = ("pyspark", "py4j", "numpy", "pyarrow", "opencv-python-headless", "scikit-learn", "scipy")


def without_petastorm(release: str, python: str | None = None) -> Trial:
    """Return the trial of the pipeline with a release of pyspark, fed without Petastorm."""
    releases = (release, "numpy>=2", "pyarrow>=18")
    return Trial(PIPELINE, releases, FREE, settings=("cnn.feed.reader=parquet",), python=python)


TRIALS = {
    "spark-3.5": Trial("spark,test", OLD, tests=tuple(ESTIMATORS)),
    "spark-4.0": estimators("pyspark~=4.0.0"),
    "spark-4.1": estimators("pyspark~=4.1.0"),
    "spark-4.2": estimators("pyspark~=4.2.0"),
    "spark-newest": estimators("pyspark"),
    "pipeline-3.5": Trial(f"{PIPELINE},petastorm", ("pyspark~=3.5.0",), ("pyspark", "py4j")),
    "pipeline-4.0": Trial(f"{PIPELINE},petastorm", ("pyspark~=4.0.0",), ("pyspark", "py4j")),
    "pipeline-4.1": without_petastorm("pyspark~=4.1.0"),
    "pipeline-4.2": without_petastorm("pyspark~=4.2.0"),
    "pipeline-newest": without_petastorm("pyspark"),
    "python-3.13": without_petastorm("pyspark", "3.13"),
}


def make_environment(name: str, trial: Trial, cache: Path) -> Path:
    """Return the Python of a trial's environment, which is made where it is not there."""
    folder = cache / name
    python = folder / "bin" / "python"
    parts = [(ROOT / "pyproject.toml").read_bytes(), CONSTRAINTS.read_bytes(), repr(trial).encode()]
    stamp, sum_ = folder / ".made", str(crc32(b"".join(parts)))
    if stamp.is_file() and stamp.read_text() == sum_:
        return python
    print(f"{name}: installing into {folder}", flush=True)
    environment = uv_environment(pip_settings())
    if environment is None or not have_uv([str(CONSTRAINTS)]):
        raise SystemExit("uv cannot be had, or pip has a setting that it does not know")
    uv = [sys.executable, "-m", "uv"]
    make = [*uv, "venv", "--quiet", "--clear", "--python", trial.version, str(folder)]
    subprocess.run(make, check=True, env=environment)
    words = ["--python", str(python), "--quiet", *trial.releases]
    if trial.loosened is not None:
        limits = folder / "constraints.txt"
        limits.write_text(loosen(CONSTRAINTS.read_text(), trial.loosened))
        words += ["--constraint", str(limits)]
    words += ["--editable", f"{ROOT}[{trial.extras}]"]
    subprocess.run([*uv, "pip", "install", *words], check=True, env=environment)
    stamp.write_text(sum_)
    return python


def loosen(constraints: str, packages: Sequence[str]) -> str:
    """Return constraints without those of some packages."""
    lines = [line for line in constraints.splitlines() if line.split("==")[0] not in packages]
    return "\n".join(lines) + "\n"


def releases_of(python: Path) -> dict[str, str]:
    """Return package -> release of what matters here, for an environment."""
    code = (
        "import importlib.metadata as m, json, sys\n"
        "have = {d.metadata['Name'].lower(): d.version for d in m.distributions()}\n"
        "print(json.dumps({n: have[n] for n in sys.argv[1:] if n in have}))"
    )
    words = [str(python), "-c", code, *SHOWN, "torch", "petastorm"]
    answer = subprocess.run(words, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(answer.stdout)
    return found


def run_trial(name: str, trial: Trial, cache: Path, *, quick: bool) -> dict[str, object]:
    """Run a trial and return its row of the table; the output goes to NAME.log in the cache."""
    python = make_environment(name, trial, cache)
    if trial.tests:
        tests = [file for file in trial.tests if not (quick and file in LONG)]
        command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *tests]
        what = "estimators: stored models, snippets" if quick else "estimators"
        what += ", Spark Connect" if CONNECT[0] in tests else ""
    else:
        work = cache / f"{name}-work"
        paths = {"genres_csv": "data/genres.csv", "posters": "data/posters", "metadata": "data"}
        places = [f"paths.{key}={work}/{place}" for key, place in paths.items()]
        command = ["-m", "genre_spark", "run", "--force", "--config", f"{ROOT}/conf/demo.yaml"]
        command += [f"paths.work={work}", *places, *RECIPE, *trial.settings]
        what = "pipeline"
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYSPARK_")}
    started = time.monotonic()
    print(f"{name}: running", flush=True)
    log = cache / f"{name}.log"
    with log.open("wb") as out:
        done = subprocess.run(
            [str(python), *command],
            cwd=ROOT,
            env={**own, "PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    seconds = time.monotonic() - started
    outcome = describe(log.read_text(errors="replace"), done.returncode, trial)
    print(f"{name}: {outcome} ({seconds:.0f} s, {log})", flush=True)
    return {
        "name": name,
        "what": what,
        "python": trial.version,
        "releases": releases_of(python),
        "outcome": outcome,
        "passed": done.returncode == 0,
    }


def describe(output: str, code: int, trial: Trial) -> str:
    """Return what a run came to, in a few words."""
    if trial.tests:
        last = re.findall(r"\d+ (?:passed|failed|error|skipped)[^\n]*", output)
        if not last:
            return "no test ran"
        return re.sub(r" in .*| \(.*|, \d+ (deselected|warnings?)|=", "", last[-1]).strip()
    stages = len(re.findall(r"^  [a-z-]+: \d+\.\d s$", output, re.MULTILINE))
    return f"{stages} stages" if code == 0 else f"failed after {stages} stages"


def table_of(rows: Sequence[dict[str, object]]) -> str:
    """Return the table in Markdown."""
    lines = ["| what | Python | " + " | ".join(SHOWN) + " | feed | came to |"]
    lines.append("|---" * (len(SHOWN) + 4) + "|")
    for row in rows:
        releases = dict(row["releases"])  # type: ignore[call-overload]
        feed = (
            ""
            if row["what"] != "pipeline"
            else "Petastorm"
            if "petastorm" in releases
            else "parquet"
        )
        cells = [row["what"], row["python"], *(releases.get(name, "") for name in SHOWN), feed]
        lines.append(f"| {' | '.join(map(str, cells))} | {row['outcome']} |")
    return "\n".join(lines)


def main() -> int:
    """Run what is asked for; return 1 where something failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(TRIALS)}; all by default")
    parser.add_argument("--cache", type=Path, default=CACHE, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="without the estimators' contract")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    options = parser.parse_args()
    if unknown := set(options.names) - set(TRIALS):
        parser.error(f"{', '.join(sorted(unknown))}: expected names of {', '.join(TRIALS)}")
    options.cache.mkdir(parents=True, exist_ok=True)
    store = options.cache / "results.json"
    known: dict[str, dict[str, object]] = json.loads(store.read_text()) if store.is_file() else {}
    failed = False
    for name in options.names or TRIALS:
        known[name] = run_trial(name, TRIALS[name], options.cache, quick=options.quick)
        failed |= not known[name]["passed"]
        store.write_text(json.dumps(known, indent=2))
    table = table_of([known[name] for name in TRIALS if name in known])
    print(f"\n{table}")
    if options.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
