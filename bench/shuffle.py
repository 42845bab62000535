#!/usr/bin/env python3
"""bench/shuffle.py: how fast rows go from stage to stage, in GB for each second of CPU, which is for each core.
SPDX-License-Identifier: Apache-2.0

usage: shuffle.py [--rows 6000000] [--runs 5] [--partitions 2,16]

`write` is the executor's own code over rows in memory, partitioned by hash; `read` scans what was written. Both in
one thread; GB as in the files; the best of the runs. `serve` is 5053: bytes for each second of CPU of the worker's
main process while 16 connections take what they can get.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
from common import FLOE, FORCED, ServiceCluster, open_folder, temporary_folder
from flood import flood
from saturation import Load, busy, largest_file

COLUMNS = {"numbers": 6, "text": 3}


def frame(kind: str, rows: int) -> pl.DataFrame:
    """Six numeric columns of 8 bytes, or two of them and a text of about 30 bytes."""
    number = pl.int_range(rows)
    texts = {"t": pl.concat_str(pl.lit("what a customer says, "), number * 7919 % rows)} if kind == "text" else {}
    numbers = {f"n{i}": number * (2 * i + 1) % rows for i in range(COLUMNS[kind] - len(texts))}
    return pl.select(**numbers, **texts)


def best(action: Callable[[], object], runs: int) -> float:
    """Seconds of CPU."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def measure(kind: str, rows: int, partitions: int, runs: int) -> None:
    sys.path.insert(0, str(FLOE.parent / "executor"))
    from floe_executor import inputs, output
    from floe_executor.executor_pb2 import Done, Input, Shuffle

    top, source = tempfile.TemporaryDirectory(), frame(kind, rows)
    folder = Path(top.name, "shuffled")
    key = (pl.col("n0").hash(0) % partitions).meta.serialize()
    to = Shuffle(directory=str(folder), partitions=partitions, key=key, compression="uncompressed")
    done = Done()

    def write() -> None:
        nonlocal done
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        done = Done()
        output.write(source.lazy(), to, done, engine="streaming")

    def read() -> None:
        given = Input(paths=[str(folder / file.name) for file in done.shuffled], leaf=0)
        inputs.rows_of(given).collect(engine="streaming")

    wrote, took = best(write, runs), best(read, runs)
    size = sum((folder / file.name).stat().st_size for file in done.shuffled) / 1e9
    top.cleanup()
    print(f"  {kind:8} {partitions:3} partitions   {size:5.2f} GB   write {size / wrote:5.2f} GB/s   read {size / took:5.2f} GB/s")


def serve(seconds: float = 4) -> None:
    folder = open_folder(temporary_folder("shuffle"), 0o777)
    cluster = ServiceCluster("shuffle", scheduler_extra=FORCED, executor_nice=None)
    try:
        with busy(cluster, folder, Load()):
            worker, path = largest_file(cluster)
            with flood("fetch", cluster.ports.shuffle(worker), 16, path, cluster.TOKEN) as end:
                time.sleep(seconds)
                _, moved = end()
            cpu = cluster.worker(worker).cpu_seconds()
    finally:
        shutil.rmtree(folder)
        wrong = cluster.stop()
    print(f"  serve {moved / cpu / 1e9:5.2f} GB/s")
    print(*wrong, sep="\n", end="")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=6_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--partitions", default="2,16")
    parser.add_argument("--measure", choices=COLUMNS, help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.measure:
        measure(o.measure, o.rows, int(o.partitions), o.runs)
        return
    print("rows between stages, for each core", flush=True)
    for kind in COLUMNS:
        for partitions in o.partitions.split(","):
            command = [sys.executable, __file__, f"--measure={kind}", f"--partitions={partitions}"]
            command += [f"--rows={o.rows}", f"--runs={o.runs}"]
            subprocess.run(command, env=os.environ | {"POLARS_MAX_THREADS": "1"}, check=True)
    serve()


if __name__ == "__main__":
    main()
