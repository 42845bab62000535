#!/usr/bin/env python3
"""bench/planning.py: how long the queries of PDS-H are planned before their first stage runs.
SPDX-License-Identifier: Apache-2.0

usage: planning.py [--scale 1] [--runs 9] [--layout split] [--queries 1,6,21] [--data FOLDER]

As the product itself says it (`planning` and `steps` of /api/v1/query/{id}/stages), on two workers
of one thread. Milliseconds, medians; the first round is not counted: it warms executors. In
brackets is what of the step was spent in the executor; the rest is its way there and back.
"""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from statistics import median
from typing import Any

from common import UpCluster, pdsh, pdsh_options, running

PIECES = ("parse", "describe", "cut", "capture", "write", "total")


@dataclass(frozen=True)
class Planned:
    """Milliseconds."""

    pieces: dict[str, float]
    executor: dict[str, float]  # of the steps that ask Polars
    stages: int


def get(cluster: UpCluster, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{cluster.ports.observatory}/api/v1/{path}") as answer:
        return json.load(answer)


def planning_of_newest(cluster: UpCluster) -> Planned:
    query = get(cluster, "queries")["queries"][0]["id"]
    shown = get(cluster, f"query/{query}/stages")
    pieces = {piece: shown["planning"][f"{piece}_ms"] or 0.0 for piece in PIECES}
    executor = {step["kind"]: step["run"]["run_us"] / 1000 for step in shown["steps"]}
    return Planned(pieces, executor, len(shown.get("stages", [])))


def medians(runs: list[Planned]) -> Planned:
    pieces = {piece: median(run.pieces[piece] for run in runs) for piece in PIECES}
    executor = {kind: median(run.executor.get(kind, 0.0) for run in runs) for kind in ("describe", "capture")}
    return Planned(pieces, executor, runs[-1].stages)


def show(name: str, planned: Planned) -> None:
    p, x = planned.pieces, planned.executor
    print(
        f"{name:6} {planned.stages:6} {p['parse']:8.2f} {p['describe']:8.2f} ({x['describe']:6.2f})"
        f" {p['cut']:8.2f} {p['capture']:8.2f} ({x['capture']:6.2f}) {p['write']:8.2f} {p['total']:9.2f}"
    )


def main() -> None:
    options = pdsh_options(__doc__, runs=9).parse_args()
    folder = options.data / f"scale-{options.scale:g}"
    pdsh.generate(folder, options.scale, [options.layout])
    numbers = options.queries
    runs: dict[int, list[Planned]] = {n: [] for n in numbers}
    with running("planning") as cluster:
        context = cluster.context()
        for counted in range(-1, options.runs):
            for n in numbers:
                query = dict(pdsh.queries())[n](pdsh.scan(folder, options.layout, options.scale))
                query.remote(context).distributed().execute().delete()
                if counted >= 0:
                    runs[n].append(planning_of_newest(cluster))

    print(f"planning of PDS-H, scale {options.scale:g}, {options.layout}: milliseconds, medians of {options.runs} runs")
    print("       stages    parse describe (Polars)      cut  capture (Polars)    write     total")
    found = {n: medians(runs[n]) for n in numbers}
    for n, planned in found.items():
        show(f"q{n}", planned)
    worst = max(found, key=lambda n: found[n].pieces["total"])
    total = sum(planned.pieces["total"] for planned in found.values())
    print(f"all: {total:.1f} ms; worst: q{worst}, {found[worst].pieces['total']:.2f} ms")


if __name__ == "__main__":
    main()
