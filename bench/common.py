"""bench/common.py: a cluster for a bench, from the tests' own harness. SPDX-License-Identifier: Apache-2.0"""

from __future__ import annotations

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
__all__ = ["DATA", "FLOE", "FORCED", "Process", "ServiceCluster", "UpCluster", "assert_same", "open_folder", "pdsh", "running", "temporary_folder"]

DATA = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "floe/pdsh"  # tables, kept


@contextmanager
def running(name: str, storage: bool = False, workers: int = 2) -> Iterator[UpCluster]:
    """Workers with one slot and one thread each."""
    cluster = UpCluster(name, storage=storage, workers=workers)
    try:
        yield cluster
    finally:
        for wrong in cluster.stop():
            print(wrong, file=sys.stderr)
