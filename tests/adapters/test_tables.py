"""Layout `table`: any table with a mapping of its columns; ids of any kind; wrong guesses."""

from __future__ import annotations

import pandas as pd
import pytest

from genre_spark.errors import InvalidConfigError, InvalidInputError

COLUMNS = {"id": "Movie ID", "genres": "Genre", "name": "Title"}
EXPECTED = [(1, "Drama"), (2, "Comédie"), (2, "Drama")]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "m.csv",
            "movie id,TITLE,genre\n1.0,One,Drama\n2,Deux,Comédie|Drama\n".encode(),
            "m.csv read as: comma, UTF-8",
        ),
        (
            "m.tsv",
            "Movie ID\tTitle\tGenre\n1\tOne\tDrama\n2\tDeux\tComédie;Drama\n".encode("utf-16"),
            "m.tsv read as: tab, UTF-16",
        ),
        (
            "m.txt",
            "Movie_ID;Title;Genre\n1;One;Drama\n2;Deux;Comédie, Drama\n".encode("latin-1"),
            "m.txt read as: semicolon, Windows-1252 (Latin-1)",
        ),
        (
            "m.jsonl",
            '{"Movie ID": 1, "Title": "One", "Genre": ["Drama"]}\n'
            '{"Movie ID": "2", "Title": "Deux", "Genre": ["Comédie", "Drama"]}\n'.encode(),
            "m.jsonl read as: JSON lines",
        ),
    ],
    ids=["comma", "tab, UTF-16", "semicolon, Latin-1", "JSON lines"],
)
def test_tables_of_any_form_give_the_same_movies(imported, name, content, said) -> None:
    found = imported("table", {name: content}, source=name, columns=COLUMNS)
    assert found.rows("genres") == EXPECTED
    assert found.rows("movies")[1][:2] == (2, "Deux")
    assert found.result.notes[0] == said


def test_parquet_with_lists_and_text_ids(imported, tmp_path) -> None:
    frame = pd.DataFrame(
        {
            "key": ["a-1", "tt0111161", "7"],
            "Genre": [["Drama"], ["Comedy", "Drama"], []],
            "Title": ["One", "Two", "Three"],
        }
    )
    (tmp_path / "source").mkdir()
    frame.to_parquet(tmp_path / "source" / "m.parquet")
    columns = {"id": "key", "genres": "Genre", "name": "Title"}
    found = imported("table", {}, source="m.parquet", columns=columns)
    numbers = {source: number for number, source, _ in found.rows("ids")}
    assert (numbers["tt0111161"], numbers["7"]) == (111161, 7)
    assert 2**62 <= numbers["a-1"] < 2**63
    assert (numbers["a-1"], "Drama") in found.rows("genres")


def test_two_ids_with_one_number_are_not_one_movie(imported) -> None:
    content = "id,genre\ntt0000007,Drama\n7,Comedy\n7.0,Comedy\n-1,Drama\n,Drama\n"
    found = imported(
        "table", {"m.csv": content}, source="m.csv", columns={"id": "id", "genres": "genre"}
    )
    assert found.rows("genres") == [(7, "Comedy")]
    assert [reason for reason, _ in found.rejects] == [
        "another id has the same number",
        "empty id",
        "equal row",
        "negative id",
    ]


def test_a_table_with_one_row_per_movie_and_genre_is_merged(imported) -> None:
    content = "id,genre,title\n1,Drama,One\n1,Comedy,One\n2,Drama,Two\n"
    columns = {"id": "id", "genres": "genre", "name": "title"}
    found = imported(
        "table", {"m.csv": content}, source="m.csv", columns=columns, repeated_ids="merge"
    )
    assert found.rows("genres") == [(1, "Comedy"), (1, "Drama"), (2, "Drama")]
    assert found.rejects == []
    assert found.result.counts["merged"] == 1


def test_accents_that_were_encoded_twice_are_repaired_and_said(imported) -> None:
    rows = ["id,title,genre", "1,PokÃ©mon,Drama", "2,LÃ©olo,Drama", "3,CafÃ© au lait,Drama"]
    columns = {"id": "id", "genres": "genre", "name": "title"}
    found = imported("table", {"m.csv": "\n".join(rows)}, source="m.csv", columns=columns)
    assert [row[1] for row in found.rows("movies")] == ["Pokémon", "Léolo", "Café au lait"]
    assert found.result.notes[0].endswith("accents encoded twice, repaired")


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        ("id,genre\n1,Drama\n", {"columns": {"id": "key", "genres": "genre"}}, "columns.id: 'key'"),
        ("id,genre\n1,Drama\n", {"delimiter": ";"}, r"columns\.id: 'id', but .*semicolon"),
        ("id,genre\n" + "1,Drama,x\n" * 20, {}, "20 of 20 rows are bad .malformed row"),
        ("id,genre\n1,\n", {}, "none of its 1 rows is a movie with genres"),
        ("", {}, "the file is empty"),
        ("id,genre\n" + "ascii,x\n" * 40_000 + "é,Drama\n" * 5_000, "latin-1", "another encoding"),
    ],
    ids=["column", "delimiter", "fields", "no genres", "empty", "encoding further on"],
)
def test_a_wrong_guess_is_an_error_with_a_hint(imported, content, settings, message) -> None:
    data = content.encode()
    if settings == "latin-1":  # beyond what the recognition looks at
        data, settings = content.encode("latin-1"), {}
    settings = {"columns": {"id": "id", "genres": "genre"}, **settings}
    with pytest.raises(InvalidInputError, match=message):
        imported("table", {"m.csv": data}, source="m.csv", **settings)


def test_a_layout_and_its_settings_must_fit(imported) -> None:
    with pytest.raises(InvalidConfigError, match=r"import_data\.columns: missing"):
        imported("table", {"m.csv": "id,genre\n"}, source="m.csv")
    with pytest.raises(InvalidConfigError, match=r"given with paths\.layout omdb"):
        imported("omdb", {"m.csv": "id,genre\n"}, source="m.csv", columns=COLUMNS)
    with pytest.raises(InvalidInputError, match=r"has no movies\.csv"):
        imported("movielens", {"other.csv": ""})
