"""The published quickstart, with the client and the Polars that it was written for."""

import polars as pl
import polars_cloud as pc

# This client trusts only the roots built into it, hence `insecure`.
ctx = pc.ClusterContext(compute_address="localhost", insecure=True)
result = pl.LazyFrame().with_columns(a=pl.arange(0, 100000000).sum()).remote(ctx).execute()
print(result.head)
