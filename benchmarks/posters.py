"""How fast posters become a table, compared with bare processes and with other tools in one run.

    python benchmarks/posters.py [--posters 10000] [--folder DIR] [--rounds 3] [--slope 50000]
        [--json]

Rates count work only; the Spark session is there before the clock starts. Ratios: larger is better.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["PYTHONPATH"] = os.pathsep.join([*sys.path[:1], os.environ.get("PYTHONPATH", "")])

import poster_peers
from poster_files import link_posters, make_posters, warm
from poster_limits import prepare_limit

from genre_spark.config.posters import PostersConfig
from genre_spark.posters.table import prepare_posters
from genre_spark.spark.session import spark_session


class _Measured:
    """Seconds per poster of everything that is measured."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def note(self, name: str, value: float | None, count: int) -> None:
        if value is not None:
            self.seconds.setdefault(name, []).append(value / count)
            _say(f"  {name:28} {count / value:8.0f} posters/s   {value:6.2f} s")

    def rate(self, name: str) -> float:
        return 1 / statistics.median(self.seconds[name])


def main() -> None:
    options = _options()
    with _work(options.work) as work, _session(options.cores, work) as spark:
        folder = options.folder or make_posters(work / "posters", options.posters)
        names = [str(path) for path in sorted(folder.glob("*.jpg"))]
        megabytes = warm(folder) / 1e6
        _say(
            f"{len(names)} posters, {megabytes:.0f} MB, {options.cores} cores, rounds: "
            f"{options.rounds}"
        )
        measured = _Measured()
        _prepare(spark, "warm-up", link_posters(folder, work / "warm", 600), work)
        for _ in range(options.rounds):
            measured.note("limit jpeg", _limit(folder, "jpeg", work, options.cores), len(names))
            measured.note("ours jpeg", _prepare(spark, "jpeg", folder, work), len(names))
            stored = _prepare(spark, "stored", folder, work, keep_originals=True)
            measured.note("ours stored", stored, len(names))
            measured.note("limit raw", _limit(folder, "raw", work, options.cores), len(names))
            measured.note(
                "ours raw", _prepare(spark, "raw", folder, work, encoding="raw"), len(names)
            )
        ratios = {
            "prepare_jpeg_vs_limit": measured.rate("ours jpeg") / measured.rate("limit jpeg"),
            "prepare_raw_vs_limit": measured.rate("ours raw") / measured.rate("limit raw"),
            "prepare_stored_vs_jpeg_limit": measured.rate("ours stored")
            / measured.rate("limit jpeg"),
        }
        if options.slope > len(names):
            ratios["prepare_slope_vs_limit"] = _slope(spark, folder, work, options, measured)
        if options.peers:
            ratios |= _peers(spark, folder, names, work, options, measured)
    rates = {name: round(measured.rate(name), 1) for name in measured.seconds}
    _report(
        {"posters": len(names), "cores": options.cores, "rates": rates, "ratios": ratios},
        as_json=options.json,
    )


def _prepare(spark: object, name: str, source: Path, work: Path, **settings: object) -> float:
    """Return the seconds that the package needs; JPEGs are re-encoded unless settings differ."""
    out = work / "out"
    config = PostersConfig.model_validate({"encoding": "jpeg", "keep_originals": False, **settings})
    begin = time.perf_counter()
    prepared = prepare_posters(
        spark,
        str(source),
        table=str(out / "posters"),
        rejects_table=str(out / "rejects"),
        config=config,
    )
    spent = time.perf_counter() - begin
    if prepared.unchanged or prepared.manifest.rows != sum(1 for _ in source.glob("*.jpg")):
        raise RuntimeError(f"{name}: {prepared.manifest.rows} posters were prepared")
    shutil.rmtree(out)
    return spent


def _limit(source: Path, encoding: str, work: Path, cores: int) -> float:
    spent = prepare_limit(source, work / "limit", encoding=encoding, processes=cores)
    shutil.rmtree(work / "limit")
    return spent


def _slope(
    spark: object, folder: Path, work: Path, options: argparse.Namespace, measured: _Measured
) -> float:
    """Return the limit's time for further posters, divided by the package's."""
    count = sum(1 for _ in folder.glob("*.jpg"))
    large, more = link_posters(folder, work / "large", options.slope), options.slope - count
    limit = _limit(large, "jpeg", work, options.cores) - count / measured.rate("limit jpeg")
    ours = _prepare(spark, "large", large, work) - count / measured.rate("ours jpeg")
    measured.note("limit slope", limit, more)
    measured.note("ours slope", ours, more)
    return limit / ours


def _peers(
    spark: object,
    folder: Path,
    names: list[str],
    work: Path,
    options: argparse.Namespace,
    measured: _Measured,
) -> dict[str, float]:
    few = names[: options.peers]
    written = poster_peers.petastorm_writer(spark, few, work / "petastorm")
    measured.note("petastorm writer", written, len(few))
    converted = poster_peers.binary_file_pillow(spark, folder, work / "binary", few)
    measured.note("binaryFile + Pillow", converted, len(few))
    mapped = poster_peers.huggingface_map(names, work / "hf", processes=options.cores)
    measured.note("Hugging Face map", mapped, len(names))
    peers = {
        "prepare_vs_petastorm_writer": "petastorm writer",
        "prepare_vs_binaryfile_pillow": "binaryFile + Pillow",
        "prepare_vs_huggingface": "Hugging Face map",
    }
    return {
        name: measured.rate("ours jpeg") / measured.rate(peer)
        for name, peer in peers.items()
        if peer in measured.seconds
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--posters", type=int, default=10_000, help="posters to generate")
    parser.add_argument("--folder", type=Path, help="a folder of ID.jpg to use instead")
    parser.add_argument("--rounds", type=int, default=3, help="runs of which the median counts")
    parser.add_argument(
        "--slope", type=int, default=50_000, help="posters of the second size; 0: leave it out"
    )
    parser.add_argument(
        "--peers", type=int, default=2_000, help="posters for the slow peers; 0: leave peers out"
    )
    parser.add_argument(
        "--cores", type=int, default=os.cpu_count() or 2, help="cores of Spark and of the limit"
    )
    parser.add_argument("--work", type=Path, help="folder for all files; default: a temporary one")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object on standard output"
    )
    return parser.parse_args()


@contextlib.contextmanager
def _work(folder: Path | None) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="genre_spark-posters-", dir=folder))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _session(cores: int, work: Path) -> Iterator[object]:
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.memory": "2g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(work / "spark"),
    }
    log = work / "spark.log"
    with spark_session(
        app_name="posters", master=f"local[{cores}]", settings=settings, log_file=log
    ) as spark:
        yield spark


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _report(result: dict[str, object], *, as_json: bool) -> None:
    ratios = result["ratios"]
    if not isinstance(ratios, dict):
        raise TypeError(f"ratios: {type(ratios).__name__}, expected a mapping")
    result["ratios"] = {name: round(value, 3) for name, value in ratios.items()}
    for name, value in result["ratios"].items():
        _say(f"  {name:32} {value:6.2f}")
    if as_json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
