"""A TMDb on loopback: it pages, limits, fails, drifts and lies, and counts what it is asked for."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

from aiohttp import web

from tests.collect.serving import LoopbackServer

TOKEN = "eyJhbGciOiJIUzI1NiJ9.synthetic.token"
V3_KEY = "0123456789abcdef0123456789abcdef"
GENRES = {28: "Action", 35: "Comedy", 18: "Drama", 37: "Western", 10770: "TV Movie"}
_PER_PAGE = 20


def synthetic_movie(movie_id: int, genres: list[int], **values: Any) -> dict[str, Any]:
    """Return the details of a movie as TMDb has them."""
    movie = {
        "id": movie_id,
        "title": f"The Movie, No. {movie_id}",
        "adult": False,
        "release_date": f"{1950 + movie_id % 70}-03-0{1 + movie_id % 9}",
        "tagline": 'She said "go"\nand he went',
        "overview": f"A story about {movie_id % 13} friends.",
        "original_language": "fr" if movie_id % 5 == 0 else "en",
        "runtime": 80 + movie_id % 60,
        "vote_average": 5.5,
        "vote_count": movie_id * 3,
        "popularity": 100.0 / movie_id,
        "budget": movie_id * 1000 if movie_id % 2 else 0,
        "revenue": movie_id * 2500,
        "poster_path": f"/poster{movie_id}.jpg",
        "imdb_id": f"tt{movie_id:07d}",
        "genres": [{"id": genre, "name": GENRES[genre]} for genre in genres],
        "production_countries": [{"iso_3166_1": "FR", "name": "France"}],
        "production_companies": [{"id": 1, "name": "Studio, Inc."}],
        "spoken_languages": [
            {"iso_639_1": "en", "english_name": "English", "name": "English"},
            {"iso_639_1": "fr", "english_name": "French", "name": "Français"},
        ],
        "credits": {
            "cast": [{"name": f"Actor {movie_id % 7}"}, {"name": "Extra"}, {"name": "Extra"}],
            "crew": [{"job": "Director", "name": f"Director {movie_id % 3}"}],
        },
        "keywords": {"keywords": [{"id": 5, "name": f"keyword {movie_id % 11}"}]},
        "external_ids": {"imdb_id": f"tt{movie_id:07d}", "wikidata_id": f"Q{movie_id}"},
        "release_dates": {
            "results": [
                {
                    "iso_3166_1": "FR",
                    "release_dates": [
                        {"certification": "U", "release_date": "2001-02-03T00:00:00Z", "type": 3}
                    ],
                }
            ]
        },
    }
    return {**movie, **values}


class FakeTmdb(LoopbackServer):
    """Attributes that a test sets before or while the server is asked.

    asked: request (path and page) -> how often; answered: the same, of answers that were sent.
    """

    def __init__(self, movies: int = 60) -> None:
        super().__init__(self._answer)
        genres = list(GENRES)
        self.movies = {
            number: synthetic_movie(number, sorted({genres[number % 4], genres[number % 3]}))
            for number in range(1, movies + 1)
        }
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.times: list[float] = []
        self.tokens: set[str] = set()
        self.per_second: float | None = None  # 429 above it
        self.retry_after = "1"
        self.limited = 0
        self.fail_every: int | None = None  # every n-th request gets a 500
        self.lies: dict[str, Any] = {}  # path -> (status, HTML) or JSON in place of the truth
        self.drift = 0  # places that the lists turn by after every page
        self.last_page = 500
        self.delay = 0.0
        self._turned = 0
        self._window: list[float] = []

    @property
    def api(self) -> str:
        return f"{self.url}/3"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/3")
        key = path + (f"?{q}" if (q := _listed(request)) else "")
        now = time.monotonic()
        self.asked[key] += 1
        self.times.append(now)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        token = token or request.query.get("api_key", "")
        self.tokens.add(token)
        if self.delay:
            await asyncio.sleep(self.delay)
        if token not in (TOKEN, V3_KEY):
            return _refuse(401, 7, "Invalid API key: You must be granted a valid key.")
        if self.per_second is not None:
            self._window = [at for at in self._window if at > now - 1]
            if len(self._window) >= self.per_second:
                self.limited += 1
                return web.Response(status=429, headers={"Retry-After": self.retry_after})
            self._window.append(now)
        if self.fail_every and sum(self.asked.values()) % self.fail_every == 0:
            return web.Response(status=500, text="<html>oops</html>", content_type="text/html")
        response = self._truth(path, request)
        self.answered[key] += response.status == 200
        return response

    def _truth(self, path: str, request: web.Request) -> web.Response:
        if path in self.lies:
            lie = self.lies[path]
            if isinstance(lie, tuple):
                return web.Response(status=lie[0], text=lie[1], content_type="text/html")
            return web.json_response(lie)
        if path == "/genre/movie/list":
            named = [{"id": number, "name": name} for number, name in GENRES.items()]
            return web.json_response({"genres": named})
        if path == "/discover/movie":
            return self._page(int(request.query["with_genres"]), int(request.query["page"]))
        movie = self.movies.get(int(path.rpartition("/")[2]))
        if movie is None:
            return _refuse(404, 34, "The resource you requested could not be found.")
        appended = request.query.get("append_to_response", "").split(",")
        parts = ("credits", "keywords", "external_ids", "release_dates")
        hidden = {part for part in parts if part not in appended}
        return web.json_response({key: movie[key] for key in movie if key not in hidden})

    def _page(self, genre: int, page: int) -> web.Response:
        if not 1 <= page <= self.last_page:
            return _refuse(400, 22, "Invalid page: Pages start at 1 and max at 500.")
        listed = [
            movie["id"]
            for movie in self.movies.values()
            if genre in [each["id"] for each in movie["genres"]]
        ]
        turn = self._turned % max(1, len(listed))
        self._turned += self.drift
        listed = listed[-turn:] + listed[:-turn] if turn else listed
        found = listed[(page - 1) * _PER_PAGE : page * _PER_PAGE]
        return web.json_response(
            {
                "page": page,
                "total_pages": -(-len(listed) // _PER_PAGE),
                "total_results": len(listed),
                "results": [{"id": movie, "title": "x"} for movie in found],
            }
        )


def _listed(request: web.Request) -> str:
    query = request.query
    return f"{query['with_genres']} {query['page']}" if "with_genres" in query else ""


def _refuse(status: int, code: int, message: str) -> web.Response:
    value = {"success": False, "status_code": code, "status_message": message}
    return web.json_response(value, status=status)
