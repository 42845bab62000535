#!/usr/bin/env python3
"""bench/load.py: heartbeats, status and health calls while the cluster's ports and cores are saturated.
SPDX-License-Identifier: Apache-2.0

usage: load.py [--seconds 10] [--fetches 50] [--statuses 8] [--submits 4] [--plan-mib 16]

Two workers whose executors compute all the time; the 5053 of one sends a shuffle file to as many connections as
told; 5051 takes status calls and long plans as fast as clients can send them. Each figure is a round trip on a
connection of its own. The floods run on the same cores, so they are part of what the services compete with.
"""

from __future__ import annotations

import argparse
import shutil

from common import FORCED, ServiceCluster, open_folder, temporary_folder
from saturation import Load, busy, floods, measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--fetches", type=int, default=Load.fetches)
    parser.add_argument("--statuses", type=int, default=Load.statuses)
    parser.add_argument("--submits", type=int, default=Load.submits)
    parser.add_argument("--plan-mib", type=int, default=Load.plan_bytes >> 20)
    o = parser.parse_args()
    load = Load(fetches=o.fetches, statuses=o.statuses, submits=o.submits, plan_bytes=o.plan_mib << 20)

    folder = open_folder(temporary_folder("load"), 0o777)
    cluster = ServiceCluster("load", scheduler_extra=FORCED, executor_nice=None)
    try:
        with busy(cluster, folder, load) as query:
            idle = measure(cluster, query, 2)
            with floods(cluster, folder, load, query) as done:
                times = measure(cluster, query, o.seconds)
    finally:
        shutil.rmtree(folder)
        wrong = cluster.stop()
    print("executors compute")
    for kind, t in idle.items():
        print(f"  {kind:16} {t}")
    each_s = {kind: total / o.seconds for kind, (_, total) in done.items()}
    print(
        f"and the ports are saturated: 5053 sends {each_s['fetch'] / 1e6:.0f} MB/s; "
        f"5051 takes plans, {each_s['submit'] / 1e6:.0f} MB/s, and {each_s['status']:.0f} status calls/s"
    )
    for kind, t in times.items():
        print(f"  {kind:16} {t}")
    print(*wrong, sep="\n", end="")


if __name__ == "__main__":
    main()
