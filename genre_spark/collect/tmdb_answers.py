"""TMDb's answers as checked values: what is used of them, and nothing that it did not promise.

Fields: https://developer.themoviedb.org/reference/discover-movie and .../movie-details
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from genre_spark.errors import StageFailedError

__all__ = [
    "APPENDED",
    "GenreList",
    "MovieAnswer",
    "PageAnswer",
    "WrongAnswerError",
    "read_answer",
]

# what is asked for together with a movie's details; TMDb appends at most 20
APPENDED = ("credits", "keywords", "external_ids", "release_dates")


class WrongAnswerError(StageFailedError):
    """A JSON object that is not what was asked for."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


T = TypeVar("T")
# TMDb writes null where a list or a text is empty
Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
Listed = Annotated[list[T], BeforeValidator(lambda value: [] if value is None else value)]
Id = Annotated[int, Field(gt=0, lt=2**31)]


class Genre(_Answer):
    """A genre of TMDb's own list."""

    id: Id
    name: str = Field(min_length=1)


class GenreList(_Answer):
    """The answer of /genre/movie/list."""

    genres: list[Genre] = Field(min_length=1)


class ListedMovie(_Answer):
    """A movie in a page of /discover/movie."""

    id: Id


class PageAnswer(_Answer):
    """The answer of /discover/movie.

    Attributes:
        page: number of the page, from 1.
        total_pages: as of now; it changes while one pages.
        results: movies, the most popular first.
    """

    page: int
    total_pages: int = Field(ge=0)
    results: list[ListedMovie]


class _Named(_Answer):
    name: Text = ""


class _Language(_Named):
    iso_639_1: Text = ""
    english_name: Text = ""


class _CrewMember(_Named):
    job: Text = ""


class _Credits(_Answer):
    cast: Listed[_Named] = []
    crew: Listed[_CrewMember] = []


class _Keywords(_Answer):
    keywords: Listed[_Named] = []


class _ExternalIds(_Answer):
    imdb_id: Text = ""
    wikidata_id: Text = ""


class _Release(_Answer):
    certification: Text = ""
    release_date: Text = ""
    type: int = 0


class _CountryReleases(_Answer):
    iso_3166_1: Text = ""
    release_dates: Listed[_Release] = []


class _Releases(_Answer):
    results: Listed[_CountryReleases] = []


class MovieAnswer(_Answer):
    """The answer of /movie/{id} with APPENDED; 0 and "" stand for what TMDb does not know."""

    id: Id
    title: str
    adult: bool = False
    release_date: Text = ""
    tagline: Text = ""
    overview: Text = ""
    original_language: Text = ""
    runtime: float | None = None  # minutes
    vote_average: float | None = None  # 0..10
    vote_count: float | None = None
    popularity: float | None = None
    budget: float | None = None  # US dollars
    revenue: float | None = None  # US dollars
    poster_path: Text = ""
    imdb_id: Text = ""
    genres: Listed[Genre] = []
    production_countries: Listed[_Named] = []
    production_companies: Listed[_Named] = []
    spoken_languages: Listed[_Language] = []
    credits: _Credits = _Credits()
    keywords: _Keywords = _Keywords()
    external_ids: _ExternalIds = _ExternalIds()
    release_dates: _Releases = _Releases()


AnswerT = TypeVar("AnswerT", bound=_Answer)


def read_answer(kind: type[AnswerT], value: dict[str, Any], *, path: str) -> AnswerT:
    """Check an answer.

    Raises:
        WrongAnswerError: it is not what the path promises; the text says where it is not.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "answer"
        seen = repr(first["input"])[:80]
        raise WrongAnswerError(f"{path}: {place}: {seen}, {first['msg']}") from None
