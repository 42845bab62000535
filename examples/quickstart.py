"""The first queries on a cluster, with the current client."""

import polars as pl
import polars_cloud as pc

ctx = pc.ClusterContext(uri="http://localhost")

# The published quickstart query. In Polars 2 a LazyFrame without rows stays without rows.
result = pl.LazyFrame().with_columns(a=pl.arange(0, 100000000).sum()).remote(ctx).execute()
print(result.head)

# The same sum, with a row to stand in.
result = pl.select(a=pl.int_range(0, 100_000_000).sum()).lazy().remote(ctx).execute()
print(result.head)

# Write a table on the cluster, scan it back, group it, and read the rows on this side.
rows = pl.select(n=pl.int_range(0, 1_000_000)).lazy().with_columns(k=pl.col("n") % 5)
written = rows.remote(ctx).execute()
groups = written.lazy().group_by("k").agg(pl.len(), pl.col("n").sum()).sort("k")
print(groups.remote(ctx).execute().lazy().collect())
