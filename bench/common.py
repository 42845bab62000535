"""bench/common.py: a cluster for a bench, from the tests' own harness. SPDX-License-Identifier: Apache-2.0"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/cluster"))

import pdsh
from cluster import FLOE, FORCED, ServiceCluster, UpCluster, open_folder, temporary_folder
from equality import assert_same
from processes import Process

UpCluster.executor_nice = None
__all__ = ["DATA", "FLOE", "FORCED", "Process", "ServiceCluster", "UpCluster", "assert_same", "open_folder", "pdsh", "pdsh_options", "running", "temporary_folder"]

DATA = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "floe/pdsh"  # tables, kept


def pdsh_options(description: str, runs: int) -> argparse.ArgumentParser:
    """Which queries, over which tables, how often."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1, help="TPC-H scale factor")
    parser.add_argument("--runs", type=int, default=runs, help="counted rounds")
    parser.add_argument("--layout", choices=pdsh.LAYOUTS, default="split", help="split: 16 files for each table")
    parser.add_argument("--queries", type=_numbers, default=[n for n, _ in pdsh.queries()])
    parser.add_argument("--data", type=Path, default=DATA, help=f"where the tables are kept (default {DATA})")
    return parser


def _numbers(text: str) -> list[int]:
    return [int(n) for n in text.split(",")]


@contextmanager
def running(name: str, storage: bool = False, workers: int = 2) -> Iterator[UpCluster]:
    """Workers with one slot and one thread each."""
    cluster = UpCluster(name, storage=storage, workers=workers)
    try:
        yield cluster
    finally:
        for wrong in cluster.stop():
            print(wrong, file=sys.stderr)
