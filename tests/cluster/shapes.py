"""tests/cluster/shapes.py: plans aimed at the rules by which queries are distributed.
SPDX-License-Identifier: Apache-2.0

Two kinds. OPERATORS × CONSUMERS: every operator below everything that Polars pushes through it or
that looks at its order; all operators leave the columns id, k and n. SHAPES: single plans. Where
Polars promises no order, neither do we. Floats are multiples of 1/8, but for those of averages.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import polars.selectors as cs
from random_data import DTYPES, Sources, make_data

COLUMNS = tuple(name for name in DTYPES if name != "i128")
FILES = (700, 0, 1, 60, 439)


@dataclass(frozen=True, eq=False)
class Tables:
    facts: pl.LazyFrame  # 5 files of uneven sizes, one of them empty, one key has most rows
    single: pl.LazyFrame  # one file of several row groups
    other: pl.LazyFrame  # the same columns, other rows
    dims: pl.LazyFrame  # k is unique, one is null, some are missing
    none: pl.LazyFrame  # no rows
    lone: pl.LazyFrame  # one row
    frame: pl.LazyFrame  # in memory
    csv: pl.LazyFrame
    ipc: pl.LazyFrame
    ndjson: pl.LazyFrame
    folder: Path

    @classmethod
    def write(cls, folder: Path) -> Tables:
        source = Sources(folder)
        few = ("id", "k", "g", "n", "text", "day")
        keys = [*range(-3, 8), None]
        dims = pl.DataFrame({"k": keys, "name": [f"name {k}" for k in keys]}, schema_overrides={"k": pl.Int32})
        dims.write_parquet(folder / "dims.parquet")
        for year, part in make_data(0, 300, ("id", "k", "n", "day")).group_by(pl.col("day").dt.year().fill_null(0)):
            (folder / f"hive/year={year[0]}").mkdir(parents=True)
            part.write_parquet(folder / f"hive/year={year[0]}/0.parquet")
        for path in folder.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        return cls(
            facts=source(0, FILES, "parquet", COLUMNS),
            single=source(0, (sum(FILES),), "parquet", COLUMNS),
            other=source(1, (200, 150), "parquet", COLUMNS),
            dims=pl.scan_parquet(folder / "dims.parquet"),
            none=source(0, (0,), "parquet", COLUMNS),
            lone=source(0, (1,), "parquet", COLUMNS),
            frame=source(2, (150,), "frame", few),
            csv=source(2, (120, 0, 80), "csv", few),
            ipc=source(2, (120, 0, 80), "ipc", few),
            ndjson=source(2, (120, 0, 80), "ndjson", few),
            folder=folder,
        )


Build = Callable[[Tables], pl.LazyFrame]


@dataclass(frozen=True)
class Shape:
    name: str
    build: Build
    ordered: bool


SHAPES: list[Shape] = []


def shapes(*, ordered: bool = True, **builds: Build) -> None:
    SHAPES.extend(Shape(name, build, ordered) for name, build in builds.items())


def col(name: str) -> pl.Expr:
    return pl.col(name)


# --- every operator below every consumer -------------------------------------------------------

Operator = Callable[[Tables], pl.LazyFrame]

IN_ORDER: dict[str, Operator] = {
    "scan": lambda t: t.facts,
    "row_groups": lambda t: t.single,
    "filter": lambda t: t.facts.filter(col("n") % 3 != 0),
    "with_columns": lambda t: t.facts.with_columns(n=col("n") * 2, k2=col("k") + 1),
    "sort": lambda t: t.facts.sort("n", "id", descending=[True, False], nulls_last=[True, False]),
    "stable_sort": lambda t: t.facts.sort("g", maintain_order=True),
    "concat": lambda t: pl.concat([t.facts, t.other.filter(col("n") > 0), t.none]),
    "diagonal": lambda t: pl.concat([t.facts.select("id", "k", "n", "g"), t.dims.select("k", id=1, n=2)], how="diagonal_relaxed"),
    "explode": lambda t: t.facts.explode("nums"),
    "unnest": lambda t: t.facts.unnest("rec"),
    "rename": lambda t: t.facts.select("id", k="n", n="k"),
    "window": lambda t: t.facts.with_columns(most=col("id").max().over("k"), n=col("n").rank("dense").over("k")),
    "cumulative": lambda t: t.facts.with_columns(col("n").cum_sum()),
    "shift": lambda t: t.facts.with_columns(col("k").shift(3)),
    "row_index": lambda t: t.facts.with_row_index("nr"),
    "head": lambda t: t.facts.head(720),
    "tail": lambda t: t.facts.tail(470),
    "slice": lambda t: t.facts.slice(690, 50),
    "drop_nulls": lambda t: t.facts.drop_nulls(["k", "n"]),
    "fill_null": lambda t: t.facts.with_columns(cs.integer().fill_null(7)),
    "drop_nans": lambda t: t.facts.drop_nans(cs.float()),
    "frame_function": lambda t: t.facts.map_batches(lambda df: df.filter(pl.col("id") % 2 == 0)),
    "streamed_function": lambda t: t.facts.map_batches(lambda df: df.with_columns(pl.col("n") + 1), streamable=True),
    "element_function": lambda t: t.facts.with_columns(col("n").map_elements(lambda x: x // 2, return_dtype=pl.Int64)),
    "reverse": lambda t: t.facts.reverse(),
    "gather_every": lambda t: t.facts.gather_every(3, 1),
    "cache": lambda t: t.facts.with_columns(col("n") + 1).cache(),
    "ordered_join": lambda t: t.facts.join(t.dims, on="k", how="left", maintain_order="left_right"),
    "unique_in_order": lambda t: t.facts.unique(["k", "g"], keep="first", maintain_order=True).sort("id"),
    "filter_by_maximum": lambda t: t.facts.filter(col("n") < col("n").max()),
    "distinct_of_expression": lambda t: t.facts.filter(col("g").is_first_distinct() | (col("id") > 1000)),
    "hconcat": lambda t: pl.concat([t.facts.select("id", "k"), t.single.select("n")], how="horizontal"),
    "merge_sorted": lambda t: t.facts.select("id", "k", "n").merge_sorted(
        t.other.select(id=col("id") * 3, k="k", n="n").filter(col("id") % 2 == 1), key="id"
    ).sort("id", "k", "n"),
    "asof": lambda t: t.facts.join_asof(t.other.select("id", late="n").filter(col("id") % 40 == 0), on="id"),
    "sql": lambda t: t.facts.sql("select id, k, n + 1 as n from self where n > -50 order by id"),
    "match_schema": lambda t: t.facts.select("id", "k", "n").match_to_schema({"id": pl.Int64, "k": pl.Int32, "n": pl.Int64}),
    "pipe_with_schema": lambda t: t.facts.pipe_with_schema(lambda lf, schema: lf.select(list(schema)[:5])),
    "set_sorted": lambda t: t.facts.set_sorted("id"),
    "dynamic": lambda t: t.facts.drop_nulls("moment").sort("moment", "id").group_by_dynamic("moment", every="6h").agg(
        id=col("id").max(), k=col("k").max(), n=col("n").sum()
    ),
    "rolling": lambda t: t.facts.drop_nulls("day").sort("day", "id").rolling("day", period="20d").agg(
        id=col("id").max(), k=col("k").sum(), n=pl.len().cast(pl.Int64)
    ),
}  # fmt: skip

IN_ANY_ORDER: dict[str, Operator] = {
    "group_by": lambda t: t.facts.group_by("k", id=col("id") // 7).agg(n=col("n").sum(), mean=col("f64").mean()),
    "group_by_whole": lambda t: t.facts.group_by("k", "g").agg(id=col("id").max(), n=col("n").n_unique(), mid=col("n").median()),
    "having": lambda t: t.facts.group_by("k", id=col("id") % 50).having(pl.len() > 3).agg(n=col("n").min()),
    "unique": lambda t: t.facts.select("k", "g", n=col("n") % 5, id=col("id") % 40).unique(),
    "unique_none": lambda t: t.facts.unique(["k", "n", "g"], keep="none"),
    "inner": lambda t: t.facts.join(t.dims, on="k"),
    "left": lambda t: t.facts.join(t.dims, on="k", how="left"),
    "right": lambda t: t.dims.join(t.facts, on="k", how="right"),
    "full": lambda t: t.facts.join(t.dims, on="k", how="full", coalesce=True),
    "full_apart": lambda t: t.facts.join(t.dims, on="k", how="full"),
    "semi": lambda t: t.facts.join(t.dims.filter(col("k") > 0), on="k", how="semi"),
    "anti": lambda t: t.facts.join(t.dims.filter(col("k") > 0), on="k", how="anti"),
    "many_to_many": lambda t: t.facts.filter(col("k") != 0).join(t.other.select("k", "g", there="id"), on=["k", "g"]),
    "nulls_equal": lambda t: t.facts.join(t.dims, on="k", how="left", nulls_equal=True),
    "self_join": lambda t: t.facts.join(t.facts.select("id", again="n"), on="id"),
    "own_aggregate": lambda t: t.facts.join(t.facts.group_by("k").agg(best=col("n").max()), on="k"),
    "cross": lambda t: t.facts.select("id", "k", "n").join(t.dims.select("name"), how="cross"),
    "where": lambda t: t.facts.join_where(t.dims.select(low="k"), col("n") > col("low") * 20, col("n") < col("low") * 25),
    "unpivot": lambda t: t.facts.select("id", "k", "i8", "u8").unpivot(["i8", "u8"], index=["id", "k"], value_name="n"),
    "pivot": lambda t: t.facts.pivot("k", on_columns=[0, 1], index="id", values="n", aggregate_function="sum").select(
        "id", k="0", n="1"
    ),
    "top": lambda t: t.facts.top_k(40, by=["n", "id"]),
    "bottom": lambda t: t.facts.bottom_k(40, by=["k", "id"]),
    "map_groups": lambda t: t.facts.select("id", "k", "n").group_by("k").map_groups(
        lambda df: df.sort("id").head(2), schema={"id": pl.Int64, "k": pl.Int32, "n": pl.Int64}
    ),
}  # fmt: skip

Consumer = Callable[[Tables, pl.LazyFrame], pl.LazyFrame]

# whether they keep the order
CONSUMERS: dict[str, tuple[bool, Consumer]] = {
    "alone": (True, lambda t, f: f),
    "filtered": (True, lambda t, f: f.filter(col("n") > 2, col("k").is_not_null())),
    "filtered_and_dropped": (True, lambda t, f: f.filter(col("k") == 0, col("n") != 5).select("id")),
    "filtered_late": (True, lambda t, f: f.with_columns(z=col("n") + col("k")).filter(col("z") > 3).select("id", "z")),
    "grouped": (False, lambda t, f: f.group_by("k").agg(pl.len(), col("n").sum(), col("id").max(), m=col("n").mean())),
    "counted": (True, lambda t, f: f.select(pl.len(), n=col("n").sum(), ids=col("id").n_unique())),
    "top": (True, lambda t, f: f.select("id", "k", "n").sort("n", "id", "k", nulls_last=True).head(9)),
    "joined": (False, lambda t, f: f.join(t.dims, on="k", suffix="_dims").select("id", "n")),
    "joined_as_right": (False, lambda t, f: t.dims.join(f, on="k", how="left", suffix="_right").select("k", "id", "n")),
    "twice": (True, lambda t, f: pl.concat([f.filter(col("n") > 0), f.filter(col("n") <= 0)]).select("n", "k")),
    "windowed": (True, lambda t, f: f.select("id", "k", "n", best=col("n").max().over("k"))),
}
LIMITS: dict[str, tuple[bool, Consumer]] = {  # only where the order is promised
    "limited": (True, lambda t, f: f.head(13)),
    "sliced_and_filtered": (True, lambda t, f: f.slice(5, 60).filter(col("n") > 0).select("id")),
    "tail_of_filtered": (True, lambda t, f: f.filter(col("k") == 0).tail(7)),
    "first_and_last": (False, lambda t, f: f.group_by("k").agg(a=col("id").first(), z=col("n").last())),
    "numbered": (True, lambda t, f: f.select("id", "n").with_row_index("number").filter(col("number") % 5 == 2)),
}


def _combined(operator: str, ordered: bool, build: Operator, consumer: str, keeps: bool, consume: Consumer) -> Shape:
    return Shape(f"{operator}-{consumer}", lambda t: consume(t, build(t)), ordered and keeps)


PAIRS: list[Shape] = [
    _combined(operator, ordered, build, consumer, keeps or consumer in ("counted", "top"), consume)
    for operators, ordered in ((IN_ORDER, True), (IN_ANY_ORDER, False))
    for operator, build in operators.items()
    for consumer, (keeps, consume) in (CONSUMERS | (LIMITS if ordered else {})).items()
]
ALWAYS_IN_ORDER = ("counted", "top")  # whatever the operator
PAIRS = [Shape(p.name, p.build, p.ordered or p.name.endswith(ALWAYS_IN_ORDER)) for p in PAIRS]

# --- scans -------------------------------------------------------------------------------------

shapes(
    scan_csv=lambda t: t.csv.filter(col("n") > 0).select("id", "day"),
    scan_ipc=lambda t: t.ipc.filter(col("g") == "a"),
    scan_ndjson=lambda t: t.ndjson.select("text", col("n") + 1),
    scan_all_formats=lambda t: pl.concat([t.csv, t.ipc, t.ndjson, t.frame]).filter(col("id") % 7 == 0),
    scan_no_rows=lambda t: t.none.with_columns(z=col("n") * 2),
    scan_row_index=lambda t: pl.scan_parquet(t.folder / "hive/*/*.parquet", row_index_name="nr").filter(col("nr") % 11 == 0),
    scan_rows_limited=lambda t: pl.scan_parquet(t.folder / "hive/*/*.parquet", n_rows=130).filter(col("n") > 0),
    scan_hive=lambda t: pl.scan_parquet(t.folder / "hive", hive_partitioning=True).filter(col("year") == 2020, col("n") > 0),
    scan_hive_year_only=lambda t: pl.scan_parquet(t.folder / "hive", hive_partitioning=True).select("year"),
    scan_file_names=lambda t: pl.scan_parquet(t.folder / "hive/*/*.parquet", include_file_paths="file").select(
        "id", year=col("file").str.extract(r"year=(\d+)")
    ),
    scan_height_only=lambda t: t.facts.select(pl.len()),
    scan_no_columns=lambda t: t.facts.select([]),
    scan_hive_files_counted=lambda t: pl.scan_parquet(t.folder / "hive/*/*.parquet").select(pl.len(), pl.first().max()),
)
shapes(
    ordered=False,
    scan_hive_grouped=lambda t: pl.scan_parquet(t.folder / "hive", hive_partitioning=True).group_by("year").agg(pl.len()),
    scan_hive_joined=lambda t: pl.scan_parquet(t.folder / "hive", hive_partitioning=True).join(
        pl.LazyFrame({"year": [2018, 2020]}), on="year"
    ).select("id", "year"),
)

# --- aggregates --------------------------------------------------------------------------------

shapes(
    aggregate_no_rows=lambda t: t.none.select(
        pl.len(), n=col("n").sum(), low=col("n").min(), mean=col("n").mean(), std=col("n").std(), first=col("g").first(),
        any=col("flag").any(), all=col("flag").all(), distinct=col("g").n_unique(), list=col("n").implode(),
    ),
    aggregate_filtered_away=lambda t: t.facts.filter(col("n") > 1000).select(pl.len(), col("n").sum(), mean=col("n").mean()),
    aggregate_numbers=lambda t: t.facts.select(
        *(col(c).sum().name.suffix("_sum") for c in ("n", "i8", "u8", "u64", "f64", "flag", "dec", "span")),
        *(col(c).mean().name.suffix("_mean") for c in ("n", "i8", "u32", "flag", "dec")),
        *(col("n").var(ddof).alias(f"var{ddof}") for ddof in (0, 1, 2)), std=col("i8").std(),
    ),
    aggregate_ends=lambda t: t.facts.select(cs.all().exclude("cat", "nums", "words", "pair", "rec", "void", "raw").min()),
    aggregate_mean_of_times=lambda t: t.facts.select(col("span").max(), d=col("day").max() - col("day").min()),
    aggregate_strings=lambda t: t.facts.select(
        low=col("text").min(), high=col("text").max(), joined=col("g").str.join(","), n=col("text").str.len_chars().sum()
    ),
    aggregate_counts=lambda t: t.facts.select(
        count=col("k").count(), nulls=col("k").null_count(), all=col("k").len(), distinct=col("k").n_unique(), rows=pl.len(),
        void=col("void").count(), none=col("void").sum(), unique=col("g").unique().count(),
    ),
    aggregate_bools=lambda t: t.facts.select(
        col("flag").any(), all=col("flag").all(), kleene=col("flag").any(ignore_nulls=False), true=col("flag").sum()
    ),
    aggregate_arithmetic=lambda t: t.facts.select(
        share=col("n").filter(col("flag")).sum() / col("n").sum(), spread=col("n").max() - col("n").min(), one=pl.len() * 2 + 1,
        nested=pl.when(col("n").sum() > 0).then(col("n").max()).otherwise(col("n").min()),
        weighted=(col("n") * col("i8")).sum() / col("i8").sum(), text=pl.format("{} of {}", col("n").count(), pl.len()),
    ),
    aggregate_first_last=lambda t: t.facts.select(
        a=col("id").first(), z=col("id").last(), n=col("k").drop_nulls().first(), m=col("void").first()
    ),
    aggregate_order_statistics=lambda t: t.facts.select(
        q=col("n").quantile(0.7, "nearest"), m=col("n").median(), top=col("n").top_k(3).implode(), mode=col("g").mode().sort().first()
    ),
    aggregate_nans=lambda t: t.facts.select(
        col("f64").max(), low=col("f64").min(), nan_max=col("f64").nan_max(), mean=col("f64").mean(), finite=col("f64").is_finite().sum(),
        sum=col("f64").filter(col("f64").is_finite()).sum(), single=col("f32").filter(col("f32").is_finite()).sum(),
    ),
    aggregate_mixed_heights=lambda t: t.facts.select(col("n").head(3), most=col("n").max(), one=pl.lit(1)),
    aggregate_beside_literal=lambda t: t.facts.select(a=pl.lit(5), n=col("n").sum()),
    aggregate_all_of_frame=lambda t: t.facts.select("n", "f64", "id").fill_nan(0).select(cs.integer()).sum(),
    frame_methods=lambda t: pl.concat(
        [t.facts.select("n", "i8").min(), t.facts.select("n", "i8").max(), t.facts.select("n", "i8").median().cast(pl.Int64).select(
            col("n"), col("i8").cast(pl.Int8))]
    ),
    frame_null_count=lambda t: t.facts.null_count(),
    frame_count=lambda t: t.facts.count(),
    frame_describe_like=lambda t: t.facts.select("n", "i8").quantile(0.25, "nearest"),
    aggregate_of_aggregates=lambda t: t.facts.group_by("k", "g").agg(n=col("n").sum()).group_by("k").agg(
        col("n").max(), groups=pl.len()).sort("k"),
    aggregate_thrice=lambda t: t.facts.group_by("k", "g", "flag").agg(n=pl.len()).group_by("k", "g").agg(n=col("n").sum()).group_by(
        "g").agg(n=col("n").max()).sort("g"),
)  # fmt: skip
shapes(
    ordered=False,
    group_by_no_rows=lambda t: t.none.group_by("k").agg(pl.len(), col("n").sum()),
    group_by_one_group=lambda t: t.facts.group_by(pl.lit(1).alias("one")).agg(pl.len(), n=col("n").sum()),
    group_by_unique_key=lambda t: t.facts.group_by("id").agg(col("n").first(), m=col("n").mean()),
    group_by_all_null=lambda t: t.facts.group_by("void").agg(pl.len(), col("n").sum(), col("g").n_unique()),
    group_by_float=lambda t: t.facts.group_by("f64").agg(pl.len(), col("n").sum()),
    group_by_struct=lambda t: t.facts.group_by("rec").agg(pl.len()),
    group_by_list=lambda t: t.facts.group_by("nums").agg(pl.len(), col("n").max()),
    group_by_array=lambda t: t.facts.group_by("pair").agg(pl.len()),
    group_by_categorical=lambda t: t.facts.group_by("cat").agg(pl.len(), col("n").sum()),
    group_by_enum=lambda t: t.facts.group_by("enum", "flag").agg(pl.len(), col("n").sum()),
    group_by_decimal=lambda t: t.facts.group_by("dec").agg(pl.len()),
    group_by_binary=lambda t: t.facts.group_by("raw").agg(pl.len()),
    group_by_times=lambda t: t.facts.group_by("day", "clock", "milli").agg(pl.len(), col("span").sum()),
    group_by_expression=lambda t: t.facts.group_by(col("n") % 4, half=col("id") // 600).agg(col("i8").sum(), pl.len()),
    group_by_selector=lambda t: t.facts.group_by(cs.by_name("k", "flag")).agg(cs.integer().sum()),
    group_by_agg_selector=lambda t: t.facts.select("k", "n", "i8", "u8").group_by("k").agg(pl.all().sum()),
    group_by_agg_minus=lambda t: t.facts.group_by("k").agg(pl.col("n", "i16").sum(), pl.col("^u.*$").max()),
    group_by_named=lambda t: t.facts.group_by("k").agg(cs.signed_integer().max().name.suffix("_max"), pl.len().alias("rows")),
    group_by_keys_only=lambda t: t.facts.group_by("k", "flag").agg(),
    group_by_len=lambda t: t.facts.group_by("k").len("how_many"),
    group_by_filtered_aggregates=lambda t: t.facts.group_by("k").agg(
        n=col("n").filter(col("flag")).sum(), m=col("n").filter(col("n") > col("i8")).mean(), c=col("n").filter(col("n") > 50).len()
    ),
    group_by_std_var=lambda t: t.facts.group_by("k").agg(s=col("n").std(), v=col("i8").var(0), m=col("n").mean(), f=col("u8").std(0)),
    group_by_all_kinds=lambda t: t.facts.group_by("k").agg(
        pl.len(), first=col("id").first(), last=col("id").last(), ids=col("id").head(2), low=col("text").min(), any=col("flag").any(),
        distinct=col("g").n_unique(), med=col("n").median(), listed=col("n").sort().tail(2), nulls=col("n").null_count(),
    ),
    group_by_same_aggregate_twice=lambda t: t.facts.group_by("k").agg(a=col("n").sum(), b=col("n").sum(), c=col("n").sum() + col("n").sum()),
    group_by_ternary=lambda t: t.facts.group_by("k").agg(pl.when(col("n").sum() > 0).then(col("id").max()).otherwise(-1).alias("z")),
    group_by_casts=lambda t: t.facts.group_by("k").agg(a=col("n").sum().cast(pl.Float32), b=col("n").cast(pl.Int8, strict=False).sum()),
    group_by_small_integers=lambda t: t.facts.group_by("g").agg(cs.integer().exclude("k", "wide").sum(), m=col("u8").mean()),
    group_by_wide_sums=lambda t: t.facts.group_by("g").agg(col("wide").sum(), high=col("wide").max()),
    group_by_float32=lambda t: t.facts.filter(col("f32").is_finite()).group_by("g").agg(col("f32").sum(), mean=col("f32").mean()),
    group_by_temporal_values=lambda t: t.facts.group_by("k").agg(cs.temporal().max(), gap=col("day").max() - col("day").min()),
    group_by_having_unused=lambda t: t.facts.group_by("k").having(col("n").max() > 90, pl.len() > 5).agg(col("id").min()),
    group_by_sorted_values=lambda t: t.facts.group_by("k").agg(best=col("id").sort_by("n", "id", descending=True).first()),
    group_by_user_function=lambda t: t.facts.group_by("k").agg(
        col("n").map_batches(lambda s: s.sort().head(2), return_dtype=pl.Int64)
    ),
    group_by_then_explode=lambda t: t.facts.group_by("k").agg(col("n").unique().sort()).explode("n"),
    group_by_then_join=lambda t: t.facts.group_by("k").agg(n=col("n").sum()).join(t.other.group_by("k").agg(m=col("n").sum()), on="k"),
    group_by_two_then_one=lambda t: t.facts.group_by("k", "g").agg(col("n").sum()).filter(col("n") > 0).group_by("g").agg(col("n").max()),
    group_by_over_union=lambda t: pl.concat([t.facts, t.other]).group_by("k").agg(pl.len(), col("n").mean()),
    group_by_over_union_of_groups=lambda t: pl.concat(
        [t.facts.group_by("k").agg(col("n").sum()), t.other.group_by("k").agg(col("n").sum())]
    ).group_by("k").agg(col("n").sum(), pl.len()),
    group_by_nested_values=lambda t: t.facts.group_by("k").agg(l=col("nums").first(), s=col("rec").last(), a=col("pair").count()),
    group_by_implode=lambda t: t.facts.group_by("k").agg(col("id"), texts=col("text").filter(col("n") > 50)),
    group_by_bits=lambda t: t.facts.group_by("k").agg(a=col("i16").bitwise_and(), o=col("n").bitwise_or(), x=col("u32").bitwise_xor()),
    group_by_nulls_in=lambda t: t.facts.group_by("k").agg(n=col("n").has_nulls(), g=col("g").has_nulls(), every=col("flag").all()),
    select_bits=lambda t: t.facts.select(a=col("i16").bitwise_and(), o=col("n").bitwise_or(), h=col("g").has_nulls(), x=col("u8").bitwise_xor()),
    select_first_there=lambda t: t.facts.select(f=col("n").first(ignore_nulls=True), l=col("g").last(ignore_nulls=True)),
    group_by_first_there=lambda t: t.facts.group_by("k").agg(f=col("n").first(ignore_nulls=True), l=col("g").last(ignore_nulls=True)),
    match_to_schema=lambda t: t.facts.select("id", "i8", "g").match_to_schema(
        {"g": pl.String, "id": pl.Int64, "i8": pl.Int32}, integer_cast="upcast"
    ),
    group_by_rows_listed=lambda t: t.single.group_by("k").agg("id", least=col("n").min()),
    group_by_rows_computed=lambda t: t.single.group_by("k").agg(col("id") * 2, col("n").filter(col("flag")), z=col("n").drop_nulls()),
    pivot_lists=lambda t: t.facts.pivot("enum", on_columns=["low", "mid", "high"], index=["k"], values="n", aggregate_function="max"),
)  # fmt: skip
shapes(
    group_by_in_order=lambda t: t.facts.group_by("g", maintain_order=True).agg(pl.len(), col("n").sum(), col("id").first()),
    group_by_in_order_filtered=lambda t: t.facts.group_by("k", "g", maintain_order=True).agg(col("n").sum()).filter(col("n") > 0),
    value_counts=lambda t: t.facts.select(col("k").value_counts(sort=True).struct.field("count")),
    unique_counts=lambda t: t.facts.select(col("g").unique_counts()),
)

# --- joins -------------------------------------------------------------------------------------


def _join(how: str, left: str = "facts", right: str = "other") -> Build:
    def build(t: Tables) -> pl.LazyFrame:
        a, b = (getattr(t, name).select("id", "k", "n", "g") for name in (left, right))
        return a.filter(col("k") != 0).join(b.filter(col("id") < 90), on="k", how=how, suffix="_right")  # type: ignore[arg-type]

    return build


def _most(t: Tables) -> pl.LazyFrame:
    """All rows, though its filters look as if they kept few."""
    return t.facts.select("id", "n", "g").filter(col("id") >= -1, (col("n") >= -999) | col("n").is_null(), col("id") <= 10**6)


def _least(t: Tables) -> pl.LazyFrame:
    return t.facts.select("id", "n", "g").filter(col("id") > 1190)


for _how in ("inner", "left", "right", "full", "semi", "anti"):
    shapes(
        ordered=False,
        **{
            f"join_{_how}_many": _join(_how),
            f"join_{_how}_empty_left": _join(_how, left="none"),
            f"join_{_how}_empty_right": _join(_how, right="none"),
            f"join_{_how}_one_row": _join(_how, right="lone"),
            f"join_{_how}_itself": _join(_how, right="facts"),
            f"join_{_how}_more_than_guessed": lambda t, how=_how: _most(t).join(t.other.select("id", m="n"), on="id", how=how),
            f"join_{_how}_fewer_than_guessed": lambda t, how=_how: _least(t).join(t.facts.select("id", m="n"), on="id", how=how),
            f"join_{_how}_with_more_than_guessed": lambda t, how=_how: t.other.select("id", "k").join(_most(t), on="id", how=how),
        },
    )


def _few(t: Tables) -> pl.LazyFrame:
    """So few rows, by the looks of its filters, that those without a partner among them need not move."""
    return t.other.filter(col("id").is_in([3, 8, 20, 21, 60, 77]), col("n") <= 99, col("n") >= -99)


def _reduced(how: str, few_on: dict[str, object], many_on: dict[str, object], **options: object) -> Build:
    """Few rows join many: the many come first only where the join keeps all rows of its right side."""

    def build(t: Tables) -> pl.LazyFrame:
        few, many = _few(t).with_columns(**few_on), t.facts.with_columns(**many_on)  # type: ignore[arg-type]
        left, right = (many, few) if how == "right" else (few, many)
        return left.join(right.rename({"n": "m"}), how=how, **options)  # type: ignore[arg-type]

    return build


for _how in ("left", "right", "semi", "anti"):
    shapes(
        ordered=False,
        **{
            f"join_{_how}_reduced": _reduced(_how, {}, {}, on="id"),
            f"join_{_how}_reduced_nulls": _reduced(_how, {}, {}, on=["k", "void"], nulls_equal=True),
            f"join_{_how}_reduced_floats": _reduced(_how, {}, {}, on="f64"),
            f"join_{_how}_reduced_integers": _reduced(_how, {"i8": col("i8").cast(pl.Int64)}, {}, on="i8"),
            f"join_{_how}_reduced_categories": _reduced(_how, {}, {}, on="cat"),
            f"join_{_how}_reduced_expressions": _reduced(_how, {}, {}, left_on=col("id") // 3, right_on=col("id") % 99 + 1),
        },
    )

shapes(
    ordered=False,
    join_two_keys=lambda t: t.facts.join(t.other.select("k", "g", m="n"), on=["k", "g"]).filter(col("k") != 0),
    join_other_names=lambda t: t.facts.select("id", "n").join(t.other.select(nr="id", m="n"), left_on="id", right_on="nr", how="full"),
    join_key_kept=lambda t: t.facts.select("id", "n").join(t.other.select(nr="id"), left_on="id", right_on="nr", coalesce=False),
    join_expression_keys=lambda t: t.facts.join(t.other.select("id", m="n"), left_on=col("id") * 2, right_on=col("id") + 1, how="inner"),
    join_one_expression=lambda t: t.facts.join(t.dims, left_on=[col("n") % 8], right_on=[col("k").cast(pl.Int64)]),
    join_text_expression=lambda t: t.facts.join(
        t.frame.select(word=col("text").str.to_lowercase()).unique(), left_on=col("text").str.to_lowercase(), right_on="word"
    ).select("id"),
    join_float_keys=lambda t: t.facts.select("id", "f64").join(t.other.filter(col("id") < 50).select("f64", m="id"), on="f64").select("id", "m"),
    join_null_keys_equal=lambda t: t.facts.select("id", "void").join(t.lone.select("void", m="id"), on="void", nulls_equal=True),
    join_null_keys=lambda t: t.facts.select("id", "void").join(t.lone.select("void", m="id"), on="void", how="left"),
    join_categories=lambda t: t.facts.select("id", "cat").join(t.other.head(20).select("cat", m="id"), on="cat"),
    join_enums=lambda t: t.facts.filter(col("id") < 80).select("id", "enum").join(t.other.head(20).select("enum", m="id"), on="enum"),
    join_decimals=lambda t: t.facts.select("id", "dec").join(t.other.select("dec", m="id"), on="dec", how="left"),
    join_dates=lambda t: t.facts.select("id", "day").join(t.other.select("day", m="id"), on="day", how="semi"),
    join_times=lambda t: t.facts.select("id", "clock").join(t.other.select("clock", m="id"), on="clock", how="anti"),
    join_binary=lambda t: t.facts.filter(col("id") < 80).select("id", "raw").join(t.other.head(9).select("raw", m="id"), on="raw"),
    join_bools=lambda t: t.facts.filter(col("id") < 80).select("id", "flag").join(t.other.head(9).select("flag", m="id"), on="flag"),
    join_structs=lambda t: t.facts.select("id", "rec").join(t.other.select("rec", m="id"), on="rec").select("id", "m"),
    join_chain=lambda t: t.facts.join(t.dims, on="k").join(t.other.select("id", m="n"), on="id").join(t.dims, on="k", suffix="_2"),
    join_semi_chain=lambda t: t.facts.join(t.other, on="id", how="semi").join(t.dims, on="k", how="semi").join(
        t.other.filter(col("n") > 0), on="id", how="anti"
    ).select("id", "n"),
    join_aggregates=lambda t: t.facts.group_by("k").agg(a=col("n").sum()).join(t.facts.group_by("k").agg(b=col("n").max()), on="k", how="full"),
    join_filter_on_left=lambda t: t.facts.join(t.dims, on="k", how="left").filter(col("n") > 50).select("id", "name"),
    join_filter_on_right=lambda t: t.facts.join(t.dims, on="k", how="left").filter(col("name").is_null()).select("id"),
    join_filter_on_both=lambda t: t.facts.join(t.other.select("id", m="n"), on="id").filter(col("n") > col("m")).select("id"),
    join_filter_full=lambda t: t.facts.join(t.other.select("id", m="n"), on="id", how="full", coalesce=True).filter(col("m").is_null()).select("id"),
    join_filter_aggregate=lambda t: t.facts.join(t.other.select("id", m="n"), on="id").filter(col("m") == col("m").max()).select("id", "m"),
    join_with_few_sorted=lambda t: t.facts.join(t.dims.sort("name", maintain_order=True), on="k"),
    join_order_lost=lambda t: t.facts.sort("n").join(t.dims, on="k"),
    join_mixed_integers=lambda t: t.facts.select("id", "i8").join(t.other.head(30).select(i8=col("i8").cast(pl.Int64), m="id"), on="i8"),
    join_no_columns_of_right=lambda t: t.facts.join(t.dims, on="k").select("id"),
    join_only_right=lambda t: t.facts.join(t.dims, on="k").select("name"),
    join_nothing_but_rows=lambda t: t.facts.join(t.dims, on="k").select(pl.len()),
    join_with_literal_frame=lambda t: t.facts.join(pl.LazyFrame({"k": [0, 1], "z": ["x", "y"]}, schema_overrides={"k": pl.Int32}), on="k"),
    join_validated=lambda t: t.facts.join(t.dims, on="k", validate="m:1"),
    join_where_equal=lambda t: t.facts.select("id", "k", "n").join_where(t.dims.select(q="k", name="name"), col("k") == col("q"), col("n") > 0),
    cross_one_row=lambda t: t.facts.select("id", "n").join(t.other.select(top=col("n").max()), how="cross").filter(col("n") > col("top") - 10),
    cross_no_rows=lambda t: t.facts.join(t.none.select(z="id"), how="cross"),
    update=lambda t: t.facts.select("id", "n").update(t.other.select("id", "n"), on="id"),
    scalar_subplan=lambda t: t.facts.filter(col("id").is_in([1, 5, 900])).join(t.other.select(col("n").sum().alias("z")), how="cross"),
)  # fmt: skip
shapes(
    join_left_in_order=lambda t: t.facts.join(t.dims, on="k", how="left", maintain_order="left"),
    join_inner_in_order=lambda t: t.facts.select("id", "k").filter(col("k") != 0).join(
        t.other.select("k", m="id"), on="k", maintain_order="left_right"
    ).head(50),
    join_right_in_order=lambda t: t.dims.join(t.facts, on="k", how="right", maintain_order="right_left").head(40),
    join_asof_by=lambda t: t.facts.select("id", "g", "n").join_asof(t.other.select("id", "g", m="n"), on="id", by="g", strategy="forward"),
    join_then_sort=lambda t: t.facts.join(t.dims, on="k").sort("name", "id").select("id", "name"),
    float_sum_equals_own_maximum=lambda t: t.facts.filter(col("f64").is_finite()).group_by("k").agg(v=(col("f64") * 0.1).sum()).filter(
        col("v") == col("v").max()
    ),
    float_sum_joined_with_own_maximum=lambda t: (
        lambda sums: sums.join(sums.select(col("v").max()), on="v").select("k")
    )(t.facts.filter(col("f64").is_finite()).group_by("k").agg(v=(col("f64") * 0.1).sum())),
)  # fmt: skip

# --- order, limits, distinct -------------------------------------------------------------------

shapes(
    sort_nulls_first=lambda t: t.facts.sort("k", "id"),
    sort_directions=lambda t: t.facts.sort("g", "k", "id", descending=[True, False, True], nulls_last=[True, False, False]),
    sort_floats=lambda t: t.facts.select("f64", "id").sort("f64", "id", descending=[True, False], nulls_last=True),
    sort_expression=lambda t: t.facts.sort(col("n") % 10, -col("id")),
    sort_categories=lambda t: t.facts.select("cat", "enum", "id").sort("enum", "cat", "id"),
    sort_lists=lambda t: t.facts.select("nums", "id").sort("nums", "id"),
    sort_structs=lambda t: t.facts.select("rec", "id").sort("rec", "id"),
    sort_decimals=lambda t: t.facts.select("dec", "id").sort("dec", "id", descending=True),
    sort_binary=lambda t: t.facts.select("raw", "id").sort("raw", "id"),
    sort_bools=lambda t: t.facts.select("flag", "id").sort("flag", "id", nulls_last=True),
    sort_texts=lambda t: t.facts.select("text", "id").sort("text", "id", descending=[True, False]),
    sort_stable_all_equal=lambda t: t.facts.sort("void", maintain_order=True),
    sort_stable_descending=lambda t: t.facts.sort("k", descending=True, nulls_last=True, maintain_order=True),
    sort_of_sorted=lambda t: t.facts.sort("n", "id").sort("g", maintain_order=True),
    sort_no_rows=lambda t: t.none.sort("n", "id"),
    sort_one_row=lambda t: t.lone.sort("n", "id"),
    sort_by_dropped=lambda t: t.facts.sort("n", "id").select("text"),
    sort_then_group=lambda t: t.facts.sort("n", "id").group_by("k", maintain_order=True).agg(col("id").first(), pl.len()),
    sort_then_cumulative=lambda t: t.facts.sort("day", "id").select("id", total=col("n").cum_sum(), gap=col("day").diff()),
    sort_filter_sort_head=lambda t: t.facts.sort("n", "id").filter(col("k") == 0).sort("g", "id", descending=True).head(20).select("id"),
    sort_by_column=lambda t: t.facts.select(col("id").sort_by("n", "id"), other=col("text").sort_by(col("id"), descending=True)),
    sort_columns_alone=lambda t: t.facts.select(col("n").sort(), col("id").reverse()),
    top_then_sort=lambda t: t.facts.top_k(25, by=["n", "id"]).sort("id").select("id", "n"),
    top_of_more_than_all=lambda t: t.facts.top_k(10_000, by=["n", "id"]).sort("id"),
    top_of_none=lambda t: t.facts.top_k(0, by="id"),
    top_offset=lambda t: t.facts.sort("n", "id", descending=True).slice(100, 17),
    top_beyond_end=lambda t: t.facts.sort("n", "id").slice(1190, 50),
    top_of_groups=lambda t: t.facts.group_by("g", "k").agg(n=col("n").sum()).sort("n", "g", "k", descending=True).head(5),
    tail_of_sorted=lambda t: t.facts.sort("n", "id").tail(6),
    head_of_head=lambda t: t.facts.head(800).head(705).tail(10),
    head_over_empty_file=lambda t: t.facts.slice(699, 3),
    head_of_filter=lambda t: t.facts.filter(col("n") > 90).head(11),
    head_of_rare=lambda t: t.facts.filter(col("id") >= 1150).head(3).select("n"),
    head_zero=lambda t: t.facts.head(0),
    head_of_union=lambda t: pl.concat([t.facts.filter(col("id") > 1195), t.other]).head(9).select("id"),
    head_of_nested_unions=lambda t: pl.concat([pl.concat([t.none, t.lone]), pl.concat([t.facts.tail(3), t.other])]).head(8).select("id"),
    head_of_each_then_union=lambda t: pl.concat([t.facts.head(3), t.other.head(3), t.facts.tail(2)]).select("id", "n"),
    tail_of_union=lambda t: pl.concat([t.facts, t.other, t.none]).tail(5).select("id"),
    union_of_aggregates=lambda t: pl.concat([t.facts.select(n=pl.len()), t.other.select(n=pl.len()), t.none.select(n=pl.len())]),
    union_of_itself=lambda t: pl.concat([t.facts, t.facts]).select("id"),
    union_of_orders=lambda t: pl.concat([t.facts.sort("n", "id"), t.other.sort("id", descending=True)]).select("id", "n").slice(1150, 100),
    union_of_types=lambda t: pl.concat([t.facts.select("id", z="i8"), t.other.select("id", z="f64")], how="vertical_relaxed"),
    union_with_index=lambda t: pl.concat([t.facts, t.other]).with_row_index().filter(col("index") % 100 == 0).select("index", "id"),
    union_filtered_index=lambda t: t.facts.filter(col("flag")).with_row_index(offset=7).tail(4).select("index", "id"),
    index_of_union_of_indexes=lambda t: pl.concat([t.facts.with_row_index("a"), t.other.with_row_index("a")]).with_row_index("b").tail(9).select(
        "a", "b"
    ),
    unique_first=lambda t: t.facts.unique("k", keep="first", maintain_order=True).select("id", "k"),
    unique_last=lambda t: t.facts.unique(["g", "flag"], keep="last", maintain_order=True).select("id"),
    unique_none_in_order=lambda t: t.facts.unique(["n", "g"], keep="none", maintain_order=True).select("id"),
    unique_no_rows=lambda t: t.none.unique(),
    unique_then_sort=lambda t: t.facts.select("k", "g").unique().sort("k", "g"),
    unique_sorted_first=lambda t: t.facts.sort("n", "id", descending=True).unique("k", keep="first", maintain_order=True).select("id", "n"),
    unique_of_column=lambda t: t.facts.select(col("g").unique().sort()),
    unique_of_column_in_order=lambda t: t.facts.select(col("g").unique(maintain_order=True)),
    reverse_then_head=lambda t: t.facts.reverse().head(5).select("id"),
    gather=lambda t: t.facts.select(col("id").gather([3, 1100, -1])),
    slice_expression=lambda t: t.facts.select(col("id").slice(10, 5), z=col("n").tail(5)),
    filter_expression=lambda t: t.facts.select(col("id").filter(col("n") > 95)),
    drop_nulls_expression=lambda t: t.facts.select(col("k").drop_nulls().head(30)),
)  # fmt: skip
shapes(
    ordered=False,
    unique_nested=lambda t: t.facts.select("nums", "rec", "pair").unique(),
    unique_floats=lambda t: t.facts.select("f64").unique(),
    unique_null=lambda t: t.facts.select("void").unique(),
    unique_subset_selector=lambda t: t.facts.select("k", "g", "flag").unique(cs.integer() | cs.boolean() | cs.string()),
    unique_last_unordered=lambda t: t.facts.unique("k", keep="last").select("id", "k"),
    unique_twice=lambda t: t.facts.select("k", "g").unique().select("k").unique(),
    unique_of_union=lambda t: pl.concat([t.facts.select("k", "flag"), t.other.select("k", "flag")]).unique(),
)

# --- windows and other columns of many rows ----------------------------------------------------

shapes(
    window_one_key=lambda t: t.facts.select("id", s=col("n").sum().over("k"), share=col("n") / col("n").sum().over("k")),
    window_two_keys=lambda t: t.facts.select("id", col("n").max().over("k", "g"), c=pl.len().over("g", "k")),
    window_different_keys=lambda t: t.facts.select("id", a=col("n").sum().over("k"), b=col("n").sum().over("g")),
    window_null_key=lambda t: t.facts.select("id", a=col("n").count().over("void")),
    window_expression_key=lambda t: t.facts.select("id", a=col("n").sum().over(col("id") % 5)),
    window_ordered=lambda t: t.facts.select("id", a=col("n").cum_sum().over("k", order_by="id"), b=col("id").shift(1).over("k", order_by="id")),
    window_ordered_down=lambda t: t.facts.select("id", a=pl.int_range(pl.len()).over("g", order_by="id", descending=True)),
    window_in_row_order=lambda t: t.facts.select("id", a=col("n").cum_sum().over("k"), b=col("id").first().over("g")),
    window_rank=lambda t: t.facts.select("id", a=col("n").rank("min").over("k"), b=col("id").rank("ordinal", descending=True).over("k")),
    window_filter=lambda t: t.facts.filter(col("n") == col("n").max().over("k")).select("id", "n", "k"),
    window_filter_group=lambda t: t.facts.filter(pl.len().over("k") > 60).select("id"),
    window_then_head=lambda t: t.facts.with_columns(m=col("n").mean().over("k")).head(12).select("id", "m"),
    window_then_group=lambda t: t.facts.with_columns(m=col("n").max().over("k")).group_by("k").agg(col("m").min(), pl.len()).sort("k"),
    window_of_window=lambda t: t.facts.with_columns(m=col("n").max().over("k")).with_columns(d=(col("m") - col("n")).sum().over("k")).select("id", "d"),
    window_in_filter_below=lambda t: t.facts.filter(col("n") > 0).with_columns(r=col("id").rank("dense").over("k")).filter(col("r") <= 3).select("id"),
    window_filter_on_key_above=lambda t: t.facts.with_columns(r=col("n").sum().over("k")).filter(col("k") == 0).select("id", "r"),
    window_filter_on_other_above=lambda t: t.facts.with_columns(r=pl.len().over("k")).filter(col("n") > 20).select("id", "r"),
    window_aggregate=lambda t: t.facts.select(col("n").sum().over("k").max(), z=col("n").max().over("g").sum()),
    window_explode=lambda t: t.facts.select(col("id").sort(descending=True).over("k", mapping_strategy="explode")),
    window_join=lambda t: t.facts.select("id", l=col("n").head(2).over("k", mapping_strategy="join")),
    window_all=lambda t: t.facts.select("k", "n", "i8").with_columns(pl.all().exclude("k").max().over("k").name.suffix("_max")),
    window_no_rows=lambda t: t.none.select("id", m=col("n").max().over("k")),
    window_after_join=lambda t: t.facts.join(t.dims, on="k").with_columns(c=pl.len().over("name")).sort("id").select("id", "c"),
    cumulative_all=lambda t: t.facts.select("id", a=col("n").cum_sum(), b=col("n").cum_max(), c=col("k").cum_count(), d=col("n").cum_min(reverse=True)),
    cumulative_filter=lambda t: t.facts.filter(col("n").cum_sum() > 500).select("id"),
    differences=lambda t: t.facts.select("id", a=col("n").diff(), b=col("n").pct_change(2), c=col("k").shift(-2, fill_value=0)),
    fills=lambda t: t.facts.select("id", a=col("k").forward_fill(), b=col("k").backward_fill(2), c=col("n").fill_null(strategy="mean"), d=col("n").interpolate()),
    rolling_rows=lambda t: t.facts.select("id", a=col("n").rolling_sum(5), b=col("n").rolling_max(3, min_samples=1)),
    rolling_times=lambda t: t.facts.drop_nulls("day").sort("day", "id").select("id", a=col("n").rolling_sum_by("day", "40d")),
    ewm=lambda t: t.facts.select("id", a=col("n").ewm_mean(alpha=0.4)),
    ranks=lambda t: t.facts.select("id", a=col("n").rank("dense"), b=col("n").rank("average"), c=col("id").rank("ordinal")),
    duplicates=lambda t: t.facts.select("id", a=col("n").is_duplicated(), b=col("g").is_first_distinct(), c=col("g").is_last_distinct()),
    runs=lambda t: t.facts.select(a=col("flag").rle_id(), b=col("id")),
    searches=lambda t: t.facts.select(a=col("id").search_sorted(77), b=col("id").index_of(900), c=col("n").arg_min()),
    bins=lambda t: t.facts.select("id", a=col("n").qcut(3).cast(pl.String), b=col("n").cut([0, 50]).cast(pl.String)),
    hist=lambda t: t.facts.select(col("n").hist([0, 30, 60])),
    minus_mean=lambda t: t.facts.select("id", a=col("n") - col("n").mean(), b=col("n") / col("n").max()),
    compared_with_aggregate=lambda t: t.facts.filter(col("n") >= col("n").max(), col("id") < pl.len()).select("id", "n"),
    filter_by_list_of_itself=lambda t: t.facts.filter(col("n").is_in(col("n").top_k(3).implode())).select("id", "n"),
    sampled=lambda t: t.facts.select(col("id").sample(20, seed=3)),
    shuffled=lambda t: t.facts.select(col("id").shuffle(seed=5)),
    extended=lambda t: t.facts.select(col("id").head(3).append(col("id").tail(2))),
    dot=lambda t: t.facts.select(col("n").fill_null(0).dot(col("id"))),
    statistics=lambda t: t.facts.select(
        a=pl.corr("id", "n"), b=pl.cov("id", "n"), c=col("n").skew(), d=col("n").kurtosis(), e=(col("n").abs() + 1).entropy()
    ),
)  # fmt: skip

# --- expressions of one row, functions, the rest -----------------------------------------------

shapes(
    strings=lambda t: t.facts.select(
        "id", a=col("text").str.to_uppercase() + "!", b=col("g").str.len_bytes(), c=pl.concat_str("g", "text", separator="|", ignore_nulls=True),
        d=col("text").str.replace_all("a", "b"), e=col("text").str.split("a"), f=col("text").str.extract_all(r"\d"), g2=pl.format("{}-{}", "k", "g"),
    ),
    strings_filtered=lambda t: t.facts.filter(col("text").str.contains("a|é"), col("g").str.len_chars() < 3).select("id", "text"),
    temporal=lambda t: t.facts.select(
        "id", a=col("moment").dt.truncate("1h"), b=col("day").dt.offset_by("1mo"), c=col("milli").dt.convert_time_zone("Europe/Berlin"),
        d=col("moment") - col("day").cast(pl.Datetime("us")), e=col("span").dt.total_minutes(), f=col("clock").dt.hour(),
    ),
    lists=lambda t: t.facts.select(
        "id", a=col("nums").list.sum(), b=col("nums").list.eval(pl.element() * 2), c=col("words").list.join("/"), d=col("nums").list.sort(),
        e=pl.concat_list("n", "id"), f=col("nums").list.contains(3), g2=col("nums").list.get(0, null_on_oob=True), h=col("nums").list.to_struct(fields=["p", "q"]),
    ),
    arrays=lambda t: t.facts.select("id", a=col("pair").arr.sum(), b=col("pair").arr.get(0), c=col("pair").arr.to_list()),
    structs=lambda t: t.facts.select("id", s=pl.struct("k", "g", z=col("n") + 1), x=col("rec").struct.field("x"), j=col("rec").struct.json_encode()),
    structs_with_fields=lambda t: t.facts.select("id", col("rec").struct.with_fields(z=pl.field("x") * 2)),
    nested_filter=lambda t: t.facts.filter(col("rec").struct.field("x") > 4, col("nums").list.len() > 1).select("id", "rec"),
    ternaries=lambda t: t.facts.select("id", a=pl.when(col("n") > 0).then("g").when(col("flag")).then("text").otherwise(None), b=pl.coalesce("k", "n", 0)),
    horizontals=lambda t: t.facts.select(
        "id", a=pl.sum_horizontal(cs.signed_integer()), b=pl.max_horizontal("n", "i8", "u8"), c=pl.any_horizontal("flag", col("n") > 0), d=pl.mean_horizontal("n", "i8")
    ),
    folds=lambda t: t.facts.select(z=pl.fold(pl.lit(0), lambda a, b: a + b, [col("n"), col("i8")]), y=pl.reduce(lambda a, b: a * b, [col("n"), col("i8")])),
    replacements=lambda t: t.facts.select("id", a=col("k").replace({0: 100}), b=col("g").replace_strict({"a": 1, "": 2}, default=None, return_dtype=pl.Int8)),
    casts=lambda t: t.facts.select(
        col("n").cast(pl.String), a=col("id").cast(pl.UInt8, strict=False), b=col("g").cast(pl.Categorical), c=col("n").cast(pl.Float32), d=col("dec").cast(pl.Decimal(20, 4))
    ),
    hashes=lambda t: t.facts.select("id", h=pl.struct("k", "g").hash(7) % 100),
    random_free_literals=lambda t: t.facts.select("id", pl.lit("x").alias("a"), pl.lit(None).alias("b"), pl.lit([1, 2]).implode().alias("c"), d=pl.lit(dt.date(2024, 2, 29))),
    series_literal=lambda t: t.facts.filter(col("k").is_in(pl.Series([1, 2, 3], dtype=pl.Int32).implode())).select("id"),
    series_column=lambda t: t.facts.head(4).select("id", s=pl.Series([4, 3, 2, 1])),
    ranges=lambda t: t.facts.select("id", r=pl.int_range(pl.len()), d=pl.int_ranges(0, col("u8") % 3)),
    only_literals=lambda t: t.facts.select(pl.lit(1).alias("a")),
    bitwise=lambda t: t.facts.select("id", a=col("n") & 7, b=col("n").bitwise_count_ones(), c=~col("flag")),
    binary_columns=lambda t: t.facts.select("id", a=col("raw").bin.encode("hex"), b=col("raw").bin.size()),
    categories=lambda t: t.facts.filter(col("cat") != "b").select("id", "cat", "enum").head(300),
    struct_unnested_again=lambda t: t.facts.select("id", z=pl.struct(p="k", q="n")).unnest("z").filter(col("p") > 2),
    rename_all=lambda t: t.facts.rename(str.upper).filter(pl.col("N") > 0).select("ID", "N"),
    rename_swapped=lambda t: t.facts.rename({"k": "n", "n": "k"}).filter(col("k") > 50).select("n"),
    name_prefix=lambda t: t.facts.select(cs.integer().name.prefix("p_")).filter(col("p_n") > 0).select("p_id"),
    exclude=lambda t: t.facts.select(pl.exclude(pl.String, pl.Boolean)).drop("nums", "words", "pair", "rec").head(99),
    selectors_everywhere=lambda t: t.facts.with_columns(cs.signed_integer() + 1).filter(~pl.any_horizontal(cs.boolean())).select(cs.by_index(0, 1), cs.temporal()).sort("id"),
    explode_two=lambda t: t.facts.select("id", a="nums", b=col("nums").list.reverse()).explode("a", "b").filter(col("a") > 1),
    explode_then_group=lambda t: t.facts.explode("words").group_by("words").agg(pl.len()).sort("words"),
    explode_expression=lambda t: t.facts.select(col("nums").explode().drop_nulls().sum()),
    unpivot_then_group=lambda t: t.facts.unpivot(["n", "id"], index="k").group_by("variable").agg(col("value").sum()).sort("variable"),
    to_dummies_like=lambda t: t.facts.select("id", *((col("enum") == v).alias(v) for v in ("low", "mid", "high"))),
    with_context_like=lambda t: t.facts.with_columns(col("n").sum().alias("total")).filter(col("n") * 50 > col("total")).select("id"),
    map_batches_column=lambda t: t.facts.select("id", z=col("n").map_batches(lambda s: s.cum_sum(), return_dtype=pl.Int64)),
    map_batches_row_wise=lambda t: t.facts.select("id", z=col("n").map_batches(lambda s: s * 3, return_dtype=pl.Int64, is_elementwise=True)),
    map_elements_struct=lambda t: t.facts.select("id", z=pl.struct("id", "u8").map_elements(lambda r: r["id"] + (r["u8"] or 0), return_dtype=pl.Int64)),
    function_of_whole_frame=lambda t: t.facts.map_batches(lambda df: df.select(pl.len()), schema={"len": pl.get_index_type()}),
    function_then_group=lambda t: t.facts.with_columns(z=col("n").map_elements(lambda x: x % 3, return_dtype=pl.Int64)).group_by("z").agg(pl.len()).sort("z"),
    deferred=lambda t: pl.concat([pl.defer(lambda: pl.DataFrame({"id": [5, 6]}), schema={"id": pl.Int64}), t.facts.select("id")]).head(6),
    sql_group=lambda t: t.facts.sql("select k, count(*) as c, sum(n) as s from self group by k having count(*) > 20 order by k"),
    sql_join=lambda t: pl.SQLContext(f=t.facts, d=t.dims).execute(
        "select d.name, max(f.n) as n from f join d on f.k = d.k where f.id > 10 group by d.name order by d.name limit 5"
    ),
    sql_window=lambda t: t.facts.sql("select id, sum(n) over (partition by k) as s from self order by id limit 40"),
)  # fmt: skip

# --- the same frame more than once -------------------------------------------------------------


def _sums(t: Tables) -> pl.LazyFrame:
    return t.facts.filter(col("n") > 0).group_by("k").agg(n=col("n").sum(), rows=pl.len())


shapes(
    ordered=False,
    common_joined=lambda t: _sums(t).join(_sums(t).select("k", again="n"), on="k"),
    common_joined_with_facts=lambda t: t.facts.join(_sums(t), on="k", suffix="_sum").join(_sums(t), on="k", suffix="_2").select("id", "n_sum", "n_2"),
    common_crossed=lambda t: _sums(t).join(_sums(t).select(top=col("n").max()), how="cross").filter(col("n") == col("top")),
    common_filtered_differently=lambda t: _sums(t).filter(col("rows") > 20).join(_sums(t).filter(col("n") > 50), on="k", how="full", coalesce=True),
    common_semi=lambda t: t.facts.join(_sums(t).filter(col("rows") < 50), on="k", how="semi").select("id", "k"),
    common_union=lambda t: pl.concat([_sums(t), _sums(t), _sums(t).with_columns(col("n") + 1)]).group_by("k").agg(col("n").sum()),
    common_deep=lambda t: (lambda base: base.join(base.group_by("g").agg(m=col("n").max()), on="g").join(
        base.group_by("k").agg(l=col("n").min()), on="k"))(t.facts.join(t.dims, on="k").filter(col("n") > 10)).select("id", "m", "l"),
    common_limits=lambda t: pl.concat([t.facts.sort("n", "id").head(10), t.facts.sort("n", "id").head(20)]).group_by("id").agg(pl.len()),
    common_shared_scan_different_columns=lambda t: t.facts.select("id", "n").join(t.facts.select("id", "g"), on="id").join(
        t.facts.select("id", "flag").filter(col("flag")), on="id"),
)  # fmt: skip
shapes(
    common_concat_order=lambda t: (lambda s: pl.concat([s, s.reverse()]))(t.facts.sort("n", "id").head(30)).select("id"),
    common_cached=lambda t: (lambda c: pl.concat([c.select("id").head(4), c.select("id").tail(4)]))(t.facts.filter(col("n") > 0).cache()),
)
