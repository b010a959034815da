"""Encodings, delimiters and accents: recognised, or an error with a hint."""

from __future__ import annotations

import pytest

from genre_spark.errors import InvalidInputError
from genre_spark.transforms.accents import is_double_encoded, repair_accents
from genre_spark.transforms.text_form import TextForm, recognise_form

TEXT = "Id;Title;Genre\n1;Amélie, la fille;Comédie\n2;Çà et là;Drame\n"


@pytest.mark.parametrize(
    ("encoding", "known"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("latin-1", "cp1252"),
        ("cp1252", "cp1252"),
    ],
)
def test_an_encoding_is_recognised_by_the_first_bytes(encoding: str, known: str) -> None:
    form, header, columns = recognise_form("m.csv", TEXT.encode(encoding), ["id", "genre"])
    assert form == TextForm(known, ";")
    assert header == "Id;Title;Genre"
    assert columns == ("Id", "Title", "Genre")


def test_a_few_bytes_that_are_no_text_do_not_make_another_encoding() -> None:
    for head in (b"id,genre\n6,Dr\xffma\n", "1,Comédie\n2,Çà".encode() + b"\n3,Dr\xe9ma\n"):
        assert recognise_form("m.csv", head, ["id"])[0].encoding == "utf-8"


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_the_delimiter_is_the_one_that_shows_the_columns(delimiter: str) -> None:
    header = delimiter.join(["movie id", "a, b; c", "genre"])
    form, _, columns = recognise_form("m.csv", header.encode(), ["movie id", "genre"])
    assert form.delimiter == delimiter
    assert "genre" in columns


def test_a_character_that_the_head_cuts_is_no_other_encoding() -> None:
    for end in range(1, 4):
        head = ("id,genre\n1," + "é" * 10 + "😀").encode()[:-end]
        assert recognise_form("m.csv", head, ["id"])[0].encoding == "utf-8"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("id,genre\n1,Драма\n", "cp1251"), ("id,genre\n1,剧情片\n", "gb18030")],
)
def test_an_encoding_that_cannot_be_told_is_an_error_with_a_hint(text: str, encoding: str) -> None:
    with pytest.raises(InvalidInputError, match=r"cannot be told.*import_data\.encoding"):
        recognise_form("m.csv", text.encode(encoding), ["id"])
    form, _, _ = recognise_form("m.csv", text.encode(encoding), ["id"], encoding=encoding)
    assert form.encoding == encoding
    by_bytes = text.encode(encoding).decode(form.spark_encoding)
    assert form.correct(by_bytes) == text


@pytest.mark.parametrize(
    ("text", "written", "given", "hint"),
    [
        (TEXT, "utf-8", "latin-1", "expected utf-8, else accents become two characters"),
        (TEXT, "latin-1", "utf-8", "expected another one, such as latin-1"),
        (TEXT, "utf-16", "utf-8", "expected another one, such as utf-16"),
        (TEXT, "utf-16", "latin-1", "expected utf-16"),
        (TEXT, "utf-8", "klingon", "'klingon', expected an encoding"),
    ],
)
def test_a_wrong_encoding_that_is_given_is_an_error(text, written, given, hint) -> None:
    with pytest.raises(InvalidInputError, match=hint):
        recognise_form("m.csv", text.encode(written), ["id"], encoding=given)


@pytest.mark.parametrize(
    ("seen", "meant"),
    [
        ("PokÃ©mon", "Pokémon"),  # read as Windows-1252
        ("LÌ©olo", "Léolo"),  # with a Macintosh in between
        ("Les misí©rables", "Les misérables"),  # with two of them
        ("La bíÈte humaine", "La bête humaine"),
        ("ÌÊ Fidel", "à Fidel"),
        ("NÌ£o PÌÁra", "Não Pára"),
        ("itâ€™s", "it\u2019s"),
        ("EskalofrÌ_o", "EskalofrÌ_o"),  # what was lost stays lost
        ("Amélie, ça và", "Amélie, ça và"),  # right already
    ],
)
def test_accents_that_were_encoded_twice_are_put_right(seen: str, meant: str) -> None:
    assert repair_accents(seen) == meant


def test_a_text_is_double_encoded_only_where_much_of_it_looks_so() -> None:
    assert is_double_encoded("PokÃ©mon, LÃ©olo, CafÃ© au lait, EskalofrÌ_o")
    assert not is_double_encoded("Pokémon, Léolo, Café, and one Â®")
    assert not is_double_encoded("Добро, 千と千尋")
    assert not is_double_encoded("plain")
