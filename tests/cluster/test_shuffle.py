"""tests/cluster/test_shuffle.py: tasks that write and read files between stages, and how those files
travel between workers. SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import http.client
import io
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import polars as pl
import pytest
from cluster import FLOE, SLOWNESS, executor_user, files_below, open_folder
from contract import pb
from leaves import planned
from processes import wait_until
from test_worker import TOKEN, Worker, heavy, rows, udf

sys.path.insert(0, str(FLOE.parent / "executor"))
from floe_executor import leaf, planning_pb2  # noqa: E402

SCHEMA = pl.Schema({"a": pl.Int64, "b": pl.Int64})
COUNT = 1000
NOWHERE = "127.0.0.1:1"


@pytest.fixture
def own() -> Iterator[Callable[..., Worker]]:
    started: list[Worker] = []

    def make(**options: Any) -> Worker:
        started.append(Worker(**options))
        return started[-1]

    yield make
    wrong = [w for one in started for w in one.stop()]
    assert not wrong, wrong


@pytest.fixture(scope="module")
def pair() -> Iterator[list[Worker]]:
    """Two workers that know nothing of each other."""
    started = [Worker(), Worker()]
    yield started
    wrong = [w for one in started for w in one.stop()]
    assert not wrong, wrong


# --- what the scheduler would say ----------------------------------------------------------------


def by(key: pl.Expr, partitions: int, **more: Any) -> Any:
    return pb.ShuffleOutput(partitions=partitions, key=key.meta.serialize(), **more)


def skewed(partitions: int = 3) -> Any:
    """Nearly all in 0, some in 2, none in 1."""
    return by(pl.when(pl.col("a") < COUNT - 10).then(0).otherwise(2), partitions)


def write(worker: Worker, query_id: str, shuffle: Any | None = None, frame: pl.LazyFrame | None = None) -> list[Any]:
    answer = worker.run((frame if frame is not None else rows(COUNT)).serialize(), shuffle=shuffle or skewed(), query_id=query_id)
    assert answer.WhichOneof("outcome") == "output", answer
    assert not answer.output.files
    return list(answer.output.shuffled)


def files(worker: Worker, shuffled: list[Any], **more: str) -> list[Any]:
    join = worker.fake.joins[0]
    seen = {
        "worker": join.instance_id,
        "incarnation": join.incarnation,
        "address": join.shuffle_address,
        "folder": join.shuffle_folder,
    }
    return [pb.ShuffleFile(**(seen | {"name": s.name, "bytes": s.bytes} | more)) for s in shuffled]


def reading(worker: Worker, query_id: str, given: list[Any], frame: pl.LazyFrame | None = None, **more: Any) -> Any:
    """RunTask of a plan that reads the files, in flight."""
    leaves = [pb.TaskInput(leaf=0, files=given, schema=leaf.write_schema(SCHEMA))]
    plan = planned((frame if frame is not None else leaf.frame(0)).sink_parquet("<in-memory>", lazy=True))
    return worker.run_async(plan, query_id=query_id, inputs=leaves, **more)


def read(worker: Worker, query_id: str, given: list[Any], folder: Path) -> pl.DataFrame:
    target = folder / str(uuid.uuid4())
    answer = reading(worker, query_id, given, local=target).result(60 * SLOWNESS)
    assert answer.WhichOneof("outcome") == "output", answer
    return pl.read_parquet(target / "part-00000.parquet")


def lost(worker: Worker, query_id: str, given: list[Any], folder: Path) -> str:
    """The text of the FAILURE_INPUT_LOST that must come."""
    failure = reading(worker, query_id, given, local=folder / "lost").result(60 * SLOWNESS).failure
    assert failure.kind == pb.FAILURE_INPUT_LOST, failure
    assert f"shuffle file {given[0].name[:36]}/" in failure.message
    assert f"of worker {given[0].worker} is lost" in failure.message
    assert not (folder / "lost").exists()
    return str(failure.message)


def drop(worker: Worker, query_id: str, *attempts: str, token: str = TOKEN) -> None:
    call = worker.channel.unary_unary("/cluster.Tasks/DropShuffle")
    request = pb.DropShuffleRequest(query_id=query_id, attempt_ids=attempts).SerializeToString()
    call(request, timeout=10, metadata=[("authorization", f"Bearer {token}")])


def folder_of(worker: Worker) -> Path:
    return Path(worker.fake.joins[-1].shuffle_folder)


def left(worker: Worker) -> list[Path]:
    walk = os.walk(folder_of(worker))  # does not mind what goes away meanwhile
    found = [Path(top) / name for top, folders, names in walk for name in folders + names]
    return [p for p in found if not p.name.startswith(".floe-")]


def query() -> str:
    return str(uuid.uuid4())


# --- writing -------------------------------------------------------------------------------------


def test_partitions(pair: list[Worker], folder: Path) -> None:
    q = query()
    shuffled = write(pair[0], q)
    assert [(s.partition, s.rows) for s in shuffled] == [(0, COUNT - 10), (2, 10)]
    for file in shuffled:
        path = folder_of(pair[0]) / q / file.name
        assert file.bytes == path.stat().st_size and uuid.UUID(file.name.partition("/")[0])
    drop(pair[0], q)
    assert left(pair[0]) == []


@pytest.mark.parametrize(
    "shuffle",
    [
        {},
        {"format": pb.SHUFFLE_PARQUET, "compression": pb.SHUFFLE_ZSTD, "has_level": True, "level": 1},
        {"compression": pb.SHUFFLE_LZ4, "ordered": True},
    ],
)
@pytest.mark.parametrize("partitions", [0, 1, 7])
def test_what_is_written_is_read(pair: list[Worker], folder: Path, shuffle: dict[str, Any], partitions: int) -> None:
    q = query()
    given = files(pair[0], write(pair[0], q, by(pl.col("a") % max(partitions, 1), partitions, **shuffle)))
    assert len(given) == max(partitions, 1)
    assert read(pair[0], q, given, folder).sort("a").equals(rows(COUNT).collect())
    drop(pair[0], q)


def test_no_rows(pair: list[Worker], folder: Path) -> None:
    q = query()
    assert write(pair[0], q, frame=rows(COUNT).filter(pl.col("a") < 0)) == []
    assert read(pair[0], q, [], folder).is_empty()
    drop(pair[0], q)


def test_boundaries(pair: list[Worker]) -> None:
    key = pl.col("a").cast(pl.String).cast(pl.Binary)
    boundaries = pb.BoundariesOutput(partitions=4, key=key.meta.serialize())
    answer = pair[0].run(rows(COUNT).serialize(), boundaries=boundaries)
    cuts = list(answer.output.boundaries)
    assert len(cuts) == 3 and cuts == sorted(cuts), answer
    assert left(pair[0]) == [] and not answer.output.files


def test_planning_call(pair: list[Worker]) -> None:
    heads = []
    for n in (3, 4):
        file = io.BytesIO()
        rows(n).collect().write_ipc(file)
        heads.append(file.getvalue())
    request = planning_pb2.HeadsRequest(rows=5, heads=heads).SerializeToString()
    header = rows(1).serialize()[:79]
    answer = pair[0].run(request, call=pb.PLANNING_HEADS, plan_header=header).output
    head = planning_pb2.HeadsResponse.FromString(answer.answer).head
    assert pl.read_ipc(io.BytesIO(head))["a"].to_list() == [0, 1, 2, 0, 1]
    with pytest.raises(grpc.RpcError) as error:
        pair[0].run(request, call=pb.PLANNING_HEADS, plan_header=header, shuffle=skewed())
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_splices_and_parts(pair: list[Worker], folder: Path) -> None:
    frame = pl.LazyFrame().select(x=pl.lit("first"), y=pl.lit("second"))
    plan = frame.sink_parquet("<in-memory>", lazy=True).serialize()
    splices = [
        pb.Splice(**{"offset": plan.index(old), "len": len(old), "with": new})
        for old, new in ((b"\xa5first", b"\xa21."), (b"\xa6second", b"\xa8the last"))
    ]
    for given in (splices, splices[::-1]):
        assert pair[0].run(plan, local=folder / "q", part=12, splices=given).output.rows == 1
        assert [p.name for p in (folder / "q").iterdir()] == ["part-00012.parquet"]
        assert pl.read_parquet(folder / "q/part-00012.parquet").row(0) == ("1.", "the last")
    for wrong in ([splices[0], splices[0]], [pb.Splice(offset=1 << 40, len=1)], [pb.Splice(offset=1)]):
        with pytest.raises(grpc.RpcError) as error:
            pair[0].run(plan, local=folder / "q", splices=wrong)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


# --- reading ---------------------------------------------------------------------------------------


def test_read_by_path(pair: list[Worker], folder: Path) -> None:
    """Both see the same filesystem: nobody is asked."""
    q = query()
    given = files(pair[0], write(pair[0], q), address=NOWHERE)
    for reader in pair:
        assert read(reader, q, given, folder).sort("a").equals(rows(COUNT).collect())
    drop(pair[0], q)


def hide(worker: Worker) -> Path:
    marker = folder_of(worker) / f".floe-{worker.fake.joins[0].incarnation}"
    assert marker.is_file()
    return marker.rename(marker.with_name(".hidden"))


@pytest.fixture
def apart(pair: list[Worker]) -> Iterator[list[Worker]]:
    """The same, as if they were on two machines."""
    hidden = hide(pair[0])
    yield pair
    hidden.rename(hidden.with_name(f".floe-{pair[0].fake.joins[0].incarnation}"))


@pytest.mark.parametrize("count", [COUNT, 3_000_000])
def test_fetch(apart: list[Worker], folder: Path, count: int) -> None:
    q = query()
    writer, reader = apart
    given = files(writer, write(writer, q, by(pl.col("a") % 20, 20), rows(count)))
    assert len(given) == 20
    assert read(reader, q, given, folder).sort("a").equals(rows(count).collect())
    assert not [p for p in files_below(reader.temporary) if p.suffix == ".ipc"]  # as soon as the task is over
    drop(writer, q)
    assert "status 404" in lost(reader, q, given, folder)


def test_a_file_that_is_gone(pair: list[Worker], folder: Path) -> None:
    q = query()
    given = files(pair[0], write(pair[0], q))
    path = folder_of(pair[0]) / q / given[0].name
    path.write_bytes(path.read_bytes()[:-1])
    for reader in pair:
        assert f"expected {given[0].bytes} bytes, found {given[0].bytes - 1}" in lost(reader, q, given, folder)
    path.unlink()
    for reader in pair:
        assert "No such file" in lost(reader, q, given, folder)
    log = pair[0].programs[0].text()
    assert log.count("an input of a task is lost") == 2
    drop(pair[0], q)


def test_a_file_that_goes_while_it_is_read(pair: list[Worker], folder: Path) -> None:
    """What Polars raises then is not the query's fault."""

    def fail_later(_: int) -> int:
        import time

        time.sleep(1)
        raise ValueError("some error")

    q = query()
    given = files(pair[0], write(pair[0], q))
    frame = pl.concat([leaf.frame(0).select("a"), udf(fail_later)])
    for goes in (False, True):
        call = reading(pair[1], q, given, frame, local=folder / "q")
        wait_until(lambda: (folder / "q").exists(), "the task began")
        time.sleep(0.3)
        if goes:
            drop(pair[0], q)
        failure = call.result(60).failure
        assert failure.kind == (pb.FAILURE_INPUT_LOST if goes else pb.FAILURE_QUERY), failure
        assert ("is lost" if goes else "some error") in failure.message


def test_a_file_that_cannot_be_fetched(apart: list[Worker], folder: Path) -> None:
    q = query()
    writer, reader = apart
    given = files(writer, write(writer, q))
    path = folder_of(writer) / q / given[0].name
    path.write_bytes(path.read_bytes()[:-1])
    assert "found fewer" in lost(reader, q, given, folder)
    path.write_bytes(path.read_bytes() + b"12")
    assert "found more" in lost(reader, q, given, folder)
    path.unlink()
    begun = time.monotonic()
    assert "status 404" in lost(reader, q, given, folder)
    assert time.monotonic() - begun < 1.0 * SLOWNESS
    drop(writer, q)


class Liar(BaseHTTPRequestHandler):
    """A peer that answers with the right number of other bytes, or never."""

    protocol_version = "HTTP/1.1"
    asked = 0
    hangs = False

    def do_GET(self) -> None:
        Liar.asked += 1
        if Liar.hangs:
            time.sleep(40)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5\r\nhello\r\n0\r\nX-Floe-Xxh3: 0123456789abcdef\r\n\r\n")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def liar() -> Iterator[dict[str, str]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Liar.asked, Liar.hangs = 0, False
    yield {"worker": "liar", "incarnation": query(), "address": f"127.0.0.1:{server.server_port}"}
    server.shutdown()
    server.server_close()


def test_other_bytes(pair: list[Worker], folder: Path, liar: dict[str, str]) -> None:
    given = [pb.ShuffleFile(name=f"{uuid.uuid4()}/all.ipc", bytes=5, **liar)]
    assert "found other bytes" in lost(pair[0], query(), given, folder)
    assert 2 <= Liar.asked <= 5


def test_a_peer_that_hangs(pair: list[Worker], folder: Path, liar: dict[str, str]) -> None:
    Liar.hangs = True
    given = [pb.ShuffleFile(name=f"{uuid.uuid4()}/{i}.ipc", bytes=5, **liar) for i in range(30)]
    begun = time.monotonic()
    call = reading(pair[0], query(), given, local=folder / "q")
    time.sleep(1)
    call.cancel()  # a fetch ends with its task …
    wait_until(lambda: files_below(folder) == [], "the task is over", 3 * SLOWNESS)
    assert time.monotonic() - begun < 4 * SLOWNESS
    begun = time.monotonic()
    failure = reading(pair[0], query(), given, local=folder / "q").result(60).failure  # … or by itself
    assert failure.kind == pb.FAILURE_INPUT_LOST
    assert 15 < time.monotonic() - begun < 30 * SLOWNESS


def test_a_peer_that_was_killed(own: Callable[..., Worker], pair: list[Worker], folder: Path) -> None:
    q = query()
    writer = own()
    given = files(writer, write(writer, q))
    executors = writer.python()
    os.kill(writer.pid, 9)
    writer.programs[-1].popen.wait()
    for executor in executors:
        executor.wait_gone(2)
    assert read(pair[0], q, given, folder).height == COUNT  # its disk lives on
    hide(writer)
    begun = time.monotonic()
    lost(pair[0], q, given, folder)
    assert time.monotonic() - begun < 6 * SLOWNESS
    writer.start()  # removes what is left of it


def test_an_old_incarnation(pair: list[Worker], folder: Path) -> None:
    q = query()
    given = files(pair[0], write(pair[0], q), incarnation=query(), address=NOWHERE)
    lost(pair[1], q, given, folder)
    drop(pair[0], q)


def test_many_files(pair: list[Worker], folder: Path) -> None:
    """As many as tasks × partitions; far more than any query should have is refused."""
    join = pair[0].fake.joins[0]
    attempt = str(uuid.uuid4())
    given = [
        pb.ShuffleFile(
            worker="w/0", incarnation=join.incarnation, address=join.shuffle_address, folder=join.shuffle_folder,
            name=f"{attempt}/__p={i}/00000000.ipc", bytes=1,
        )
        for i in range(100_000)
    ]  # fmt: skip
    begun = time.monotonic()
    lost(pair[0], query(), given, folder)
    assert time.monotonic() - begun < 10 * SLOWNESS
    schema = b"x" * (64 << 20)
    leaves = [pb.TaskInput(leaf=0, files=given[:1], schema=schema)]
    failure = pair[0].run(rows(1), local=folder / "q", inputs=leaves).failure
    assert "at most 67108864 bytes of fields" in failure.message, failure.message[:300]


@pytest.mark.parametrize(
    "more",
    [
        {"name": "../../../etc/passwd"},
        {"name": f"{uuid.uuid4()}/../../x"},
        {"name": f"{uuid.uuid4()}"},
        {"name": f"{uuid.uuid4()}/"},
        {"name": f"{uuid.uuid4()}//x"},
        {"name": f"{uuid.uuid4()}/x?y"},
        {"name": f"{uuid.uuid4()}/.hidden"},
        {"incarnation": "../.."},
        {"address": "user@host:80/x"},
    ],
)
def test_wrong_inputs(pair: list[Worker], folder: Path, more: dict[str, str]) -> None:
    shuffled = [pb.ShuffledFile(name=f"{uuid.uuid4()}/all.ipc")]
    with pytest.raises(grpc.RpcError) as error:
        reading(pair[0], query(), files(pair[0], shuffled, **more), local=folder / "q").result(30)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError) as error:
        reading(pair[0], "../x", files(pair[0], shuffled), local=folder / "q").result(30)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


# --- the service -----------------------------------------------------------------------------------


def get(worker: Worker, path: str, token: str | None = TOKEN, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", worker.ports.shuffle(0), timeout=30)
    connection.putrequest(method, path, skip_accept_encoding=True)
    if token:
        connection.putheader("Authorization", f"Bearer {token}")
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_service(pair: list[Worker]) -> None:
    q = query()
    (file, _) = write(pair[0], q)
    path = f"/shuffle/{q}/{file.name}"
    assert get(pair[0], path) == (200, (folder_of(pair[0]) / q / file.name).read_bytes())
    for token in (None, "wrong", TOKEN[:-1], TOKEN + "x", ""):
        assert get(pair[0], path, token)[0] == 401
    assert get(pair[0], path, method="DELETE")[0] == 405
    marker = next(p.name for p in folder_of(pair[0]).iterdir() if p.name.startswith(".floe-"))
    outside = folder_of(pair[0]).parent / "outside"
    outside.write_text("secret")
    (folder_of(pair[0]) / q / "link").symlink_to(outside)
    (folder_of(pair[0]) / q / "folder").symlink_to(outside.parent)
    for wrong in (
        "", "/", "/shuffle", "/shuffle/", f"/shuffle/{q}", f"/shuffle/{q}/", f"/other/{q}/{file.name}",
        f"/shuffle/{marker}", f"/shuffle/../{outside.name}", f"/shuffle/%2e%2e/{outside.name}", "//etc/passwd",
        "/shuffle//etc/passwd", f"/shuffle/{q}/link", f"/shuffle/{q}/folder/outside", f"/shuffle/{q}/%2e/{file.name}",
        f"/shuffle/{q}/{file.name}/", "/shuffle/" + "a/" * 1000 + "a", "/shuffle/" + "a" * 5000,
    ):  # fmt: skip
        status, body = get(pair[0], wrong)
        assert (status, wrong) == (404, wrong) and b"secret" not in body
    outside.unlink()
    drop(pair[0], q)
    assert get(pair[0], path)[0] == 404


def test_service_takes_garbage(pair: list[Worker]) -> None:
    for data in (b"\x00" * 100, b"GET / HTTP/9.9\r\n\r\n", b"GET /shuffle/x HTTP/1.1\r\n" + b"a: b\r\n" * 100_000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", pair[0].ports.shuffle(0)), timeout=10) as peer:
            try:
                peer.sendall(data)
                peer.recv(1000)
            except OSError:
                pass
    assert get(pair[0], "/shuffle/x")[0] == 404


def test_many_connections(pair: list[Worker]) -> None:
    """Half-open requests of one peer keep nobody out."""
    idle = []
    try:
        for _ in range(800):
            idle.append(socket.create_connection(("127.0.0.1", pair[0].ports.shuffle(0)), timeout=10))
            idle[-1].sendall(b"GET /shuffle/x HT")
        assert get(pair[0], "/shuffle/x")[0] == 404
        assert pair[0].healthy()
    finally:
        for peer in idle:
            peer.close()


def test_heartbeats_while_many_fetch(pair: list[Worker]) -> None:
    """50 connections take all that they can get; the loop does not know of them."""
    q = query()
    (file,) = write(pair[0], q, by(pl.lit(0), 1), rows(2_000_000))
    request = f"GET /shuffle/{q}/{file.name} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    taken = [0] * 50
    end = time.monotonic() + 2 * SLOWNESS

    def take(number: int) -> None:
        room = bytearray(1 << 20)
        with socket.create_connection(("127.0.0.1", pair[0].ports.shuffle(0)), timeout=30) as peer:
            peer.sendall(request)
            while time.monotonic() < end:
                if not (n := peer.recv_into(room)):
                    break
                taken[number] += n
                if room[:n].endswith(b"\r\n\r\n"):  # the end of the trailer
                    peer.sendall(request)

    threads = [threading.Thread(target=take, args=(i,)) for i in range(len(taken))]
    beats = len(pair[0].fake.beats)
    for thread in threads:
        thread.start()
    times = []
    while time.monotonic() < end:
        begun = time.monotonic()
        assert pair[0].healthy()
        times.append(time.monotonic() - begun)
        time.sleep(0.01)
    for thread in threads:
        thread.join()
    print(f"{sum(taken) / 2 / SLOWNESS / 1e6:.0f} MB/s, health p50 {sorted(times)[len(times) // 2] * 1e3:.1f} ms, max {max(times) * 1e3:.1f} ms")
    assert min(taken) > file.bytes // 10
    assert len(pair[0].fake.beats) - beats >= 10  # one is due each 100 ms
    drop(pair[0], q)


# --- who may read and write --------------------------------------------------------------------------


def test_other_queries_and_other_users(pair: list[Worker], folder: Path) -> None:
    if executor_user() != "nobody":
        pytest.skip("needs root, and executors of another user")
    q = query()
    file = write(pair[0], q)[0]
    path = folder_of(pair[0]) / q / file.name
    for at in (path, *path.parents):
        if at == folder_of(pair[0]).parent:
            break
        assert at.stat().st_uid == 0 and at.stat().st_mode & 0o777 == (0o640 if at == path else 0o710), at
    target, top = str(path), str(folder_of(pair[0]))

    def attack(_: int) -> int:
        import os

        tries = [
            lambda: open(target, "r+b"),
            lambda: os.unlink(target),
            lambda: os.rename(os.path.dirname(target), top + "/x"),
            lambda: open(os.path.dirname(target) + "/new", "wb"),
            lambda: os.chmod(target, 0o777),
            lambda: os.mkdir(top + "/" + "x"),
            lambda: os.listdir(top),
            lambda: os.listdir(os.path.dirname(os.path.dirname(target))),
        ]
        for number, attempt in enumerate(tries):
            try:
                attempt()
                return number
            except PermissionError:
                pass
        return -1

    answer = pair[0].run(udf(attack), local=folder / "q")
    assert answer.output.rows == 3, answer
    assert pl.read_parquet(folder / "q/part-00000.parquet")["a"].to_list() == [-1] * 3
    someone = {"user": 12345, "group": 12345, "extra_groups": []}
    seen = subprocess.run(["cat", target], capture_output=True, **someone)  # type: ignore[call-overload]
    assert seen.returncode != 0 and b"Permission denied" in seen.stderr
    drop(pair[0], q)


def test_a_task_that_plants_links(pair: list[Worker], folder: Path) -> None:
    """Its folder is its own while it runs; nothing outside of it may come of that."""
    secret = folder / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    q, top = query(), str(folder_of(pair[0]))
    attempt, outside = str(uuid.uuid4()), str(folder)

    def plant(value: int) -> int:
        import contextlib
        import os

        with contextlib.suppress(FileExistsError):  # called for each value
            os.symlink(outside, f"{top}/{q}/{attempt}/link")
        return value

    frame = pl.LazyFrame({"a": [1, 2]}).select(pl.col("a").map_elements(plant, return_dtype=pl.Int64))
    failure = pair[0].run(frame.serialize(), shuffle=by(pl.lit(0), 0), query_id=q, attempt_id=attempt).failure
    assert failure.kind == pb.FAILURE_WORKER and "link" in failure.message, failure
    assert left(pair[0]) == []
    assert secret.read_text() == "secret" and secret.stat().st_mode & 0o777 == 0o600
    secret.unlink()


# --- what is left ------------------------------------------------------------------------------------


def test_drop(pair: list[Worker]) -> None:
    q, other = query(), query()
    first, second, third = (write(pair[0], one)[0].name.partition("/")[0] for one in (q, q, other))
    drop(pair[0], q, first)
    drop(pair[0], q, first, str(uuid.uuid4()))
    kept = {p.name for p in left(pair[0])}
    assert first not in kept and {second, third, q, other} <= kept
    drop(pair[0], q)
    drop(pair[0], q)
    kept = {p.name for p in left(pair[0])}
    assert third in kept and not {second, q} & kept
    drop(pair[0], other, third)
    assert left(pair[0]) == []
    for wrong in (("../x",), ("",), (q, "../x"), (q, "")):
        with pytest.raises(grpc.RpcError) as error:
            drop(pair[0], *wrong)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError) as error:
        drop(pair[0], q, token="wrong")
    assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_nothing_is_left_of_a_failure(pair: list[Worker]) -> None:
    def fail_late(value: int) -> int:
        if value == 3:
            raise ValueError("no more")
        return value

    for frame in (udf(fail_late), rows(10).select(pl.col("a") + pl.col("zz"))):
        failure = pair[0].run(frame.serialize(), shuffle=skewed(), query_id=query()).failure
        assert failure.kind == pb.FAILURE_QUERY
        assert left(pair[0]) == []


def test_nothing_is_left_of_a_cancel(pair: list[Worker]) -> None:
    call = pair[0].run_async(heavy().serialize(), shuffle=by(pl.lit(0), 0), query_id=query())
    wait_until(lambda: len(left(pair[0])) >= 2, "the attempt has a folder")
    call.cancel()
    wait_until(lambda: left(pair[0]) == [], "nothing is left", 5)


def test_a_cancel_at_every_moment(pair: list[Worker]) -> None:
    q, canceled = query(), []
    slow = udf(lambda value: __import__("time").sleep(0.02) or value).serialize()
    for step in range(40):
        attempt = str(uuid.uuid4())
        call = pair[0].run_async(slow, shuffle=skewed(), query_id=q, attempt_id=attempt)
        time.sleep(step * 0.0025)
        if call.cancel():
            canceled.append(attempt)
    write(pair[0], q)  # all before it are over
    kept = {p.name for p in (folder_of(pair[0]) / q).iterdir()}
    assert len(canceled) >= 5
    assert len(kept.intersection(canceled)) < len(canceled)  # but for answers that were on their way
    drop(pair[0], q)
    assert left(pair[0]) == []


def test_nothing_is_left_of_a_worker(own: Callable[..., Worker], folder: Path) -> None:
    place = open_folder(folder / "place")
    extra = f'[worker.shuffle_location.local]\npath = "{place}"'
    w = own(extra=extra)
    assert folder_of(w) == place / "worker-w_0"
    write(w, query())
    os.kill(w.pid, 9)
    w.programs.pop().popen.wait()
    kept = left(w)
    assert [p for p in kept if p.suffix == ".ipc"]
    w.start()
    assert not [p for p in kept if p.exists()] and left(w) == []
    write(w, query())
    assert w.programs[-1].stop() == []
    assert files_below(place) == []


def test_files_of_a_forgotten_worker(own: Callable[..., Worker]) -> None:
    w = own()
    write(w, query())
    w.fake.known = False
    wait_until(lambda: len(w.fake.joins) == 2, "joined again", 5)
    assert left(w) == []
    assert w.fake.joins[0].incarnation == w.fake.joins[1].incarnation
    write(w, query())


def test_files_of_queries_that_ended_unheard(own: Callable[..., Worker]) -> None:
    """No DropShuffle came, but each heartbeat asks."""
    w = own()

    def named() -> list[str]:
        return sorted(w.fake.beats[-1].queries) if w.fake.beats else []

    goes, stays = query(), query()
    for q in (goes, stays):
        write(w, q)
    wait_until(lambda: named() == sorted([goes, stays]), "heartbeats name both", 5)
    outside = folder_of(w).parent / "outside"
    outside.mkdir()
    w.fake.ended = [goes, query(), "../outside", "", "x" * 10_000]
    wait_until(lambda: named() == [stays], "one is gone", 5)
    w.fake.ended = []
    assert not (folder_of(w) / goes).exists() and (folder_of(w) / stays).is_dir()
    outside.rmdir()
    drop(w, stays)
    wait_until(lambda: not named(), "both are gone", 5)


def test_shared_folder(own: Callable[..., Worker], folder: Path) -> None:
    place = open_folder(folder / "shared")
    extra = f'[worker.shuffle_location.shared_filesystem]\npath = "{place}"'
    w = own(extra=extra)
    q = query()
    assert read(w, q, files(w, write(w, q)), folder).height == COUNT
    assert w.programs[-1].stop() == []
    assert files_below(place) == []


def test_object_stores_are_refused(own: Callable[..., Worker], folder: Path) -> None:
    with pytest.raises(AssertionError, match="keeps what goes between stages on disks"):
        own(extra='[worker.shuffle_location.s3]\nurl = "s3://bucket/x"\naws_region = "us-east-1"')


def test_join_names_the_service(pair: list[Worker]) -> None:
    join = pair[0].fake.joins[0]
    assert join.shuffle_address == f"127.0.0.1:{pair[0].ports.shuffle(0)}"
    assert (Path(join.shuffle_folder) / f".floe-{join.incarnation}").is_file()
