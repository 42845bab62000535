"""tests/cluster/test_streaming.py: a streamed result's life: order, errors, readers that stop or leave,
time to live, quota, lost workers. SPDX-License-Identifier: Apache-2.0

That the rows are right is the matter of test_collect.py.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import polars as pl
import pytest
from cluster import SLOWNESS, Cluster, ServiceCluster, UpCluster, files_below
from conftest import Remote
from polars.testing import assert_frame_equal
from processes import wait_until
from wire import CLIENT, block, number, query_ref, read_fields

Start = Callable[..., ServiceCluster]
Connect = Callable[[Cluster], Remote]

FLIGHT = "/arrow.flight.protocol.FlightService/"
LEFT_S = 10  # after which a client that has left is given up

pytestmark = pytest.mark.seconds(30)


def settings(n_parts: int, **streaming: str) -> str:
    """Every query runs in so many tasks."""
    planner = f"small_rows = 0\nreplicate_rows = 0\nbroadcast_rows = 0\ntask_bytes = 1\npartitions = {n_parts}\n"
    values = "\n".join(f'{name} = "{value}"' for name, value in streaming.items())
    return f"[scheduler.planner]\n{planner}[scheduler.streaming]\n{values}\n"


def parts(cluster: Cluster) -> list[Path]:
    """The finished files of results that workers have for clients."""
    files = (p for folder in cluster.folder.glob("shuffle-*/worker-*") for p in files_below(folder))
    return [p for p in files if p.name == "rows.arrows" and is_whole(p)]


def is_whole(path: Path) -> bool:
    try:
        return path.read_bytes().endswith(b"\xff\xff\xff\xff\0\0\0\0")
    except FileNotFoundError:
        return False


def write_parts(folder: Path, n: int, rows: int = 100) -> list[Path]:
    """Files of which each becomes a task, and a part of the result."""
    paths = [folder / f"{i}.parquet" for i in range(n)]
    for i, path in enumerate(paths):
        pl.DataFrame({"part": [i] * rows, "row": range(rows)}).write_parquet(path)
        path.chmod(0o644)
    return paths


def gated(paths: list[Path], folder: Path) -> pl.LazyFrame:
    """Each part notes that it has begun and waits for its gate, a file of its number."""
    where = str(folder)

    def wait(part: int, passed: set[int] = set()) -> int:  # noqa: B006
        import os
        import time

        if part in passed:
            return part
        with open(f"{where}/begun-{part}", "a"):
            pass
        while not os.path.exists(f"{where}/gate-{part}"):
            time.sleep(0.01)
        passed.add(part)
        return part

    return pl.scan_parquet(paths).with_columns(pl.col("part").map_elements(wait, return_dtype=pl.Int64))


def open_gates(folder: Path, *numbers: int) -> None:
    for number in numbers:
        (folder / f"gate-{number}").touch()


def open_later(folder: Path, *numbers: int) -> subprocess.Popen[bytes]:
    """Each gate in turn when its part has begun, from another process: while the client waits for
    rows that are not there yet, no Python runs in this one."""
    program = """
import pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
for number in sys.argv[2:]:
    while not (folder / f"begun-{number}").exists():
        time.sleep(0.01)
    time.sleep(0.2)
    (folder / f"gate-{number}").touch()
"""
    return subprocess.Popen([sys.executable, "-c", program, str(folder), *map(str, numbers)])


def begun(folder: Path) -> set[int]:
    return {int(p.name.partition("-")[2]) for p in folder.glob("begun-*")}


def status(cluster: Cluster) -> str:
    """Of the newest query."""
    with urllib.request.urlopen(f"http://127.0.0.1:{cluster.ports.observatory}/api/v1/queries") as answer:
        return str(json.load(answer)["queries"][0]["status"])


def heights(batches: Iterator[pl.DataFrame]) -> int:
    return sum(batch.height for batch in batches)


# ---- the protocol by hand ----


class Reader:
    """One client of a streamed result, which stops and goes on as a test likes."""

    def __init__(self, channel: grpc.Channel, query: pl.LazyFrame, *, ordered: bool = True, ttl_s: int | None = None) -> None:
        plan = io.BytesIO()
        query.sink_parquet("<flight>", lazy=True).serialize(plan)
        ttl = block(1, number(1, ttl_s)) if ttl_s is not None else b""
        settings = number(1, 1) + block(4, b"") + block(10, ttl + number(2, ordered)) + number(12, 3)
        headers = [("x-polars-version", pl.__version__), ("x-client-version", "0.12.0")]
        self._channel = channel
        call = channel.unary_unary(CLIENT + "SubmitQuery", bytes, bytes)
        answer = call(block(1, settings) + block(2, plan.getvalue()), metadata=headers, timeout=20)
        self.id = dict(read_fields(dict(read_fields(answer))[1]))[1].decode()  # type: ignore[arg-type, union-attr]
        self.schema = b""
        self.tickets: list[bytes] = []
        self.next: bytes | None = number(1, 1) + block(3, self.id)

    def poll(self, timeout_s: float = 20) -> int:
        """How many parts there are now."""
        answer = self._channel.unary_unary(FLIGHT + "PollFlightInfo", bytes, bytes)(self.next, timeout=timeout_s)
        fields = dict(read_fields(answer))
        self.next = fields.get(2)  # type: ignore[assignment]
        info = list(read_fields(fields[1]))  # type: ignore[arg-type]
        self.schema = next(value for field, value in info if field == 1)  # type: ignore[assignment]
        self.tickets = [dict(read_fields(endpoint))[1] for field, endpoint in info if field == 3]  # type: ignore[arg-type, misc]
        return len(self.tickets)

    def poll_all(self) -> int:
        while self.next is not None:
            self.poll()
        return len(self.tickets)

    def get(self, part: int, timeout_s: float = 60) -> Any:
        """FlightData, one after the other."""
        return self._channel.unary_stream(FLIGHT + "DoGet", bytes, bytes)(self.tickets[part], timeout=timeout_s)

    def read(self, part: int) -> pl.DataFrame:
        return frame_of(self.get(part))

    def unary(self, method: str) -> bytes:
        answer: bytes = self._channel.unary_unary(CLIENT + method, bytes, bytes)(query_ref(self.id), timeout=20)
        return answer


def frame_of(messages: Iterator[bytes]) -> pl.DataFrame:
    stream = b""
    for message in messages:
        assert len(message) <= 4 << 20
        fields = dict(read_fields(message))
        stream += b"\xff\xff\xff\xff" + len(fields[2]).to_bytes(4, "little") + fields[2] + fields.get(1000, b"")  # type: ignore[arg-type, operator]
    return pl.read_ipc_stream(stream + b"\xff\xff\xff\xff\0\0\0\0")


@contextmanager
def connected(cluster: Cluster) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{cluster.ports.client}", [("grpc.max_receive_message_length", 4 << 20)]) as channel:
        yield channel


# ---- parts ----


def test_parts_are_read_while_others_are_computed(services: Start, folder: Path) -> None:
    cluster = services(scheduler_extra=settings(2))
    with connected(cluster) as channel:
        reader = Reader(channel, gated(write_parts(folder, 2), folder), ordered=False)
        open_gates(folder, 1)
        assert reader.poll() == 1
        assert reader.schema.startswith(b"\xff\xff\xff\xff")
        assert reader.read(0)["part"].unique().to_list() == [1]
        wait_until(lambda: not parts(cluster), "what was read is deleted", 10)
        with pytest.raises(grpc.RpcError, match="rows are read once"):
            reader.read(0)
        open_gates(folder, 0)
        assert reader.poll_all() == 2
        assert reader.read(1)["part"].unique().to_list() == [0]
        wait_until(lambda: not parts(cluster), "what was read is deleted", 10)
        with pytest.raises(grpc.RpcError, match="no rows are kept"):
            reader.read(1)


def test_ordered_parts_wait_for_those_before(services: Start, folder: Path) -> None:
    cluster = services(scheduler_extra=settings(3), workers=3)
    with connected(cluster) as channel:
        reader = Reader(channel, gated(write_parts(folder, 3), folder))
        open_gates(folder, 1, 2)
        wait_until(lambda: len(parts(cluster)) == 2, "two parts are finished", 20)
        with pytest.raises(grpc.RpcError, match="DEADLINE_EXCEEDED"):
            reader.poll(timeout_s=1)
        open_gates(folder, 0)
        assert reader.poll_all() == 3
        assert [reader.read(part)["part"][0] for part in range(3)] == [0, 1, 2]


def test_parts_come_in_order(services: Start, remote_to: Connect, folder: Path) -> None:
    cluster = services(scheduler_extra=settings(6), workers=3)
    query = gated(write_parts(folder, 6), folder)
    opener = open_later(folder, 2, 1, 0, 5, 4, 3)
    rows = remote_to(cluster).prepare(query).collect()
    assert opener.wait() == 0
    assert_frame_equal(rows, query.collect())


# ---- errors ----


def failing(paths: list[Path], folder: Path, part: int) -> pl.LazyFrame:
    def fail(value: int) -> int:
        if value == part:
            raise ZeroDivisionError(f"part {value} is wrong")
        return value

    return gated(paths, folder).with_columns(pl.col("part").map_elements(fail, return_dtype=pl.Int64))


@pytest.mark.parametrize("mode", ["distributed", "single_node"])
def test_a_late_failure_raises_its_own_exception(mode: str, services: Start, remote_to: Connect, folder: Path) -> None:
    """Other parts are there already."""
    cluster = services(scheduler_extra=settings(3))
    query = failing(write_parts(folder, 3), folder, 2)
    opener = open_later(folder, 0, 1, 2)
    with pytest.raises(ZeroDivisionError, match="part 2 is wrong"):
        remote_to(cluster).prepare(query, mode).collect()
    assert opener.wait() == 0
    wait_until(lambda: not parts(cluster), "nothing is left", 10)


def test_a_failure_while_it_is_read(services: Start, remote_to: Connect, folder: Path) -> None:
    """Some rows came without waiting for the others: the exception's type is lost, its text is not."""
    cluster = services(scheduler_extra=settings(2))
    query = failing(write_parts(folder, 2), folder, 1)
    opener = open_later(folder, 0, 1)
    with pytest.raises((pl.exceptions.ComputeError, ZeroDivisionError), match="part 1 is wrong"):
        heights(remote_to(cluster).prepare(query).collect_batches(maintain_order=False))
    assert opener.wait() == 0
    wait_until(lambda: not parts(cluster), "nothing is left", 10)


def test_a_row_that_is_too_large(services: Start, remote_to: Connect) -> None:
    remote = remote_to(services())
    query = pl.LazyFrame({"s": ["x" * 5_000_000]})
    with pytest.raises(ValueError, match=r"a row .* 5000\d\d\d bytes.*execute\(\)"):
        remote.prepare(query).collect()
    assert remote.collect(query).equals(query.collect())


def test_what_the_client_cannot_read_is_refused_before_anything_runs(
    services: Start, remote_to: Connect, folder: Path
) -> None:
    remote = remote_to(services(scheduler_extra=settings(2)))
    rows = gated(write_parts(folder, 2), folder).group_by("part").len()
    for dtype in (pl.Enum(["a"]), pl.Categorical(pl.Categories("mine"))):
        with pytest.raises(NotImplementedError, match=r"column 'x' is .*cast it, for example to pl.String, or use .execute"):
            remote.prepare(rows.with_columns(x=pl.lit("a").cast(dtype))).collect()
    with pytest.raises(NotImplementedError, match="column 'len' is Int128"):
        remote.prepare(rows.with_columns(pl.col("len").cast(pl.Int128))).collect()
    assert not begun(folder)


WRONG = {
    "PollFlightInfo": {
        b"": "expected a descriptor",
        b"\xff": "expected a descriptor",
        number(1, 2) + block(2, "x"): "expected a descriptor",
        number(1, 1) + block(3, "../../etc/passwd"): "no rows are kept for query",
        number(1, 1) + block(3, "x" * 10000): "no rows are kept for query",
    },
    "DoGet": {
        b"": "expected a ticket",
        b"\xff": "expected a ticket",
        block(1, "x"): "expected a ticket",
        block(1, "0" * 36 + "/0"): "no rows are kept for query",
        block(1, "00000000-0000-4000-8000-000000000000/0x"): "expected a ticket",
        block(1, "00000000-0000-4000-8000-000000000000/0"): "no rows are kept for query",
    },
}


@pytest.mark.parametrize("method", WRONG)
def test_wrong_requests(method: str, cluster: UpCluster) -> None:
    with connected(cluster) as channel:
        for request, why in WRONG[method].items():
            with pytest.raises(grpc.RpcError, match=why):
                list(channel.unary_stream(FLIGHT + method, bytes, bytes)(request, timeout=5))


# ---- readers ----


def large(folder: Path, n: int = 4) -> pl.LazyFrame:
    """10 MB a part."""
    return pl.scan_parquet(write_parts(folder, n, rows=600_000))


def test_a_reader_that_stops_holds_nothing_up(services: Start, remote_to: Connect, folder: Path) -> None:
    cluster = services(scheduler_extra=settings(4))
    query = large(folder)
    with connected(cluster) as channel:
        readers = [Reader(channel, query) for _ in range(5)]
        streams = [reader.get(0) for reader in readers if reader.poll_all()]
        began = [next(stream) for stream in streams]
        assert cluster.answers()
        for reader, stream, first in zip(readers, streams, began):
            rows = [frame_of(iter([first, *stream])), *(reader.read(part) for part in range(1, 4))]
            assert_frame_equal(pl.concat(rows), query.collect())
    wait_until(lambda: not parts(cluster), "all was read", 10)


def begin_to_read(channel: grpc.Channel, folder: Path) -> tuple[Reader, Any]:
    """The first of two parts, more than any buffer takes; the other one waits for its gate."""
    open_gates(folder, 0)
    rows = gated(write_parts(folder, 2, rows=20_000), folder)
    reader = Reader(channel, rows.with_columns(text=pl.lit("x" * 1000) + pl.col("row").cast(pl.String)))
    assert reader.poll() == 1
    stream = reader.get(0)
    next(stream)
    return reader, stream


def test_a_reader_that_leaves(services: Start, folder: Path) -> None:
    """Its query is cancelled, its rows are deleted."""
    cluster = services(scheduler_extra=settings(2))
    with connected(cluster) as channel:
        _, stream = begin_to_read(channel, folder)
        stream.cancel()
        wait_until(lambda: not parts(cluster), "its rows are deleted", LEFT_S + 10)
        wait_until(lambda: status(cluster) == "Canceled", "its query is cancelled", 5)
    assert cluster.answers()


def test_interrupting_collect_cancels_the_query(services: Start, remote_to: Connect, folder: Path) -> None:
    cluster = services(scheduler_extra=settings(2))
    query = gated(write_parts(folder, 2), folder)
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        remote_to(cluster).prepare(query).collect()
    wait_until(lambda: status(cluster) == "Canceled", "its query is cancelled", LEFT_S + 10)
    assert cluster.answers()


def test_unread_rows_go_with_their_time_to_live(services: Start, folder: Path) -> None:
    cluster = services(scheduler_extra=settings(4))
    with connected(cluster) as channel:
        reader = Reader(channel, large(folder), ttl_s=2)
        stream = reader.get(0) if reader.poll_all() else None
        assert stream is not None
        next(stream)
        assert len(parts(cluster)) == 4
        wait_until(lambda: not parts(cluster), "they are deleted", 10)
        with pytest.raises(grpc.RpcError, match="no longer kept"):
            list(stream)
        with pytest.raises(grpc.RpcError, match="no rows are kept"):
            reader.read(1)


def test_a_query_over_its_quota_waits_for_its_reader(services: Start, folder: Path) -> None:
    """10 MB a part: with the second the quota is reached."""
    cluster = services(scheduler_extra=settings(6, quota="15 MB"), workers=1)
    paths = write_parts(folder, 6, rows=600_000)
    where = str(folder)

    def note(part: int) -> int:
        with open(f"{where}/begun-{part}", "a"):
            pass
        return part

    noted = pl.col("part").map_batches(lambda s: s.head(1).map_elements(note, return_dtype=pl.Int64).first() * 0 + s, is_elementwise=True, return_dtype=pl.Int64)  # type: ignore[operator]
    with connected(cluster) as channel:
        reader = Reader(channel, pl.scan_parquet(paths).with_columns(noted))
        wait_until(lambda: len(parts(cluster)) == 2, "two parts are finished", 30)
        time.sleep(1.0 * SLOWNESS)
        assert begun(folder) == {0, 1}
        assert cluster.answers()
        seen = [reader.read(part)["part"][0] for part in iter_parts(reader)]
        assert seen == [0, 1, 2, 3, 4, 5]
    wait_until(lambda: not parts(cluster), "all was read", 10)


def test_a_late_first_part_does_not_lift_the_quota(services: Start, folder: Path) -> None:
    """Nothing can be read yet, and yet the others do not go on for ever."""
    cluster = services(scheduler_extra=settings(6, quota="15 MB"), workers=2)
    paths = write_parts(folder, 6, rows=600_000)
    with connected(cluster) as channel:
        open_gates(folder, 1, 2, 3, 4, 5)
        reader = Reader(channel, gated(paths, folder))
        wait_until(lambda: len(parts(cluster)) == 2, "two parts are finished", 30)
        time.sleep(1.0 * SLOWNESS)
        assert begun(folder) == {0, 1, 2}
        open_gates(folder, 0)
        assert [reader.read(part)["part"][0] for part in iter_parts(reader)] == [*range(6)]


def iter_parts(reader: Reader) -> Iterator[int]:
    read = 0
    while reader.next is not None or read < len(reader.tickets):
        if read == len(reader.tickets):
            reader.poll()
        if read < len(reader.tickets):
            yield read
            read += 1


# ---- what is lost, and what is deleted ----


def test_a_part_whose_worker_is_lost(services: Start, folder: Path) -> None:
    cluster = services(scheduler_extra=settings(2), workers=2)
    with connected(cluster) as channel:
        reader = Reader(channel, large(folder, 2))
        assert reader.poll_all() == 2
        for number in range(2):
            cluster.worker(number).kill()
        with pytest.raises(grpc.RpcError, match="cannot be read any more, run the query again") as error:
            reader.read(0)
        assert error.value.code() is grpc.StatusCode.DATA_LOSS


def test_deleting_a_result_deletes_its_files(services: Start, folder: Path) -> None:
    cluster = services(scheduler_extra=settings(2))
    with connected(cluster) as channel:
        reader = Reader(channel, large(folder, 2))
        assert reader.poll_all() == 2
        assert len(parts(cluster)) == 2
        reader.unary("DeleteQueryResult")
        wait_until(lambda: not parts(cluster), "they are deleted", 10)
        with pytest.raises(grpc.RpcError, match="no rows are kept"):
            reader.read(0)


def test_cancelling_the_query_ends_its_reader(services: Start, folder: Path) -> None:
    cluster = services(scheduler_extra=settings(2))
    with connected(cluster) as channel:
        reader, stream = begin_to_read(channel, folder)
        reader.unary("CancelQuery")
        with pytest.raises(grpc.RpcError, match="the query was cancelled"):
            list(stream)
        with pytest.raises(grpc.RpcError, match="the query was cancelled"):
            reader.poll()
    wait_until(lambda: not parts(cluster), "nothing is left", 10)
