"""tests/cluster/old_client.py: what test_old_client.py runs inside the old client's Python.
SPDX-License-Identifier: Apache-2.0

usage: old_client.py CASE CLIENT_PORT OBSERVATORY_PORT FOLDER → prints "ok", or a traceback.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import polars as pl
import polars_cloud as pc
from polars.testing import assert_frame_equal

LF = pl.LazyFrame({"a": [1, 2, 3], "s": ["x", "y", "é"]})


def context() -> pc.ClusterContext:
    """Its arguments were others before 0.9, and others again before 0.6."""
    client, observatory = sys.argv[2], sys.argv[3]
    known = inspect.signature(pc.ClusterContext).parameters
    if "uri" in known:
        seen_at = pc.ClientOptions(uri=f"http://localhost:{observatory}")
        return pc.ClusterContext(uri=f"http://localhost:{client}", observatory=seen_at)
    ports = {"scheduler_port": int(client), "observatory_port": int(observatory)}
    given = ports if ports.keys() <= known.keys() else {"compute_port": int(client)}
    return pc.ClusterContext(compute_address="localhost", insecure=True, **given)


def start(remote: Any) -> Any:
    """A query in flight: what execute() gave before 0.7."""
    blocks = "blocking" in inspect.signature(remote.execute).parameters
    return remote.execute(blocking=False) if blocks else remote.execute()


def run(remote: Any) -> Any:
    """A result, as a user of any version gets it."""
    done = remote.execute()
    return done.await_result() if hasattr(done, "await_result") else done


def quickstart(ctx: pc.ClusterContext, folder: Path) -> None:
    """The published page's first query, with a Polars in which it has a row."""
    result = run(pl.LazyFrame().with_columns(a=pl.arange(0, 100000000).sum()).remote(ctx))
    assert result.head.item() == 4999999950000000
    assert result.lazy().collect().item() == 4999999950000000
    assert "4999999950000000" in repr(result)


def execute(ctx: pc.ClusterContext, folder: Path) -> None:
    query = LF.filter(pl.col("a") > 1).with_columns(b=pl.col("s").str.len_bytes())
    for remote in (query.remote(ctx), query.remote(ctx).single_node(), query.remote(ctx).distributed()):
        result = run(remote)
        assert_frame_equal(result.lazy().collect(), query.collect())
        assert_frame_equal(result.head, query.collect())
        assert result.n_rows_total == 2


def sinks(ctx: pc.ClusterContext, folder: Path) -> None:
    for kind in ("parquet", "csv", "ipc"):
        path = str(folder / f"out-{kind}")
        result = getattr(LF.remote(ctx).single_node(), f"sink_{kind}")(path).await_result()
        assert result.location == [path], result.location
        assert_frame_equal(result.lazy().collect(), LF.collect())


def show(ctx: pc.ClusterContext, folder: Path) -> None:
    assert_frame_equal(LF.remote(ctx).show(2), LF.head(2).collect())


def plans(ctx: pc.ClusterContext, folder: Path) -> None:
    query = LF.filter(pl.col("a") > 1).group_by("s").agg(pl.col("a").sum())
    for remote in (query.remote(ctx, plan_type="plain").single_node(), query.remote(ctx, plan_type="plain")):
        text = start(remote)
        text.await_result()
        assert 'FILTER' in text.plan("ir") and 'col("a")' in text.plan("ir"), text.plan("ir")
        assert text.plan("physical").startswith("STAGE 0") and "FILTER" in text.plan("physical"), text.plan("physical")
    dot = start(query.remote(ctx))
    dot.await_result()
    assert dot.graph("ir", show=False, raw_output=True).lstrip().startswith(("digraph", "graph"))
    assert dot.graph("physical", show=False, raw_output=True).startswith("digraph stages {")


def errors(ctx: pc.ClusterContext, folder: Path) -> None:
    try:
        run(LF.select("nope").remote(ctx))
    except pl.exceptions.ColumnNotFoundError as error:
        assert "nope" in str(error)
    else:
        raise AssertionError("did not raise")
    try:
        run(LF.select(pl.col("s").cast(pl.Int64)).remote(ctx))
    except pl.exceptions.InvalidOperationError as error:
        assert "conversion" in str(error)
    else:
        raise AssertionError("did not raise")


def udf(ctx: pc.ClusterContext, folder: Path) -> None:
    query = LF.select(pl.col("a").map_elements(lambda x: x**2 + len("é"), return_dtype=pl.Int64))
    assert_frame_equal(run(query.remote(ctx)).lazy().collect(), query.collect())


def udf_error(ctx: pc.ClusterContext, folder: Path) -> None:
    def fail(x: int) -> int:
        raise ValueError(f"no {x}")

    try:
        run(LF.select(pl.col("a").map_elements(fail, return_dtype=pl.Int64)).remote(ctx))
    except Exception as error:
        assert "no 1" in str(error)
    else:
        raise AssertionError("did not raise")


def cancel(ctx: pc.ClusterContext, folder: Path) -> None:
    def sleep(x: int) -> int:
        import time

        time.sleep(60)
        return x

    query = start(LF.select(pl.col("a").map_elements(sleep, return_dtype=pl.Int64)).remote(ctx))
    query.cancel()
    assert query.await_result().status.name == "CANCELED"


def collect(ctx: pc.ClusterContext, folder: Path) -> None:
    """Since 0.11."""
    if not hasattr(pc.LazyFrameRemote, "collect"):
        return
    query = LF.filter(pl.col("a") > 1)
    assert_frame_equal(query.remote(ctx).collect(), query.collect())
    assert_frame_equal(pl.concat(query.remote(ctx).collect_batches(maintain_order=True)), query.collect())


def main() -> None:
    globals()[sys.argv[1]](context(), Path(sys.argv[4]))
    print("ok")


if __name__ == "__main__":
    main()
