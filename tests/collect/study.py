"""The TMDb study from nothing: a fake TMDb, a host of posters and files of IMDb, from one recipe.

    python -m tests.collect.study [--movies 1000] [--folder FOLDER] [key=value ...]

The movies are synthetic, with genres that their texts, people and posters give away in part, so
that models have something to learn. The recipe is conf/tmdb_complete.yaml with fewer trees. Shows
the seconds of each stage and what each model reached.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from genre_spark.synthesis import DatasetSpec, write_dataset
from tests.collect.fake_images import FakeImages
from tests.collect.fake_tmdb import TOKEN, FakeTmdb, synthetic_movie
from tests.collect.imdb_files import write_imdb
from tests.e2e.running import ROOT, environment


class StudyTmdb(FakeTmdb):
    """Serves the movies of a synthetic data set."""

    def __init__(self, data: Path) -> None:
        super().__init__(0)
        lists = {name: _by_movie(data / f"{name}.csv") for name in _LISTS}
        names = sorted({row[0] for rows in lists["genres"].values() for row in rows})
        self.genres = dict(enumerate(names, 1))
        numbers = {name: number for number, name in self.genres.items()}
        with (data / "movies.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                movie = int(row["id"])
                self.movies[movie] = _details(movie, row, lists, numbers)

    def _truth(self, path: str, request: web.Request) -> web.Response:
        if path == "/genre/movie/list":
            named = [{"id": number, "name": name} for number, name in self.genres.items()]
            return web.json_response({"genres": named})
        return super()._truth(path, request)


class StudyImages(FakeImages):
    """Serves the posters of a synthetic data set."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    async def _poster(self, request: web.Request, rest: str) -> web.StreamResponse:
        file = self.folder / request.path.rpartition("/")[2]
        if not file.is_file():
            return web.Response(status=404)
        return web.Response(body=file.read_bytes(), content_type="image/jpeg")


_LISTS = ("genres", "countries", "studios", "themes", "actors", "crew", "languages")


def _by_movie(path: Path) -> dict[int, list[list[str]]]:
    rows: dict[int, list[list[str]]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for movie, *values in list(csv.reader(file))[1:]:
            rows[int(movie)].append(values)
    return rows


def _details(
    movie: int, row: dict[str, str], lists: dict[str, dict[int, list[list[str]]]], genres: dict
) -> dict[str, Any]:
    def named(name: str) -> list[dict[str, Any]]:
        return [{"id": 1, "name": values[0]} for values in lists[name][movie]]

    return {
        **synthetic_movie(movie, []),
        "title": row["name"],
        "release_date": f"{int(float(row['date']))}-05-01" if row["date"] else "",
        "tagline": row["tagline"],
        "overview": row["description"],
        "runtime": int(float(row["minute"] or 0)),
        "vote_average": float(row["rating"] or 0) * 2,
        "poster_path": f"/{movie}.jpg",
        "genres": [
            {"id": genres[name], "name": name} for (name,) in lists["genres"][movie]
        ],
        "production_countries": [
            {"iso_3166_1": "XX", "name": name} for (name,) in lists["countries"][movie]
        ],
        "production_companies": named("studios"),
        "credits": {
            "cast": named("actors"),
            "crew": [{"job": job, "name": name} for job, name in lists["crew"][movie]],
        },
        "keywords": {"keywords": named("themes")},
    }  # fmt: skip


def write_imdb_of(folder: Path, tmdb: StudyTmdb) -> None:
    """Write files of IMDb in which the movies are found by their ids."""
    basics, ratings, people, crew, names = [], [], [], [], []
    for movie, details in tmdb.movies.items():
        genres = ",".join(each["name"].replace(",", "") for each in details["genres"][:3])
        key = details["imdb_id"]
        basics.append(
            f"{key}\tmovie\t{details['title']}\t{details['title']}\t0\t"
            f"{details['release_date'][:4] or chr(92) + 'N'}\t\\N\t{details['runtime'] or 90}\t"
            f"{genres or chr(92) + 'N'}"
        )
        ratings.append(f"{key}\t{1 + movie % 9}.0\t{movie % 1000 + 1}")
        person = f"nm{movie:07d}"
        people.append(f"{key}\t1\t{person}\tdirector\t\\N\t\\N")
        crew.append(f"{key}\t{person}\t\\N")
        names.append(f"{person}\tDirector {movie}\t\\N\t\\N\tdirector\t{key}")
    write_imdb(
        folder,
        {
            "title.basics": basics,
            "title.ratings": ratings,
            "title.principals": people,
            "title.crew": crew,
            "name.basics": names,
        },
    )


def study_recipe(folder: Path, api: str, images: str) -> Path:
    """Write the shipped recipe with the servers of the test, small posters and few trees."""
    recipe = yaml.safe_load((ROOT / "conf" / "tmdb_complete.yaml").read_text())
    recipe["spark"] = {
        "conf_file": f"{ROOT}/conf/spark/local.conf",
        "master": "local[2]",
        "settings": {"spark.driver.memory": "2g", "spark.sql.shuffle.partitions": "4"},
    }
    recipe["collect"]["tmdb"] |= {
        "base_url": api,
        "image_url": f"{images}/t/p",
        "requests_per_second": 50,
    }
    recipe["collect"]["imdb"] = {"source": str(folder / "imdb")}
    recipe["collect"]["downloads"] |= {"allow_networks": ["127.0.0.0/8"]}
    recipe["posters"] = {"height": 115, "width": 77}
    recipe["sampling"] = {"minimum_per_genre": 20}
    recipe["multilabel"]["forest"] |= {"trees": 30}
    recipe["cnn"] |= {"epochs": 4, "height": 115, "width": 77}
    (folder / "conf").mkdir(parents=True, exist_ok=True)
    path = folder / "conf" / "study.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def run_study(folder: Path, movies: int, overrides: list[str]) -> subprocess.CompletedProcess[str]:
    """Make the data, start the servers, and run every stage."""
    data = folder / "truth"
    write_dataset(
        DatasetSpec(
            genres_csv=str(data / "genres.csv"),
            posters=str(data / "posters"),
            metadata=str(data),
            movies=movies,
            seed=7,
            flaws=False,
        )
    )
    with StudyTmdb(data) as tmdb, StudyImages(data / "posters") as images:
        write_imdb_of(folder / "imdb", tmdb)
        recipe = study_recipe(folder, tmdb.api, images.url)
        done = subprocess.run(
            [sys.executable, "-m", "genre_spark", "run", "--config", str(recipe), *overrides],
            env={**environment(), "TMDB_API_TOKEN": TOKEN},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        repeated = {request: count for request, count in tmdb.asked.items() if count > 1}
        assert not repeated, repeated
    return done


def stage_seconds(work: Path) -> dict[str, float]:
    """Return stage -> seconds, from the records of a work folder, in the order of their ends."""
    paths = sorted((work / "stages").glob("*.json"), key=lambda path: path.stat().st_mtime)
    records = [json.loads(path.read_text()) for path in paths]
    return {record["result"]["stage"]: record["result"]["seconds"] for record in records}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--movies", type=int, default=1000)
    parser.add_argument("--folder", type=Path)
    options, overrides = parser.parse_known_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="tmdb-study-"))
    done = run_study(folder, options.movies, overrides)
    sys.stdout.write(done.stdout[-12_000:] + "\n")
    for stage, seconds in stage_seconds(folder / "work" / "tmdb_complete").items():
        sys.stdout.write(f"{stage:20} {seconds:8.1f} s\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
