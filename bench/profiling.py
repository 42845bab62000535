#!/usr/bin/env python3
"""bench/profiling.py: what observing costs: PDS-H on two clusters, one with `monitoring.enabled = false`.
SPDX-License-Identifier: Apache-2.0

usage: profiling.py [--scale 1] [--runs 5] [--layout split] [--queries 1,6,21] [--data FOLDER]

They take turns, query by query; who begins changes with the round. The first round is not counted.
Seconds of CPU are those of all processes of a cluster, which other work on the machine hardly changes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from statistics import median

from common import UpCluster, pdsh, pdsh_options


class Unobserved(UpCluster):
    def environment(self) -> dict[str, str]:
        return super().environment() | {"PC_CUBLET__monitoring__enabled": "false"}


def cpu_seconds(cluster: UpCluster) -> float:
    up = cluster.up.process
    return sum(p.cpu_seconds() for p in [up, *up.descendants()])


def round_of(clusters: Mapping[str, UpCluster], queries: list[object], turned: bool) -> dict[str, float]:
    """Seconds of CPU for each."""
    contexts = {name: cluster.context() for name, cluster in clusters.items()}
    before = {name: cpu_seconds(cluster) for name, cluster in clusters.items()}
    for query in queries:
        for name in sorted(clusters, reverse=turned):
            query.remote(contexts[name]).distributed().execute().delete()  # type: ignore[attr-defined]
    return {name: cpu_seconds(cluster) - before[name] for name, cluster in clusters.items()}


def main() -> None:
    options = pdsh_options(__doc__, runs=5).parse_args()
    folder = options.data / f"scale-{options.scale:g}"
    pdsh.generate(folder, options.scale, [options.layout])
    known = dict(pdsh.queries())
    tables = pdsh.scan(folder, options.layout, options.scale)
    queries = [known[number](tables) for number in options.queries]
    clusters: dict[str, UpCluster] = {}
    try:
        clusters["observed"] = UpCluster("observed")
        clusters["unobserved"] = Unobserved("unobserved")
        rounds = [round_of(clusters, queries, turned=bool(n % 2)) for n in range(options.runs + 1)][1:]
    finally:
        for cluster in clusters.values():
            for wrong in cluster.stop():
                print(wrong, file=sys.stderr)
    sums = {name: sum(r[name] for r in rounds) for name in clusters}
    ratios = [r["observed"] / r["unobserved"] for r in rounds]
    print(f"PDS-H, scale {options.scale:g}, {options.layout}, {options.runs} rounds of {len(queries)} queries; seconds of CPU")
    for r in rounds:
        print(f"  observed {r['observed']:8.2f}  unobserved {r['unobserved']:8.2f}  {r['observed'] / r['unobserved'] - 1:+7.2%}")
    print(f"all: observed {sums['observed']:.2f}, unobserved {sums['unobserved']:.2f}: {sums['observed'] / sums['unobserved'] - 1:+.2%}; median of the rounds {median(ratios) - 1:+.2%}")


if __name__ == "__main__":
    main()
