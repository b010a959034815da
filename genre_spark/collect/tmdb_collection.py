"""A whole collection from TMDb: lists, details, the files of the layout and their provenance."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from genre_spark.collect.journal import GONE, Journal
from genre_spark.collect.layout import LayoutWriter, layout_paths, layout_rows
from genre_spark.collect.politeness import gather_all, run_async
from genre_spark.collect.provenance import PROVENANCE, AnswerStates, write_provenance
from genre_spark.collect.tmdb_answers import APPENDED, MovieAnswer, WrongAnswerError, read_answer
from genre_spark.collect.tmdb_client import RefusedRequestError, TmdbClient, UnusableAnswerError
from genre_spark.collect.tmdb_lists import GenreRanking, rank_genres, read_ids
from genre_spark.config.collect import TmdbConfig
from genre_spark.errors import StageFailedError
from genre_spark.posters.rejects import RejectsLog
from genre_spark.storage.files import filesystem, fingerprint, join, read_json

__all__ = ["CollectedMovies", "collect_movies"]

logger = logging.getLogger("genre_spark")

UNUSABLE = "no usable answer"
REFUSED = "refused by TMDb"
WRONG = "not what was asked for"
ADULT = "adult"
_FORMAT = 1  # of the files; raised when the same answers would be written differently
_GIVE_UP_AFTER = 20  # movies in a row without an answer: it is not the movies
_PROGRESS_EVERY = 10.0  # seconds
_DAY = 86_400.0


@dataclass(frozen=True)
class CollectedMovies:
    """What a run did.

    Attributes:
        rows: file -> its rows; empty where the files stand as they were.
        wanted: movies that the recipe asks for.
        gone: those of them that TMDb does not have.
        requests: sent to TMDb in this run.
        short: genre -> how many movies TMDb lists, where that is fewer than wanted.
        rejected: reason -> count.
        unchanged: nothing was new, so no file was written.
    """

    rows: Mapping[str, int]
    wanted: int
    gone: int
    requests: int
    short: Mapping[str, int]
    rejected: Mapping[str, int]
    unchanged: bool = False


def collect_movies(
    config: TmdbConfig, *, genres_csv: str, folder: str, journal: str, rejects_table: str
) -> CollectedMovies:
    """Collect the movies that a recipe asks for and write them in the Letterboxd layout.

    What the journal has is not asked for again, so a run that was killed goes on where it was.

    Args:
        config: which movies.
        genres_csv: where genres.csv goes.
        folder: where the other files go.
        journal: local file of all answers.
        rejects_table: folder of the rejects table.

    Raises:
        UserError: no valid token, an unknown genre, a file of ids that cannot be read.
        StageFailedError: TMDb does not answer, or does not let us go on.
    """
    with Journal(journal) as answers:
        collection = _Collection(config, answers, RejectsLog(rejects_table))
        run_async(collection.ask())
        return collection.write(genres_csv, folder)


@dataclass
class _Collection:
    config: TmdbConfig
    journal: Journal
    rejects: RejectsLog
    rankings: list[GenreRanking] = field(default_factory=list)
    requests: int = 0
    failures: int = 0  # movies without an answer since the last that had one
    done: int = 0

    @property
    def variant(self) -> str:
        """What a movie's details depend on beside its id."""
        return f"{self.config.language} {','.join(APPENDED)}"

    async def ask(self) -> None:
        """Ask TMDb for everything that the journal does not have."""
        days = self.config.refresh_older_than
        newer_than = 0.0 if days is None else time.time() - days * _DAY
        async with TmdbClient(self.config) as client:
            try:
                await self._list(client, newer_than)
                await self._ask_for_movies(client, newer_than)
            finally:
                self.requests = client.requests

    async def _list(self, client: TmdbClient, newer_than: float) -> None:
        config = self.config
        if config.ids is None:
            self.rankings = await rank_genres(client, self.journal, config, newer_than=newer_than)
            for ranking in self.rankings:
                self.journal.want((movie.id, 0.0) for movie in ranking.movies)
            return
        ids = read_ids(config.ids, include_adult=config.include_adult, reject=self.rejects.add)
        self.journal.want(ids)
        if config.limit is not None:
            self.journal.keep_most_popular(config.limit)

    async def _ask_for_movies(self, client: TmdbClient, newer_than: float) -> None:
        total = self.journal.count_missing(self.variant, newer_than=newer_than)
        logger.info(
            "collect-tmdb: %d movies, %d of them to be asked for",
            self.journal.count_wanted(),
            total,
        )
        missing = self.journal.missing(self.variant, newer_than=newer_than)
        workers = [self._work(client, missing) for _ in range(self.config.connections)]
        progress = asyncio.ensure_future(self._report(total))
        try:
            await gather_all(workers)
        finally:
            progress.cancel()

    async def _work(self, client: TmdbClient, missing: Iterator[int]) -> None:
        for movie_id in missing:
            await self._ask_for_movie(client, movie_id)
            self.done += 1

    async def _ask_for_movie(self, client: TmdbClient, movie_id: int) -> None:
        path = f"/movie/{movie_id}"
        query = {"append_to_response": ",".join(APPENDED), "language": self.config.language}
        try:
            value = await client.get(path, query)
            movie = read_answer(MovieAnswer, value, path=path)
            if movie.id != movie_id:
                raise WrongAnswerError(f"{path}: the answer is of movie {movie.id}")
        except RefusedRequestError as error:
            if error.gone:
                self.journal.add_movie(self.variant, movie_id, time.time(), None)
            else:
                self.rejects.add(str(movie_id), REFUSED, str(error))
        except (UnusableAnswerError, WrongAnswerError) as error:
            self._fail(movie_id, error)
            return
        else:
            self.journal.add_movie(self.variant, movie_id, time.time(), value)
        self.failures = 0

    def _fail(self, movie_id: int, error: Exception) -> None:
        """Leave a movie out; the next run asks for it again."""
        reason = WRONG if isinstance(error, WrongAnswerError) else UNUSABLE
        self.rejects.add(str(movie_id), reason, str(error))
        self.failures += 1
        if self.failures >= _GIVE_UP_AFTER:
            raise StageFailedError(
                f"{self.failures} movies in a row had no usable answer, the last one: {error}; "
                "what has been collected is kept, start the stage again later"
            )

    async def _report(self, total: int) -> None:
        started = time.monotonic()
        while True:
            await asyncio.sleep(_PROGRESS_EVERY)
            rate = self.done / (time.monotonic() - started)
            left = (total - self.done) / rate / 60 if rate else float("inf")
            logger.info(
                "collect-tmdb: %d of %d movies, %.1f per second, about %.0f min left",
                *(self.done, total, rate, left),
            )

    def write(self, genres_csv: str, folder: str) -> CollectedMovies:
        """Write the files, unless they hold the same answers already."""
        states = self._states()
        short = {
            ranking.genre.name: len(ranking.movies)
            for ranking in self.rankings
            if len(ranking.movies) < self.config.per_genre
        }
        paths = layout_paths(genres_csv, folder)
        before = read_json(join(folder, PROVENANCE)) or {}
        unchanged = before.get("digest") == states.digest and all(map(_exists, paths.values()))
        rows: dict[str, int] = {}
        if not unchanged:
            rows = self._write_layout(paths)
        if not unchanged or self.rejects.counts:
            self.rejects.commit(states.digest)
        if not unchanged:
            write_provenance(folder, self.config, self.rankings, rows=rows, states=states)
        return CollectedMovies(
            rows=rows,
            wanted=self.journal.count_wanted(),
            gone=states.gone,
            requests=self.requests,
            short=short,
            rejected=dict(self.rejects.counts),
            unchanged=unchanged,
        )

    def _states(self) -> AnswerStates:
        """Go through the answers that the files are made of."""
        config = self.config
        ranks = [
            [ranking.genre.name, *((movie.id, movie.page) for movie in ranking.movies)]
            for ranking in self.rankings
        ]
        settings = (config.poster_size, config.image_url, config.include_adult, self.variant)
        digest = hashlib.sha256(fingerprint(_FORMAT, settings, ranks).encode())
        gone, first, last = 0, math.inf, 0.0
        for movie_id, at, state in self.journal.states(self.variant):
            digest.update(f"{movie_id} {at} {state};".encode())
            gone += state == GONE
            first, last = min(first, at), max(last, at)
        return AnswerStates(digest.hexdigest()[:16], gone, first, last)

    def _write_layout(self, paths: Mapping[str, str]) -> dict[str, int]:
        posters = f"{self.config.image_url}/{self.config.poster_size}"
        with LayoutWriter(paths) as writer:
            for stored in self.journal.movies(self.variant):
                try:
                    movie = read_answer(MovieAnswer, stored.body, path=f"/movie/{stored.id}")
                except WrongAnswerError as error:
                    self.rejects.add(str(stored.id), WRONG, str(error))
                    continue
                if movie.adult and not self.config.include_adult:
                    self.rejects.add(str(stored.id), ADULT, movie.title)
                    continue
                rows = layout_rows(movie, at=stored.at, posters=posters, reject=self.rejects.add)
                writer.write(stored.id, rows)
            return dict(writer.rows)


def _exists(path: str) -> bool:
    system, inner = filesystem(path)
    return bool(system.exists(inner))
