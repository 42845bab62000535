"""tests/cluster/test_observatory.py: what is observed of queries and machines, kept and shown on 3001.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cluster import FORCED, SLOWNESS, Cluster, ServiceCluster, open_folder
from conftest import Remote
from processes import wait_until

Start = Callable[..., ServiceCluster]
Connect = Callable[[Cluster], Remote]

pytestmark = pytest.mark.seconds(90)
ROWS = 200_000


def raw(cluster: Cluster, path: str, headers: dict[str, str] | None = None) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{cluster.ports.observatory}{path}", headers=headers or {})
    with urllib.request.urlopen(request) as answer:
        body: bytes = answer.read()
    return body


def get(cluster: Cluster, path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(raw(cluster, f"/api/v1/{path}"))
    return found


def newest(cluster: Cluster) -> str:
    query: str = get(cluster, "queries?limit=1")["queries"][0]["id"]
    return query


def wait_for(cluster: Cluster, path: str, is_right: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    wait_until(lambda: is_right(get(cluster, path)), f"{path} is as expected: {get(cluster, path)}", 15 * SLOWNESS)
    return get(cluster, path)


def write_rows(cluster: Cluster) -> Path:
    path = open_folder(cluster.folder / "data") / "rows.parquet"
    pl.DataFrame({"k": [i % 10 for i in range(ROWS)], "v": range(ROWS)}).write_parquet(path, row_group_size=10_000)
    return path


def all_ended(tasks: dict[str, Any]) -> bool:
    return bool(tasks["tasks"]) and all(t["outcome"] != "running" and t["run_us"] is not None for t in tasks["tasks"])


def by_type(step: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {node["properties"]["type"]: node["metrics"] for node in step["physical"]}


# --- numbers -----------------------------------------------------------------------------------


def test_rows_of_nodes_are_those_that_move(services: Start, remote_to: Connect) -> None:
    cluster = services(scheduler_extra=FORCED)
    rows = pl.scan_parquet(write_rows(cluster)).filter(pl.col("v") >= 1000).group_by("k").agg(pl.col("v").sum())
    assert remote_to(cluster).execute(rows).lazy().collect().height == 10
    query = newest(cluster)
    n_tasks = sum(s["run"]["tasks"] for s in get(cluster, f"query/{query}/stages")["steps"])
    tasks = wait_for(cluster, f"query/{query}/tasks", lambda t: all_ended(t) and len(t["tasks"]) == n_tasks)
    steps = wait_for(cluster, f"query/{query}/nodes", lambda n: [s["tasks"] for s in n["steps"]] == [2, 2])["steps"]

    first, last = by_type(steps[0]), by_type(steps[1])
    assert first["MultiScan"]["rows_sent"] == first["GroupBy"]["rows_received"] == ROWS - 1000
    assert first["GroupBy"]["rows_sent"] == first["PartitionSink"]["rows_received"] == 20
    assert last["MultiScan"]["rows_sent"] == 20
    assert last["GroupBy"]["rows_sent"] == last["FileSink"]["rows_received"] == 10
    assert all(m["done"] for step in (first, last) for m in step.values())
    assert [n["properties"]["type"] for n in steps[1]["logical"]] == ["Sink", "GroupBy", "Scan"]

    shown = get(cluster, f"query/{query}")
    stages = get(cluster, f"query/{query}/stages")["steps"]
    shuffled = [s["run"] for s in stages if s["kind"] == "stage"]
    assert (shown["total_rows_read"], shown["total_bytes_read"]) == (ROWS - 1000, first["MultiScan"]["io_total_bytes_received"])
    assert shown["total_bytes_shuffled"] == shuffled[0]["bytes"] > 0
    assert shown["total_node_time_ns"] == sum(s["run"]["run_us"] for s in stages) * 1000
    assert 0 < shown["percentage_time_shuffling"] < 100
    assert shown["total_num_files"] == shown["original_num_files"] == 1
    assert (shown["failed_stage"], shown["output_rows"], shown["output_files"]) == (None, 10, 2)
    for number, step in enumerate(stages):
        mine = [t for t in tasks["tasks"] if t["step"] == number and t["outcome"] == "done"]
        assert sum(t["run_us"] for t in mine) == step["run"]["run_us"]
        if step["kind"] == "stage":
            assert sum(t["rows"] for t in mine) == step["run"]["rows"]
            assert sum(t["bytes"] for t in mine) == step["run"]["bytes"]


def test_a_query_is_watched_while_it_runs(services: Start, remote_to: Connect) -> None:
    def slow(batch: pl.Series) -> pl.Series:
        time.sleep(0.3)
        return batch

    cluster = services(workers=1)
    path = write_rows(cluster)
    rows = pl.scan_parquet(path).select(pl.col("v").map_batches(slow, return_dtype=pl.Int64, is_elementwise=True))
    query = remote_to(cluster).submit(rows)
    shown = wait_for(cluster, "queries", lambda q: bool(q["queries"]))["queries"][0]["id"]

    def moves(nodes: dict[str, Any]) -> bool:
        return any(n.get("metrics", {}).get("rows_sent") for s in nodes["steps"] for n in s["physical"])

    wait_for(cluster, f"query/{shown}/nodes", moves)
    seen = get(cluster, f"query/{shown}")
    assert seen["status"] == "InProgress" and seen["end_time"] is None
    assert get(cluster, f"query/{shown}/tasks")["tasks"][-1]["outcome"] == "running"
    assert query.await_result().lazy().collect().height == ROWS
    wait_for(cluster, f"query/{shown}/tasks", all_ended)
    scan = next(n for n in get(cluster, f"query/{shown}/nodes")["steps"][0]["physical"] if n["properties"]["type"] == "MultiScan")
    assert scan["metrics"]["rows_sent"] == ROWS


def test_a_failure_is_kept_with_its_task(services: Start, remote_to: Connect) -> None:
    cluster = services(workers=1, scheduler_extra=FORCED)
    rows = pl.scan_parquet(write_rows(cluster)).select((pl.col("v").cast(pl.String) + "x").cast(pl.Int64)).group_by("v").len()
    with pytest.raises(pl.exceptions.InvalidOperationError):
        remote_to(cluster).execute(rows)
    shown = get(cluster, f"query/{newest(cluster)}")
    assert shown["status"] == "Failed" and shown["failed_stage"] == 0 and "InvalidOperationError" in shown["errors"][0]
    tasks = wait_for(cluster, f"query/{shown['id']}/tasks", lambda t: any(x["outcome"] == "query" for x in t["tasks"]))
    assert any((t["error"] or "").startswith("InvalidOperationError: ") for t in tasks["tasks"])


# --- machines ----------------------------------------------------------------------------------


def cpu_us(process: Any) -> int:
    """What the kernel has counted for a worker, its executors, and children of theirs that have ended."""
    fields = [Path(f"/proc/{p.pid}/stat").read_text().rpartition(")")[2].split() for p in [process, *process.descendants()]]
    return sum(int(t) for f in fields for t in f[11:15]) * 1_000_000 // os.sysconf("SC_CLK_TCK")


def resident(process: Any) -> int:
    texts = [Path(f"/proc/{p.pid}/status").read_text() for p in [process, *process.descendants()]]
    return sum(int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024 for text in texts)  # type: ignore[index]


def test_host_metrics_are_the_kernels(services: Start, remote_to: Connect) -> None:
    cluster = services(workers=1)
    remote_to(cluster).execute(pl.scan_parquet(write_rows(cluster)).group_by("v").len().sort("v"))
    process = cluster.worker(0)

    def sample() -> dict[str, Any]:
        workers: list[dict[str, Any]] = get(cluster, "workers")["workers"]
        return workers[0] if workers else {"time_us": 0}

    def lies_between() -> bool:
        before, at = cpu_us(process), sample()["time_us"]
        wait_until(lambda: sample()["time_us"] not in (0, at), "a sample comes", 10 * SLOWNESS)
        wait_until(lambda: sample()["time_us"] > at + 3_000_000, "and one that began later", 15 * SLOWNESS)
        return before <= sample()["cpu_us_total"] <= cpu_us(process)

    wait_until(lies_between, "all executors are ready, and the kernel says the same before and after", 30 * SLOWNESS)
    shown = sample()
    wait_until(lambda: sample()["resident_bytes"] == pytest.approx(resident(process), rel=0.1), "as resident", 10 * SLOWNESS)
    executors = {p.pid for p in cluster.executors(0)}
    assert {x["pid"] for x in shown["executors"]} == executors
    assert all(x["peak_bytes"] >= x["resident_bytes"] > 10_000_000 for x in shown["executors"])
    disk = os.statvfs(cluster.folder)
    assert shown["disk_bytes"] == disk.f_blocks * disk.f_frsize
    assert shown["disk_free_bytes"] == pytest.approx(disk.f_bavail * disk.f_frsize, rel=0.2)

    def samples() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = get(cluster, "workers/worker-0/metrics?seconds=600")["samples"]
        return found

    wait_until(lambda: len(samples()) >= 3, "there is a series", 15 * SLOWNESS)
    series = samples()
    assert series[-1]["time_us"] >= shown["time_us"]
    assert all(s["cores_used"] >= 0 and s["host_cores_used"] > 0 for s in series[1:])
    text = raw(cluster, "/metrics").decode()
    assert re.search(r'^floe_worker_cpu_microseconds_total\{worker="worker-0"\} \d+$', text, re.MULTILINE)
    assert all(re.fullmatch(r"# TYPE \w+ (counter|gauge)|\w+(\{\w+=\"[^\"]*\"\})? \S+", line) for line in text.splitlines())


# --- lists, pages, events ----------------------------------------------------------------------


def test_queries_are_filtered_and_come_in_pages(services: Start, remote_to: Connect) -> None:
    cluster = services(workers=1)
    remote = remote_to(cluster)
    for number in range(5):
        remote.execute(pl.LazyFrame({"n": [number]}))
    with pytest.raises(pl.exceptions.InvalidOperationError):
        remote.execute(pl.LazyFrame({"s": ["not a number"]}).select(pl.col("s").cast(pl.Int64)))

    every = get(cluster, "queries")
    assert every["next"] is None and len(every["queries"]) == 6
    seen, before = [], ""
    for _ in range(4):
        page = get(cluster, f"queries?limit=2{before}")
        seen += [q["id"] for q in page["queries"]]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert seen == [q["id"] for q in every["queries"]]
    assert [q["id"] for q in get(cluster, "queries?status=Failed")["queries"]] == seen[:1]
    assert [q["id"] for q in get(cluster, f"queries?search={seen[3][:13]}")["queries"]] == [seen[3]]
    assert get(cluster, "queries?search=InvalidOperation")["queries"][0]["id"] == seen[0]
    assert get(cluster, "queries?user=nobody-of-this-name")["queries"] == []


def test_events_tell_of_changes(services: Start, remote_to: Connect) -> None:
    cluster = services(workers=1)
    first = raw(cluster, "/api/v1/events").decode()
    at = re.search(r"^id: (\d+)$", first, re.MULTILINE)
    assert at and "event: change\n" in first and first.endswith("\n\n")
    remote_to(cluster).execute(pl.LazyFrame({"n": [1]}))
    wait_until(lambda: "event: change" in raw(cluster, "/api/v1/events", {"Last-Event-ID": at[1]}).decode(), "a change is told", 5 * SLOWNESS)


def test_export_is_a_database(services: Start, remote_to: Connect, tmp_path: Path) -> None:
    cluster = services(workers=1)
    remote_to(cluster).execute(pl.LazyFrame({"n": [1]}))
    query = newest(cluster)
    copy = tmp_path / "copy.db"
    copy.write_bytes(raw(cluster, "/api/v1/export"))
    with sqlite3.connect(copy) as db:
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'attempt'").fetchone() == (1,)
        assert [row[0] for row in db.execute("SELECT id FROM query")] == [query]


# --- it may fail, queries go on ----------------------------------------------------------------


def test_history_survives_a_restart(services: Start, remote_to: Connect) -> None:
    cluster = services(workers=1)
    database = cluster.folder / "history.db"
    cluster._extra["observatory"] = f'database_path = "{database}"'
    cluster.stop_program("scheduler")
    cluster.start_scheduler()
    wait_until(lambda: cluster.members() == {"worker-0"}, "the worker has joined", 15 * SLOWNESS)
    remote_to(cluster).execute(pl.LazyFrame({"n": [1]}))
    before = get(cluster, f"query/{newest(cluster)}")
    wait_for(cluster, f"query/{before['id']}/tasks", all_ended)
    cluster.stop_program("scheduler")
    cluster.start_scheduler()
    assert get(cluster, f"query/{before['id']}")["request_time"] == before["request_time"]
    assert len(get(cluster, f"query/{before['id']}/nodes")["steps"]) == 1

    cluster.expected_leftovers = 1  # what the scheduler of before wrote
    cluster.stop_program("scheduler")
    database.write_bytes(b"this is no database, but it is as long as the head of one" * 100)
    cluster.start_scheduler()
    lacks = wait_for(cluster, "cluster", lambda c: bool(c["observatory"]["lacks"]))["observatory"]["lacks"]
    assert "set aside" in lacks and list(cluster.folder.glob("history.db.broken-*"))
    wait_until(lambda: cluster.members() == {"worker-0"}, "the worker has joined", 15 * SLOWNESS)
    remote_to(cluster).execute(pl.LazyFrame({"n": [2]}))
    assert len(get(cluster, "queries")["queries"]) == 1


def test_the_observatory_is_killed_and_queries_go_on(services: Start, remote_to: Connect) -> None:
    cluster = services(observatory_apart=True)
    remote = remote_to(cluster)
    remote.execute(pl.LazyFrame({"n": [1]}))
    wait_for(cluster, "queries", lambda q: [x["status"] for x in q["queries"]] == ["Success"])
    cluster.stop_program("observatory", signal.SIGKILL)
    for number in range(5):
        start = time.monotonic()
        remote.execute(pl.LazyFrame({"n": [number]}))
        assert time.monotonic() - start < 5 * SLOWNESS
    cluster.start_observatory()
    # what was not told waits, and is told now
    wait_for(cluster, "queries", lambda q: [x["status"] for x in q["queries"]] == ["Success"] * 5)
    wait_for(cluster, f"query/{newest(cluster)}/tasks", all_ended)


def test_its_disk_is_full_and_queries_go_on(services: Start, remote_to: Connect) -> None:
    cluster = services(workers=1, observatory_apart=True)
    database = cluster.folder / "history.db"
    cluster._extra["observatory"] = f'database_path = "{database}"'
    cluster.stop_program("observatory")
    observatory = cluster.start_observatory()
    remote = remote_to(cluster)
    remote.execute(pl.LazyFrame({"n": [1]}))
    wait_for(cluster, "queries", lambda q: len(q["queries"]) == 1)

    resource.prlimit(observatory.popen.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    remote.execute(pl.LazyFrame({"n": [2]}))
    shown = wait_for(cluster, "cluster", lambda c: c["observatory"]["reports_lost"] > 0)["observatory"]
    assert shown["lacks"].startswith("the database cannot be written: ")
    remote.execute(pl.LazyFrame({"n": [3]}))
    assert len(get(cluster, "queries")["queries"]) == 1  # what is there can be read

    resource.prlimit(observatory.popen.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    remote.execute(pl.LazyFrame({"n": [4]}))
    wait_for(cluster, "queries", lambda q: len(q["queries"]) >= 2)
    wait_for(cluster, "cluster", lambda c: not c["observatory"]["lacks"])


def test_what_is_not_there_is_said(services: Start) -> None:
    cluster = services(workers=1)
    for path in ("query/nonsense", "query/nonsense/tasks", "query/nonsense/nodes", "workers/nobody/metrics", "nothing"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(cluster, path)



def test_each_process_has_metrics(services: Start, remote_to: Connect) -> None:
    cluster = services(workers=1)
    cluster.stop_program("worker-0")
    cluster.stop_program("scheduler")
    ports = {name: cluster.ports.base + offset for name, offset in (("scheduler", 70), ("worker", 71))}
    for name, port in ports.items():
        cluster._extra[name] += f'\n[monitoring]\nmetrics.bind_addr = "127.0.0.1:{port}"'
    cluster.start_scheduler()
    cluster.start_worker(0)
    wait_until(lambda: cluster.members() == {"worker-0"}, "the worker has joined", 15 * SLOWNESS)
    remote_to(cluster).execute(pl.LazyFrame({"n": [1]}))

    def metrics(name: str) -> dict[str, str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{ports[name]}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))

    scheduler, worker = metrics("scheduler"), metrics("worker")
    assert (scheduler["floe_workers"], scheduler["floe_slots"], scheduler['floe_queries{status="Success"}']) == ("1", "1", "1")
    assert (worker["floe_worker_slots"], worker["floe_worker_running_tasks"]) == ("1", "0")
    assert int(worker["floe_worker_executors"]) >= 1 and worker["floe_reports_dropped_total"] == "0"
