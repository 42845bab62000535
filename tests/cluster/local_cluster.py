"""A query cut into stages by src/plan and run stage by stage in this process: what a cluster does,
without one. `plan_tool` is the planner, the executor's own modules answer it and run the tasks.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from cluster import FLOE

BUILD = Path(os.environ.get("FLOE_BUILD_DIR", FLOE.parent))
sys.path.insert(0, str(BUILD / "executor"))

from floe_executor import capture, describe, destinations, leaf, output  # noqa: E402
from floe_executor.executor_pb2 import Boundaries, Done, Input, Run, Shuffle  # noqa: E402
from floe_executor.planning_pb2 import CaptureRequest, DescribeRequest  # noqa: E402
from floe_executor.task import Plan, execute, optimizations  # noqa: E402

LEAF_ALL, LEAF_BROADCAST, LEAF_PARTITION = range(3)
STAGE_ONE, STAGE_SOURCE, STAGE_PARTITIONS = range(3)


@dataclass
class Limits:
    partitions: int = 3
    small_rows: float = 0
    replicate_rows: float = 0
    broadcast_rows: float = 0
    pre_aggregation: bool = True
    one_writer: bool = False
    partitioned_sort: bool = True
    pushdown: bool = True

    def text(self) -> bytes:
        return (
            f"{self.partitions} {self.small_rows} {self.replicate_rows} {self.broadcast_rows} "
            f"{self.pre_aggregation:d} {self.one_writer:d} {self.partitioned_sort:d}"
        ).encode()


class NotPlanned(Exception):
    """The planner gave up; a cluster runs the query whole."""


@dataclass
class Ran:
    rows: pl.DataFrame
    text: str  # the stage graph
    stages: int
    decided: Counter[str]  # by the planner's rules
    tasks: int = 0


@dataclass
class Stage:
    facts: dict[str, Any]
    key: bytes
    plans: list[bytes]
    files: list[dict[int, list[str]]] = field(default_factory=list)  # of each task, by partition


class LocalCluster:
    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._tool = subprocess.Popen(
            [str(BUILD / "tests/cluster/plan_tool")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def close(self) -> None:
        assert self._tool.stdin and self._tool.stdout
        self._tool.stdin.close()
        self._tool.stdout.close()
        self._tool.wait(10)

    def _send(self, data: bytes) -> None:
        assert self._tool.stdin
        self._tool.stdin.write(struct.pack("<I", len(data)) + data)
        self._tool.stdin.flush()

    def _receive(self) -> bytes:
        assert self._tool.stdout
        (length,) = struct.unpack("<I", self._tool.stdout.read(4))
        return self._tool.stdout.read(length)

    def _answer(self) -> bytes:
        data = self._receive()
        if not data:
            raise NotPlanned(self._receive().decode())
        return data

    def plan(self, lf: pl.LazyFrame, limits: Limits) -> tuple[Ran, list[Stage]]:
        """Without its rows."""
        try:
            return self._plan(lf, limits)
        except BaseException:  # in the middle of a conversation
            self.close()
            self._start()
            raise

    def _plan(self, lf: pl.LazyFrame, limits: Limits) -> tuple[Ran, list[Stage]]:
        self._send(limits.text())
        self._send(lf.serialize())
        asked = DescribeRequest.FromString(self._answer())
        told = describe.describe(asked).SerializeToString()
        self._send(told)
        text = self._answer().decode()
        request = CaptureRequest.FromString(self._receive())
        request.schemas_only = not limits.pushdown
        self._send(capture.capture(request, "streaming", pl.QueryOptFlags()).SerializeToString())
        lines = [line.split(" ", 1) for line in self._answer().decode().splitlines()]
        decided = Counter({rule: int(times) for times, rule in lines})
        stages = [self._stage() for _ in range(struct.unpack("<I", self._receive())[0])]
        return Ran(pl.DataFrame(), text, len(stages), decided), stages

    def run(self, lf: pl.LazyFrame, limits: Limits) -> Ran:
        ran, stages = self.plan(lf, limits)
        folder = tempfile.mkdtemp(prefix="floe-local-")
        try:
            parts = [part for n, stage in enumerate(stages) for part in self._run(n, stage, stages, folder, limits, ran)]
            ran.rows = pl.concat(parts)
            return ran
        finally:
            shutil.rmtree(folder)

    def _stage(self) -> Stage:
        facts = json.loads(self._answer())
        key = self._receive()
        return Stage(facts, key, [self._receive() for _ in range(facts["tasks"])])

    def _run(self, number: int, stage: Stage, stages: list[Stage], folder: str, limits: Limits, ran: Ran) -> list[pl.DataFrame]:
        facts = stage.facts
        tasks = len(stage.plans)
        if facts["kind"] == STAGE_PARTITIONS:
            hashed = [p for l in facts["leaves"] if l["read"] == LEAF_PARTITION for p in l["producers"]]
            forward = [p for p in hashed if not stages[p].key]
            tasks = sum(len(stages[p].files) for p in forward) if forward else limits.partitions
        results = []
        for task in range(tasks):
            ran.tasks += 1
            request = Run(inputs=[self._input(use, stages, task) for use in facts["leaves"]])
            plan = Plan(stage.plans[task if facts["kind"] == STAGE_SOURCE else 0], None)
            if facts["final"]:
                results.append(self._collect(request, plan))
                continue
            directory = f"{folder}/{number}/{task}"
            os.makedirs(directory)
            partitions = limits.partitions if stage.key and not facts["range"] else 0
            request.shuffle.CopyFrom(
                Shuffle(directory=directory, key=stage.key, ordered=facts["ordered"], partitions=partitions)
            )
            stage.files.append(self._write(request, plan))
        if facts["range"]:
            self._divide(stage, limits.partitions, f"{folder}/{number}/divided")
        return results

    def _write(self, request: Run, plan: Plan) -> dict[int, list[str]]:
        done = Done()
        execute(request, plan, done)
        files: dict[int, list[str]] = {}
        for file in done.shuffled:
            files.setdefault(file.partition, []).append(f"{request.shuffle.directory}/{file.name}")
        return files

    def _divide(self, stage: Stage, partitions: int, folder: str) -> None:
        """Boundaries of all rows, and each task's file again, in ranges."""
        written = [paths for files in stage.files for paths in files.values()]
        if not written:
            return
        done = Done()
        rows = pl.scan_ipc([path for paths in written for path in paths], glob=False)
        output.boundaries(rows, Boundaries(partitions=partitions, key=stage.key), done, engine="streaming")
        key = leaf.expression(stage.key)
        parts = [(key >= pl.lit(cut)).cast(pl.UInt32) for cut in done.boundaries] or [pl.lit(0, pl.UInt32)]
        number = pl.sum_horizontal(parts).meta.serialize()
        stage.files = []
        for task, paths in enumerate(written):
            os.makedirs(f"{folder}/{task}")
            shuffle = Shuffle(directory=f"{folder}/{task}", key=number, ordered=True, partitions=partitions)
            plan = Plan(pl.scan_ipc(paths, glob=False).serialize(), None)
            stage.files.append(self._write(Run(shuffle=shuffle), plan))

    def _input(self, use: dict[str, Any], stages: list[Stage], task: int) -> Input:
        return Input(
            leaf=use["leaf"],
            paths=self._paths(use, stages, task),
            schema=bytes.fromhex(use["schema"]),
            broadcast=use["read"] == LEAF_BROADCAST,
        )

    def _collect(self, request: Run, plan: Plan) -> pl.DataFrame:
        return plan.deserialize(request.inputs).collect(engine="streaming", optimizations=optimizations(request))

    def _paths(self, use: dict[str, Any], stages: list[Stage], task: int) -> list[str]:
        tasks = [(stages[p], files) for p in use["producers"] for files in stages[p].files]
        if use["read"] != LEAF_PARTITION:
            return [path for _, files in tasks for part in sorted(files) for path in files[part]]
        if not tasks[0][0].key:  # what one task wrote is one partition
            return [path for part in sorted(tasks[task][1]) for path in tasks[task][1][part]]
        return [path for _, files in tasks for path in files.get(task, [])]
