"""tests/cluster/test_up.py: `floe up` starts whole, ends whole. SPDX-License-Identifier: Apache-2.0"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster import FLOE, RUNTIMES, STOP_S, Ports, UpCluster, accepts
from processes import wait_until


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda s: s.name)
@pytest.mark.parametrize("storage", [False, True], ids=["local", "storage"])
def test_everything_goes(how: signal.Signals, storage: bool, throwaway: Callable[..., UpCluster]) -> None:
    cluster = throwaway(storage=storage)
    assert cluster.answers()
    everything = cluster.up.all()
    assert len(everything) >= 4
    os.kill(cluster.up.popen.pid, how)
    cluster.up.popen.wait(STOP_S)
    wait_until(lambda: not any(p.alive() for p in everything), "all processes are gone", 5)
    # a process whose first thread is gone may keep its sockets until its last one is
    wait_until(lambda: not accepts(cluster.ports.client), "nobody listens", 2)
    if how == signal.SIGKILL:  # nobody was left to remove them
        for path in cluster.ports.storage_sockets():
            path.unlink()


def test_says_where_it_listens(cluster: UpCluster) -> None:
    text = cluster.up.text()
    for port in (cluster.ports.client, cluster.ports.observatory):
        assert f"http://localhost:{port}" in text


def test_listens_on_loopback_only(cluster: UpCluster) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("192.0.2.1", 9))  # sends nothing; tells which address would
        address = s.getsockname()[0]
    with socket.socket() as s:
        s.settimeout(1)
        assert address.startswith("127.") or s.connect_ex((address, cluster.ports.client)) != 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--workers=0"], "workers"),
        (["--workers=many"], "workers"),
        (["--memory=much"], "memory"),
        (["--runtimes=/nonexistent"], "/nonexistent"),
        (["--no-such-option"], "no-such-option"),
        (["surplus"], "surplus"),
    ],
)
def test_refuses_with_a_reason(options: list[str], reason: str, folder: Path) -> None:
    command = [str(FLOE), "up", f"--runtimes={RUNTIMES}", f"--results={folder}", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode not in (0, 101)
    assert reason in done.stderr


def test_another_cluster_has_the_ports(cluster: UpCluster, folder: Path) -> None:
    """Its parts must not pass for ours."""
    options = [f"--port-base={cluster.ports.base}", f"--runtimes={RUNTIMES}", f"--results={folder}"]
    done = subprocess.run([str(FLOE), "up", *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "--port-base" in done.stderr
    assert "ready" not in done.stdout


def test_port_is_taken(folder: Path) -> None:
    """Says which, and leaves nothing behind."""
    ports = Ports.reserve()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", ports.client))
        taken.listen()
        options = [f"--port-base={ports.base}", f"--runtimes={RUNTIMES}", f"--results={folder}"]
        done = subprocess.run([str(FLOE), "up", *options], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert str(ports.client) in done.stderr + done.stdout
    assert not accepts(ports.task(0))
    ports.release()
