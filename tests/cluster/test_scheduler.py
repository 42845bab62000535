"""tests/cluster/test_scheduler.py: the scheduler by itself, its workers played by the test.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import io
import socket
import struct
import threading
import uuid
from collections.abc import Iterator
from concurrent import futures

import grpc
import polars as pl
import pytest
from cluster import SLOWNESS, START_S, Cluster, Program, ServiceCluster, accepts
from contract import pb
from processes import wait_until
from wire import CLIENT, Caller, caller, query_ref

SUCCEEDED = 3


def plan(rows: int = 3) -> bytes:
    out = io.BytesIO()
    pl.LazyFrame({"x": range(rows)}).sink_parquet("<in-memory>", lazy=True).serialize(out)
    return out.getvalue()


class Members:
    """What workers say on 5050."""

    def __init__(self, cluster: Cluster) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{cluster.ports.membership}")
        self._token = [("authorization", f"Bearer {ServiceCluster.TOKEN}")]

    def _call(self, method: str, request: bytes) -> bytes:
        answer: bytes = self._channel.unary_unary(f"/cluster.Membership/{method}")(request, metadata=self._token, timeout=20)
        return answer

    def join(self, name: str, port: int, incarnation: str = "1", bad_byte: bytes = b"?", index_bits: int = 64) -> None:
        """`bad_byte` takes the place of each ? in the name."""
        runtime = pb.Runtime(polars_version=pl.__version__, index_bits=index_bits, python_version="3.11.2", plan_header=plan()[:79])
        address = f"127.0.0.1:{port}"
        request = pb.JoinRequest(instance_id=name, incarnation=incarnation, task_address=address, slots=1, runtimes=[runtime])
        self._call("Join", request.SerializeToString().replace(b"?", bad_byte))

    def ended(self, name: str, queries: list[str], incarnation: str = "1") -> list[str]:
        """What a heartbeat hears of these queries."""
        request = pb.HeartbeatRequest(instance_id=name, incarnation=incarnation, queries=queries)
        return list(pb.HeartbeatResponse.FromString(self._call("Heartbeat", request.SerializeToString())).ended)

    def leave(self, name: str, incarnation: str = "1") -> None:
        self._call("Leave", pb.LeaveRequest(instance_id=name, incarnation=incarnation).SerializeToString())


class FakeTasks:
    """A worker's 5052. `held`: RunTask is not answered."""

    def __init__(self, held: bool = False) -> None:
        self.held, self.calls, self.end = held, 0, threading.Event()
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        handler = grpc.unary_unary_rpc_method_handler(self._run)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("cluster.Tasks", {"RunTask": handler}),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def _run(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.calls += 1
        if self.held:
            self.end.wait()
        return pb.RunTaskResponse(output=pb.TaskOutput(has_rows=True, rows=3)).SerializeToString()

    def stop(self) -> None:
        self.end.set()
        self._server.stop(0).wait()


class StalledTasks:
    """A worker's 5052 that takes a call but none of its bytes, until `read_on`. HTTP/2 by hand."""

    SETTINGS, RST_STREAM, WINDOW_UPDATE, INITIAL_WINDOW = 4, 3, 8, 4

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._bytes = b""

    @staticmethod
    def _frame(kind: int, stream: int, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload))[1:] + bytes([kind, 0]) + struct.pack(">I", stream) + payload

    def accept(self) -> None:
        self._connection, _ = self._listener.accept()
        self._connection.settimeout(0.2)
        self._connection.sendall(self._frame(self.SETTINGS, 0, struct.pack(">HI", self.INITIAL_WINDOW, 0)))

    def read_on(self) -> None:
        much = struct.pack(">I", 1 << 30)
        self._connection.sendall(
            self._frame(self.SETTINGS, 0, struct.pack(">H", self.INITIAL_WINDOW) + much)
            + self._frame(self.WINDOW_UPDATE, 0, much)
        )

    def seen(self) -> set[int]:
        """The kinds of all frames that have come."""
        try:
            while more := self._connection.recv(1 << 16):
                self._bytes += more
        except TimeoutError:
            pass
        kinds, at = set(), len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        while at + 9 <= len(self._bytes):
            kinds.add(self._bytes[at + 3])
            at += 9 + int.from_bytes(self._bytes[at : at + 3], "big")
        return kinds

    def stop(self) -> None:
        self._connection.close()
        self._listener.close()


@pytest.fixture
def scheduler() -> Iterator[ServiceCluster]:
    started = ServiceCluster("scheduler", workers=0)
    yield started
    wrong = started.stop()
    assert not wrong, wrong


@pytest.fixture
def call(scheduler: ServiceCluster) -> Iterator[Caller]:
    with caller(scheduler.ports.client) as made:
        yield made


def test_worker_leaves_while_its_plan_is_sent(scheduler: ServiceCluster, call: Caller) -> None:
    """Another one has answered, so nobody needs the plan: the first is told to stop."""
    members, stalled, good = Members(scheduler), StalledTasks(), FakeTasks()
    members.join("stalled", stalled.port)
    query = call.submit(plan())
    stalled.accept()
    wait_until(lambda: 1 in stalled.seen(), "the call has come")
    members.join("good", good.port)
    members.leave("stalled")
    wait_until(lambda: call.status(query) == SUCCEEDED, "the query is done elsewhere", 10 * SLOWNESS)
    stalled.read_on()
    wait_until(lambda: stalled.RST_STREAM in stalled.seen(), "the call was cancelled")
    assert call.health() == 1
    stalled.stop()
    good.stop()


def test_worker_restarts_while_a_call_is_open(scheduler: ServiceCluster, call: Caller) -> None:
    """Its machine lost power: no connection said so, and it joins anew. One loss, not two."""
    members, dead, alive = Members(scheduler), FakeTasks(held=True), FakeTasks()
    members.join("worker", dead.port)
    query = call.submit(plan())
    wait_until(lambda: dead.calls == 1, "the attempt runs")
    members.join("worker", alive.port, incarnation="2")
    wait_until(lambda: call.status(query) >= SUCCEEDED, "the query is over", 10 * SLOWNESS)
    assert call.status(query) == SUCCEEDED
    dead.stop()
    alive.stop()


def test_heartbeats_hear_of_queries_that_ended(scheduler: ServiceCluster, call: Caller) -> None:
    members, tasks = Members(scheduler), FakeTasks(held=True)
    members.join("worker", tasks.port)
    query, unknown = call.submit(plan()), str(uuid.uuid4())
    wait_until(lambda: tasks.calls == 1, "the attempt runs")
    assert members.ended("worker", [query, unknown, "no id"]) == [unknown]
    call(CLIENT + "CancelQuery", query_ref(query))
    wait_until(lambda: members.ended("worker", [query]) == [query], "it has ended")
    assert members.ended("worker", []) == []
    tasks.stop()


def test_polars_that_counts_rows_otherwise_than_clients(scheduler: ServiceCluster) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        Members(scheduler).join("narrow", 1, index_bits=32)
    assert f"install polars[rt64]=={pl.__version__}" in caught.value.details()  # type: ignore[attr-defined]
    assert scheduler.members() == set()


def test_a_name_that_json_cannot_hold(scheduler: ServiceCluster) -> None:
    """The worker is shown all the same."""
    Members(scheduler).join("worker-?", 1, bad_byte=b"\xff")
    assert scheduler.members() == {"(not UTF-8)"}


class HungStore(Cluster):
    """A scheduler whose object store takes connections and says nothing."""

    def __init__(self) -> None:
        super().__init__("hung-store")
        self._store = socket.create_server(("127.0.0.1", 0))
        config = self.folder / "scheduler.toml"
        config.write_text(
            f"""
[cluster]
token = "{ServiceCluster.TOKEN}"
[scheduler]
enabled = true
client_service.bind_addr = "127.0.0.1:{self.ports.client}"
worker_service.bind_addr = "127.0.0.1:{self.ports.membership}"
[scheduler.anonymous_result_location.s3]
url = "s3://results/"
aws_endpoint_url = "http://127.0.0.1:{self._store.getsockname()[1]}"
aws_access_key_id = "key"
aws_secret_access_key = "secret"
"""
        )
        config.chmod(0o600)
        arguments = ["service", "--config-path", str(config)]
        self.programs = [Program.start("scheduler", arguments, self.log_file("scheduler"), self.environment())]
        wait_until(lambda: accepts(self.ports.client), "the scheduler listens", START_S)


def test_deletions_on_a_store_that_hangs() -> None:
    """They hold up neither the queries of others nor the end of the scheduler."""
    cluster, good = HungStore(), FakeTasks()
    Members(cluster).join("good", good.port)
    with caller(cluster.ports.client) as call:
        query = call.submit(plan())
        wait_until(lambda: call.status(query) == SUCCEEDED, "the query is done")
        for _ in range(8):  # more than the pool has threads
            with pytest.raises(grpc.RpcError, match="DEADLINE_EXCEEDED"):
                call(CLIENT + "DeleteQueryResult", query_ref(query), timeout_s=0.1)
        call.submit(plan(300_000))  # large enough to be read on the pool
    good.stop()
    wrong = cluster.stop()
    assert not wrong, wrong
