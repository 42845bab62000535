"""tests/fuzz/make_dsl_plans.py: plans with each kind of node. SPDX-License-Identifier: Apache-2.0

    python make_dsl_plans.py FOLDER      with Polars 2.0.0, the dialect that src/plan/dsl.h knows

The corpus of fuzz_dsl and the plans of tests/unit/test_dsl.c.
"""

import sys
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from make_plans import forget_folders

frame = pl.LazyFrame({"a": [1, 200, 3], "b": ["x", "y", "z"]})
other = pl.LazyFrame({"a": [1, 2], "c": [0.5, 1.5]})
scan = pl.scan_parquet("t.parquet")
a = pl.col("a")
shared = scan.filter(a > 1).with_columns(d=a * 2)

PLANS = {
    "scan": scan,
    "scans": pl.concat([pl.scan_csv("t.csv"), pl.scan_ipc("t.arrow"), pl.scan_ndjson("t.ndjson")]),
    "hive": pl.scan_parquet("h/**/*.parquet", hive_partitioning=True, row_index_name="i", n_rows=3),
    "buffer": pl.scan_csv(b"a\n1\n"),
    "frame": frame,
    "python_scan": register_io_source(lambda *_: iter([]), schema={"a": pl.Int64}),
    "select": scan.select("a", c=a.sum()),
    "filter": scan.filter(a > 1),
    "slice": scan.slice(1, 300),
    "tail": scan.tail(5),
    "group_by": scan.group_by("a").agg(pl.len(), pl.col("b").first()),
    "group_by_more": scan.group_by("a", maintain_order=True).having(pl.len() > 1).agg(pl.len()),
    "group_by_dynamic": scan.group_by_dynamic("a", every="2i").agg(pl.len()),
    "map_groups": frame.group_by("a").map_groups(lambda x: x, schema=None),
    "join": scan.join(frame.filter(a > 1), on="a").join(other, on="a", how="left"),
    "join_more": scan.join(other, how="cross").join_where(other, a > pl.col("c")),
    "join_asof": frame.join_asof(other.sort("a"), on="a", by_left="b", by_right="c"),
    "distinct": scan.unique("a", keep="first"),
    "sort": scan.sort("a", pl.col("b") * 2, descending=[True, False]).head(7),
    "map_functions": scan.with_row_index().explode("b").rename({"a": "e"}).unpivot("b").fill_nan(0),
    "map_batches": scan.map_batches(lambda x: x),
    "union": pl.concat([scan.filter(a > 1), frame, pl.concat([frame, frame.head(1)])]),
    "diagonal": pl.concat([frame, other, scan], how="diagonal_relaxed"),
    "hconcat": pl.concat([frame, other.select("c"), scan.select(z="a")], how="horizontal"),
    "cache": scan.cache().filter(a > 1),
    "sink": scan.sink_parquet("<in-memory>", lazy=True),
    "sink_partitioned": scan.sink_ipc(pl.PartitionBy("out/", key="a"), lazy=True),
    "sink_multiple": pl.collect_all(
        [scan.sink_csv("1.csv", lazy=True), frame.filter(a > 1).sink_ipc("2.arrow", lazy=True)],
        lazy=True,
    ),
    "merge_sorted": frame.merge_sorted(frame.filter(a > 1), "a"),
    "gather": frame.gather(other.select("a")),
    "match_to_schema": frame.match_to_schema({"a": pl.Int64, "b": pl.String}),
    "pipe_with_schema": scan.pipe_with_schema(lambda query, schema: query.select("a")),
    "pivot": frame.join(other, on="a").pivot("b", on_columns=["x", "y"], index="a", values="c"),
    "sql": pl.SQLContext(t=scan, u=other.filter(a > 1)).execute(
        "SELECT * FROM t WHERE a IN (SELECT a FROM u)"
    ),
    # Polars shares a node below the one that was used twice.
    "shared": shared.join(shared.group_by("a").agg(pl.len()), on="a").join(shared, on="a"),
    # Columns and values that look like a key, and are none.
    "decoy": pl.LazyFrame({"idx": [1], "version": [1]}).select(
        pl.struct(idx=pl.lit(1), version=pl.lit(1)), x=pl.lit({"idx": 1, "version": 1})
    ),
}

if __name__ == "__main__":
    forget_folders()
    for name, plan in PLANS.items():
        (Path(sys.argv[1]) / name).write_bytes(plan.serialize())
