#!/usr/bin/env python3
"""bench/stream.py: a large result through collect_batches(): speed, memory of every process, disk.
SPDX-License-Identifier: Apache-2.0

usage: stream.py [--gigabytes 20] [--parts 320] [--quota "1 GB"]
"""

from __future__ import annotations

import argparse
import shutil
import sys

from common import FORCED, ServiceCluster, open_folder, temporary_folder
from large_streams import MB, made, read

MOST_BYTES = 200 * MB  # of each of Floe's own processes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=20)
    parser.add_argument("--parts", type=int, default=320)
    parser.add_argument("--quota", default="1 GB", help="scheduler.streaming.quota")
    options = parser.parse_args()
    folder = open_folder(temporary_folder("stream"), 0o777)
    settings = FORCED.replace("partitions = 2", f"partitions = {options.parts}")
    cluster = ServiceCluster(
        "stream", scheduler_extra=f'{settings}\n[scheduler.streaming]\nquota = "{options.quota}"\n', executor_nice=None
    )
    try:
        result = made(folder, int(options.gigabytes * 1000), options.parts)
        cost = read(cluster, result, folder)
    finally:
        wrong = cluster.stop()
        shutil.rmtree(folder)
    gigabytes = cost.rows * 64 / 1e9
    print(f"{gigabytes:.1f} GB, {cost.rows} rows in {cost.seconds:.0f} s: {gigabytes / cost.seconds:.2f} GB/s")
    print(f"  on the workers' disks, at most {cost.disk_bytes / 1e9:.2f} GB of a quota of {options.quota}")
    for name, peak in [*cost.processes.items(), ("the client", cost.client_bytes)]:
        print(f"  {name:24} at most {peak / MB:6.0f} MB")
    if (cost.rows, cost.sum) != (result.rows, result.sum):
        wrong.append(f"{cost.rows} rows of {result.rows}, their sum {cost.sum}, not {result.sum}")
    wrong += [f"{name} took more than 200 MB" for name, peak in cost.processes.items() if peak > MOST_BYTES]
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
