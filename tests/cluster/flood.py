"""tests/cluster/flood.py: clients that ask for as much as they can get, as a program of their own.
SPDX-License-Identifier: Apache-2.0

usage: flood.py PORT CONNECTIONS KIND… → floods until its stdin ends, then prints how much the slowest
connection got, and how much all of them: bytes, or calls of status.

  fetch PATH TOKEN       a shuffle file from a worker's 5053, again and again
  status QUERY           GetQueryStatus of one query
  submit PLAN            SubmitQuery of the plan in this file; the query is cancelled at once
"""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prober import Prober, set_priority
from wire import CLIENT, caller, query_ref

PIECE = 1 << 20
NICE = 10  # as much as executors: other machines' clients would take none of our cores
stopped = threading.Event()
Counts = list[int]  # of each connection


def fetch(port: int, counts: Counts, path: str, token: str) -> None:
    """One thread for all: it takes from each what there is."""
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    room = bytearray(PIECE)
    peers = selectors.DefaultSelector()
    for number in range(len(counts)):
        peer = socket.create_connection(("127.0.0.1", port), timeout=60)
        peer.sendall(request * 1000)  # answered one after the other
        peers.register(peer, selectors.EVENT_READ, number)
    while not stopped.is_set():
        for ready, _ in peers.select(1):
            assert isinstance(ready.fileobj, socket.socket)
            taken = ready.fileobj.recv_into(room)
            if not taken:
                raise ConnectionError("5053 closed the connection")
            counts[ready.data] += taken


def in_threads(one: Callable[..., None]) -> Callable[..., None]:
    def all_of_them(port: int, counts: Counts, *arguments: str) -> None:
        threads = [threading.Thread(target=one, args=(port, counts, n, *arguments)) for n in range(len(counts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return all_of_them


def status(port: int, counts: Counts, number: int, query: str) -> None:
    prober = Prober(port)
    while not stopped.is_set():
        prober(CLIENT + "GetQueryStatus", query_ref(query))
        counts[number] += 1
    prober.close()


def submit(port: int, counts: Counts, number: int, plan: str) -> None:
    data = Path(plan).read_bytes()
    with caller(port) as call:
        while not stopped.is_set():
            call(CLIENT + "CancelQuery", query_ref(call.submit(data)))
            counts[number] += len(data)


FLOODS = {"fetch": fetch, "status": in_threads(status), "submit": in_threads(submit)}


def main() -> None:
    set_priority(NICE)
    port, connections, kind, *arguments = sys.argv[1:]
    counts = [0] * int(connections)

    def wait_for_the_end() -> None:
        sys.stdin.read()
        stopped.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    FLOODS[kind](int(port), counts, *arguments)
    print(min(counts), sum(counts), flush=True)
    os._exit(0)


@contextmanager
def flood(kind: str, port: int, connections: int, *arguments: str) -> Iterator[Callable[[], tuple[int, int]]]:
    """Yields a function that ends it and returns what it printed."""
    command = [sys.executable, __file__, str(port), str(connections), kind, *arguments]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )

    def end() -> tuple[int, int]:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, f"the flood of {kind} ended with {process.returncode}"
        slowest, everyone = map(int, out.split())
        return slowest, everyone

    try:
        yield end
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
