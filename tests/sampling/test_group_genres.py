"""Grouping: one row a movie, a vocabulary, and a balance of every row that came in."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.ingestion.group_genres import run
from genre_spark.storage.tables import table_files
from genre_spark.transforms.csv import CsvLayout
from genre_spark.transforms.genre_rows import check_rows
from genre_spark.transforms.genres import group_labels
from genre_spark.transforms.plain_genres import guess_vocabulary, mark_plain_lines
from tests.stored_rows import read_rows


@pytest.fixture
def group(spark: SparkSession, make_config, tmp_path: Path):
    """Write bytes as genres.csv, run the stage, return (result, movies, rejects, vocabulary)."""

    def go(content: bytes, name: str = "genres.csv", **genres):
        (tmp_path / name).write_bytes(content)
        config = make_config(genres=genres, paths={"genres_csv": str(tmp_path / name)})
        result = run(spark, config)
        rows = read_rows(config.paths.genres)
        movies = {row["movie_id"]: (row["genres"], row["label_ids"]) for row in rows}
        assert len(rows) == len(movies), "a movie has one row"
        rejects = sorted(
            (row["reason"], row["content"]) for row in read_rows(config.paths.rejects("genres"))
        )
        counts = result.counts
        rows = counts["rows"] + counts.get("split", 0)
        assert rows == counts["kept"] + counts["merged"] + counts["rejected"]
        assert counts["kept"] == sum(len(genres) for genres, _ in movies.values())
        assert counts["rejected"] == len(rejects)
        return result, movies, rejects, Catalogue(config).vocabulary()

    return go


def test_genres_are_sorted_repeated_pairs_merge_and_label_ids_point_into_the_vocabulary(
    group,
) -> None:
    result, movies, rejects, vocabulary = group(
        b"id,genre\r\n7,Drama\r\n7,Comedy\r\n8,Drama\r\n7,Drama\r\n9,Western\r\n"
    )
    assert vocabulary == ["Comedy", "Drama", "Western"]
    assert movies == {7: (["Comedy", "Drama"], [0, 1]), 8: (["Drama"], [1]), 9: (["Western"], [2])}
    assert rejects == []
    counted = {"rows": 5, "kept": 4, "merged": 1, "rejected": 0, "movies": 3, "genres": 3}
    assert {key: result.counts[key] for key in counted} == counted
    assert "5 rows in = 4 kept + 1 merged into an equal row + 0 rejected" in result.notes


def test_every_flaw_of_a_row_becomes_a_reject_with_its_reason_and_content(group) -> None:
    lines = [
        b"1,Drama", b"x1,Drama", b"-3,Drama", b"9223372036854775808,Drama", b"2023.0,Drama",
        b",Drama", b"2,", b"3,Drama,more", b"4", b'5,"Drama', b"", b"id,genre", b"6,Dr\xffma",
        b"9223372036854775807,Comedy", b"0,Drama", b"99999999999999999999999999,Drama",
        b"-1.5,Drama", b"1e3,Drama", b"2,   ", b"7," + b"x" * 500 + b",",
    ]  # fmt: skip
    result, movies, rejects, vocabulary = group(b"id,genre\n" + b"\n".join(lines) + b"\n")
    assert movies == {1: (["Drama"], [1]), 2**63 - 1: (["Comedy"], [0]), 0: (["Drama"], [1])}
    assert vocabulary == ["Comedy", "Drama"]
    reasons = [(reason, (content or "")[:20]) for reason, content in rejects]
    assert reasons == sorted(
        [
            ("id is not a number", "x1,Drama"),
            ("negative id", "-3,Drama"),
            ("id above 2^63-1", "9223372036854775808,"),
            ("decimal id", "2023.0,Drama"),
            ("empty id", ",Drama"),
            ("empty genre", "2,"),
            ("malformed row", "3,Drama,more"),
            ("malformed row", "4"),
            ("malformed row", '5,"Drama'),
            ("empty line", ""),
            ("repeated header", "id,genre"),
            ("invalid UTF-8", "6,Dr�ma"),
            ("id above 2^63-1", "99999999999999999999"),
            ("negative id", "-1.5,Drama"),
            ("id is not a number", "1e3,Drama"),
            ("empty genre", "2,   "),
            ("malformed row", "7,xxxxxxxxxxxxxxxxxx"),
        ]
    )
    assert max(len(content) for _, content in rejects) == 200
    assert result.counts["rejected/malformed row"] == 4


def test_bom_quotes_blanks_column_order_and_extra_columns_do_not_matter(group) -> None:
    plain = group(b"id,genre\n1,Drama\n1,TV Movie\n2,Drama\n")[1]
    lines = [
        '\ufeff"genre" , id,note',
        '"Drama",1,',
        "  TV Movie\t, 1 ,x",
        '"Drama" , "2","a, ""b"""',
    ]
    dressed = group("".join(line + "\r\n" for line in lines).encode())[1]
    assert dressed == plain


def test_a_long_quoted_field_and_long_blanks_are_read_like_short_ones(group) -> None:
    rows = [
        '1,Drama,"' + "x" * 200_000 + '"',
        '2,Drama,"' + '""' * 50_000 + '"',
        "3,Drama," + " " * 50_000 + 'x"',
    ]
    _, movies, rejects, _ = group(("id,genre,note\n" + "\n".join(rows) + "\n").encode())
    assert set(movies) == {1, 2}
    assert [(reason, content[:8]) for reason, content in rejects] == [("malformed row", "3,Drama,")]


def test_rejects_can_be_read_by_others_than_spark(group, make_config) -> None:
    group(b"id,genre\n1,Drama\n6,Dr\xffma\n")
    (file,) = table_files(make_config().paths.rejects("genres"))
    assert pq.read_table(file)["content"].to_pylist() == ["6,Dr\ufffdma"]


def test_a_file_whose_name_has_wildcards_is_read_as_it_is_called(group) -> None:
    assert group(b"id,genre\n1,Drama\n", "genres[v2]{a}*?.csv")[1] == {1: (["Drama"], [0])}


@pytest.mark.parametrize(
    ("change", "meaning"),
    [
        ("", "plain rows alone: one pass"),
        ("900,Rare\n", "a genre that the first lines do not show"),
        ('900,"Drama"\n', "quotes after many plain rows"),
        ("900, Drama \n", "blanks after many plain rows"),
        ("x,Drama\n900\n", "rejects alone: the plain rows stand"),
        ("901,Come", "a last row that was cut off"),
        ("901,Comedy", "a last row without a line break"),
    ],
)
def test_rows_read_in_one_pass_and_row_by_row_give_the_same(
    group, monkeypatch, change: str, meaning: str
) -> None:
    plain = "".join(
        f"{movie},{genre}\r\n" for movie in range(50) for genre in ("Drama", "Comedy", "Drama")
    )
    content = f"id,genre\r\n{plain}{change}".encode()
    monkeypatch.setattr("genre_spark.transforms.csv.HEAD_BYTES", 300)
    quick = group(content)
    monkeypatch.setattr(
        "genre_spark.pipelines.ingestion.genre_grouping.guess_vocabulary", lambda layout: None
    )
    thorough = group(content, "again.csv")
    assert quick[1:] == thorough[1:], meaning
    assert quick[0].counts == thorough[0].counts
    assert [note.replace("again.csv", "") for note in thorough[0].notes] == list(quick[0].notes)


def test_plain_lines_are_only_those_that_a_check_finds_good(spark: SparkSession) -> None:
    lines = [
        "note,genre,id", "x,Drama,1", "x,Drama, 2", "x,Drama,-3", "x,Drama,4.0", "x,drama,5",
        "x,Drama", "x,Drama,6,7", '"x,Drama,8', '"x",Drama,9', "x,Drama,", "x,,10", "",
        "x,Comedy,9223372036854775807", f"x,Drama,{2**63}",
    ]  # fmt: skip
    layout = CsvLayout("genres.csv", lines[0], ("note", "genre", "id"), None, tuple(lines[1:]))
    frame = spark.createDataFrame([(line,) for line in lines], "value string")
    marked = mark_plain_lines(frame, layout, vocabulary=["Comedy", "Drama"]).collect()
    assert len(marked) == len(lines)
    plain = {
        (row.movie_id, {1: "Comedy", 2: "Drama"}[row.bit])
        for row in marked
        if row.movie_id is not None
    }
    assert plain == {(1, "Drama"), (2, "Drama"), (2**63 - 1, "Comedy")}
    good = check_rows(frame, layout).where("reason is null AND genre IN ('Comedy', 'Drama')")
    assert {(row.movie_id, row.genre) for row in good.collect()} == plain | {(9, "Drama")}
    assert guess_vocabulary(layout) is None, "most lines are not plain"
    assert guess_vocabulary(replace(layout, first_lines=tuple(lines[1:3]))) == ["Drama"]


def test_a_gzipped_file_gives_the_same_as_the_plain_one(group) -> None:
    content = b"id,genre\r\n1,Drama\r\n2,Comedy\r\n"
    assert group(gzip.compress(content), "genres.csv.gz")[1:] == group(content)[1:]


def test_genres_that_differ_in_case_are_kept_apart_and_told(group) -> None:
    result, _, _, vocabulary = group(b"id,genre\n1,Drama\n2,drama\n")
    assert vocabulary == ["Drama", "drama"]
    assert "genres that differ in case alone are kept apart: 'Drama', 'drama'" in result.notes


def test_a_given_vocabulary_sets_the_label_ids_and_unknown_genres_are_rejected_or_kept(
    group,
) -> None:
    content = b"id,genre\n1,Drama\n1,Action\n2,Opera\n"
    result, movies, rejects, vocabulary = group(content, vocabulary=["Drama", "Action", "Western"])
    assert vocabulary == ["Drama", "Action", "Western"]
    assert movies == {1: (["Action", "Drama"], [0, 1])}
    assert rejects == [("unknown genre", "2,Opera")]
    turned = group(b"genre,id,note\nDrama,1,\nOpera,2,x\n", vocabulary=["Drama"])
    assert turned[2] == [("unknown genre", "Opera,2,x")], "the line as it stands"
    assert "genres of the vocabulary without a movie: Western" in result.notes
    _, movies, rejects, vocabulary = group(
        content, vocabulary=["Drama", "Action", "Western"], unknown="keep"
    )
    assert vocabulary == ["Drama", "Action", "Western", "Opera"]
    assert movies[2] == (["Opera"], [3])
    assert rejects == []


def test_a_file_that_ends_in_the_middle_of_a_row_does_not_bring_a_new_genre(group) -> None:
    _, movies, rejects, vocabulary = group(b"id,genre\r\n1,Drama\r\n2,Comedy\r\n3,Dra")
    assert vocabulary == ["Comedy", "Drama"]
    assert rejects == [("cut off at the end of the file", "3,Dra")]
    assert set(movies) == {1, 2}
    musical = b"id,genre\n1,Musical\n2,Music"
    result, movies, rejects, _ = group(musical)
    assert rejects == [("cut off at the end of the file", "2,Music")]
    assert any("'Music' is the beginning of another one" in note for note in result.notes)
    assert set(group(musical, vocabulary=["Music", "Musical"])[1]) == {1, 2}, (
        "a given vocabulary settles it"
    )
    assert group(b"id,genre\n1,Drama\n2")[2] == [("malformed row", "2")]
    result, movies, _, _ = group(b"id,genre\n1,Drama\n2,Comedy")
    assert set(movies) == {1, 2}, "a last row without a line break is a row"
    assert any(
        "does not end with a line break" in note and "2,Comedy" in note for note in result.notes
    )


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "genres.csv", "the file is empty"),
        (b"\n\n", "genres.csv", "the file is empty"),
        (b"movie,genre\n1,Drama\n", "genres.csv", "no column id, expected the columns id, genre"),
        (b"id,genre,id\n1,Drama,2\n", "genres.csv", "column id stands more than once"),
        ("id,genre\n1,Драма\n".encode("cp1251"), "genres.csv", "the encoding cannot be told"),
        (b"id,genre\n", "genres.csv", "a header and no rows"),
        (
            b"id,genre\nx,Drama\n",
            "genres.csv",
            "none of its 1 rows can be used.*id is not a number: 1",
        ),
        (
            gzip.compress(b"id,genre\n" + bytes(range(48, 58)) * 4000, mtime=0)[:-30],
            "genres.csv.gz",
            "not a whole gzip file",
        ),
        (b"id,genre\n1,Drama\n", "genres.csv.gz", "not a whole gzip file"),
    ],
)
def test_a_file_that_cannot_be_used_at_all_is_told_in_a_sentence(
    group, content, name, message
) -> None:
    with pytest.raises(InvalidInputError, match=message) as caught:
        group(content, name)
    assert caught.value.exit_code == 2


def test_a_run_that_finds_nothing_leaves_the_rejects_of_the_result_that_stands(
    group, make_config
) -> None:
    content = b"id,genre\n1,Drama\nx,Drama\n2,Horror\n"
    group(content)
    with pytest.raises(InvalidInputError, match="none of its 3 rows can be used"):
        group(content, vocabulary=["Opera"], unknown="reject")
    stands = [row["reason"] for row in read_rows(make_config().paths.rejects("genres"))]
    assert stands == ["id is not a number"]


def test_a_missing_file_and_a_wrong_vocabulary_are_told(spark, make_config) -> None:
    with pytest.raises(InvalidInputError, match=r"genres\.csv: no such file"):
        run(spark, make_config())
    with pytest.raises(
        InvalidConfigError, match=r"genres\.vocabulary: .*every name once, not 'A' 2 times"
    ):
        make_config(genres={"vocabulary": ["A", "A"]})


def test_vocabulary_json_lies_beside_the_table(group, make_config) -> None:
    group(b"id,genre\n1,Drama\n2,Drama\n")
    beside = Path(make_config().paths.genres) / "vocabulary.json"
    assert json.loads(beside.read_text()) == {
        "vocabulary": ["Drama"],
        "movies_per_genre": {"Drama": 2},
    }


@pytest.mark.parametrize("labels", [1, 8, 9, 62, 63, 5000])
def test_any_number_of_labels_and_any_partitioning_give_the_same_movies(
    spark: SparkSession, labels: int
) -> None:
    names = [
        f"g{(label * 7919) % labels:04d}" for label in range(labels)
    ]  # not in alphabetical order
    wanted = {
        movie: {(movie * 31 + k * k) % labels for k in range(movie % 9 + 1)} | {labels - 1}
        for movie in range(60)
    }
    pairs = [(movie, names[label]) for movie, ids in wanted.items() for label in ids] * 2
    for partitions in (1, 5):
        frame = spark.createDataFrame(pairs, "movie_id bigint, genre string").repartition(
            partitions
        )
        rows = group_labels(frame, vocabulary=names).collect()
        assert {row.movie_id: list(row.label_ids) for row in rows} == {
            m: sorted(ids) for m, ids in wanted.items()
        }
        assert all(
            list(row.genres) == sorted(names[label] for label in row.label_ids) for row in rows
        )
        assert all(row.rows == 2 * len(row.label_ids) for row in rows)


def test_the_real_file_gives_the_known_figures(
    spark: SparkSession, make_config, real_data: Path
) -> None:
    config = make_config(paths={"genres_csv": str(real_data / "letterboxd" / "genres.csv.gz")})
    result = run(spark, config)
    assert (result.counts["rows"], result.counts["kept"], result.counts["rejected"]) == (
        1_046_849,
        1_046_849,
        0,
    )
    assert (result.counts["movies"], result.counts["genres"]) == (676_491, 19)
    assert round(result.metrics["label_cardinality"], 3) == 1.547
    assert run(spark, config).reused


def test_cells_of_several_genres_are_split_and_placeholders_rejected(group) -> None:
    lines = [
        "1,\"['Drama', 'Comedy']\"",
        '2,"[""Drama"", ""Comedy""]"',
        "3,\"[{'id': 1, 'name': 'Drama'}]\"",
        "4,Comedy|Drama|Drama",
        '5,"Comedy, Drama"',
        "6,(no genres listed)",
        "7,\\N",
        "8,N/A",
        "9,Drama|N/A",
        '9,"[\'Drama"',
        "10,Rock & Roll",
    ]
    result, movies, rejects, vocabulary = group(("id,genre\n" + "\n".join(lines) + "\n").encode())
    assert vocabulary == ["Comedy", "Drama", "Rock & Roll"]
    both, drama = (["Comedy", "Drama"], [0, 1]), (["Drama"], [1])
    assert movies == {
        1: both, 2: both, 3: drama, 4: both, 5: both, 9: drama, 10: (["Rock & Roll"], [2])
    }  # fmt: skip
    assert rejects == sorted(
        [("placeholder for no genre", line) for line in lines[5:9]]
        + [("unreadable list of genres", lines[9])]
    )
    assert any("name several genres and were split" in note for note in result.notes)
    whole = group(b"id,genre\n1,Action|Comedy\n2,Drama\n", separator="")
    assert whole[3] == ["Action|Comedy", "Drama"]
    kept = group(b'id,genre\n1,"Film, TV"\n2,TV\n', vocabulary=["Film, TV", "TV"])
    assert kept[1] == {1: (["Film, TV"], [0]), 2: (["TV"], [1])}


def test_genres_that_look_the_same_are_the_same(group) -> None:
    looks = ["Comédie", "Come\u0301die", "Comédie\u200b", "\ufeffComédie", "Comédie\u2009"]
    lines = [f"{i},{name}" for i, name in enumerate([*looks, "Science\u3000Fiction"], 1)]
    result, movies, rejects, vocabulary = group(
        ("id,genre\n7,Science Fiction\n" + "\n".join(lines) + "\n").encode()
    )
    assert vocabulary == ["Comédie", "Science Fiction"]
    assert not rejects
    assert len(movies) == 7
    assert any("blanks or accents written otherwise" in note for note in result.notes)


@pytest.mark.parametrize(
    ("encoding", "delimiter", "said"),
    [
        ("utf-8", "\t", "tab, UTF-8"),
        ("utf-8-sig", ";", "semicolon, UTF-8 with a byte order mark"),
        ("utf-16", "\t", "tab, UTF-16"),
        ("utf-16-le", ",", "comma, UTF-16-LE"),
        ("cp1252", "|", "bar, Windows-1252 (Latin-1)"),
    ],
)
def test_encoding_and_delimiter_are_recognised_and_said(group, encoding, delimiter, said) -> None:
    rows = [("Id", "Genre"), ("1", "Comédie"), ("2", "Drame noir"), ("3",), ("3", "Drame", "x")]
    text = "\n".join(delimiter.join(row) for row in rows) + "\n"
    result, movies, rejects, _ = group(text.encode(encoding))
    assert movies == {1: (["Comédie"], [0]), 2: (["Drame noir"], [1])}
    assert f"read as: {said}" in result.notes
    assert [reason for reason, _ in rejects] == ["malformed row"] * 2


def test_accents_that_were_encoded_twice_are_repaired(group) -> None:
    rows = ["id,genre", "1,ComÃ©die", "2,Science-fiction Ã\xa0 la franÃ§aise", "3,ComÌ©die"]
    result, movies, _, vocabulary = group(("\n".join(rows) + "\n").encode())
    assert vocabulary == ["Comédie", "Science-fiction à la française"]
    assert movies[1] == movies[3]
    assert "read as: comma, UTF-8, accents encoded twice, repaired" in result.notes
