#!/usr/bin/env python3
"""bench/pdsh.py: the queries of PDS-H on two workers of one thread, beside local Polars with two.
SPDX-License-Identifier: Apache-2.0

usage: pdsh.py [--scale 1] [--runs 5] [--layout split] [--queries 1,6,21] [--data FOLDER]

Both read the same Parquet files and write their answer as Parquet; they take turns, query by query.
The first round is not counted: in it the answers are compared. Seconds of wall time and of CPU are
medians; the CPU of the cluster is that of all its processes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import polars as pl
from common import UpCluster, assert_same, pdsh, pdsh_options, running

THREADS = 2


@dataclass
class Times:
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, wall: float, cpu: float) -> None:
        self.wall.append(wall)
        self.cpu.append(cpu)


@dataclass(frozen=True)
class Bench:
    folder: Path
    layout: str
    scale: float

    def query(self, number: int) -> pl.LazyFrame:
        return dict(pdsh.queries())[number](pdsh.scan(self.folder, self.layout, self.scale))


# --- local: a process of its own, because its threads are counted when Polars is imported ------


def serve(bench: Bench, answer: Path) -> None:
    """Runs the queries whose numbers it reads; answers with seconds."""
    for line in sys.stdin:
        query = bench.query(int(line))
        start, cpu = time.perf_counter(), time.process_time()
        query.sink_parquet(answer, engine="streaming")
        print(time.perf_counter() - start, time.process_time() - cpu, flush=True)


class Local:
    def __init__(self, bench: Bench, answer: Path) -> None:
        command = [sys.executable, __file__, "--serve", str(answer), "--data", str(bench.folder.parent)]
        command += ["--scale", str(bench.scale), "--layout", bench.layout]
        environment = os.environ | {"POLARS_MAX_THREADS": str(THREADS)}
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer = answer

    def run(self, number: int) -> tuple[float, float]:
        assert self.process.stdin
        assert self.process.stdout
        print(number, file=self.process.stdin, flush=True)
        wall, cpu = self.process.stdout.readline().split()
        return float(wall), float(cpu)

    def stop(self) -> None:
        self.process.communicate()


# --- distributed -------------------------------------------------------------------------------


def cpu_seconds(cluster: UpCluster) -> float:
    up = cluster.up.process
    return sum(p.cpu_seconds() for p in [up, *up.descendants()])


def run(cluster: UpCluster, context: object, query: pl.LazyFrame, answer: pl.DataFrame | None) -> tuple[float, float]:
    start, cpu = time.perf_counter(), cpu_seconds(cluster)
    result = query.remote(context).distributed().execute()
    wall, cpu = time.perf_counter() - start, cpu_seconds(cluster) - cpu
    if answer is not None:
        assert_same(result.lazy().collect(), answer, ordered=True)
    result.delete()
    return wall, cpu


# --- report ------------------------------------------------------------------------------------


def ratio(one: float, other: float) -> str:
    return f"{one / other:5.2f}" if other else "    -"


def show(name: str, local: tuple[float, float], far: tuple[float, float]) -> None:
    print(
        f"{name:6} {local[0]:9.3f} {far[0]:9.3f}   {ratio(local[0], far[0])}"
        f" {local[1]:9.3f} {far[1]:9.3f}   {ratio(far[1], local[1])}"
    )


def main() -> None:
    parser = pdsh_options(__doc__, runs=5)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    bench = Bench(options.data / f"scale-{options.scale:g}", options.layout, options.scale)
    if options.serve:
        serve(bench, options.serve)
        return

    pdsh.generate(bench.folder, bench.scale, [bench.layout])
    numbers = options.queries
    locally, distributed = ({n: Times() for n in numbers} for _ in range(2))
    with tempfile.TemporaryDirectory() as folder, running("pdsh") as cluster:
        local = Local(bench, Path(folder) / "answer.parquet")
        context = cluster.context()
        for counted in range(-1, options.runs):
            for n in numbers:
                here = local.run(n)
                answer = pl.read_parquet(local.answer) if counted < 0 else None
                there = run(cluster, context, bench.query(n), answer)
                if counted >= 0:
                    locally[n].add(*here)
                    distributed[n].add(*there)
        local.stop()

    print(f"PDS-H, scale {bench.scale:g}, {bench.layout}, medians of {options.runs} runs; local: {THREADS} threads, distributed: 2 workers of 1")
    print("           local  distrib.   wall     local  distrib.    CPU")
    print("               s         s   l/d      CPU s     CPU s    d/l")
    medians = [[(median(t[n].wall), median(t[n].cpu)) for n in numbers] for t in (locally, distributed)]
    for n, here, there in zip(numbers, *medians, strict=True):
        show(f"q{n}", here, there)
    totals = [(sum(w for w, _ in side), sum(c for _, c in side)) for side in medians]
    show("all", *totals)
    worst = min(zip(numbers, *medians, strict=True), key=lambda row: row[1][0] / row[2][0])
    print(f"worst: q{worst[0]}, {worst[1][0] / worst[2][0]:.2f} of local speed")


if __name__ == "__main__":
    main()
