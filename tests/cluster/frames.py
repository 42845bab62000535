"""tests/cluster/frames.py: the queries that Floe must answer as local Polars does.
SPDX-License-Identifier: Apache-2.0

One function for each query, named after what it exercises. It gets the files of `Data` and
returns a LazyFrame; it may not look at the cluster. User functions are nested functions, so that
they are pickled by value, as a notebook's are. `unordered`: Polars itself promises no row order.
`sinks`: also written through sink_parquet, sink_csv, sink_ipc and show().
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl


@dataclass(frozen=True)
class Frame:
    build: Callable[[Data], pl.LazyFrame]
    ordered: bool = True
    sinks: bool = False
    empty: bool = False  # zero rows are the right answer
    heavy: bool = False  # seconds, not milliseconds: run in one mode only

    @property
    def name(self) -> str:
        return self.build.__name__


FRAMES: list[Frame] = []


def frame(
    *, unordered: bool = False, sinks: bool = False, empty: bool = False, heavy: bool = False
) -> Callable[[Callable[[Data], pl.LazyFrame]], Callable[[Data], pl.LazyFrame]]:
    def register(build: Callable[[Data], pl.LazyFrame]) -> Callable[[Data], pl.LazyFrame]:
        FRAMES.append(Frame(build, not unordered, sinks, empty, heavy))
        return build

    return register


@dataclass(frozen=True)
class Data:
    """Files that scans read. Written once for a test session; every user may read them."""

    root: Path

    def path(self, name: str) -> str:
        return str(self.root / name)

    @classmethod
    def write(cls, root: Path) -> Data:
        orders = _orders(3000)
        orders.write_parquet(root / "orders.parquet", row_group_size=500)
        orders.write_ipc(root / "orders.arrow")
        orders.drop("tags").write_csv(root / "orders.csv")
        orders.drop("when").write_ndjson(root / "orders.ndjson")
        for folder in ("glob", "hive/region=north", "hive/region=south", "hive/region=ö st"):
            (root / folder).mkdir(parents=True)
        for i in range(3):
            part = orders.slice(1000 * i, 1000)
            part.write_parquet(root / f"glob/orders-{i}.parquet")
            part.drop("tags").write_csv(root / f"glob/orders-{i}.csv")
            part.write_ipc(root / f"glob/orders-{i}.arrow")
            part.drop("when").write_ndjson(root / f"glob/orders-{i}.ndjson")
        for i, region in enumerate(("north", "south", "ö st")):
            orders.slice(1000 * i, 1000).write_parquet(root / f"hive/region={region}/0.parquet")
        (root / "quoted.csv").write_text('a;b;c\n1;"x;y";\n2;"line\nbreak";3,5\n#note\n3;;4\n')
        (root / "lines.txt").write_text("first\nzweite Zeile\n\nlast")
        for path in [root, *root.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        return cls(root)


def _orders(n: int) -> pl.DataFrame:
    i = pl.int_range(n, dtype=pl.Int64)
    return pl.select(
        id=i,
        key=(i * 7919) % 97,
        price=(((i * 104729) % 10007) / 100).round(2),
        city=pl.concat_str(pl.lit("city-"), (i % 13).cast(pl.String)),
        when=pl.datetime(2024, 1, 1) + pl.duration(minutes=i * 37),
        tags=pl.concat_list(i % 3, i % 5),
        maybe=pl.when(i % 4 != 0).then(i % 11),
    )


def _small() -> pl.LazyFrame:
    return _orders(200).lazy()


def _cities() -> pl.LazyFrame:
    return pl.LazyFrame(
        {
            "city": [f"city-{i}" for i in range(0, 20, 2)],
            "people": [1000 * i for i in range(10)],
        }
    )


# --- the smallest ------------------------------------------------------------------------------


@frame(sinks=True)
def quickstart(data: Data) -> pl.LazyFrame:
    return pl.LazyFrame({"x": [0]}).select(a=pl.int_range(0, 100_000_000).sum())


@frame(empty=True)
def quickstart_as_published(data: Data) -> pl.LazyFrame:
    return pl.LazyFrame().with_columns(a=pl.arange(0, 100_000).sum())


@frame(sinks=True)
def select_literals(data: Data) -> pl.LazyFrame:
    return pl.LazyFrame().select(a=1, b=pl.lit("x"), c=pl.lit(None), d=pl.lit([1, 2]).implode())


@frame(empty=True, sinks=True)
def no_rows(data: Data) -> pl.LazyFrame:
    return _small().filter(pl.col("id") < 0)


@frame(empty=True)
def no_columns(data: Data) -> pl.LazyFrame:
    return pl.LazyFrame()


@frame(empty=True)
def no_columns_left(data: Data) -> pl.LazyFrame:
    return _small().select([])


@frame(empty=True)
def empty_with_schema(data: Data) -> pl.LazyFrame:
    return pl.LazyFrame(schema={"a": pl.Int8, "b": pl.List(pl.String), "c": pl.Datetime("ns", "UTC")})


@frame()
def one_null(data: Data) -> pl.LazyFrame:
    return pl.LazyFrame({"a": [None]})


# --- scans -------------------------------------------------------------------------------------


@frame(sinks=True)
def scan_parquet(data: Data) -> pl.LazyFrame:
    return pl.scan_parquet(data.path("orders.parquet")).filter(pl.col("key") > 50)


@frame()
def scan_parquet_glob(data: Data) -> pl.LazyFrame:
    return pl.scan_parquet(data.path("glob/*.parquet"), include_file_paths="file", row_index_name="n")


@frame()
def scan_parquet_list(data: Data) -> pl.LazyFrame:
    return pl.scan_parquet([data.path("glob/orders-2.parquet"), data.path("glob/orders-0.parquet")])


@frame()
def scan_parquet_hive(data: Data) -> pl.LazyFrame:
    return pl.scan_parquet(data.path("hive/"), hive_partitioning=True).filter(
        pl.col("region") != "south", pl.col("key") < 20
    )


@frame()
def scan_parquet_count(data: Data) -> pl.LazyFrame:
    return pl.scan_parquet(data.path("glob/*.parquet")).select(pl.len())


@frame()
def scan_parquet_slice(data: Data) -> pl.LazyFrame:
    return pl.scan_parquet(data.path("glob/*.parquet")).slice(950, 120).select("id", "tags")


@frame(sinks=True)
def scan_csv(data: Data) -> pl.LazyFrame:
    return pl.scan_csv(data.path("orders.csv"), try_parse_dates=True).filter(pl.col("maybe") == 3)


@frame()
def scan_csv_glob(data: Data) -> pl.LazyFrame:
    return pl.scan_csv(data.path("glob/*.csv")).group_by("city", maintain_order=True).len()


@frame()
def scan_csv_dialect(data: Data) -> pl.LazyFrame:
    return pl.scan_csv(
        data.path("quoted.csv"), separator=";", decimal_comma=True, comment_prefix="#"
    )


@frame()
def scan_ipc(data: Data) -> pl.LazyFrame:
    return pl.scan_ipc(data.path("orders.arrow")).select("city", pl.col("price") * 2)


@frame()
def scan_ipc_glob(data: Data) -> pl.LazyFrame:
    return pl.scan_ipc(data.path("glob/*.arrow")).tail(1500)


@frame()
def scan_ndjson(data: Data) -> pl.LazyFrame:
    return pl.scan_ndjson(data.path("orders.ndjson")).filter(pl.col("tags").list.first() == 1)


@frame()
def scan_ndjson_glob(data: Data) -> pl.LazyFrame:
    return pl.scan_ndjson(data.path("glob/*.ndjson")).select(pl.col("price").sum().round(4))


@frame()
def scan_lines(data: Data) -> pl.LazyFrame:
    return pl.scan_lines(data.path("lines.txt"))


# --- rows --------------------------------------------------------------------------------------


@frame(sinks=True)
def filter_and_compute(data: Data) -> pl.LazyFrame:
    return _small().filter(pl.col("key").is_between(10, 60), pl.col("maybe").is_not_null()).select(
        "id", cents=(pl.col("price") * 100).cast(pl.Int32), big=pl.col("price") > 50
    )


@frame()
def sort_several(data: Data) -> pl.LazyFrame:
    return _small().sort("maybe", "city", "id", descending=[True, False, False], nulls_last=True)


@frame()
def sort_stable_by_expression(data: Data) -> pl.LazyFrame:
    return _small().sort(pl.col("key") % 5, maintain_order=True)


@frame()
def top_k(data: Data) -> pl.LazyFrame:
    return _small().top_k(7, by=["price", "id"]).sort("id")


@frame()
def bottom_k(data: Data) -> pl.LazyFrame:
    return _small().bottom_k(5, by=["maybe", "id"]).sort("id")


@frame()
def unique_keeping_order(data: Data) -> pl.LazyFrame:
    return _small().unique(subset=["city"], keep="first", maintain_order=True)


@frame(unordered=True)
def unique_any_order(data: Data) -> pl.LazyFrame:
    return _small().select("city", pl.col("key") % 3).unique()


@frame()
def slice_from_the_end(data: Data) -> pl.LazyFrame:
    return _small().slice(-20, 5)


@frame()
def gather_every_reverse_shift(data: Data) -> pl.LazyFrame:
    return _small().gather_every(3, offset=1).reverse().with_columns(before=pl.col("id").shift(2))


@frame()
def row_index(data: Data) -> pl.LazyFrame:
    return _small().with_row_index("nr", offset=10).filter(pl.col("nr") % 2 == 0)


@frame()
def sample_with_seed(data: Data) -> pl.LazyFrame:
    return _small().select(pl.col("id").sample(50, seed=7), pl.col("key").shuffle(seed=1).head(50))


@frame()
def drop_and_fill(data: Data) -> pl.LazyFrame:
    return _small().with_columns(
        forward=pl.col("maybe").fill_null(strategy="forward"), zero=pl.col("maybe").fill_null(0)
    ).drop_nulls("forward").drop("tags")


@frame()
def cumulative(data: Data) -> pl.LazyFrame:
    return _small().select(
        pl.col("key").cum_sum().alias("sum"),
        pl.col("key").cum_max().alias("max"),
        pl.col("maybe").cum_count().alias("count"),
        (pl.col("key") % 3 + 1).head(20).cum_prod().alias("prod").extend_constant(0, 180),
    )


@frame()
def ewm(data: Data) -> pl.LazyFrame:
    return _small().select(
        mean=pl.col("price").ewm_mean(alpha=0.3),
        std=pl.col("price").ewm_std(span=5),
        by=pl.col("price").ewm_mean_by("when", half_life="2h"),
    )


@frame()
def interpolate(data: Data) -> pl.LazyFrame:
    return _small().select(
        pl.col("maybe").interpolate(), near=pl.col("maybe").interpolate(method="nearest")
    )


@frame()
def rolling_expressions(data: Data) -> pl.LazyFrame:
    return _small().select(
        mean=pl.col("price").rolling_mean(5, min_samples=1),
        quantile=pl.col("price").rolling_quantile(0.5, window_size=7),
        by=pl.col("price").rolling_sum_by("when", window_size="3h"),
    )


@frame()
def ranks_and_statistics(data: Data) -> pl.LazyFrame:
    return _small().select(
        rank=pl.col("price").rank("dense"),
        diff=pl.col("price").diff(),
        change=pl.col("price").pct_change(),
        bucket=pl.col("price").qcut(4, labels=["a", "b", "c", "d"]),
        runs=(pl.col("key") > 50).rle_id(),
    )


@frame()
def set_operations_in_filters(data: Data) -> pl.LazyFrame:
    return _small().filter(
        pl.col("city").is_in(["city-1", "city-7"]) | pl.col("id").is_in([3, 5, 8])
    ).with_columns(duplicate=pl.col("key").is_duplicated(), first=pl.col("city").is_first_distinct())


# --- aggregates --------------------------------------------------------------------------------


@frame(unordered=True, sinks=True)
def group_by(data: Data) -> pl.LazyFrame:
    return _small().group_by("city").agg(
        pl.len(),
        pl.col("price").sum().round(6),
        pl.col("maybe").mean().alias("mean"),
        pl.col("key").n_unique().alias("keys"),
        pl.col("price").std().alias("std"),
        pl.col("price").median().alias("median"),
    )


@frame()
def group_by_in_order(data: Data) -> pl.LazyFrame:
    return _small().group_by("city", pl.col("key") % 2, maintain_order=True).agg(
        ids="id", first=pl.col("when").first(), top=pl.col("price").top_k(2)
    )


@frame()
def group_by_having(data: Data) -> pl.LazyFrame:
    return _small().group_by("key").agg(n=pl.len()).filter(pl.col("n") > 2).sort("key")


@frame(unordered=True)
def group_by_null_keys(data: Data) -> pl.LazyFrame:
    return _small().group_by("maybe").agg(pl.col("id").filter(pl.col("key") > 40).sort().implode())


@frame()
def group_by_dynamic(data: Data) -> pl.LazyFrame:
    return _small().group_by_dynamic("when", every="1d", period="2d", closed="left").agg(
        pl.len(), pl.col("price").sum().round(6)
    )


@frame()
def group_by_dynamic_by_group(data: Data) -> pl.LazyFrame:
    return _small().sort("city", "when").group_by_dynamic(
        "when", every="12h", group_by="city", include_boundaries=True
    ).agg(pl.col("id").max())


@frame()
def group_by_rolling(data: Data) -> pl.LazyFrame:
    return _small().rolling("when", period="5h", closed="both").agg(
        pl.col("price").max(), n=pl.len()
    )


@frame()
def aggregate_everything(data: Data) -> pl.LazyFrame:
    return _small().select(
        pl.len(),
        pl.col("id").sum(),
        low=pl.col("price").min(),
        q=pl.col("price").quantile(0.9, "linear"),
        first=pl.col("city").first(),
        nulls=pl.col("maybe").null_count(),
        correlation=pl.corr("id", "price"),
        mode=(pl.col("key") % 2).mode().max(),
    )


@frame()
def value_counts(data: Data) -> pl.LazyFrame:
    return _small().select(pl.col("city").value_counts(sort=True).struct.field("count"))


@frame()
def window_functions(data: Data) -> pl.LazyFrame:
    return _small().with_columns(
        share=(pl.col("price") / pl.col("price").sum().over("city")),
        nth=pl.col("id").rank("ordinal").over("city"),
        previous=pl.col("id").shift(1).over("city", order_by="when"),
    )


@frame()
def window_mapping_strategies(data: Data) -> pl.LazyFrame:
    return _small().select(
        exploded=pl.col("id").sort(descending=True).over("city", mapping_strategy="explode"),
    )


# --- joins -------------------------------------------------------------------------------------


def _join(how: str) -> pl.LazyFrame:
    return _small().select("id", "city").join(_cities(), on="city", how=how)  # type: ignore[arg-type]


@frame(unordered=True, sinks=True)
def join_inner(data: Data) -> pl.LazyFrame:
    return _join("inner")


@frame(unordered=True)
def join_left(data: Data) -> pl.LazyFrame:
    return _join("left")


@frame(unordered=True)
def join_right(data: Data) -> pl.LazyFrame:
    return _join("right")


@frame(unordered=True)
def join_full(data: Data) -> pl.LazyFrame:
    return _small().join(_cities(), on="city", how="full", coalesce=True)


@frame(unordered=True)
def join_semi(data: Data) -> pl.LazyFrame:
    return _join("semi")


@frame(unordered=True)
def join_anti(data: Data) -> pl.LazyFrame:
    return _join("anti")


@frame(unordered=True)
def join_cross(data: Data) -> pl.LazyFrame:
    return _small().head(20).select("id").join(_cities().head(5), how="cross")


@frame(unordered=True)
def join_on_expressions(data: Data) -> pl.LazyFrame:
    right = _small().select(other=pl.col("id") * 2, key=pl.col("key"))
    return _small().join(right, left_on=[pl.col("id") + 2, "key"], right_on=["other", "key"])


@frame(unordered=True)
def join_nulls_equal(data: Data) -> pl.LazyFrame:
    right = pl.LazyFrame({"maybe": [None, 3], "name": ["none", "three"]})
    return _small().join(right, on="maybe", nulls_equal=True, suffix="_r")


@frame(unordered=True)
def join_where(data: Data) -> pl.LazyFrame:
    bounds = pl.LazyFrame({"low": [0, 50], "high": [10, 60]})
    return _small().join_where(bounds, pl.col("key") >= pl.col("low"), pl.col("key") < pl.col("high"))


@frame()
def join_keeping_order(data: Data) -> pl.LazyFrame:
    return _small().join(_cities(), on="city", how="left", maintain_order="left_right")


@frame()
def join_asof(data: Data) -> pl.LazyFrame:
    events = pl.LazyFrame(
        {"when": [dt.datetime(2024, 1, 1, h, 5) for h in range(0, 24, 3)], "event": range(8)}
    ).set_sorted("when")
    return _small().sort("when").join_asof(events, on="when", strategy="backward", tolerance="2h")


@frame()
def join_asof_by(data: Data) -> pl.LazyFrame:
    events = _small().select("when", "city", event="id").sort("when").gather_every(7)
    return _small().sort("when").join_asof(events, on="when", by="city", strategy="nearest")


@frame(unordered=True)
def self_join_of_scans(data: Data) -> pl.LazyFrame:
    orders = pl.scan_parquet(data.path("orders.parquet"))
    best = orders.group_by("city").agg(pl.col("price").max())
    return orders.join(best, on=["city", "price"]).select("id", "city", "price")


@frame()
def merge_sorted(data: Data) -> pl.LazyFrame:
    return _small().select("id").merge_sorted(
        _small().select(pl.col("id") * 3), key="id"
    )


# --- concat and reshape ------------------------------------------------------------------------


@frame()
def concat_vertical(data: Data) -> pl.LazyFrame:
    return pl.concat([_small(), _small().filter(pl.col("id") < 5)])


@frame()
def concat_vertical_relaxed(data: Data) -> pl.LazyFrame:
    return pl.concat(
        [pl.LazyFrame({"a": [1, 2]}), pl.LazyFrame({"a": [1.5]})], how="vertical_relaxed"
    )


@frame()
def concat_diagonal(data: Data) -> pl.LazyFrame:
    return pl.concat([_small().select("id", "city"), _cities()], how="diagonal")


@frame()
def concat_horizontal(data: Data) -> pl.LazyFrame:
    return pl.concat([_small().select("id").head(10), _cities()], how="horizontal")


@frame()
def concat_align(data: Data) -> pl.LazyFrame:
    return pl.concat(
        [pl.LazyFrame({"k": [1, 2], "a": [1, 2]}), pl.LazyFrame({"k": [2, 3], "b": [5, 6]})],
        how="align",
    )


@frame()
def pivot(data: Data) -> pl.LazyFrame:
    return _small().with_columns(half=pl.col("id") % 2).pivot(
        "half", on_columns=[0, 1], index="city", values="price", aggregate_function="sum"
    ).sort("city")


@frame(unordered=True)
def unpivot(data: Data) -> pl.LazyFrame:
    return _small().unpivot(on=["key", "maybe"], index="id", variable_name="what")


@frame()
def explode(data: Data) -> pl.LazyFrame:
    return _small().select("id", "tags").explode("tags")


@frame()
def update(data: Data) -> pl.LazyFrame:
    return _small().select("id", "key").update(
        pl.LazyFrame({"id": [1, 5], "key": [-1, -5]}), on="id"
    ).sort("id")


@frame()
def diamond(data: Data) -> pl.LazyFrame:
    base = _small().with_columns(x=pl.col("key") * 2)
    return pl.concat([base.filter(pl.col("x") < 50), base.filter(pl.col("x") >= 50)])


# --- types -------------------------------------------------------------------------------------


@frame()
def strings(data: Data) -> pl.LazyFrame:
    return _small().select(
        upper=pl.col("city").str.to_uppercase(),
        number=pl.col("city").str.extract(r"(\d+)$").cast(pl.Int16),
        parts=pl.col("city").str.split("-"),
        replaced=pl.col("city").str.replace_all(r"(c)(i)", "$2$1"),
        padded=pl.col("city").str.pad_start(12, "é"),
        size=pl.lit("naïve 🐻‍❄️").str.len_bytes(),
        matches=pl.col("city").str.contains_any(["-1", "-2"]),
        joined=pl.concat_str("city", "key", separator="/"),
        formatted=pl.format("{}:{}", "id", "city"),
    )


@frame()
def json(data: Data) -> pl.LazyFrame:
    return pl.LazyFrame({"j": ['{"a": 1, "b": [1.5, null]}', '{"a": null, "b": []}', None]}).select(
        pl.col("j").str.json_decode(pl.Struct({"a": pl.Int64, "b": pl.List(pl.Float64)})).alias("d"),
        pl.col("j").str.json_path_match("$.a").alias("a"),
    ).with_columns(back=pl.col("d").struct.json_encode())


@frame()
def lists(data: Data) -> pl.LazyFrame:
    return _small().select(
        "tags",
        total=pl.col("tags").list.sum(),
        doubled=pl.col("tags").list.eval(pl.element() * 2),
        sorted=pl.col("tags").list.sort(descending=True),
        second=pl.col("tags").list.get(1),
        joined=pl.col("tags").cast(pl.List(pl.String)).list.join("+"),
        union=pl.col("tags").list.set_union([9]),
    )


@frame()
def structs(data: Data) -> pl.LazyFrame:
    return _small().select(s=pl.struct("id", "city", inner=pl.struct("key"))).with_columns(
        city=pl.col("s").struct.field("city"),
        renamed=pl.col("s").struct.rename_fields(["a", "b", "c"]),
    ).unnest("renamed")


@frame()
def arrays(data: Data) -> pl.LazyFrame:
    return pl.LazyFrame(
        {"a": [[1, 2, 3], [4, 5, 6], None]}, schema={"a": pl.Array(pl.Int32, 3)}
    ).with_columns(total=pl.col("a").arr.sum(), first=pl.col("a").arr.first(), as_list=pl.col("a").arr.to_list())


@frame()
def deeply_nested(data: Data) -> pl.LazyFrame:
    return pl.LazyFrame(
        {"x": [[{"a": [1, None], "b": {"c": "é"}}, None], [], None]},
        schema={"x": pl.List(pl.Struct({"a": pl.List(pl.Int64), "b": pl.Struct({"c": pl.String})}))},
    )


@frame()
def temporal(data: Data) -> pl.LazyFrame:
    return _small().select(
        year=pl.col("when").dt.year(),
        week=pl.col("when").dt.week(),
        truncated=pl.col("when").dt.truncate("1h"),
        offset=pl.col("when").dt.offset_by("1mo2d"),
        text=pl.col("when").dt.strftime("%Y-%m-%d %H:%M"),
        date=pl.col("when").dt.date(),
        time=pl.col("when").dt.time(),
        since=pl.col("when") - pl.datetime(2020, 2, 29),
        parsed=pl.lit("2024-02-29T12:00:00+0100").str.to_datetime("%Y-%m-%dT%H:%M:%S%z"),
    )


@frame()
def time_zones(data: Data) -> pl.LazyFrame:
    return _small().select(
        berlin=pl.col("when").dt.replace_time_zone("Europe/Berlin", ambiguous="earliest", non_existent="null"),
        tokyo=pl.col("when").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"),
        literal=pl.lit(dt.datetime(2024, 3, 31, 12, tzinfo=ZoneInfo("America/New_York"))),
        nanoseconds=pl.col("when").cast(pl.Datetime("ns")),
    )


@frame()
def date_ranges(data: Data) -> pl.LazyFrame:
    return pl.LazyFrame().select(
        day=pl.date_range(dt.date(2024, 1, 30), dt.date(2024, 4, 2), "1w"),
    ).with_columns(business=pl.col("day").dt.add_business_days(5, roll="forward"))


@frame(sinks=True)
def categoricals(data: Data) -> pl.LazyFrame:
    return _small().select("id", city=pl.col("city").cast(pl.Categorical)).filter(
        pl.col("city") != "city-3"
    )


@frame(unordered=True)
def categorical_keys(data: Data) -> pl.LazyFrame:
    left = _small().select("id", city=pl.col("city").cast(pl.Categorical))
    return left.join(_cities().with_columns(pl.col("city").cast(pl.Categorical)), on="city")


@frame()
def enums(data: Data) -> pl.LazyFrame:
    kinds = pl.Enum(["low", "mid", "high"])
    return _small().select(
        "id", kind=pl.when(pl.col("key") < 30).then(pl.lit("low")).otherwise(pl.lit("high")).cast(kinds)
    ).sort("kind", "id", descending=[True, False])


@frame()
def decimals(data: Data) -> pl.LazyFrame:
    return pl.LazyFrame(
        {"d": [Decimal("1.10"), None, Decimal("-99999999999999999999.99")]},
        schema={"d": pl.Decimal(38, 2)},
    ).with_columns(double=pl.col("d") + pl.col("d"), total=pl.col("d").sum())


@frame()
def binaries(data: Data) -> pl.LazyFrame:
    return pl.LazyFrame({"b": [b"\x00\xff", b"", None, b"<in-memory>"]}).with_columns(
        hexed=pl.col("b").bin.encode("hex"), size=pl.col("b").bin.size()
    )


@frame()
def null_dtype(data: Data) -> pl.LazyFrame:
    return pl.LazyFrame({"a": [1, 2], "n": [None, None]}, schema={"a": pl.Int8, "n": pl.Null})


@frame()
def wide_integers(data: Data) -> pl.LazyFrame:
    return pl.LazyFrame(
        {"a": [2**100, -(2**126), None]}, schema={"a": pl.Int128}
    ).with_columns(b=pl.col("a") // 3)


@frame()
def every_primitive(data: Data) -> pl.LazyFrame:
    kinds = [pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64]
    return pl.LazyFrame({"x": [0, 1, 127, None]}).select(
        *(pl.col("x").cast(k).alias(str(k)) for k in (*kinds, pl.Float32, pl.Float64)),
        boolean=pl.col("x") > 0,
        duration=pl.duration(milliseconds="x"),
        time=pl.time(hour=pl.col("x") % 24),
    )


@frame()
def extreme_values(data: Data) -> pl.LazyFrame:
    return pl.LazyFrame(
        {
            "i": [2**63 - 1, -(2**63), 0],
            "f": [float("inf"), float("nan"), -0.0],
            "when": [dt.date(1, 1, 1), dt.date(9999, 12, 31), None],
        }
    )


@frame(sinks=True)
def unicode_names(data: Data) -> pl.LazyFrame:
    return pl.LazyFrame({"größe": [1], "列": ["値"], "🐻‍❄️": [None], "": [2.5], 'q"uo,te': ["\t\\"]}).with_columns(
        pl.col("größe").cast(pl.Float32).alias("a b/c=d")
    )


@frame()
def own_placeholder_literal(data: Data) -> pl.LazyFrame:
    """The names that stand for a result's place in a plan may also be a user's data."""
    return pl.LazyFrame({"<in-memory>": ["<in-memory>", "<flight>", "x"]}).filter(
        pl.col("<in-memory>").is_in(["<in-memory>", "<flight>"])
    ).with_columns(target=pl.lit("<in-memory>"), inner=pl.struct(inner=pl.lit("<in-memory>")))


@frame()
def many_columns(data: Data) -> pl.LazyFrame:
    return pl.LazyFrame({f"column_{i}": [i, -i] for i in range(1000)}).with_columns(
        pl.all() + 1
    )


# --- SQL and selectors -------------------------------------------------------------------------


@frame()
def sql(data: Data) -> pl.LazyFrame:
    return pl.SQLContext(orders=_small(), cities=_cities()).execute(
        """select o.city, count(*) as n, max(o.price) as high, c.people
           from orders o left join cities c on o.city = c.city
           where o.key between 5 and 80 group by o.city, c.people having count(*) > 1
           order by o.city"""
    )


@frame()
def sql_of_a_frame(data: Data) -> pl.LazyFrame:
    return _small().sql("select id, upper(city) as c from self where id % 9 = 0 order by id desc limit 5")


@frame()
def selectors(data: Data) -> pl.LazyFrame:
    import polars.selectors as cs

    return _small().select(cs.numeric() - cs.by_name("id"), cs.temporal().dt.day()).rename(str.upper)


@frame()
def conditionals(data: Data) -> pl.LazyFrame:
    return _small().select(
        "id",
        kind=pl.when(pl.col("key") < 20).then(1).when(pl.col("maybe").is_null()).then(None).otherwise(2),
        replaced=pl.col("key").replace_strict({1: "one", 2: "two"}, default="many"),
        first=pl.coalesce("maybe", "key"),
        widest=pl.max_horizontal("key", "maybe", "id"),
    )


# --- the user's Python -------------------------------------------------------------------------


@frame(sinks=True)
def udf_map_elements(data: Data) -> pl.LazyFrame:
    return _small().select(
        "id", square=pl.col("key").map_elements(lambda x: pow(x, 2, 1000), return_dtype=pl.Int64)
    )


@frame()
def udf_map_batches(data: Data) -> pl.LazyFrame:
    def twice(s: pl.Series) -> pl.Series:
        return s * 2

    return _small().select(pl.col("price").map_batches(twice, return_dtype=pl.Float64))


@frame()
def udf_frame_map_batches(data: Data) -> pl.LazyFrame:
    def biggest(df: pl.DataFrame) -> pl.DataFrame:
        return df.sort("price", "id", descending=True).head(10)

    return _small().map_batches(biggest)


@frame()
def udf_map_groups(data: Data) -> pl.LazyFrame:
    def spread(df: pl.DataFrame) -> pl.DataFrame:
        return df.select("city", spread=pl.col("price").max() - pl.col("price").min()).head(1)

    return _small().group_by("city").map_groups(
        spread, schema={"city": pl.String, "spread": pl.Float64}
    ).sort("city")


@frame()
def udf_fold(data: Data) -> pl.LazyFrame:
    return _small().select(
        total=pl.fold(pl.lit(0), lambda acc, x: acc + x, [pl.col("id"), pl.col("key")])
    )


@frame()
def udf_of_several_columns(data: Data) -> pl.LazyFrame:
    return _small().select(
        pl.map_batches(["id", "key"], lambda s: s[0] * 1000 + s[1], return_dtype=pl.Int64)
    )


@frame()
def udf_with_closure_and_standard_library(data: Data) -> pl.LazyFrame:
    import hashlib

    salt = b"floe"

    class Digest:
        def __call__(self, text: str) -> str:
            return hashlib.sha256(salt + text.encode()).hexdigest()

    return _small().select(pl.col("city").map_elements(Digest(), return_dtype=pl.String))


@frame()
def udf_python_objects(data: Data) -> pl.LazyFrame:
    return _small().head(10).select(
        pl.col("id").map_elements(lambda x: {"n": x, "l": [x] * 2}, return_dtype=pl.Struct({"n": pl.Int64, "l": pl.List(pl.Int64)}))
    )


@frame()
def udf_defer(data: Data) -> pl.LazyFrame:
    def source() -> pl.DataFrame:
        return pl.DataFrame({"a": list(range(100))})

    return pl.defer(source, schema={"a": pl.Int64}).filter(pl.col("a") > 90)


# --- size --------------------------------------------------------------------------------------


@frame(heavy=True)
def ten_million_rows(data: Data) -> pl.LazyFrame:
    i = pl.int_range(10_000_000, dtype=pl.Int64)
    return pl.LazyFrame({"x": [0]}).select(i.alias("i"), ((i * 7919) % 1009).alias("k"))


@frame(heavy=True)
def ten_million_rows_aggregated(data: Data) -> pl.LazyFrame:
    return ten_million_rows(data).group_by("k").agg(pl.col("i").sum()).sort("k")


@frame(heavy=True)
def inlined_200_megabytes(data: Data) -> pl.LazyFrame:
    """The plan carries the frame, as MessagePack integers of one or two bytes for each byte."""
    i = pl.int_range(17_000_000, dtype=pl.Int64)
    whole = pl.select(x=(i * 6364136223846793005).hash(7)).lazy()
    return whole.select(pl.len(), low=pl.col("x").min(), high=pl.col("x").max(), xor=pl.col("x").bitwise_xor())
