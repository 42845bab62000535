"""One task: a plan that Polars runs whole, or a question of the planner.

A result's rows are counted and the first of them shown.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import functools
import io
import mmap
import os
import re
import time
from collections.abc import Sequence
from typing import Any

import polars as pl

from . import capture, describe, destinations, explain, inputs, output, stream
from .destinations import Destination, LostError
from .executor_pb2 import Done, Input, Run
from .planning_pb2 import CaptureRequest, CommitRequest, DescribeRequest, ExplainRequest, HeadsRequest, HeadsResponse
from .interrupt import Interrupt
from .profile import Watch
from .scans import SCANS

# cluster.Engine; AUTO is streaming, as in Polars itself from 2.0 on.
ENGINES = {0: "streaming", 1: "streaming", 2: "in-memory"}

# The bits of a client's optimization flags. Polars before 1.42 laid them out in another way.
FLAG_BITS = {
    0: "projection_pushdown",
    2: "predicate_pushdown",
    3: "cluster_with_columns",
    4: "type_coercion",
    5: "simplify_expression",
    6: "type_check",
    7: "slice_pushdown",
    8: "comm_subplan_elim",
    9: "comm_subexpr_elim",
    12: "eager",
    13: "row_estimate",
    14: "fast_projection",
    15: "check_order_observe",
    16: "sort_collapse",
    17: "pre_partition_hive",
    19: "join_order",
}

MAX_MESSAGE = 16 << 20  # with MAX_HEAD, well within a frame
MAX_HEAD = 8 << 20
MAX_ANSWER = 32 << 20
MAX_COUNTED_TEXT = 1 << 30  # bytes of CSV or NDJSON that are worth reading to count their rows


class Plan:
    """The bytes of a plan: inline, or in a descriptor that is ours to close."""

    def __init__(self, data: bytes, fd: int | None) -> None:
        self._data = data
        self._fd = fd

    def deserialize(self, given: Sequence[Input] = ()) -> pl.LazyFrame:
        if given:
            rows = {one.leaf: inputs.rows_of(one).serialize() for one in given}
            return pl.LazyFrame.deserialize(io.BytesIO(inputs.in_place(self.read(), rows)))
        if self._fd is None:
            return pl.LazyFrame.deserialize(io.BytesIO(self._data))
        os.lseek(self._fd, 0, os.SEEK_SET)
        with os.fdopen(self._fd, "rb", closefd=False) as file:
            return pl.LazyFrame.deserialize(file)

    def read(self) -> bytes:
        if self._fd is None:
            return self._data
        os.lseek(self._fd, 0, os.SEEK_SET)
        with os.fdopen(self._fd, "rb", closefd=False) as file:
            return file.read()

    def contains(self, part: bytes) -> bool:
        if self._fd is None:
            return part in self._data
        with mmap.mmap(self._fd, 0, access=mmap.ACCESS_READ) as data:
            return data.find(part) >= 0

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)


def run(request: Run, plan: Plan, interrupt: Interrupt, watch: Watch | None = None) -> Done:
    done = Done(task=request.task)
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    engine = ENGINES.get(request.engine, "streaming")
    watched = watch if request.profile else None
    if watched:
        watched.begin(request.task)
        engine = watched.engine(engine)
    _, error = interrupt.guard(lambda: execute(request, plan, done, engine))
    if watched:
        done.profile.CopyFrom(watched.end())
    done.run_us = (time.perf_counter_ns() - wall) // 1000
    done.cpu_us = (time.process_time_ns() - cpu) // 1000
    done.ok = error is None
    if error is not None:
        done.interrupted = isinstance(error, KeyboardInterrupt)
        done.lost = isinstance(error, LostError)
        if not done.error_type:
            done.error_type, done.error_message = say(error)
    return done


def execute(request: Run, plan: Plan, done: Done, engine: Any = "streaming") -> None:
    how = {"engine": engine, "optimizations": optimizations(request)}
    if request.call:
        done.answer = CALLS[request.call](plan.read(), how)
        if len(done.answer) > MAX_ANSWER:
            raise ValueError(f"the answer takes {len(done.answer)} bytes, expected at most {MAX_ANSWER}")
        return
    if request.sinks:
        write_destinations(request, plan, done, **how)
        return
    rows = plan.deserialize(request.inputs)
    if request.shuffle.stream:
        stream.write(rows, request.shuffle, done, **how)
        return
    if request.HasField("shuffle"):
        output.write(rows, request.shuffle, done, **how)
        return
    if request.HasField("boundaries"):
        output.boundaries(rows, request.boundaries, done, **how)
        return
    rows.collect(**how)
    if request.result_path:
        show(request.result_path, request.head_rows, done)


def write_destinations(request: Run, plan: Plan, done: Done, **how: Any) -> None:
    data, written = destinations.stage(request, plan.read())
    counted = countable(written, plan)
    try:
        Plan(data, None).deserialize(request.inputs).collect(**how)
    except Exception as error:
        done.error_type, done.error_message = say(error)
        done.error_message = destinations.in_users_words(done.error_message, written)
        raise
    report(written, done)
    if counted:
        count(written[0], done)


def answer_commit(data: bytes, _: dict[str, Any]) -> bytes:
    destinations.commit(CommitRequest.FromString(data))
    return b""


def answer_describe(data: bytes, _: dict[str, Any]) -> bytes:
    return describe.describe(DescribeRequest.FromString(data)).SerializeToString()


def answer_capture(data: bytes, how: dict[str, Any]) -> bytes:
    return capture.capture(CaptureRequest.FromString(data), **how).SerializeToString()


def answer_heads(data: bytes, _: dict[str, Any]) -> bytes:
    request = HeadsRequest.FromString(data)
    head = pl.concat(map(pl.read_ipc, request.heads)).head(request.rows)
    return HeadsResponse(head=write_head(head)).SerializeToString()


def answer_explain(data: bytes, how: dict[str, Any]) -> bytes:
    return explain.explain(ExplainRequest.FromString(data), **how).SerializeToString()


# cluster.PlanningCall
CALLS = {1: answer_describe, 2: answer_capture, 3: answer_heads, 4: answer_explain, 5: answer_commit}


def optimizations(request: Run) -> pl.QueryOptFlags:
    flags = pl.QueryOptFlags()
    bits = request.optimization_flags
    unknown = bits & ~sum(1 << bit for bit in FLAG_BITS)
    if request.HasField("optimization_flags") and not unknown:
        for bit, name in FLAG_BITS.items():
            if hasattr(flags._pyoptflags, name):
                setattr(flags._pyoptflags, name, bool(bits >> bit & 1))
    return flags


def show(path: str, head_rows: int, done: Done) -> None:
    """The rows of our own parquet file, and the first of them as an Arrow IPC file."""
    scan = SCANS["parquet"](path)
    if head_rows:
        try:
            head = scan.head(head_rows).collect(engine="in-memory")
            done.head = write_head(head)
            if head.width and head.height < head_rows:  # that was all: no second look
                done.rows = head.height
                return
        except Exception as error:
            done.head_error = message_of(error)
    done.rows = scan.select(pl.len()).collect(engine="in-memory").item()


def write_head(head: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    head.write_ipc(file)
    if file.tell() > MAX_HEAD:
        raise ValueError(f"the first {head.height} rows take {file.tell()} bytes, more than 8 MiB")
    return file.getvalue()


def countable(destinations: list[Destination], plan: Plan) -> bool:
    """May its rows be counted after the run? A folder that is there already would lend us its rows."""
    if len(destinations) != 1 or not destinations[0].staged:
        return False
    file_format, path = destinations[0].sink.format, destinations[0].path
    if file_format == "ndjson" and set(path) & set("*?["):
        return False  # scan_ndjson would take it for a pattern
    # No header, or other quotes: counting lines could be wrong.
    return file_format in SCANS and (file_format != "csv" or is_plain_csv(plan))


def is_plain_csv(plan: Plan) -> bool:
    options = plain_csv_options()
    return options is not None and plan.contains(options)


@functools.cache
def plain_csv_options() -> bytes | None:
    """How a plan of this Polars spells a CSV sink with all defaults."""
    plan: bytes = pl.LazyFrame().sink_csv("x", lazy=True).serialize()
    found = re.search(rb"include_header.*quote_style.Necessary", plan, re.DOTALL)
    return found.group() if found else None


def count(destination: Destination, done: Done) -> None:
    """Best effort: a destination whose rows cannot be counted is no failure of the query."""
    file_format = destination.sink.format
    try:
        if file_format in ("csv", "ndjson") and destination.size() > MAX_COUNTED_TEXT:
            return
        scans = [SCANS[file_format](file).select(pl.len()) for file in destination.files()]
        done.rows = sum(frame.item() for frame in pl.collect_all(scans))
    except Exception:
        done.ClearField("rows")


def report(destinations: list[Destination], done: Done) -> None:
    for one in destinations:
        written = done.written.add(location=one.sink.path)
        if one.staged:
            written.bytes, written.staged = one.size(), one.to_commit()


def say(error: BaseException) -> tuple[str, str]:
    """Type and text of what the client will raise. What would end the client's own process, such
    as a SystemExit in a user's function, becomes a RuntimeError."""
    name = type(error).__name__
    if isinstance(error, Exception):
        return name, message_of(error)
    return "RuntimeError", f"{name}: {message_of(error)}"


def message_of(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as second:
        text = f"({type(second).__name__} while printing the error)"
    # NUL ends a string on the other side; half a surrogate pair is not UTF-8.
    data = text.replace("\0", "\\0").encode("utf-8", "replace")
    return data[:MAX_MESSAGE].decode("utf-8", "ignore")
