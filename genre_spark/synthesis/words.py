"""Synthetic words: a common vocabulary, and one per genre with syllables of its own."""

from __future__ import annotations

from functools import cache

import numpy as np

from genre_spark.synthesis.draws import generator, pick

__all__ = ["draw_word", "person_name", "vocabulary"]

_COMMON = (
    "ba", "ce", "di", "fo", "ga", "hi", "ke", "lo", "mi", "na", "pe", "ra", "so", "ta", "ve", "yo",
)  # fmt: skip
_SYLLABLES = {
    "Drama": ("lam", "ero", "sil", "ven", "tear", "mou", "ash"),
    "Documentary": ("fac", "arch", "voc", "doc", "ter", "graph", "lens"),
    "Comedy": ("bop", "gig", "zib", "noo", "pla", "wob", "hee"),
    "Animation": ("pix", "toon", "zip", "bub", "dib", "wee", "plu"),
    "Horror": ("gru", "mor", "skel", "vex", "kro", "nox", "ghul"),
    "Romance": ("amo", "lis", "bel", "rose", "cher", "luv", "elle"),
    "Thriller": ("stra", "kil", "tens", "dag", "shad", "wir", "trak"),
    "Music": ("do", "sol", "fa", "ryth", "lyr", "chor", "vio"),
    "Action": ("bla", "rok", "smash", "dyn", "trax", "bolt", "fu"),
    "Crime": ("mob", "cop", "loot", "gat", "heist", "vic", "con"),
    "Family": ("mom", "pup", "hom", "tob", "kin", "lil", "dad"),
    "TV Movie": ("tel", "prim", "chan", "vid", "air", "stat", "rer"),
    "Adventure": ("trek", "isl", "voy", "map", "rid", "que", "jun"),
    "Fantasy": ("ael", "dra", "wyr", "elf", "mag", "thal", "run"),
    "Mystery": ("clu", "enig", "riddle", "sec", "whis", "fog", "cry"),
    "Science Fiction": ("xen", "rob", "orb", "qua", "zor", "neb", "cyb"),
    "History": ("reg", "imper", "dyn", "cent", "aur", "mon", "leg"),
    "War": ("tank", "gren", "bat", "sold", "trench", "maj", "arm"),
    "Western": ("tex", "colt", "mesa", "gulch", "rod", "spur", "dus"),
}
_ENDINGS = ("", "a", "an", "el", "en", "er", "ia", "in", "is", "o", "on", "or", "um", "us", "y")


@cache
def vocabulary(genre: str | None, size: int) -> tuple[str, ...]:
    """Return synthetic words, the most frequent ones first.

    Args:
        genre: genre of the words, or None for the common vocabulary.
        size: number of words.
    """
    random = generator("words", genre)
    syllables = _COMMON if genre is None else _SYLLABLES[genre]
    words: dict[str, None] = {}
    while len(words) < size:
        stem = pick(syllables, random) + (pick(_COMMON, random) if random.random() < 0.5 else "")
        if genre is None or random.random() < 0.3:
            stem += pick(syllables, random)
        ending = pick(_ENDINGS, random)
        words[(stem.rstrip("aeiou") if ending else stem) + ending] = None
    return tuple(words)


def draw_word(genres: tuple[str, ...], random: np.random.Generator, *, lean: float) -> str:
    """Return a word: of one of the genres with probability `lean`, else of the common vocabulary.

    Early words are drawn more often than late ones, as in any language.
    """
    genre = pick(genres, random) if genres and random.random() < lean else None
    words = vocabulary(genre, 60 if genre else 400)
    return words[int(len(words) * random.random() ** 2)]


@cache
def person_name(role: str, genre: str, number: int) -> str:
    """Return the name of the number-th synthetic person who mostly works in a genre, in a role."""
    random = generator("person", role, genre, number)
    first, last = (
        pick(vocabulary(None, 400), random),
        pick(vocabulary(pick(tuple(_SYLLABLES), random), 60), random),
    )
    return f"{first.capitalize()} {last.capitalize()}"
