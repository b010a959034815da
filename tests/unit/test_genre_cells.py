"""Cells of genres: one, several, or none."""

from __future__ import annotations

import pytest

from genre_spark.transforms.genre_cells import Cell, is_settled, resolve_cells

PLACEHOLDER = ("placeholder for no genre",)


def meaning(cell: str, *, vocabulary=(), unknown="reject", separator=None) -> Cell:
    return resolve_cells([cell], vocabulary=vocabulary, unknown=unknown, separator=separator)[cell]


@pytest.mark.parametrize(
    ("cell", "genres"),
    [
        ("Drama", ("Drama",)),
        ("Drama|Comedy", ("Drama", "Comedy")),
        ("Drama; Comedy;", ("Drama", "Comedy")),
        ("Drama, Comedy", ("Drama", "Comedy")),
        ("['Drama', 'Comedy']", ("Drama", "Comedy")),
        ('["Drama", "Drama"]', ("Drama",)),
        ("[{'id': 18, 'name': 'Drama', 'x': None}]", ("Drama",)),
        ("Science\u3000Fiction\u200b", ("Science Fiction",)),
        ("Come\u0301die", ("Comédie",)),
        ("Action/Adventure", ("Action/Adventure",)),
        ("Sports (Non-Fiction)", ("Sports (Non-Fiction)",)),
    ],
)
def test_a_cell_names_its_genres(cell: str, genres: tuple[str, ...]) -> None:
    assert meaning(cell) == Cell(genres)
    assert is_settled(cell) == (cell == genres[0])


@pytest.mark.parametrize(
    "cell", ["(no genres listed)", "\\N", "N/A", "nan", "NULL", "None", "[]", "-", "\u200b", "|"]
)
def test_a_placeholder_names_none(cell: str) -> None:
    assert meaning(cell) == Cell((), PLACEHOLDER)


def test_a_list_that_cannot_be_read_is_no_genre() -> None:
    for cell in ("['Drama", "[Drama]", "{'a': 1", "[" * 5000):
        assert meaning(cell) == Cell((), ("unreadable list of genres",))


def test_known_genres_are_never_split_and_unknown_parts_are_rejected_or_kept() -> None:
    known = ("Film, TV", "Drama")
    assert meaning("Film, TV", vocabulary=known) == Cell(("Film, TV",))
    assert meaning("Drama|Opera", vocabulary=known) == Cell(("Drama",), ("unknown genre",))
    assert meaning("Drama|Opera", vocabulary=known, unknown="keep") == Cell(("Drama", "Opera"))
    assert meaning("Drama|N/A") == Cell(("Drama",), PLACEHOLDER)


def test_a_separator_that_is_given_is_the_only_one() -> None:
    assert meaning("Drama/War, Noir", separator="/") == Cell(("Drama", "War, Noir"))
    assert meaning("Drama|War", separator="") == Cell(("Drama|War",))
