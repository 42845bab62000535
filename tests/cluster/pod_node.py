"""tests/cluster/pod_node.py: what kubelet and `kubectl port-forward` do, for pods.py.
SPDX-License-Identifier: Apache-2.0

Its argument is JSON: `probes` to wait for, `forwards` [port, host, port] of localhost, `seconds`, and a `script` to run.
"""

from __future__ import annotations

import json
import runpy
import socket
import sys
import threading
import time

import grpc


def passes(kind: str, host: str, port: int) -> bool:
    if kind == "tcpSocket":
        with socket.socket() as s:
            s.settimeout(1)
            return s.connect_ex((host, port)) == 0
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        try:
            return bool(channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=2) == b"\x08\x01")
        except grpc.RpcError:
            return False


def copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        target.close()


def forward(listener: socket.socket, host: str, port: int) -> None:
    while True:
        near, _ = listener.accept()
        far = socket.create_connection((host, port))
        for pair in ((near, far), (far, near)):
            threading.Thread(target=copy, args=pair, daemon=True).start()


def main() -> None:
    job = json.loads(sys.argv[1])
    deadline = time.monotonic() + job["seconds"]
    for probe in job["probes"]:
        while not passes(*probe):
            if time.monotonic() > deadline:
                sys.exit(f"{probe} did not pass in {job['seconds']} s")
            time.sleep(0.1)
    for port, *target in job["forwards"]:
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=forward, args=(listener, *target), daemon=True).start()
    runpy.run_path(job["script"], run_name="__main__")


if __name__ == "__main__":
    main()
