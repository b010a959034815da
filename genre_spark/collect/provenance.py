"""Where collected movies come from: when, from which pages, at which rank, by which version."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from genre_spark import __version__
from genre_spark.collect.layout import iso_time
from genre_spark.collect.politeness import TMDB_ATTRIBUTION
from genre_spark.collect.tmdb_answers import APPENDED
from genre_spark.collect.tmdb_lists import GenreRanking
from genre_spark.config.collect import TmdbConfig
from genre_spark.storage.files import join, whole_file, write_json

__all__ = ["PROVENANCE", "AnswerStates", "write_provenance"]

PROVENANCE = "tmdb_provenance.json"
RANKS = "tmdb_ranks.csv"


class AnswerStates(NamedTuple):
    """What the files are made of.

    Attributes:
        digest: of the answers, the ranks and the settings.
        gone: movies that TMDb does not have.
        first: when the oldest answer came, seconds since 1970; infinite where there is none.
        last: when the newest came.
    """

    digest: str
    gone: int
    first: float
    last: float


def write_provenance(
    folder: str,
    config: TmdbConfig,
    rankings: Sequence[GenreRanking],
    *,
    rows: Mapping[str, int],
    states: AnswerStates,
) -> None:
    """Write tmdb_ranks.csv and, last of all files, tmdb_provenance.json."""
    _write_ranks(join(folder, RANKS), rankings)
    kept = {"per_genre", "filters", "ids", "limit", "language", "include_adult"}
    provenance = {
        "collected_by": f"genre_spark {__version__}",
        "attribution": TMDB_ATTRIBUTION,
        "source": config.base_url,
        "api_version": config.base_url.rpartition("/")[2],
        "appended": list(APPENDED),
        "settings": config.model_dump(mode="json", include=kept),
        "first_answer": iso_time(states.first) if states.last else None,
        "last_answer": iso_time(states.last) if states.last else None,
        "written": iso_time(time.time()),
        "rows": dict(rows),
        "gone": states.gone,
        "rating": "mean vote of TMDb's users, 0 to 10",
        "genres": {ranking.genre.name: _listed(ranking) for ranking in rankings},
        "digest": states.digest,
    }
    write_json(join(folder, PROVENANCE), provenance)


def _listed(ranking: GenreRanking) -> dict[str, Any]:
    times = [movie.at for movie in ranking.movies]
    return {
        "tmdb_id": ranking.genre.id,
        "movies": len(ranking.movies),
        "pages": ranking.pages,
        "first_page": iso_time(min(times)) if times else None,
        "last_page": iso_time(max(times)) if times else None,
    }


def _write_ranks(path: str, rankings: Sequence[GenreRanking]) -> None:
    """Write where each movie stood in which list, and when."""
    with whole_file(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("id", "genre", "page", "rank", "listed_at"))
        for ranking in rankings:
            for movie in ranking.movies:
                at = iso_time(movie.at)
                writer.writerow((movie.id, ranking.genre.name, movie.page, movie.rank, at))
        text.flush()
        text.detach()
