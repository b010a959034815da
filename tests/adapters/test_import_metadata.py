"""The stage import-metadata: each file once, and the same features as from the CSV files."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from genre_spark.config import Config, build_config
from genre_spark.errors import InvalidInputError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.features import build_features
from genre_spark.pipelines.ingestion import import_metadata
from genre_spark.pipelines.run import stages_of
from genre_spark.storage.tables import read_manifest

MOVIES = "id,name,date,tagline,description,minute,rating\n"


def write(folder: Path) -> None:
    films = [
        f'{n}.0,"Film ""{n}""",{1980 + n},,"A war\nof stars, {n % 3}",'
        f"{'soon' if n == 3 else 90 + n},3.{n % 9}"
        for n in range(30)
    ]
    films += ["4,Film twice,1999,,other,91,2", "x,No id,2001,,,90,3", "5,Cut off"]
    (folder / "movies.csv").write_text(MOVIES + "\n".join(films))
    lines = [f"{n},{country}\n" for n in range(30) for country in ("UK", f"land {n % 4}\t")]
    (folder / "countries.csv").write_text("id,country\n" + "".join(lines) + "7\n")


@pytest.fixture
def config(spark: SparkSession, tmp_path: Path, tracking_store: str) -> Config:
    (tmp_path / "metadata").mkdir()
    write(tmp_path / "metadata")
    config = build_config(
        {
            "paths": {
                "genres_csv": str(tmp_path / "genres.csv"),
                "posters": str(tmp_path / "posters"),
                "metadata": str(tmp_path / "metadata"),
                "work": str(tmp_path / "work"),
            },
            "mlflow": {"tracking_uri": tracking_store},
            "import_metadata": {"smallest_mib": 0},
            "features": {"min_count": 1, "blocks": {"poster_summary": False, "words": True}},
            "sampling": {"require_poster": False},
        }
    )
    genres = Catalogue(config).genres
    rows = spark.createDataFrame([(n, ["Drama"], [0]) for n in range(30)], genres.schema)
    genres.write(rows, fingerprint="g", details={"vocabulary": ["Drama"]})
    return config


def features(spark: SparkSession, config: Config) -> tuple[dict, list]:
    details = Catalogue(config).features.manifest().details
    rows = Catalogue(config).features.read(spark).orderBy("movie_id").collect()
    return dict(details), [(row["movie_id"], row["features"]) for row in rows]


def test_later_stages_read_the_tables_and_make_the_same_features_of_them(spark, config) -> None:
    build_features.run(spark, config)
    from_csv = features(spark, config)
    result = import_metadata.run(spark, config)
    assert result.counts == {
        "files": 2,
        "read": 2,
        "rows": 31 + 1 + 61,
        "rejected": 4,
        "rejected/id is not a number": 1,
        "rejected/malformed row": 2,
        "rejected/minute is not a number": 1,
    }
    rejects = Catalogue(config).rejects("csv").read(spark).collect()
    csv = (Path(config.paths.metadata) / "movies.csv").read_bytes()
    assert {tuple(row) for row in rejects} == {
        (f"movies.csv, byte {csv.index(b'3.0,')}", "minute is not a number",
         '3.0,"Film ""3""",1983,,"A war\nof stars, 0",soon,3.3'),
        (f"movies.csv, byte {csv.index(b'x,No')}", "id is not a number", "x,No id,2001,,,90,3"),
        (f"movies.csv, byte {csv.index(b'5,Cut')}", "malformed row", "5,Cut off"),
        (rejects[-1]["source"], "malformed row", "7"),
    }  # fmt: skip
    assert build_features.run(spark, config).reused  # the same files, whatever is read of them
    built = build_features.run(spark, config, force=True)
    assert features(spark, config) == from_csv
    assert built.counts["rejected/repeated id"] == 2


def test_only_a_file_that_has_changed_is_read_again_and_a_kill_leaves_whole_tables(
    spark, config, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = import_metadata.run(spark, config)
    assert first.counts["read"] == 2
    again = import_metadata.run(spark, config)
    assert (again.reused, again.counts["rows"]) == (True, first.counts["rows"])
    tables = {name: Catalogue(config).imported_csv(name) for name in ("movies", "countries")}
    before = {name: read_manifest(table.path) for name, table in tables.items()}
    path = Path(config.paths.metadata) / "countries.csv"
    path.write_text(path.read_text() + "8,Chad\n")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(import_metadata, "commit_source", killed)
        with pytest.raises(KeyboardInterrupt):
            import_metadata.run(spark, config)
    assert read_manifest(tables["countries"].path) == before["countries"]
    changed = import_metadata.run(spark, config)
    assert (changed.counts["read"], changed.counts["rows"]) == (1, first.counts["rows"] + 1)
    assert changed.counts["rejected"] == first.counts["rejected"]
    assert read_manifest(tables["movies"].path).paths == before["movies"].paths
    assert Catalogue(config).rejects("csv").read(spark).count() == first.counts["rejected"]
    assert tables["countries"].read(spark).where("country = 'Chad'").count() == 1


def test_small_files_stay_as_they_are_and_bad_ones_are_named(config, tmp_path: Path) -> None:
    small = config.model_copy(update={"import_metadata": type(config.import_metadata)()})
    found = import_metadata.run(None, small)
    assert found.counts == {"files": 0}
    assert "no CSV file of at least 64 MiB" in found.notes[0]
    assert "import-metadata" not in [entry.name for entry in stages_of(small)]
    assert "import-metadata" in [entry.name for entry in stages_of(config)]
    for content, message in (
        ("", r"movies\.csv: the file is empty"),
        ("id,name\n1,A\n", r"movies\.csv: no column date"),
        (f"{MOVIES}1,Солярис\n", r"movies\.csv: the encoding cannot be told"),
    ):
        (tmp_path / "metadata" / "movies.csv").write_text(content, encoding="cp1251")
        with pytest.raises(InvalidInputError, match=message):
            import_metadata.run(None, config)
    for path in (tmp_path / "metadata").glob("*.csv"):
        path.unlink()
    with pytest.raises(InvalidInputError, match=r"has none of movies\.csv"):
        import_metadata.run(None, config)
