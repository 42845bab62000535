"""tests/cluster/test_iceberg.py: Iceberg tables as destinations. Needs PyIceberg in the runtimes; else
skipped. SPDX-License-Identifier: Apache-2.0

One task writes and commits the table; Polars' sink knows its own commit again, so a retry adds nothing.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cluster import Cluster, ServiceCluster
from conftest import Remote
from polars.testing import assert_frame_equal
from test_faults import ROWS, executors_of, slow_rows, wait_for_run, worker_of

pytest.importorskip("pyiceberg")
pytestmark = pytest.mark.seconds(150)


@pytest.fixture
def catalog(folder: Path) -> Any:
    """On disk, for everybody to write."""
    from pyiceberg.catalog.sql import SqlCatalog

    for name in (".", "warehouse"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name).chmod(0o777)
    catalog = SqlCatalog("ours", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
    catalog.create_namespace("own")
    return catalog


def table(catalog: Any, folder: Path, schema: pl.Schema) -> Any:
    made = catalog.create_table("own.rows", schema=pl.DataFrame(schema=schema).to_arrow().schema)
    for path in folder.rglob("*"):
        path.chmod(0o777)
    return made


def read(catalog: Any) -> pl.DataFrame:
    frame = pl.from_arrow(catalog.load_table("own.rows").scan().to_arrow())
    assert isinstance(frame, pl.DataFrame)
    return frame


def test_append_and_overwrite(remote: Remote, catalog: Any, folder: Path) -> None:
    frame = pl.DataFrame({"a": [1, 2, 3], "s": ["x", "y", None]})
    target = table(catalog, folder, frame.schema)
    for mode, query_mode, times in [("append", "distributed", 1), ("append", "single_node", 2), ("overwrite", "distributed", 1)]:
        remote.prepare(frame.lazy(), query_mode).sink_iceberg(target, mode=mode).await_result()
        target = catalog.load_table("own.rows")
        assert_frame_equal(read(catalog), pl.concat([frame] * times), check_row_order=False)


def test_worker_dies_in_mid_sink(
    services: Callable[..., ServiceCluster], remote_to: Callable[[Cluster], Remote], catalog: Any, folder: Path
) -> None:
    cluster = services()
    query = slow_rows(folder)
    target = table(catalog, folder, query.collect_schema())
    sink = remote_to(cluster).prepare(query, "single_node").sink_iceberg(target, mode="append")
    executor = wait_for_run(folder)
    cluster.stop_program(f"worker-{worker_of(cluster, executor)}", signal.SIGKILL)
    sink.await_result()
    assert len(executors_of(folder)) == 2
    assert sorted(read(catalog)["a"].to_list()) == list(range(ROWS))
