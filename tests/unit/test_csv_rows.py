"""Rows of CSV files found by their bytes, block by block, as Python's csv module reads them."""

from __future__ import annotations

import csv
import io
import random
from itertools import pairwise

import pyarrow as pa
import pytest

from genre_spark.adapters.csv_tables.boundaries import row_starts, scan_block
from genre_spark.adapters.csv_tables.rows import sort_rows
from genre_spark.adapters.csv_tables.typed_rows import read_rows

SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string()), ("minute", pa.float64())])
NAMES = SCHEMA.names


def starts_of(data: bytes, edges: list[int]) -> list[int] | None:
    blocks = list(pairwise(edges))
    scans = [
        scan_block(
            data[start:stop],
            ",",
            before=data[start - 1 : start] if start else b"\n",
            after=(data[stop : stop + 2] + b"\n\n")[:2],
        )
        for start, stop in blocks
    ]
    starts = row_starts(blocks, scans)
    return starts and [start for start in starts if start < len(data)]


def values(data: bytes, *, spans_lines: bool = True) -> list[tuple]:
    rows = sort_rows(data, fields=3, delimiter=",", spans_lines=spans_lines)
    typed = read_rows(rows.clean, names=NAMES, delimiter=",", schema=SCHEMA, years=())
    assert not rows.odd
    return [tuple(row.values()) for row in typed.table.to_pylist()]


def test_a_file_cut_anywhere_gives_the_rows_that_pythons_reader_gives() -> None:
    draw = random.Random(7)
    pieces = ["a", "b", '"', ",", "\n", "\r\n", "é", "", " "]
    for _ in range(300):
        texts = ["".join(draw.choices(pieces, k=draw.randrange(7))) for _ in range(8)]
        file = io.StringIO(newline="")
        writer = csv.writer(file, lineterminator=draw.choice(["\n", "\r\n"]))
        writer.writerows((number, text, 90) for number, text in enumerate(texts))
        data = file.getvalue().encode()
        data = data.rstrip(b"\r\n") if draw.random() < 0.3 else data
        edges = sorted({0, len(data), *(draw.randrange(len(data)) for _ in range(4))})
        starts = starts_of(data, edges)
        assert starts is not None
        found = [
            row for part in pairwise([*starts, len(data)]) for row in values(data[slice(*part)])
        ]
        assert found == [(number, text or None, 90.0) for number, text in enumerate(texts)]


@pytest.mark.parametrize(
    "row", ['1,5" disk,90', '1,"cut off,90', '1,"a" b,90', '1, "a",90', '1,"a"b",90']
)
def test_a_quote_where_none_may_be_is_found_in_whatever_block_it_is(row: str) -> None:
    data = f'0,"two\nlines",90\n{row}\n2,c,90\n'.encode()
    for cut in range(1, len(data)):
        assert starts_of(data, [0, cut, len(data)]) is None


def test_lines_that_are_odd_are_set_apart_and_leave_the_others_whole() -> None:
    data = (
        b'1,a,90\r\n2,"b, ""c""",91\n\n3,5" disk,92\r4,"cut\n5,too,1,many\n \t\n6,\xff,95\n'
        b"7,caf\xc3\xa9,96"
    )
    rows = sort_rows(data, fields=3, delimiter=",", spans_lines=False)
    assert [text for _, text in rows.odd] == [
        b'3,5" disk,92',
        b'4,"cut',
        b"5,too,1,many",
        b"6,\xff,95",
    ]
    assert [data[place:].startswith(text) for place, text in rows.odd] == [True] * 4
    clean = zip(rows.starts.tolist(), rows.ends.tolist(), strict=True)
    assert [data[start:stop][:1] for start, stop in clean] == [b"1", b"2", b"7"]
    typed = read_rows(rows.clean, names=NAMES, delimiter=",", schema=SCHEMA, years=())
    assert typed.table["name"].to_pylist() == ["a", 'b, "c"', "café"]


def test_numbers_and_ids_are_read_strictly_and_what_cannot_be_is_known() -> None:
    cells = ["90", " 90 ", "9e1", "90.", ".5", "0x1F", "inf", "1_0", "an hour", "", " ", "9" * 41]
    data = "".join(f"{100 + row},x,{cell}\n" for row, cell in enumerate(cells)).encode()
    data += b"7.0,x,1\n+8,x,1\n 9,x,1\n0x1,x,1\n,x,1\n1.5,x,1\n99999999999999999999,x,1\n"
    rows = sort_rows(data, fields=3, delimiter=",", spans_lines=False)
    typed = read_rows(rows.clean, names=NAMES, delimiter=",", schema=SCHEMA, years=())
    read = dict(zip(typed.table["id"].to_pylist(), typed.table["minute"].to_pylist(), strict=True))
    assert [read[100 + row] for row in range(12)] == [90.0, 90.0, 90.0, 90.0, 0.5, *[None] * 7]
    # begins with a blank: Spark's reader knows
    assert rows.odd == [(data.index(b" 9,x,1"), b" 9,x,1")]
    reasons = [(flaw.row, flaw.reason) for flaw in typed.flaws]
    assert [row for row, reason in reasons if reason == "minute is not a number"] == [
        5,
        6,
        7,
        8,
        11,
    ]
    lost = [row for row, reason in reasons if reason == "id is not a number"]
    assert lost == [14, 15, 16, 17]
