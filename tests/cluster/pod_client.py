"""tests/cluster/pod_client.py: the first queries of somebody who has forwarded the three ports.
SPDX-License-Identifier: Apache-2.0
"""

import polars as pl
import polars_cloud as pc
from polars.testing import assert_frame_equal

ctx = pc.ClusterContext(uri="http://localhost")

# the published one, and the same with a row to stand in
published = pl.LazyFrame().with_columns(a=pl.arange(0, 100_000_000).sum())
assert published.remote(ctx).execute().head is not None
summed = pl.select(a=pl.int_range(0, 100_000_000).sum()).lazy().remote(ctx).execute()
print(summed.head)
assert summed.head.item() == 4999999950000000

# rows that both workers make, read here by the URL of the storage
rows = pl.select(n=pl.int_range(0, 1_000_000)).lazy().with_columns(k=pl.col("n") % 5)
groups = rows.group_by("k").agg(pl.len(), pl.col("n").sum()).sort("k")
result = groups.remote(ctx).distributed().execute()
assert_frame_equal(result.lazy().collect(), groups.collect())
print("rows were read from", result.location[0].split("?")[0])
result.delete()
summed.delete()
