"""Synthetic movies: genres, and texts, people and numbers that depend on them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from genre_spark.synthesis.draws import generator, hash_number, hash_unit, pick
from genre_spark.synthesis.genre_counts import GENRES
from genre_spark.synthesis.labelsets import draw_labelset
from genre_spark.synthesis.words import draw_word, person_name

__all__ = ["Movie", "make_movie", "movie_id"]

FIRST_ID = 1_000_001

# Median length in minutes, median year and mean rating of genres that differ from most movies.
_MINUTES = {
    "Documentary": 62,
    "Animation": 24,
    "Music": 55,
    "Family": 80,
    "War": 104,
    "Western": 88,
    "TV Movie": 85,
}
_YEARS = {
    "Western": 1955,
    "War": 1978,
    "Science Fiction": 2008,
    "Horror": 2009,
    "Documentary": 2012,
    "Music": 2006,
}
_RATINGS = {
    "Horror": 2.7,
    "TV Movie": 2.8,
    "Documentary": 3.5,
    "Music": 3.6,
    "History": 3.4,
    "Action": 2.9,
}
# Genres that are more frequent in a country than elsewhere.
_COUNTRIES = {
    "USA": ("Western", "TV Movie", "Horror"),
    "France": ("Drama", "Romance"),
    "UK": ("Music", "History"),
    "Japan": ("Animation", "Science Fiction"),
    "Germany": ("Documentary", "Crime"),
    "Canada": ("Family", "TV Movie"),
    "India": ("Romance", "Action"),
    "Italy": ("Crime", "Horror"),
    "Brazil": ("Documentary",),
    "Spain": ("Comedy", "Thriller"),
    "Russian Federation": ("War", "Drama"),
    "South Korea": ("Thriller", "Romance"),
    "Hong Kong": ("Action", "Crime"),
    "Sweden": ("Drama", "Mystery"),
}
_LANGUAGES = {
    "USA": "English",
    "France": "French",
    "UK": "English",
    "Japan": "Japanese",
    "Germany": "German",
    "Canada": "English",
    "India": "Hindi",
    "Italy": "Italian",
    "Brazil": "Portuguese",
    "Spain": "Spanish",
    "Russian Federation": "Russian",
    "South Korea": "Korean",
    "Hong Kong": "Cantonese",
    "Sweden": "Swedish",
}
_THEME_ENDINGS = (
    "and what remains of it",
    "at the end of the road",
    "from the inside",
    "on a grand scale",
)


@dataclass(frozen=True)
class Movie:
    """A movie in the Letterboxd layout; an empty text is a missing value.

    Attributes:
        movie_id: id of the movie and of its poster.
        genres: one to five genres, the most frequent one first.
        name: title of synthetic words.
        date: year, sometimes as 2023.0.
        tagline: one sentence of synthetic words.
        description: two to four sentences of synthetic words.
        minute: length in minutes, sometimes as 90.0.
        rating: rating, 0.5 to 5 stars.
        countries: names of countries, as the following four zero or more.
        languages: pairs of type and language.
        studios: names of studios.
        themes: names of themes.
        actors: names of actors.
        directors: names of directors.
    """

    movie_id: int
    genres: tuple[str, ...]
    name: str
    date: str
    tagline: str
    description: str
    minute: str
    rating: str
    countries: tuple[str, ...]
    languages: tuple[tuple[str, str], ...]
    studios: tuple[str, ...]
    themes: tuple[str, ...]
    actors: tuple[str, ...]
    directors: tuple[str, ...]


def movie_id(index: int, seed: int) -> int:
    """Return the id of the index-th movie; ids ascend and have gaps, as the real ones do."""
    return FIRST_ID + 3 * index + hash_number(seed, "id", index) % 3


def make_movie(index: int, *, seed: int) -> Movie:
    """Return the index-th movie, which depends on its index and the seed alone."""
    random = generator(seed, "movie", index)
    genres = draw_labelset(index, offset=hash_unit(seed, "labelsets"))
    country = _draw_country(genres, random)
    countries = (
        (country,)
        if random.random() < 0.85
        else tuple(sorted({country, pick(tuple(_COUNTRIES), random)}))
    )
    number = movie_id(index, seed)
    return Movie(
        movie_id=number,
        genres=genres,
        name=_draw_title(genres, random),
        date=_sometimes(_loosely(_draw_year(genres, random), random), random, missing=0.03),
        tagline=_sometimes(_draw_sentence(genres, random, 3, 8), random, missing=0.5),
        description=_sometimes(_draw_text(genres, random), random, missing=0.05),
        minute=_sometimes(_loosely(_draw_minutes(genres, random), random), random, missing=0.08),
        rating=_sometimes(_draw_rating(genres, random), random, missing=0.2),
        countries=countries if random.random() < 0.94 else (),
        languages=_draw_languages(countries, random),
        studios=_draw_many("studio", genres, random, mean=1.2, size=40),
        themes=_draw_many("theme", genres, random, mean=1.5, size=9)
        if random.random() < 0.4
        else (),
        actors=_draw_people("actor", genres, random, mean=6.0, size=120),
        directors=_draw_people("director", genres, random, mean=1.0, size=50),
    )


def _mean_of(
    table: dict[str, float] | dict[str, int], genres: tuple[str, ...], usual: float
) -> float:
    return float(np.mean([table.get(genre, usual) for genre in genres]))


def _draw_year(genres: tuple[str, ...], random: np.random.Generator) -> int:
    return int(
        np.clip(2024 - random.gamma(2.0, (2024 - _mean_of(_YEARS, genres, 1998)) / 1.7), 1903, 2024)
    )


def _draw_minutes(genres: tuple[str, ...], random: np.random.Generator) -> int:
    return int(np.clip(_mean_of(_MINUTES, genres, 92) * random.lognormal(0.0, 0.25), 1, 400))


def _draw_rating(genres: tuple[str, ...], random: np.random.Generator) -> str:
    return f"{np.clip(random.normal(_mean_of(_RATINGS, genres, 3.15), 0.45), 0.5, 5.0):.2f}"


def _loosely(number: int, random: np.random.Generator) -> str:
    """Return an integer as text, sometimes with the `.0` that columns with missing values get."""
    return f"{number}.0" if random.random() < 0.1 else str(number)


def _sometimes(text: str, random: np.random.Generator, *, missing: float) -> str:
    return "" if random.random() < missing else text


def _draw_title(genres: tuple[str, ...], random: np.random.Generator) -> str:
    words = [draw_word(genres, random, lean=0.55).capitalize() for _ in range(3)]
    first, second, third = words
    number = random.integers(2, 5)
    forms = (
        first,
        f"The {first}",
        f"{first} {second}",
        f"{first} of {second}",
        f"{first}, {second} & {third}",
        f"{first}'s {second}",
        f"{first} {number}",
    )
    return pick(forms, random)


def _draw_sentence(
    genres: tuple[str, ...], random: np.random.Generator, shortest: int, longest: int
) -> str:
    words = [
        draw_word(genres, random, lean=0.3) for _ in range(random.integers(shortest, longest + 1))
    ]
    if len(words) > 6:
        words[3] += ","
    if random.random() < 0.1:
        words[1] = f'"{words[1]}"'
    return " ".join(words).capitalize() + pick((".", ".", ".", "!", "..."), random)


def _draw_text(genres: tuple[str, ...], random: np.random.Generator) -> str:
    # some movies are described like those of another genre, so that no text is a certain sign
    shown = genres if random.random() < 0.85 else (pick(GENRES, random),)
    return " ".join(_draw_sentence(shown, random, 5, 14) for _ in range(random.integers(2, 5)))


def _draw_country(genres: tuple[str, ...], random: np.random.Generator) -> str:
    names = tuple(_COUNTRIES)
    popularity = 1.0 / np.arange(1, len(names) + 1)
    liking = np.array([1.0 + 2.5 * len(set(genres) & set(_COUNTRIES[name])) for name in names])
    weights = popularity * liking
    return names[int(random.choice(len(names), p=weights / weights.sum()))]


def _draw_languages(
    countries: tuple[str, ...], random: np.random.Generator
) -> tuple[tuple[str, str], ...]:
    spoken = list(dict.fromkeys(_LANGUAGES[country] for country in countries))
    if random.random() < 0.07:
        spoken = list(dict.fromkeys([*spoken, pick(tuple(_LANGUAGES.values()), random)]))
    if len(spoken) == 1:
        return (("Language", spoken[0]),)
    return (
        ("Primary language", spoken[0]),
        *(("Spoken language", language) for language in spoken),
    )


@cache
def _inventory(kind: str, genre: str, size: int) -> tuple[str, ...]:
    """Return the studios or themes of a genre."""
    random = generator("inventory", kind, genre)
    if kind == "studio":
        ends = ("Pictures", "Films", "Studio", "Media")
        names = (
            f"{draw_word((genre,), random, lean=0.5).capitalize()} {pick(ends, random)}"
            for _ in range(size)
        )
    else:
        names = (
            f"{draw_word((genre,), random, lean=0.8)} {pick(_THEME_ENDINGS, random)}".capitalize()
            for _ in range(size)
        )
    return tuple(dict.fromkeys(names))


def _draw_many(
    kind: str, genres: tuple[str, ...], random: np.random.Generator, *, mean: float, size: int
) -> tuple[str, ...]:
    chosen = []
    for _ in range(random.poisson(mean)):
        home = pick(genres, random) if random.random() < 0.6 else pick(GENRES, random)
        names = _inventory(kind, home, size)
        chosen.append(names[int(len(names) * random.random() ** 2)])
    return tuple(dict.fromkeys(chosen))


def _draw_people(
    role: str, genres: tuple[str, ...], random: np.random.Generator, *, mean: float, size: int
) -> tuple[str, ...]:
    """Draw people, each of whom mostly works in one genre."""
    chosen = []
    for _ in range(random.poisson(mean)):
        home = pick(genres, random) if random.random() < 0.6 else pick(GENRES, random)
        chosen.append(person_name(role, home, int(size * random.random() ** 2)))
    return tuple(dict.fromkeys(chosen))
