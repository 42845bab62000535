"""tests/cluster/test_saturation.py: what is small and urgent does not wait for what is large.
SPDX-License-Identifier: Apache-2.0

The figures that count are those of bench/load.py; here the bounds hold on any machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster import FORCED, SLOWNESS, ServiceCluster
from processes import Process
from saturation import Load, busy, floods, measure

LOAD = Load(rows=1_000_000, fetches=50, plan_bytes=8 << 20)
MOST_MS = 1000 * SLOWNESS
MOST_CPU_MS = 100 * SLOWNESS  # of one turn of a loop
TROUBLE = ("did not reach the scheduler", "out of reach for the lease", "does not know this worker", "attempt lost")


def log_lines(cluster: ServiceCluster) -> Iterator[dict[str, str]]:
    for log in cluster.logs():
        for line in Path(log).read_text(errors="replace").splitlines():
            if line.startswith('{"time"'):
                yield json.loads(line)


@pytest.mark.seconds(150)
def test_heartbeats_and_status_calls_while_all_is_saturated(
    services: Callable[..., ServiceCluster],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    monkeypatch.setenv("PLC_LOG_LEVEL", "debug")  # says which turns of a loop were long
    cluster = services(scheduler_extra=FORCED, executor_nice=None)
    with busy(cluster, folder, LOAD) as query, floods(cluster, folder, LOAD, query) as done:
        times = measure(cluster, query, 5 * SLOWNESS)
        assert cluster.members() == {"worker-0", "worker-1"}
    for kind, taken in times.items():
        record_property("summary", f"saturated: {kind:16} {taken}")
        assert max(taken.all) < MOST_MS, f"{kind}: {taken}"
        assert len(taken.all) > 20, f"{kind}: {taken}"
    assert all(slowest for slowest, _ in done.values()), f"a connection never had its turn: {done}"
    said = list(log_lines(cluster))
    assert not [line for line in said if any(t in line["message"] for t in TROUBLE)]
    longest = max((float(line["cpu_ms"]) for line in said if "cpu_ms" in line), default=0)
    record_property("summary", f"saturated: longest turn of a loop: {longest} ms of CPU")
    assert longest < MOST_CPU_MS


def niceness(process: Process) -> int:
    return int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[16])


def test_executors_step_back(services: Callable[..., ServiceCluster]) -> None:
    for setting, more in ((None, 10), (3, 3)):
        cluster = services(workers=1, executor_nice=setting)
        assert cluster.answers()
        expected = min(niceness(cluster.worker(0)) + more, 19)  # more is not possible
        assert {niceness(p) for p in cluster.executors(0)} == {expected}
