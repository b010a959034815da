"""Small files in the form of IMDb's: tabs, \\N for null, quotes that mean nothing."""

from __future__ import annotations

import gzip
from pathlib import Path

from genre_spark.collect.imdb_files import COLUMNS

ROWS = {
    "title.basics": [
        "tt0000001\tmovie\tThe First\tLe Premier\t0\t1999\t\\N\t101\tDrama,Sci-Fi",
        'tt0000002\tmovie\t"Quoted" and \'odd\'\t"Quoted\t0\t2001\t\\N\t\\N\t\\N',
        "tt0000003\ttvSeries\tUnwanted\tUnwanted\t0\t2002\t2004\t45\tComedy",
    ],
    "title.ratings": ["tt0000001\t7.4\t1234", "tt0000003\t5.0\t9"],
    "title.principals": [
        'tt0000001\t2\tnm0000002\tactress\t\\N\t["Herself","A \\"Star\\""]',
        "tt0000001\t1\tnm0000001\tdirector\t\\N\t\\N",
        "tt0000001\t3\tnm0000009\tcomposer\tmusic by\t\\N",
        "tt0000003\t1\tnm0000003\tactor\t\\N\t\\N",
    ],
    "title.crew": [
        "tt0000001\tnm0000001\tnm0000002,nm0000001",
        "tt0000002\t\\N\t\\N",
        "tt0000003\tnm0000003\tnm0000003",
    ],
    "title.akas": [
        "tt0000001\t1\tDer Erste\tDE\tde\t\\N\t\\N\t0",
        "tt0000003\t1\tOther\t\\N\t\\N\t\\N\t\\N\t1",
    ],
    "name.basics": [
        "nm0000001\tAnna Director\t1950\t\\N\tdirector\ttt0000001",
        "nm0000002\tBert Actor\t1960\t2010\tactor\ttt0000001",
        "nm0000003\tUnwanted Person\t\\N\t\\N\t\\N\t\\N",
    ],
}


def write_imdb(folder: Path, rows: dict[str, list[str]] | None = None) -> Path:
    """Write all six files, gzipped."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in {**ROWS, **(rows or {})}.items():
        text = "\n".join(["\t".join(COLUMNS[name]), *lines, ""])
        (folder / f"{name}.tsv.gz").write_bytes(gzip.compress(text.encode()))
    return folder
