"""Grouping, splitting and sampling by the same rules in pandas, polars and DuckDB.

Every function reads and writes Parquet. Hashes differ between systems, so that samples do; their
sizes do not.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl

TEST, VALIDATION, SEED = 0.3, 0.2, 7
SPLITS = ("train", "validation", "test")


class Pandas:
    """Everything in memory, groupby as in the Letterboxd study."""

    name = "pandas"

    def group(self, source: str, out: Path) -> None:
        rows = pd.read_csv(source) if ".csv" in source else pd.read_parquet(source)
        rows = rows.drop_duplicates()
        rows["genre"] = rows["genre"].astype("category")
        rows["label"] = rows["genre"].cat.codes.astype("int32")
        rows["genre"] = rows["genre"].astype(object)
        rows = rows.sort_values(["id", "label"])
        movies = (
            rows.groupby("id").agg(genres=("genre", list), label_ids=("label", list)).reset_index()
        )
        movies.rename(columns={"id": "movie_id"}).to_parquet(out / "genres.parquet", index=False)

    def split(self, out: Path) -> None:
        movies = pd.read_parquet(out / "genres.parquet", columns=["movie_id"])
        u = _uniform(movies["movie_id"].to_numpy(), 1)
        side = np.where(
            u < TEST, "test", np.where(u < TEST + (1 - TEST) * VALIDATION, "validation", "train")
        )
        movies.assign(split=side).to_parquet(out / "split.parquet", index=False)

    def sample(self, out: Path, totals: dict[str, int], minima: dict[str, int]) -> int:
        movies = pd.read_parquet(out / "genres.parquet", columns=["movie_id", "label_ids"])
        movies = movies.merge(pd.read_parquet(out / "split.parquet"), on="movie_id")
        movies["u"] = _uniform(movies["movie_id"].to_numpy(), 2)
        drawn = []
        for side in SPLITS:
            part = movies[movies["split"] == side].reset_index(drop=True)
            pairs = part[["u", "label_ids"]].explode("label_ids").reset_index()
            m = minima[side]
            limits = pairs.groupby("label_ids")["u"].apply(
                lambda u, m=m: u.nsmallest(m + 1).iloc[-1] if len(u) > m else 1.0
            )
            part["reach"] = (
                pairs["label_ids"].map(limits).groupby(pairs["index"]).max() if m else 0.0
            )
            rest = part.loc[part["u"] >= part["reach"], "u"]
            room = max(0, totals[side] - (len(part) - len(rest)))
            fill = rest.nsmallest(room + 1).iloc[-1] if room < len(rest) else 1.0
            part["reach"] = part["reach"].clip(lower=fill)
            part = part[part["u"] < part["reach"]]
            drawn.append(part.assign(weight=1 / part["reach"]))
        sample = pd.concat(drawn)
        sample[["movie_id", "split", "label_ids", "weight"]].to_parquet(
            out / "sample.parquet", index=False
        )
        return len(sample)


class Polars:
    """Lazy frames, the streaming engine where it helps itself to it."""

    name = "polars"

    def group(self, source: str, out: Path) -> None:
        rows = pl.read_csv(source) if ".csv" in source else pl.read_parquet(f"{source}/*.parquet")
        rows = rows.unique()
        names = rows["genre"].unique().sort().to_list()
        label = pl.col("genre").replace_strict(
            names, list(range(len(names))), return_dtype=pl.Int32
        )
        movies = (
            rows.with_columns(label_ids=label)
            .sort("label_ids")
            .group_by("id", maintain_order=False)
            .agg(genres=pl.col("genre"), label_ids=pl.col("label_ids"))
            .rename({"id": "movie_id"})
        )
        movies.write_parquet(out / "genres.parquet")

    def split(self, out: Path) -> None:
        u = pl.col("movie_id").hash(SEED * 1000 + 1) / 2.0**64
        side = (
            pl.when(u < TEST)
            .then(pl.lit("test"))
            .when(u < TEST + (1 - TEST) * VALIDATION)
            .then(pl.lit("validation"))
        )
        pl.read_parquet(out / "genres.parquet", columns=["movie_id"]).with_columns(
            split=side.otherwise(pl.lit("train"))
        ).write_parquet(out / "split.parquet")

    def sample(self, out: Path, totals: dict[str, int], minima: dict[str, int]) -> int:
        movies = pl.read_parquet(out / "genres.parquet", columns=["movie_id", "label_ids"]).join(
            pl.read_parquet(out / "split.parquet"), on="movie_id"
        )
        movies = movies.with_columns(u=pl.col("movie_id").hash(SEED * 1000 + 2) / 2.0**64)
        drawn = []
        for side in SPLITS:
            part = movies.filter(pl.col("split") == side)
            m = minima[side]
            if m:
                pairs = part.select("movie_id", "u", label="label_ids").explode("label")
                limits = pairs.group_by("label").agg(
                    limit=pl.when(pl.len() > m)
                    .then(pl.col("u").bottom_k(m + 1).max())
                    .otherwise(1.0)
                )
                reach = (
                    pairs.join(limits, on="label")
                    .group_by("movie_id")
                    .agg(reach=pl.col("limit").max())
                )
                part = part.join(reach, on="movie_id")
            else:
                part = part.with_columns(reach=pl.lit(0.0))
            rest = part.filter(pl.col("u") >= pl.col("reach"))["u"]
            room = max(0, totals[side] - (len(part) - len(rest)))
            fill = rest.bottom_k(room + 1).max() if room < len(rest) else 1.0
            part = part.with_columns(reach=pl.max_horizontal("reach", pl.lit(fill)))
            drawn.append(
                part.filter(pl.col("u") < pl.col("reach")).with_columns(weight=1 / pl.col("reach"))
            )
        sample = pl.concat(drawn).select("movie_id", "split", "label_ids", "weight")
        sample.write_parquet(out / "sample.parquet")
        return len(sample)


class DuckDb:
    """SQL, two threads, Parquet to Parquet."""

    name = "duckdb"

    def __init__(self) -> None:
        self.run = duckdb.connect(config={"threads": 2, "memory_limit": "10GB"}).execute

    def group(self, source: str, out: Path) -> None:
        scan = (
            f"read_csv('{source}')" if ".csv" in source else f"read_parquet('{source}/*.parquet')"
        )
        self.run(
            "create or replace temp table vocabulary as select genre, (row_number() over (order by "
            "genre) - 1)::int "
            f"as label from (select distinct genre from {scan})"
        )
        self.run(
            "copy (select id as movie_id, list(distinct genre order by genre) as genres, "
            f"list(distinct label order by label) as label_ids from {scan} join vocabulary using "
            "(genre) group by id) "
            f"to '{out}/genres.parquet'"
        )

    def split(self, out: Path) -> None:
        self.run(
            f"copy (select movie_id, case when u < {TEST} then 'test' when u < "
            f"{TEST + (1 - TEST) * VALIDATION} then "
            f"'validation' else 'train' end as split from (select movie_id, hash(movie_id, {SEED}, "
            "1) / 2.0**64 as u "
            f"from '{out}/genres.parquet')) to '{out}/split.parquet'"
        )

    def sample(self, out: Path, totals: dict[str, int], minima: dict[str, int]) -> int:
        self.run(
            "create or replace temp table movies as select movie_id, label_ids, split, "
            f"hash(movie_id, {SEED}, 2) / "
            f"2.0**64 as u from '{out}/genres.parquet' join '{out}/split.parquet' using (movie_id)"
        )
        drawn = []
        for side in SPLITS:
            m = minima[side]
            of_label = (
                "select label, case when count(*) > {m} then list_max(min(u, {k})) else 1 end as "
                "bound from "
                "(select u, unnest(label_ids) as label from movies where split = '{side}') group "
                "by label"
            )
            bounds = self.run(of_label.format(m=m, k=m + 1, side=side)).fetchall() if m else []
            limits = [1e-300] * (max((label for label, _ in bounds), default=0) + 1)
            for label, bound in bounds:
                limits[label] = bound
            reach = (
                f"list_max(list_transform(label_ids, lambda x: {limits}[x + 1]))" if m else "0.0"
            )
            self.run(
                f"create or replace temp table part as select *, {reach} as reach from movies "
                f"where split = '{side}'"
            )
            all_movies, kept = self.run(
                "select count(*), count(*) filter (u < reach) from part"
            ).fetchone()
            room = max(0, totals[side] - kept)
            fill = 1.0
            if room < all_movies - kept:
                # min(u, n) takes no n above a million
                rest = "select u from part where u >= reach order by u limit 1"
                (fill,) = self.run(f"{rest} offset {room}").fetchone()
            drawn.append(
                f"select movie_id, split, label_ids, 1 / greatest(reach, {fill}) as weight from "
                f"part_{side} "
                f"where u < greatest(reach, {fill})"
            )
            self.run(f"create or replace temp table part_{side} as from part")
        self.run(f"copy ({' union all '.join(drawn)}) to '{out}/sample.parquet'")
        return int(self.run(f"select count(*) from '{out}/sample.parquet'").fetchone()[0])


def _uniform(ids: np.ndarray, purpose: int) -> np.ndarray:
    keys = pd.util.hash_array(ids.astype(np.uint64) + np.uint64((SEED * 1000 + purpose) << 40))
    return keys / 2.0**64
