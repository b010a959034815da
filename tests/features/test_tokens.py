"""Words of any script, and that the JVM and Python read plain texts the same."""

# ruff: noqa: RUF001 - letters of other scripts are what this is about
from __future__ import annotations

import unicodedata

import pytest
from pyspark.sql import functions as F

from genre_spark.features.spark_columns import Preparation, prepare_columns
from genre_spark.features.stop_words import STOP_WORDS
from genre_spark.features.tokens import join_words, tokenise
from genre_spark.raw_values import clean_name, is_plain, read_number, read_year, strip_blanks
from genre_spark.transforms import raw_columns


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("मानक हिन्दी फ़िल्म की कहानी", ["मानक", "हिन्दी", "फ़िल्म", "की", "कहानी"]),
        ("ภาพยนตร์ที่ดี เรื่องสั้น", ["ภาพยนตร์ที่ดี", "เรื่องสั้น"]),
        ("قِصَّةُ حُبٍّ", ["قِصَّةُ", "حُبٍّ"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("தமிழ் திரைப்படம்", ["தமிழ்", "திரைப்படம்"]),
        ("E\u0301te\u0301 \u00e9t\u00e9", ["\u00e9t\u00e9", "\u00e9t\u00e9"]),
        ("Don't don\u2019t 'quoted' rock'n'roll dogs' 'tis", None),
        ("\u0130stanbul I\u015fik", ["i\u0307stanbul", "i\u015fik"]),
        ("snake_case semi\u00adcolon A B1 \u200bzero\u200bwidth", None),
    ],
)
def test_words_are_whole_in_every_script(text: str, words: list[str] | None) -> None:
    expected = words or {
        "D": ["don't", "don't", "quoted", "rock'n'roll", "dogs", "tis"],
        "s": ["snake", "case", "semicolon", "b1", "zero", "width"],
    }[text[0]]  # fmt: skip
    assert tokenise(text) == [unicodedata.normalize("NFC", word) for word in expected]


def test_stop_words_are_left_out_and_neighbours_are_joined_afterwards() -> None:
    words = tokenise("The ghost of a love story", frozenset(STOP_WORDS))
    assert words == ["ghost", "love", "story"]
    assert list(join_words(words, 2)) == ["ghost love", "love story"]
    assert list(join_words(words, 3)) == ["ghost love story"]
    assert list(join_words(words[:1], 2)) == []


@pytest.mark.timeout(120)
def test_a_megabyte_of_what_regular_expressions_fear_is_read() -> None:
    for text in ("a'" * 500_000, "'" * 1_000_000, "\u0915\u093f" * 300_000, "x" * 1_000_000):
        assert len(tokenise(text)) <= 1


def test_names_are_compared_without_the_blanks_and_accents_that_nobody_sees() -> None:
    for text in ("UK", " UK\t", "UK\r", "\u00a0UK\u3000", "\ufeffUK", "U\u200dK", "UK\u200b"):
        assert clean_name(text) == "UK"
    assert clean_name("South\t Korea\u2003") == "South Korea"
    assert clean_name("Zoe\u0308") == clean_name("Zo\u00eb") == "Zo\u00eb"


def test_numbers_are_decimal_and_finite_or_unknown() -> None:
    good = {"12": 12.0, " 1.5\t": 1.5, "-.5e1": -5.0, "7.": 7.0, "\u00a03\u00a0": 3.0}
    assert {text: read_number(text) for text in good} == good
    for text in ("", "inf", "NaN", "1e400", "1_000", "\uff11\uff12", "0x10", "1d", "1,5", "9" * 50):
        assert read_number(text) is None, text
    assert read_year("2023-05-01") == read_year("2023.0") == read_year("in 2023") == 2023.0
    assert read_year("99") is None


def test_every_plain_character_is_the_same_for_java_and_python(spark) -> None:
    plain = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    plain = [letter for letter in plain if is_plain(letter)]
    assert len(plain) > 30_000
    texts = [f"{letter}a {letter}{letter} b'{letter}c{letter} '{letter}" for letter in plain]
    assert all(unicodedata.is_normalized("NFC", text) for text in texts)
    frame = spark.createDataFrame(
        [(text, [letter, f" {letter}x"]) for text, letter in zip(texts, plain, strict=True)],
        "name string, countries array<string>",
    )
    wanted = Preparation(categories=("countries",), texts=("name",), stop_words=STOP_WORDS)
    prepared = prepare_columns(frame, wanted).select(
        "name", "countries", F.col("_features_words")[0], "_features_countries"
    )
    stop_words = frozenset(STOP_WORDS)
    for text, names, words, cleaned in prepared.collect():
        assert words == tokenise(text, stop_words), text
        assert cleaned == [name for name in map(clean_name, names) if name], text


def test_lists_and_texts_are_cleaned_alike_by_java_and_python(spark) -> None:
    lists: list[list[str | None] | None] = [
        [], None, [None], ["", "a"], ["a", None, "b c"], ["a\nb"], [" a", "b"], ["a ", "b"],
        ["a  b"], ["a\u00a0b"], ["a|b", "c"], ["a| b"], ["a |", "|b"], ["|"], ["a\u200b"],
        ["\u65e5\u672c", "Zo\u00eb"], ["Zoe\u0308 ", "x"], ["\U0001f600 x"],
    ]  # fmt: skip
    texts = [None if names is None else "".join(name or "" for name in names) for names in lists]
    frame = spark.createDataFrame(
        list(zip(lists, texts, strict=True)), "countries array<string>, name string"
    )
    prepared = prepare_columns(frame, Preparation(categories=("countries",)))
    found = prepared.select("_features_countries", raw_columns.strip_blanks(F.col("name")))
    for names, text, (cleaned, stripped) in zip(lists, texts, found.collect(), strict=True):
        assert cleaned == [n for n in (clean_name(each or "") for each in names or []) if n], names
        assert stripped == (None if text is None else strip_blanks(text)), text


def test_ids_are_whole_numbers_however_they_are_written(spark) -> None:
    expected = {
        "7": 7, "007": 7, " 7\u00a0": 7, "+7": 7, "-7": -7, "7.0": 7, "7.": 7, "7.5": None,
        "": None, "7\n": 7, "7 7": None, "\u0667": None, "9" * 18: 10**18 - 1, "9" * 30: None,
        str(2**63 - 1): 2**63 - 1, str(2**63): None,
    }  # fmt: skip
    frame = spark.createDataFrame([(text,) for text in expected], "id string")
    found = [row[0] for row in frame.select(raw_columns.read_id(F.col("id"))).collect()]
    assert dict(zip(expected, found, strict=True)) == expected
