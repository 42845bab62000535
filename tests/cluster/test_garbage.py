"""tests/cluster/test_garbage.py: every open port is sent garbage in many ways. It is refused, costs little, is in the
log, and queries that run meanwhile do not notice. SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster import SANITIZED, SLOWNESS, ServiceCluster, accepts, timed
from conftest import until_stopped
from garbage import PREFACE, Garbage, get, http1, http2, send
from processes import Process, wait_until
from wire import CLIENT

MB = 1 << 20
MOST_MEMORY = (300 if SANITIZED else 32) * MB  # more than before
MOST_SLOWER = 4.0  # a query's time, and half a second for a busy machine
HALF_OPEN = 100

pytestmark = pytest.mark.seconds(120)


@pytest.fixture(scope="module")
def cluster() -> Iterator[ServiceCluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLC_LOG_LEVEL", "debug")  # says why each connection ended
        started = ServiceCluster("garbage")
    wait_until(lambda: len(started.members()) == 2, "both workers have joined", 60 * SLOWNESS)
    yield from until_stopped(started)


@dataclass(frozen=True)
class Port:
    number: Callable[[ServiceCluster], int]
    process: Callable[[ServiceCluster], Process]
    log: str
    garbage: dict[str, Garbage]
    half: bytes  # the beginning of something right


PORTS = {
    "5051, clients": Port(lambda c: c.ports.client, lambda c: c.scheduler(), "scheduler", http2(CLIENT + "SubmitQuery"), PREFACE[:10]),
    "5050, workers": Port(lambda c: c.ports.membership, lambda c: c.scheduler(), "scheduler", http2("/cluster.Membership/Heartbeat"), PREFACE[:10]),
    "5049, profiles": Port(lambda c: c.ports.base + 49, lambda c: c.scheduler(), "scheduler", http2("/profile.Observatory/Send"), PREFACE[:10]),
    "5052, tasks": Port(lambda c: c.ports.task(0), lambda c: c.worker(0), "worker-0", http2("/cluster.Tasks/RunTask"), PREFACE[:10]),
    "5053, files": Port(lambda c: c.ports.shuffle(0), lambda c: c.worker(0), "worker-0", http1("/", "/shuffle"), get("/")[:10]),
    "3001, browsers": Port(lambda c: c.ports.observatory, lambda c: c.scheduler(), "scheduler", http1("/", "/results"), get("/")[:10]),
}


def test_these_are_all_the_ports(cluster: ServiceCluster) -> None:
    base = cluster.ports.base
    open_ports = {port for port in range(base, base + cluster.ports.WIDTH) if accepts(port)}
    workers_second = {cluster.ports.task(1), cluster.ports.shuffle(1)}
    assert open_ports == {port.number(cluster) for port in PORTS.values()} | workers_second
    assert all(len(port.garbage) >= 20 for port in PORTS.values())


class Beside:
    """Queries, one after the other, while something else happens."""

    def __init__(self, cluster: ServiceCluster) -> None:
        self.cluster, self.over = cluster, threading.Event()
        self.times: list[float] = []
        self.wrong = 0
        self.thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        while not self.over.is_set():
            begun = time.monotonic()
            self.wrong += not self.cluster.answers()
            self.times.append(time.monotonic() - begun)

    def __enter__(self) -> Beside:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


def refused(name: str, garbage: Garbage, port: int) -> str | None:
    """What was wrong with how it was taken."""
    ended = send(port, garbage)
    if garbage.ends and not ended.closed:
        return f"{name}: still open after {ended.seconds:.1f} s"
    if ended.received.startswith(b"HTTP/1.1 2") or b"root:" in ended.received:
        return f"{name}: answered {ended.received[:200]!r}"
    return None


@pytest.mark.parametrize("name", PORTS)
def test_garbage(name: str, cluster: ServiceCluster, record_property: Callable[[str, object], None]) -> None:
    port = PORTS[name]
    number, process = port.number(cluster), port.process(cluster)
    alone = statistics.median(timed(cluster.answers) for _ in range(5))
    memory, descriptors, worked = process.memory_bytes(), len(process.open_files()), process.cpu_seconds()
    log = Path(str(cluster.log_file(port.log)))
    logged = log.stat().st_size
    with Beside(cluster) as beside, ExitStack() as open_ones:
        for _ in range(HALF_OPEN):
            peer = open_ones.enter_context(socket.create_connection(("127.0.0.1", number), timeout=10))
            peer.sendall(port.half)
        wrong = [said for what, garbage in port.garbage.items() if (said := refused(what, garbage, number))]
        most = process.memory_bytes() - memory
    worked = process.cpu_seconds() - worked
    record_property("summary", f"{name}: {len(port.garbage)} kinds of garbage, {worked:.1f} s of CPU, {most / MB:.0f} MB more, "
                    f"a query {statistics.median(beside.times):.3f} s, before {alone:.3f} s")
    assert not wrong, "\n".join(wrong)
    assert beside.times and not beside.wrong
    assert port.process(cluster) == process and cluster.answers()
    assert most < MOST_MEMORY
    assert statistics.median(beside.times) < MOST_SLOWER * alone + 0.5 * SLOWNESS, beside.times
    wait_until(lambda: len(process.open_files()) < descriptors + 20, "the connections are closed", 20)
    said = log.read_bytes()[logged:].decode(errors="replace")
    assert said.count("connection ended") + said.count("request refused") > 10, "the log says nothing"


def test_connections_that_begin_and_stop_are_closed(cluster: ServiceCluster) -> None:
    """After the time for a handshake."""
    begun = time.monotonic()
    with ExitStack() as stack:
        peers = [stack.enter_context(socket.create_connection(("127.0.0.1", p.number(cluster)), timeout=30)) for p in PORTS.values() if p.half == PREFACE[:10]]
        for peer in peers:
            peer.sendall(PREFACE[:5])
        for peer in peers:
            while peer.recv(1 << 16):  # its SETTINGS
                continue
    assert 5 < time.monotonic() - begun < 20
