"""bench/common.py: a cluster for a bench, from the tests' own harness. SPDX-License-Identifier: Apache-2.0"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/cluster"))

from cluster import UpCluster
from processes import Process

__all__ = ["Process", "UpCluster", "running"]


@contextmanager
def running(name: str, storage: bool = False) -> Iterator[UpCluster]:
    cluster = UpCluster(name, storage=storage)
    try:
        yield cluster
    finally:
        for wrong in cluster.stop():
            print(wrong, file=sys.stderr)
