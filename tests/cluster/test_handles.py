"""tests/cluster/test_handles.py: what a client can ask and do with a query that it has submitted.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import json
import time
import urllib.request
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import polars as pl
import polars_cloud as pc
import pytest
from cluster import Cluster, ServiceCluster, UpCluster
from conftest import Remote
from processes import wait_until
from wire import CLIENT, block, caller, plan_of, query_ref, refusal, submit_request

pytestmark = pytest.mark.seconds(60)

ONE = pl.LazyFrame({"a": [1, 2]})


def seen(cluster: Cluster, path: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://localhost:{cluster.ports.observatory}/api/v1/{path}") as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def waiting(gate: Path) -> pl.LazyFrame:
    def wait(x: int) -> int:
        while not gate.exists():
            time.sleep(0.02)
        return x

    return ONE.with_columns(pl.col("a").map_elements(wait, return_dtype=pl.Int64))


def test_labels_and_lineage_are_seen(remote: Remote, cluster: UpCluster) -> None:
    lineage = {"job_namespace": "warehouse é", "job_name": "nightly"}
    lineage |= {"parent_run_id": str(uuid.uuid4()), "parent_job_namespace": "all", "parent_job_name": "every"}
    prepared = ONE.remote(remote.context).labels(["nightly", "é"]).with_lineage(**lineage)
    query = prepared.execute(blocking=False)
    remote._submitted.append(query)
    query.await_result()
    details = seen(cluster, f"query/{query._query_id}")
    assert details["labels"] == ["nightly", "é"]
    assert details["lineage"] == lineage
    newest = seen(cluster, "queries")["queries"][0]
    assert (newest["id"], newest["labels"]) == (str(query._query_id), ["nightly", "é"])
    plain = remote.submit(ONE)
    plain.await_result()
    details = seen(cluster, f"query/{plain._query_id}")
    assert (details["labels"], details["lineage"]) == ([], None)


@pytest.mark.parametrize(
    ("info", "text"),
    [
        (b"\xff", "do not decode"),
        (block(1, block(1, "x")) * 65, "65 labels"),
        (block(1, block(1, "x" * 9000)), "take 90"),
        (block(1, b"\xff\xff"), "do not decode"),
    ],
)
def test_labels_that_no_client_sends(info: bytes, text: str, cluster: UpCluster) -> None:
    with caller(cluster.ports.client) as call, pytest.raises(grpc.RpcError) as caught:
        call(CLIENT + "SubmitQuery", submit_request(plan_of(ONE)) + block(3, info), {"x-polars-version": pl.__version__})
    assert text in refusal(caught.value)[1]
    assert cluster.answers()


def test_versions_are_shown(remote: Remote, capsys: pytest.CaptureFixture[str]) -> None:
    pc.show_versions(remote.context)
    shown = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    assert shown["Polars Python Version"] == pl.__version__
    assert shown["Compute Plane Version"][0].isdigit()
    assert shown["Polars Rust Revision"] == pl._plr._BUILD_COMMIT


def test_a_wait_ends_in_time(remote: Remote, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    query = remote.submit(waiting(folder / "gate"))
    monkeypatch.setenv("POLARS_TIMEOUT_MS", "300")
    with pytest.raises((TimeoutError, RuntimeError), match="(?i)tim(ed out|eout)"):
        query.await_result()
    monkeypatch.setenv("POLARS_TIMEOUT_MS", "60000")
    (folder / "gate").touch()
    assert query.await_result().status is pc.QueryStatus.SUCCESS
    assert query.await_result().n_rows_total == 2  # as often as wished


def test_cancel_and_delete_may_be_said_again(remote: Remote, folder: Path) -> None:
    query = remote.submit(waiting(folder / "gate"))
    wait_until(lambda: query.get_status() is pc.QueryStatus.INPROGRESS, "it runs", 20)
    query.delete_result()  # not while it runs: nothing happens
    assert query.get_status() is pc.QueryStatus.INPROGRESS
    for _ in range(3):
        query.cancel()
    assert query.await_result().status is pc.QueryStatus.CANCELED
    done = remote.submit(ONE)
    result = done.await_result()
    done.cancel()
    assert done.get_status() is pc.QueryStatus.SUCCESS
    for _ in range(3):
        done.delete_result()
    assert not any(Path(location).exists() for location in result.location or [])
    assert done.await_result().location == []
    assert "DF" in done.plan()  # that is still known


def test_statistics_of_stages(remote: Remote, folder: Path) -> None:
    for i in range(4):
        pl.DataFrame({"k": [i % 2] * 100_000, "v": range(100_000)}).write_parquet(folder / f"{i}.parquet")
    query = pl.scan_parquet(folder / "*.parquet").group_by("k").agg(pl.col("v").sum())
    result = remote.execute(query)
    statistics = result.stage_statistics()
    assert len(statistics) == result.total_stages == result.finished_stages
    assert all(0 <= stage.num_workers_used <= 2 for stage in statistics) and statistics[-1].num_workers_used >= 1
    first = result.stage_statistics(0)
    assert first is not None and first.num_workers_used == statistics[0].num_workers_used
    assert result.n_rows_total == 2


# --- clients that go away ----------------------------------------------------------------------


def status_of(cluster: Cluster, query_id: object) -> str:
    return str(seen(cluster, f"query/{query_id}")["status"])


def test_an_abandoned_query_is_cancelled_where_that_is_set(
    services: Callable[..., ServiceCluster], remote_to: Callable[..., Remote], folder: Path
) -> None:
    cluster = services(workers=1, in_scheduler='abandon_after = "1s"')
    remote = remote_to(cluster)
    left, waited_for, asked_for = (remote.submit(waiting(folder / "gate")) for _ in range(3))
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(waited_for.await_result)
        until = time.monotonic() + 4
        while time.monotonic() < until:
            assert asked_for.get_status() in (pc.QueryStatus.SCHEDULED, pc.QueryStatus.INPROGRESS)
            time.sleep(0.2)
        assert status_of(cluster, left._query_id) == "Canceled"
        (folder / "gate").touch()
        assert result.result().n_rows_total == 2
    assert asked_for.await_result().n_rows_total == 2
    assert left.await_result().status is pc.QueryStatus.CANCELED


def test_a_query_whose_client_has_gone_goes_on(cluster: UpCluster, remote: Remote, folder: Path) -> None:
    with caller(cluster.ports.client) as call:
        query_id = call.submit(plan_of(waiting(folder / "gate")))
    wait_until(lambda: status_of(cluster, query_id) == "InProgress", "it runs", 20)
    time.sleep(1)
    assert status_of(cluster, query_id) == "InProgress"
    (folder / "gate").touch()
    wait_until(lambda: status_of(cluster, query_id) == "Success", "it has ended", 20)
    with caller(cluster.ports.client) as call:
        call(CLIENT + "DeleteQueryResult", query_ref(query_id))
