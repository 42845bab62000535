"""tests/cluster/test_worker.py: one worker by itself, its scheduler played by the test.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import grpc
import polars as pl
import pytest
from cluster import OLD_PYTHON, RUNTIMES, SLOWNESS, Cluster, Program, executor_user, files_below, open_folder
from contract import pb
from processes import Process, wait_until
from wire import HEALTH

TOKEN = "a-token-of-the-tests-0123456789"


class FakeScheduler:
    """Membership as the test wants it: `known`, `silent`, and what the worker said."""

    def __init__(self, port: int, heartbeat_ms: int = 100, lease_ms: int = 60_000) -> None:
        self.known = True
        self.silent = False
        self.joins: list[Any] = []
        self.beats: list[Any] = []
        self.leaves = 0
        self.ended: list[str] = []  # queries, as heartbeats are told
        self._times = pb.JoinResponse(heartbeat_ms=heartbeat_ms, lease_ms=lease_ms)
        self._server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        methods = {
            "Join": (self._join, pb.JoinRequest),
            "Heartbeat": (self._beat, pb.HeartbeatRequest),
            "Leave": (self._leave, pb.LeaveRequest),
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                self._guarded(method), request.FromString, lambda r: r.SerializeToString()
            )
            for name, (method, request) in methods.items()
        }
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("cluster.Membership", handlers),)
        )
        self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    def _guarded(self, method: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
        def guarded(request: Any, context: grpc.ServicerContext) -> Any:
            if ("authorization", f"Bearer {TOKEN}") not in context.invocation_metadata():
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")
            if self.silent:
                context.abort(grpc.StatusCode.UNAVAILABLE, "silent")
            return method(request)

        return guarded

    def _join(self, request: Any) -> Any:
        self.joins.append(request)
        self.known = True
        return self._times

    def _beat(self, request: Any) -> Any:
        self.beats.append(request)
        return pb.HeartbeatResponse(known=self.known, ended=self.ended)

    def _leave(self, _: Any) -> Any:
        self.leaves += 1
        return pb.LeaveResponse()

    def stop(self) -> None:
        self._server.stop(0).wait()


class Worker(Cluster):
    """A `floe service` with only a worker in it."""

    def __init__(
        self,
        *,
        slots: int = 1,
        lease_ms: int = 60_000,
        runtimes: Path = RUNTIMES,
        memory: str = "2GiB",
        extra: str = "",
    ) -> None:
        super().__init__("worker")
        self.fake = FakeScheduler(self.ports.membership, lease_ms=lease_ms)
        self.slots, self.runtimes, self.memory, self.extra = slots, runtimes, memory, extra
        try:
            self.start()
        except BaseException:
            self.keep_logs = True
            self.stop()
            raise

    def start(self) -> None:
        p = self.ports
        config = self.folder / "worker.toml"
        config.write_text(
            f"""
instance_id = "w/0"
cpu_reserved = "2"
memory_limit = "{self.memory}"
[cluster]
token = "{TOKEN}"
[worker]
enabled = true
slots = {self.slots}
heartbeat_period = "100ms"
runtimes_dir = "{self.runtimes}"
executor_user = "{executor_user() or "nobody"}"
task_service.bind_addr = "127.0.0.1:{p.task(0)}"
shuffle_service.bind_addr = "127.0.0.1:{p.shuffle(0)}"
[worker.env_vars]
OF_THE_USER = "yes"
FLOE_SECRET = "never"
{self.extra}
[static_leader]
scheduler_service.public_addr = "127.0.0.1:{p.membership}"
"""
        )
        config.chmod(0o600)
        joins = len(self.fake.joins)
        program = Program.start(
            "worker", ["service", "--config-path", str(config)], self.log_file("worker"), self.environment()
        )
        self.programs.append(program)
        wait_until(
            lambda: len(self.fake.joins) > joins or program.popen.poll() is not None, "joined", 60 * SLOWNESS
        )
        assert program.popen.poll() is None, program.tail()
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{p.task(0)}", options=[("grpc.max_receive_message_length", -1)]
        )

    @property
    def pid(self) -> int:
        return self.programs[-1].popen.pid

    def run_async(self, query: pl.LazyFrame | bytes, *, timeout: float | None = None, token: str = TOKEN, **more: Any) -> Any:
        """RunTask, in flight."""
        request = self.request(query, **more)
        call = self.channel.unary_unary(
            "/cluster.Tasks/RunTask", lambda r: r, pb.RunTaskResponse.FromString
        )
        return call.future(request, timeout=timeout, metadata=[("authorization", f"Bearer {token}")])

    def run(self, query: pl.LazyFrame | bytes, **more: Any) -> Any:
        return self.run_async(query, **more).result(60 * SLOWNESS)

    def request(self, query: pl.LazyFrame | bytes, *, placeholder: bytes = b"<in-memory>", **more: Any) -> bytes:
        """The plan goes last, as the contract says."""
        plan = query if isinstance(query, bytes) else serialized(query)
        request = pb.RunTaskRequest(
            attempt_id=str(uuid.uuid4()), query_id=str(uuid.uuid4()), plan_header=plan[:79], head_rows=10
        )
        if "local" in more:
            more["local"] = pb.LocalOutput(directory=str(more["local"]), part=more.pop("part", 0))
        if "local" in more or "upload" in more:
            at = plan.rindex(bytes([0xA0 | len(placeholder)]) + placeholder)
            request.placeholder_offset, request.placeholder_len = at, len(placeholder) + 1
        for name, value in more.items():
            if isinstance(value, (str, int, bytes)):
                setattr(request, name, value)
            elif isinstance(value, list):
                getattr(request, name).extend(value)
            else:
                getattr(request, name).CopyFrom(value)
        return request.SerializeToString() + pb.RunTaskRequest(plan=plan).SerializeToString()

    def healthy(self) -> bool:
        call = self.channel.unary_unary(HEALTH)
        return bool(call(b"", timeout=5) == b"\x08\x01")

    def python(self) -> list[Process]:
        return [p for p in Process(self.pid, 0).children() if p.alive()]

    def stop(self) -> list[str]:
        try:
            return super().stop()
        finally:
            self.fake.stop()


def serialized(query: pl.LazyFrame) -> bytes:
    out = io.BytesIO()
    query.sink_parquet("<in-memory>", lazy=True).serialize(out)
    return out.getvalue()


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    started = Worker()
    yield started
    wrong = started.stop()
    assert not wrong, wrong


@pytest.fixture
def own() -> Iterator[Callable[..., Worker]]:
    started: list[Worker] = []

    def make(**options: Any) -> Worker:
        started.append(Worker(**options))
        return started[-1]

    yield make
    wrong = [w for one in started for w in one.stop()]
    assert not wrong, wrong


def rows(n: int) -> pl.LazyFrame:
    return pl.LazyFrame({"a": range(n)}).with_columns(b=pl.col("a") * 2)


def heavy() -> pl.LazyFrame:
    """Minutes of work for Polars alone."""
    one = pl.LazyFrame({"x": range(30_000)})
    pairs = one.join(one, how="cross", suffix="1").join(one, how="cross", suffix="2")
    return pairs.select((pl.col("x") * pl.col("x1") % 7 * pl.col("x2")).sum())


def udf(function: Callable[[Any], Any]) -> pl.LazyFrame:
    return pl.LazyFrame({"a": [1, 2, 3]}).select(pl.col("a").map_elements(function, return_dtype=pl.Int64))


# --- results -----------------------------------------------------------------------------------


def test_local_result(worker: Worker, folder: Path) -> None:
    target = folder / "deep" / "query"
    answer = worker.run(rows(1000), local=target)
    assert answer.output.rows == 1000 and answer.output.has_rows, answer
    assert [f.location for f in answer.output.files] == [str(target / "part-00000.parquet")]
    assert answer.output.files[0].bytes == (target / "part-00000.parquet").stat().st_size
    assert pl.read_ipc(io.BytesIO(answer.output.head)).equals(rows(10).collect())
    assert pl.read_parquet(target / "part-00000.parquet").equals(rows(1000).collect())
    assert [p.name for p in target.iterdir()] == ["part-00000.parquet"]
    assert target.stat().st_mode & 0o777 == 0o755
    assert (target / "part-00000.parquet").stat().st_mode & 0o777 == 0o644
    assert (target / "part-00000.parquet").stat().st_uid == os.getuid()
    assert answer.times.run_us > 0 and answer.times.peak_rss_bytes > 1 << 20


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11])
def test_rows_and_head_around_the_bound(worker: Worker, folder: Path, count: int) -> None:
    answer = worker.run(rows(20).head(count), local=folder / "q", engine=pb.ENGINE_IN_MEMORY)
    assert answer.output.rows == count
    assert pl.read_ipc(io.BytesIO(answer.output.head)).height == min(count, 10)


def test_plan_in_a_file(worker: Worker, folder: Path) -> None:
    """More than the worker keeps in memory: the executor gets a descriptor."""
    query = pl.DataFrame({"a": range(1_000_000)}).lazy()
    plan = serialized(query)
    assert len(plan) > 4 << 20
    answer = worker.run(plan, local=folder / "q")
    assert answer.output.rows == 1_000_000, answer
    assert pl.read_parquet(folder / "q/part-00000.parquet").equals(query.collect())


def test_optimization_flags(worker: Worker, folder: Path) -> None:
    for flags in (0, 779261, 83):
        answer = worker.run(
            rows(5).filter(pl.col("a") > 1), local=folder / "q", has_optimization_flags=True, optimization_flags=flags
        )
        assert answer.output.rows == 3


@pytest.mark.parametrize(
    ("name", "file_format", "sink", "counted"),
    [
        ("out[1]", "parquet", lambda q, p: q.sink_parquet(p, lazy=True), True),
        ("out[1]", "ipc", lambda q, p: q.sink_ipc(p, lazy=True), True),
        ("out", "ndjson", lambda q, p: q.sink_ndjson(p, lazy=True), True),
        ("out[1]", "ndjson", lambda q, p: q.sink_ndjson(p, lazy=True), True),
        ("out[1]", "csv", lambda q, p: q.sink_csv(p, lazy=True), True),
        ("out", "csv", lambda q, p: q.sink_csv(p, lazy=True, include_header=False), False),
        ("out", "parquet", lambda q, p: q.sink_parquet(pl.PartitionBy(p, key="a"), mkdir=True, lazy=True), True),
        ("out", "", lambda q, p: q.sink_parquet(p, lazy=True), False),
    ],
)
def test_users_own_destination(
    worker: Worker, folder: Path, name: str, file_format: str, sink: Any, counted: bool
) -> None:
    target = str(folder / name)
    plan = sink(rows(7), target).serialize()
    user_sink = pb.UserSink(path=target, format=file_format, folder=b"partition_strategy" in plan)
    path = target.encode()
    head = 1 if len(path) < 32 else 2  # of a MessagePack string
    user_sink.offset, user_sink.len = plan.index(path) - head, head + len(path)
    answer = worker.run(plan, user_sinks=[user_sink])
    assert answer.WhichOneof("outcome") == "output", answer
    assert [f.location for f in answer.output.files] == [target]
    assert answer.output.files[0].staged and not Path(target).exists()
    assert answer.output.has_rows == counted
    assert answer.output.rows == (7 if counted else 0)


class Store(BaseHTTPRequestHandler):
    """One presigned PUT."""

    got: dict[str, bytes] = {}
    status = 200
    delay_s = 0.0

    def do_PUT(self) -> None:
        time.sleep(self.delay_s)
        Store.got[self.path] = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(self.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def store() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Store.got, Store.status, Store.delay_s = {}, 200, 0.0
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_upload(worker: Worker, store: str) -> None:
    upload = pb.UploadOutput(url=f"{store}/bucket/part?X-Amz-Signature=s3cret", location="s3://bucket/part")
    answer = worker.run(rows(100), upload=upload)
    assert [f.location for f in answer.output.files] == ["s3://bucket/part"], answer
    (data,) = Store.got.values()
    assert answer.output.files[0].bytes == len(data)
    assert pl.read_parquet(io.BytesIO(data)).equals(rows(100).collect())


def test_upload_refused(worker: Worker, store: str) -> None:
    Store.status = 403
    upload = pb.UploadOutput(url=f"{store}/bucket/part?X-Amz-Signature=s3cret", location="s3://bucket/part")
    failure = worker.run(rows(100), upload=upload).failure
    assert failure.kind == pb.FAILURE_WORKER and "403" in failure.message
    assert "s3cret" not in failure.message + worker.programs[-1].text()


# --- errors ------------------------------------------------------------------------------------


def test_query_error(worker: Worker, folder: Path) -> None:
    failure = worker.run(rows(1).select("zz"), local=folder / "q").failure
    assert (failure.kind, failure.error_type) == (pb.FAILURE_QUERY, "ColumnNotFoundError")
    assert "zz" in failure.message
    assert files_below(folder) == []


def test_system_exit_is_an_error(worker: Worker, folder: Path) -> None:
    before = worker.python()

    def leave(_: pl.Series) -> pl.Series:
        raise SystemExit(3)

    query = rows(1).select(pl.col("a").map_batches(leave, return_dtype=pl.Int64))
    failure = worker.run(query, local=folder / "q").failure
    assert failure.kind == pb.FAILURE_QUERY
    assert worker.python() == before


def test_executor_that_dies(worker: Worker, folder: Path) -> None:
    def die(_: int) -> int:
        import os
        import sys

        print("famous last words", file=sys.stderr, flush=True)
        os._exit(7)

    failure = worker.run(udf(die), local=folder / "q").failure
    assert failure.kind == pb.FAILURE_EXECUTOR_LOST
    assert "status 7" in failure.message and "famous last words" in failure.message
    assert files_below(folder) == []
    assert worker.run(rows(3), local=folder / "q").output.rows == 3


def test_executor_that_is_killed(worker: Worker, folder: Path) -> None:
    def kill(_: int) -> int:
        import os

        os.kill(os.getpid(), 9)
        return 0

    failure = worker.run(udf(kill), local=folder / "q").failure
    assert failure.kind == pb.FAILURE_EXECUTOR_LOST
    assert "killed by signal 9 (SIGKILL), often the kernel's out-of-memory killer" in failure.message


def test_out_of_memory(own: Callable[..., Worker], folder: Path) -> None:
    w = own(memory="600MiB")
    numbers = pl.LazyFrame().select(a=pl.int_range(0, 100_000_000))
    failure = w.run(numbers.reverse(), local=folder / "q", engine=pb.ENGINE_IN_MEMORY).failure
    assert failure.kind == pb.FAILURE_OUT_OF_MEMORY
    assert "more memory than its slot's 562 MiB" in failure.message
    assert files_below(folder) == []
    assert w.run(rows(3), local=folder / "q").output.rows == 3


def test_no_such_runtime(worker: Worker, folder: Path) -> None:
    for more in ({"python_version": "3.7.1"}, {"plan_header": b"x" * 79}):
        failure = worker.run(rows(1), local=folder / "q", polars_version="9.9", **more).failure
        assert failure.kind == pb.FAILURE_NO_RUNTIME
        assert f"polars {pl.__version__}" in failure.message


def test_python_version(worker: Worker, folder: Path) -> None:
    micro = ".".join(map(str, sys.version_info[:3]))
    for version in (micro, micro.rpartition(".")[0], ""):
        assert worker.run(rows(1), local=folder / "q", python_version=version).output.rows == 1


@pytest.mark.parametrize(
    "more",
    [
        {"attempt_id": "../../etc/passwd"},
        {"local": "relative/path"},
        {"placeholder_offset": 1 << 40},
        {"placeholder_offset": (1 << 64) - 1},
        {"placeholder_len": 0},
    ],
)
def test_wrong_requests(worker: Worker, folder: Path, more: dict[str, Any]) -> None:
    with pytest.raises(grpc.RpcError) as error:
        worker.run(rows(1), **({"local": folder / "q"} | more))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert files_below(folder) == []


def test_broken_requests(worker: Worker) -> None:
    for data in (b"", b"\xff" * 20, worker.request(rows(1), local="/tmp/q")[:-10]):
        call = worker.channel.unary_unary("/cluster.Tasks/RunTask")
        with pytest.raises(grpc.RpcError) as error:
            call(data, timeout=10, metadata=[("authorization", f"Bearer {TOKEN}")])
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_token(worker: Worker, folder: Path) -> None:
    with pytest.raises(grpc.RpcError) as error:
        worker.run(rows(1), local=folder / "q", token="wrong")
    assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert worker.healthy()


def test_a_folder_that_cannot_be_made(worker: Worker) -> None:
    failure = worker.run(rows(1), local="/proc/nothing/here").failure
    assert failure.kind == pb.FAILURE_WORKER and "/proc/nothing" in failure.message


def test_two_runtimes(worker: Worker, folder: Path) -> None:
    code = (
        "import polars as pl, sys; sys.stdout.buffer.write(pl.LazyFrame({'a': [1, 2]})"
        ".sink_parquet('<in-memory>', lazy=True).serialize())"
    )
    plan = subprocess.run([OLD_PYTHON, "-c", code], check=True, capture_output=True).stdout
    assert plan[:79] != serialized(rows(1))[:79]
    for _ in range(2):
        assert worker.run(plan, local=folder / "old").output.rows == 2
        assert worker.run(rows(3), local=folder / "new").output.rows == 3


# --- what executors may see --------------------------------------------------------------------


def test_environment_and_descriptors(worker: Worker, folder: Path) -> None:
    seen = folder / "seen"
    seen_path = str(seen)

    def look(_: int) -> int:
        import os
        import threading

        environment = sorted(os.environ)
        descriptors = []
        for name in os.listdir("/proc/self/fd"):
            try:
                descriptors.append((int(name), os.readlink(f"/proc/self/fd/{name}")))
            except OSError:
                pass
        own_path = f"{seen_path}-{threading.get_ident()}"  # Polars may call it on several threads
        with open(own_path, "w") as out:
            with open("/proc/self/oom_score_adj") as adj:
                out.write(repr((environment, descriptors, adj.read().strip(), os.getpgid(0), os.getpid())))
        os.replace(own_path, seen_path)
        return 0

    assert worker.run(udf(look), local=folder / "q").WhichOneof("outcome") == "output"
    environment, descriptors, adj, group, pid = eval(seen.read_text())
    assert "OF_THE_USER" in environment and "PATH" in environment and "POLARS_MAX_THREADS" in environment
    assert not [name for name in environment if name.startswith(("FLOE", "PC_CUBLET"))]
    assert "TMPDIR" in environment and "ASAN_OPTIONS" not in environment
    sockets = [fd for fd, name in descriptors if name.startswith("socket")]
    assert sockets == [3], descriptors
    assert adj == "1000" and group == pid


def test_executors_die_with_the_worker(own: Callable[..., Worker], folder: Path) -> None:
    w = own()
    slow = w.run_async(heavy(), local=folder / "q")
    wait_until(lambda: [p for p in files_below(folder) if ".attempt" in p.name], "the attempt began")
    executors = w.python()
    assert len(executors) >= 2
    os.kill(w.pid, 9)
    w.programs.pop().popen.wait()
    for executor in executors:
        executor.wait_gone(2)
    with pytest.raises(grpc.RpcError):
        slow.result(10)
    assert [p for p in files_below(folder) if p.is_file()]  # a leftover, and the next worker …
    w.start()
    assert files_below(folder) == []  # … has removed it


# --- cancelling --------------------------------------------------------------------------------


def sleeping() -> pl.LazyFrame:
    return udf(lambda _: __import__("time").sleep(60))


def stubborn() -> pl.LazyFrame:
    def ignore_everything(_: int) -> int:
        import time

        end = time.time() + 60
        while time.time() < end:
            try:
                time.sleep(0.01)
            except BaseException:
                pass
        return 0

    return udf(ignore_everything)


@pytest.mark.parametrize(
    "query", [heavy, sleeping, stubborn]
)
@pytest.mark.parametrize("engine", ["ENGINE_STREAMING", "ENGINE_IN_MEMORY"])
def test_cancel(worker: Worker, folder: Path, query: Callable[[], pl.LazyFrame], engine: str) -> None:
    worker.run(rows(1), local=folder / "warm")
    call = worker.run_async(query(), local=folder / "q", engine=getattr(pb, engine))
    busy = lambda: sum(beat.running_tasks for beat in worker.fake.beats[-1:]) == 1  # noqa: E731
    wait_until(busy, "the task runs")
    time.sleep(0.3)
    begun = time.monotonic()
    call.cancel()
    wait_until(lambda: not (folder / "q").exists(), "the scratch file is gone", 5)
    wait_until(lambda: not busy(), "the slot is free", 5)
    assert time.monotonic() - begun < 1.0 * SLOWNESS + 0.2  # and a heartbeat
    assert worker.run(rows(3), local=folder / "next").output.rows == 3


def test_cancel_at_every_moment(worker: Worker, folder: Path) -> None:
    """A SIGINT may come before, in and after its task; never in the next one."""
    before = worker.python()
    for step in range(60):
        call = worker.run_async(rows(100), local=folder / "q")
        time.sleep(step * 0.0002)
        call.cancel()
        assert worker.run(rows(3), local=folder / "next").output.rows == 3
    assert worker.python() == before  # no executor was lost over it


def test_deadline_cancels(worker: Worker, folder: Path) -> None:
    with pytest.raises(grpc.RpcError) as error:
        worker.run_async(heavy(), local=folder / "q", timeout=0.5).result(10)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until(lambda: not os.listdir(folder), "the scratch file is gone", 2)


def test_cancel_while_uploading(worker: Worker, store: str) -> None:
    Store.delay_s = 3
    upload = pb.UploadOutput(url=f"{store}/bucket/part", location="s3://bucket/part")
    call = worker.run_async(rows(100), upload=upload)
    scratch = lambda: [p for p in files_below(worker.temporary) if p.suffix == ".parquet"]  # noqa: E731
    wait_until(scratch, "the attempt began")
    time.sleep(0.5)
    call.cancel()
    wait_until(lambda: not scratch(), "the scratch file is gone", 2 * SLOWNESS)


# --- slots -------------------------------------------------------------------------------------


def test_slots(own: Callable[..., Worker], folder: Path) -> None:
    w = own(slots=2)
    assert (w.fake.joins[0].slots, w.fake.joins[0].threads_per_slot) == (2, 1)
    nap = udf(lambda _: __import__("time").sleep(0.5) or 1)
    begun = time.monotonic()
    calls = [w.run_async(nap.head(1), local=folder / f"q{i}") for i in range(4)]
    most = 0
    while not all(call.done() for call in calls):
        most = max(most, w.fake.beats[-1].running_tasks if w.fake.beats else 0)
        time.sleep(0.01)
    assert [call.result().output.rows for call in calls] == [1] * 4
    assert most == 2
    assert time.monotonic() - begun > 1.0


def test_too_many_tasks(own: Callable[..., Worker], folder: Path) -> None:
    w = own()
    nap = udf(lambda _: __import__("time").sleep(60) or 1)
    calls = [w.run_async(nap, local=folder / f"q{i}") for i in range(70)]
    wait_until(lambda: sum(c.done() for c in calls) == 5, "the last five are refused", 20)
    refused = [c for c in calls if c.done()]
    assert {c.code() for c in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    for call in calls:
        call.cancel()
    wait_until(lambda: not os.listdir(folder), "all are gone")
    assert w.run(rows(1), local=folder / "next").output.rows == 1


# --- membership --------------------------------------------------------------------------------


def test_join_says_what_it_has(worker: Worker) -> None:
    join = worker.fake.joins[0]
    assert join.instance_id == "w/0" and uuid.UUID(join.incarnation)
    assert join.task_address == f"127.0.0.1:{worker.ports.task(0)}"
    assert (join.slots, join.threads_per_slot) == (1, 2) and join.memory_bytes > 1 << 28
    versions = {r.polars_version: r for r in join.runtimes}
    assert versions[pl.__version__].plan_header == serialized(rows(1))[:79]
    assert len({r.fingerprint for r in join.runtimes}) == len(join.runtimes)
    assert all(len(r.fingerprint) == 64 and r.index_bits == 64 for r in join.runtimes)


def test_joins_again_when_forgotten(worker: Worker) -> None:
    joins = len(worker.fake.joins)
    worker.fake.known = False
    wait_until(lambda: len(worker.fake.joins) == joins + 1, "joined again", 5)
    assert worker.fake.joins[-1].incarnation == worker.fake.joins[0].incarnation
    beats = len(worker.fake.beats)
    wait_until(lambda: len(worker.fake.beats) > beats + 2, "heartbeats go on", 5)
    assert worker.fake.beats[-1].resident_bytes > 10 << 20


def test_lease(own: Callable[..., Worker], folder: Path) -> None:
    w = own(lease_ms=1000)
    call = w.run_async(heavy(), local=folder / "q")
    wait_until(lambda: w.fake.beats and w.fake.beats[-1].running_tasks == 1, "the task runs")
    w.fake.silent = True
    begun = time.monotonic()
    failure = call.result(10).failure
    assert failure.kind == pb.FAILURE_CANCELED and "scheduler" in failure.message
    assert time.monotonic() - begun < 1.5 * SLOWNESS
    assert files_below(folder) == []
    w.fake.silent = False
    assert w.run(rows(1), local=folder / "q").output.rows == 1


def test_leaves_in_the_middle_of_a_task(own: Callable[..., Worker], folder: Path) -> None:
    w = own()
    call = w.run_async(heavy(), local=folder / "q")
    wait_until(lambda: w.fake.beats and w.fake.beats[-1].running_tasks == 1, "the task runs")
    executors = w.python()
    begun = time.monotonic()
    assert w.programs[-1].stop() == []
    assert time.monotonic() - begun < 2.5 * SLOWNESS
    assert w.fake.leaves == 1
    with pytest.raises(grpc.RpcError) as error:
        call.result(1)
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE
    assert files_below(folder) == [] and not [e for e in executors if e.alive()]


def test_a_runtime_that_does_not_start_is_left_out(own: Callable[..., Worker], folder: Path) -> None:
    runtimes = open_folder(folder / "runtimes")
    (runtimes / "good").symlink_to((RUNTIMES / f"polars-{pl.__version__}").resolve())
    broken = open_folder(runtimes / "broken" / "bin")
    (broken / "python").write_text("#!/bin/sh\necho this one is broken >&2\nexit 3\n")
    (broken / "python").chmod(0o755)
    w = own(runtimes=runtimes)
    assert [r.polars_version for r in w.fake.joins[0].runtimes] == [pl.__version__]
    assert "this one is broken" in w.programs[0].text()


def test_a_runtime_that_stops_working_and_comes_back(own: Callable[..., Worker], folder: Path) -> None:
    runtimes, broken = open_folder(folder / "runtimes"), folder / "broken"
    real = (RUNTIMES / f"polars-{pl.__version__}").resolve() / "bin" / "python"
    python = open_folder(runtimes / "fickle" / "bin") / "python"
    python.write_text(f'#!/bin/sh\n[ -e {broken} ] && echo no more >&2 && exit 3\nexec {real} "$@"\n')
    python.chmod(0o755)
    w = own(runtimes=runtimes)
    broken.touch()
    for executor in w.python():
        executor.kill()
        executor.wait_gone()
    failure = w.run(rows(1), local=folder / "q").failure
    assert failure.kind == pb.FAILURE_EXECUTOR_LOST
    assert "exited with status 3" in failure.message and "no more" in failure.message
    broken.unlink()
    assert w.run(rows(3), local=folder / "q").output.rows == 3
