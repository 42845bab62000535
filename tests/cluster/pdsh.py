"""tests/cluster/pdsh.py: the 22 queries of PDS-H as LazyFrames, and their tables.
SPDX-License-Identifier: Apache-2.0

Written from the TPC-H specification with its validation parameters. Money is Float64, as in most
data lakes; `decimals` keeps what the generator made. Where the specification's order leaves rows
equal, the sort goes on until none are, so that the answer's order is a promise.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

NAMES = ("region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem")
PARTS = 16
LAYOUTS = ("single", "split", "decimals")  # one file per table, 16 files, one file as generated


@dataclass(frozen=True)
class Tables:
    region: pl.LazyFrame
    nation: pl.LazyFrame
    supplier: pl.LazyFrame
    customer: pl.LazyFrame
    part: pl.LazyFrame
    partsupp: pl.LazyFrame
    orders: pl.LazyFrame
    lineitem: pl.LazyFrame
    scale: float


# --- data --------------------------------------------------------------------------------------


def generate(folder: Path, scale: float, layouts: Sequence[str] = LAYOUTS, row_group_size: int | None = None) -> None:
    """Makes what is not there yet below `folder`."""
    for layout in ("decimals", *layouts):
        if (folder / layout / "done").exists():
            continue
        shutil.rmtree(folder / layout, ignore_errors=True)
        (folder / layout).mkdir(parents=True)
        if layout == "decimals":
            _generate_decimals(folder / layout, scale)
        else:
            _convert(folder, layout, row_group_size)
        (folder / layout / "done").touch()
        for made in [folder, folder / layout, *(folder / layout).rglob("*")]:  # executors may run as another user
            made.chmod(0o755 if made.is_dir() else 0o644)


def _generate_decimals(folder: Path, scale: float) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    program = shutil.which("tpchgen-cli", path=path)
    if not program:
        raise FileNotFoundError("tpchgen-cli is not installed: run `make runtimes`")
    command = [program, "-s", str(scale), "-f", "parquet", "-o", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _convert(folder: Path, layout: str, row_group_size: int | None) -> None:
    for name in NAMES:
        table = pl.scan_parquet(folder / f"decimals/{name}.parquet")
        rows = table.select(pl.len()).collect().item()
        table = table.with_columns(pl.selectors.decimal().cast(pl.Float64))
        parts = PARTS if layout == "split" else 1  # a table of few rows has empty files
        for i in range(parts):
            first, end = rows * i // parts, rows * (i + 1) // parts
            path = folder / layout / name / f"{i:02}.parquet"
            table.slice(first, end - first).sink_parquet(path, row_group_size=row_group_size, mkdir=True)


def scan(folder: Path, layout: str, scale: float) -> Tables:
    pattern = "{}.parquet" if layout == "decimals" else "{}/*.parquet"
    files = {name: pl.scan_parquet(folder / layout / pattern.format(name)) for name in NAMES}
    return Tables(**files, scale=scale)


# --- queries -----------------------------------------------------------------------------------

Query = Callable[[Tables], pl.LazyFrame]


def queries() -> Iterator[tuple[int, Query]]:
    for number in range(1, 23):
        yield number, globals()[f"q{number}"]


def revenue() -> pl.Expr:
    return pl.col("l_extendedprice") * (1 - pl.col("l_discount"))


def within(column: str, first: date, end: date) -> pl.Expr:
    return pl.col(column).is_between(first, end, closed="left")


def q1(t: Tables) -> pl.LazyFrame:
    """Pricing summary report."""
    return (
        t.lineitem.filter(pl.col("l_shipdate") <= date(1998, 9, 2))
        .group_by("l_returnflag", "l_linestatus")
        .agg(
            sum_qty=pl.col("l_quantity").sum(),
            sum_base_price=pl.col("l_extendedprice").sum(),
            sum_disc_price=revenue().sum(),
            sum_charge=(revenue() * (1 + pl.col("l_tax"))).sum(),
            avg_qty=pl.col("l_quantity").mean(),
            avg_price=pl.col("l_extendedprice").mean(),
            avg_disc=pl.col("l_discount").mean(),
            count_order=pl.len(),
        )
        .sort("l_returnflag", "l_linestatus")
    )


def q2(t: Tables) -> pl.LazyFrame:
    """Minimum cost supplier."""
    offers = (
        t.part.filter(pl.col("p_size") == 15, pl.col("p_type").str.ends_with("BRASS"))
        .join(t.partsupp, left_on="p_partkey", right_on="ps_partkey")
        .join(t.supplier, left_on="ps_suppkey", right_on="s_suppkey")
        .join(t.nation, left_on="s_nationkey", right_on="n_nationkey")
        .join(t.region.filter(pl.col("r_name") == "EUROPE"), left_on="n_regionkey", right_on="r_regionkey")
    )
    cheapest = offers.group_by("p_partkey").agg(pl.col("ps_supplycost").min())
    return (
        offers.join(cheapest, on=["p_partkey", "ps_supplycost"])
        .select("s_acctbal", "s_name", "n_name", "p_partkey", "p_mfgr", "s_address", "s_phone", "s_comment")
        .sort("s_acctbal", "n_name", "s_name", "p_partkey", descending=[True, False, False, False])
        .head(100)
    )


def q3(t: Tables) -> pl.LazyFrame:
    """Shipping priority."""
    day = date(1995, 3, 15)
    return (
        t.customer.filter(pl.col("c_mktsegment") == "BUILDING")
        .join(t.orders, left_on="c_custkey", right_on="o_custkey")
        .join(t.lineitem, left_on="o_orderkey", right_on="l_orderkey")
        .filter(pl.col("o_orderdate") < day, pl.col("l_shipdate") > day)
        .group_by("o_orderkey", "o_orderdate", "o_shippriority")
        .agg(revenue=revenue().sum())
        .select(pl.col("o_orderkey").alias("l_orderkey"), "revenue", "o_orderdate", "o_shippriority")
        .sort("revenue", "o_orderdate", "l_orderkey", descending=[True, False, False])
        .head(10)
    )


def q4(t: Tables) -> pl.LazyFrame:
    """Order priority checking."""
    late = t.lineitem.filter(pl.col("l_commitdate") < pl.col("l_receiptdate"))
    return (
        t.orders.filter(within("o_orderdate", date(1993, 7, 1), date(1993, 10, 1)))
        .join(late, left_on="o_orderkey", right_on="l_orderkey", how="semi")
        .group_by("o_orderpriority")
        .agg(order_count=pl.len())
        .sort("o_orderpriority")
    )


def q5(t: Tables) -> pl.LazyFrame:
    """Local supplier volume."""
    return (
        t.region.filter(pl.col("r_name") == "ASIA")
        .join(t.nation, left_on="r_regionkey", right_on="n_regionkey")
        .join(t.customer, left_on="n_nationkey", right_on="c_nationkey")
        .join(t.orders, left_on="c_custkey", right_on="o_custkey")
        .join(t.lineitem, left_on="o_orderkey", right_on="l_orderkey")
        .join(t.supplier, left_on=["l_suppkey", "n_nationkey"], right_on=["s_suppkey", "s_nationkey"])
        .filter(within("o_orderdate", date(1994, 1, 1), date(1995, 1, 1)))
        .group_by("n_name")
        .agg(revenue=revenue().sum())
        .sort("revenue", descending=True)
    )


def q6(t: Tables) -> pl.LazyFrame:
    """Forecasting revenue change."""
    return t.lineitem.filter(
        within("l_shipdate", date(1994, 1, 1), date(1995, 1, 1)),
        pl.col("l_discount").is_between(0.05, 0.07),
        pl.col("l_quantity") < 24,
    ).select(revenue=(pl.col("l_extendedprice") * pl.col("l_discount")).sum())


def q7(t: Tables) -> pl.LazyFrame:
    """Volume shipping."""
    pair = t.nation.filter(pl.col("n_name").is_in(["FRANCE", "GERMANY"]))
    sellers = t.supplier.join(
        pair.select(n_nationkey="n_nationkey", supp_nation="n_name"), left_on="s_nationkey", right_on="n_nationkey"
    )
    buyers = t.customer.join(
        pair.select(n_nationkey="n_nationkey", cust_nation="n_name"), left_on="c_nationkey", right_on="n_nationkey"
    )
    return (
        t.lineitem.filter(pl.col("l_shipdate").is_between(date(1995, 1, 1), date(1996, 12, 31)))
        .join(sellers, left_on="l_suppkey", right_on="s_suppkey")
        .join(t.orders, left_on="l_orderkey", right_on="o_orderkey")
        .join(buyers, left_on="o_custkey", right_on="c_custkey")
        .filter(pl.col("supp_nation") != pl.col("cust_nation"))
        .group_by("supp_nation", "cust_nation", l_year=pl.col("l_shipdate").dt.year())
        .agg(revenue=revenue().sum())
        .sort("supp_nation", "cust_nation", "l_year")
    )


def q8(t: Tables) -> pl.LazyFrame:
    """National market share."""
    customers = t.customer.join(
        t.nation.join(t.region.filter(pl.col("r_name") == "AMERICA"), left_on="n_regionkey", right_on="r_regionkey"),
        left_on="c_nationkey",
        right_on="n_nationkey",
        how="semi",
    )
    of_brazil = pl.col("n_name") == "BRAZIL"
    return (
        t.part.filter(pl.col("p_type") == "ECONOMY ANODIZED STEEL")
        .join(t.lineitem, left_on="p_partkey", right_on="l_partkey")
        .join(t.orders, left_on="l_orderkey", right_on="o_orderkey")
        .filter(pl.col("o_orderdate").is_between(date(1995, 1, 1), date(1996, 12, 31)))
        .join(customers, left_on="o_custkey", right_on="c_custkey", how="semi")
        .join(t.supplier, left_on="l_suppkey", right_on="s_suppkey")
        .join(t.nation, left_on="s_nationkey", right_on="n_nationkey")
        .group_by(o_year=pl.col("o_orderdate").dt.year())
        .agg(mkt_share=revenue().filter(of_brazil).sum() / revenue().sum())
        .sort("o_year")
    )


def q9(t: Tables) -> pl.LazyFrame:
    """Product type profit measure."""
    return (
        t.part.filter(pl.col("p_name").str.contains("green"))
        .join(t.lineitem, left_on="p_partkey", right_on="l_partkey")
        .join(t.partsupp, left_on=["p_partkey", "l_suppkey"], right_on=["ps_partkey", "ps_suppkey"])
        .join(t.supplier, left_on="l_suppkey", right_on="s_suppkey")
        .join(t.orders, left_on="l_orderkey", right_on="o_orderkey")
        .join(t.nation, left_on="s_nationkey", right_on="n_nationkey")
        .group_by(nation="n_name", o_year=pl.col("o_orderdate").dt.year())
        .agg(sum_profit=(revenue() - pl.col("ps_supplycost") * pl.col("l_quantity")).sum())
        .sort("nation", "o_year", descending=[False, True])
    )


def q10(t: Tables) -> pl.LazyFrame:
    """Returned item reporting."""
    customer = ["c_custkey", "c_name", "c_acctbal", "c_phone", "n_name", "c_address", "c_comment"]
    return (
        t.customer.join(t.orders, left_on="c_custkey", right_on="o_custkey")
        .join(t.lineitem, left_on="o_orderkey", right_on="l_orderkey")
        .join(t.nation, left_on="c_nationkey", right_on="n_nationkey")
        .filter(within("o_orderdate", date(1993, 10, 1), date(1994, 1, 1)), pl.col("l_returnflag") == "R")
        .group_by(customer)
        .agg(revenue=revenue().sum())
        .select("c_custkey", "c_name", "revenue", "c_acctbal", "n_name", "c_address", "c_phone", "c_comment")
        .sort("revenue", "c_custkey", descending=[True, False])
        .head(20)
    )


def q11(t: Tables) -> pl.LazyFrame:
    """Important stock identification."""
    stock = (
        t.partsupp.join(t.supplier, left_on="ps_suppkey", right_on="s_suppkey")
        .join(t.nation.filter(pl.col("n_name") == "GERMANY"), left_on="s_nationkey", right_on="n_nationkey")
        .with_columns(value=pl.col("ps_supplycost") * pl.col("ps_availqty"))
    )
    threshold = stock.select(threshold=pl.col("value").sum() * (0.0001 / t.scale))
    return (
        stock.group_by("ps_partkey")
        .agg(pl.col("value").sum().round(2))  # so that equal values are equal in every order of summing
        .join(threshold, how="cross")
        .filter(pl.col("value") > pl.col("threshold"))
        .select("ps_partkey", "value")
        .sort("value", "ps_partkey", descending=[True, False])
    )


def q12(t: Tables) -> pl.LazyFrame:
    """Shipping modes and order priority."""
    urgent = pl.col("o_orderpriority").is_in(["1-URGENT", "2-HIGH"])
    return (
        t.orders.join(t.lineitem, left_on="o_orderkey", right_on="l_orderkey")
        .filter(
            pl.col("l_shipmode").is_in(["MAIL", "SHIP"]),
            pl.col("l_commitdate") < pl.col("l_receiptdate"),
            pl.col("l_shipdate") < pl.col("l_commitdate"),
            within("l_receiptdate", date(1994, 1, 1), date(1995, 1, 1)),
        )
        .group_by("l_shipmode")
        .agg(high_line_count=urgent.sum(), low_line_count=(~urgent).sum())
        .sort("l_shipmode")
    )


def q13(t: Tables) -> pl.LazyFrame:
    """Customer distribution."""
    ordinary = t.orders.filter(~pl.col("o_comment").str.contains("special.*requests"))
    return (
        t.customer.join(ordinary, left_on="c_custkey", right_on="o_custkey", how="left")
        .group_by("c_custkey")
        .agg(c_count=pl.col("o_orderkey").count())
        .group_by("c_count")
        .agg(custdist=pl.len())
        .sort("custdist", "c_count", descending=True)
    )


def q14(t: Tables) -> pl.LazyFrame:
    """Promotion effect."""
    promotion = pl.when(pl.col("p_type").str.starts_with("PROMO")).then(revenue()).otherwise(0)
    return (
        t.lineitem.filter(within("l_shipdate", date(1995, 9, 1), date(1995, 10, 1)))
        .join(t.part, left_on="l_partkey", right_on="p_partkey")
        .select(promo_revenue=100 * promotion.sum() / revenue().sum())
    )


def q15(t: Tables) -> pl.LazyFrame:
    """Top supplier: a sum of floats is compared with its own maximum."""
    revenues = (
        t.lineitem.filter(within("l_shipdate", date(1996, 1, 1), date(1996, 4, 1)))
        .group_by(supplier_no="l_suppkey")
        .agg(total_revenue=revenue().sum())
    )
    return (
        t.supplier.join(revenues, left_on="s_suppkey", right_on="supplier_no")
        .filter(pl.col("total_revenue") == pl.col("total_revenue").max())
        .select("s_suppkey", "s_name", "s_address", "s_phone", "total_revenue")
        .sort("s_suppkey")
    )


def q16(t: Tables) -> pl.LazyFrame:
    """Parts/supplier relationship."""
    complained = t.supplier.filter(pl.col("s_comment").str.contains("Customer.*Complaints"))
    return (
        t.part.join(t.partsupp, left_on="p_partkey", right_on="ps_partkey")
        .filter(
            pl.col("p_brand") != "Brand#45",
            ~pl.col("p_type").str.starts_with("MEDIUM POLISHED"),
            pl.col("p_size").is_in([49, 14, 23, 45, 19, 3, 36, 9]),
        )
        .join(complained, left_on="ps_suppkey", right_on="s_suppkey", how="anti")
        .group_by("p_brand", "p_type", "p_size")
        .agg(supplier_cnt=pl.col("ps_suppkey").n_unique())
        .sort("supplier_cnt", "p_brand", "p_type", "p_size", descending=[True, False, False, False])
    )


def q17(t: Tables) -> pl.LazyFrame:
    """Small-quantity-order revenue."""
    parts = t.part.filter(pl.col("p_brand") == "Brand#23", pl.col("p_container") == "MED BOX")
    lines = parts.join(t.lineitem, left_on="p_partkey", right_on="l_partkey", how="left")
    usual = lines.group_by("p_partkey").agg(usual=0.2 * pl.col("l_quantity").mean())
    return (
        lines.join(usual, on="p_partkey")
        .filter(pl.col("l_quantity") < pl.col("usual"))
        .select(avg_yearly=pl.col("l_extendedprice").sum() / 7.0)
    )


def q18(t: Tables) -> pl.LazyFrame:
    """Large volume customer."""
    large = t.lineitem.group_by("l_orderkey").agg(pl.col("l_quantity").sum()).filter(pl.col("l_quantity") > 300)
    return (
        t.orders.join(large, left_on="o_orderkey", right_on="l_orderkey", how="semi")
        .join(t.lineitem, left_on="o_orderkey", right_on="l_orderkey")
        .join(t.customer, left_on="o_custkey", right_on="c_custkey")
        .group_by("c_name", "o_custkey", "o_orderkey", "o_orderdate", "o_totalprice")
        .agg(col6=pl.col("l_quantity").sum())
        .rename({"o_custkey": "c_custkey"})
        .sort("o_totalprice", "o_orderdate", "o_orderkey", descending=[True, False, False])
        .head(100)
    )


def q19(t: Tables) -> pl.LazyFrame:
    """Discounted revenue."""

    def offer(brand: str, size: str, containers: list[str], quantity: int, largest: int) -> pl.Expr:
        return (
            (pl.col("p_brand") == brand)
            & pl.col("p_container").is_in([f"{size} {container}" for container in containers])
            & pl.col("l_quantity").is_between(quantity, quantity + 10)
            & pl.col("p_size").is_between(1, largest)
        )

    return (
        t.part.join(t.lineitem, left_on="p_partkey", right_on="l_partkey")
        .filter(
            pl.col("l_shipmode").is_in(["AIR", "AIR REG"]),
            pl.col("l_shipinstruct") == "DELIVER IN PERSON",
            offer("Brand#12", "SM", ["CASE", "BOX", "PACK", "PKG"], 1, 5)
            | offer("Brand#23", "MED", ["BAG", "BOX", "PKG", "PACK"], 10, 10)
            | offer("Brand#34", "LG", ["CASE", "BOX", "PACK", "PKG"], 20, 15),
        )
        .select(revenue=revenue().sum())
    )


def q20(t: Tables) -> pl.LazyFrame:
    """Potential part promotion."""
    shipped = (
        t.lineitem.filter(within("l_shipdate", date(1994, 1, 1), date(1995, 1, 1)))
        .group_by("l_partkey", "l_suppkey")
        .agg(half=0.5 * pl.col("l_quantity").sum())
    )
    surplus = (
        t.partsupp.join(
            t.part.filter(pl.col("p_name").str.starts_with("forest")),
            left_on="ps_partkey",
            right_on="p_partkey",
            how="semi",
        )
        .join(shipped, left_on=["ps_partkey", "ps_suppkey"], right_on=["l_partkey", "l_suppkey"])
        .filter(pl.col("ps_availqty") > pl.col("half"))
        .select("ps_suppkey")
        .unique()
    )
    return (
        t.supplier.join(surplus, left_on="s_suppkey", right_on="ps_suppkey", how="semi")
        .join(t.nation.filter(pl.col("n_name") == "CANADA"), left_on="s_nationkey", right_on="n_nationkey")
        .select("s_name", "s_address")
        .sort("s_name")
    )


def q21(t: Tables) -> pl.LazyFrame:
    """Suppliers who kept orders waiting."""
    late = t.lineitem.filter(pl.col("l_receiptdate") > pl.col("l_commitdate"))
    shared = t.lineitem.group_by("l_orderkey").agg(n=pl.col("l_suppkey").n_unique()).filter(pl.col("n") > 1)
    one_late = late.group_by("l_orderkey").agg(n=pl.col("l_suppkey").n_unique()).filter(pl.col("n") == 1)
    return (
        t.supplier.join(t.nation.filter(pl.col("n_name") == "SAUDI ARABIA"), left_on="s_nationkey", right_on="n_nationkey")
        .join(late, left_on="s_suppkey", right_on="l_suppkey")
        .join(t.orders.filter(pl.col("o_orderstatus") == "F"), left_on="l_orderkey", right_on="o_orderkey")
        .join(shared, on="l_orderkey", how="semi")
        .join(one_late, on="l_orderkey", how="semi")
        .group_by("s_name")
        .agg(numwait=pl.len())
        .sort("numwait", "s_name", descending=[True, False])
        .head(100)
    )


def q22(t: Tables) -> pl.LazyFrame:
    """Global sales opportunity."""
    callers = t.customer.with_columns(cntrycode=pl.col("c_phone").str.head(2)).filter(
        pl.col("cntrycode").is_in(["13", "31", "23", "29", "30", "18", "17"])
    )
    usual = callers.filter(pl.col("c_acctbal") > 0).select(usual=pl.col("c_acctbal").mean())
    return (
        callers.join(usual, how="cross")
        .filter(pl.col("c_acctbal") > pl.col("usual"))
        .join(t.orders, left_on="c_custkey", right_on="o_custkey", how="anti")
        .group_by("cntrycode")
        .agg(numcust=pl.len(), totacctbal=pl.col("c_acctbal").sum())
        .sort("cntrycode")
    )
