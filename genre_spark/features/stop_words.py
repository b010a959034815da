"""Words that say nothing about a genre."""

from __future__ import annotations

__all__ = ["STOP_WORDS"]

# A short list of English: every language has its own such words, and IDF does the rest.
_LISTED = (
    "a an and are as at be but by for from has have he her his in into is it its of on or she that "
    "the their them they this to was were when who will with you your"
)
STOP_WORDS = tuple(_LISTED.split())
