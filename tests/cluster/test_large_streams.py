"""tests/cluster/test_large_streams.py: a result larger than the memory and the quota that it may take; readers that
stop. SPDX-License-Identifier: Apache-2.0

bench/stream.py does the same with 20 GB.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from cluster import SANITIZED, SLOWNESS, ServiceCluster, timed
from large_streams import MB, disk_bytes, floe_processes, made, read
from polars.testing import assert_frame_equal
from processes import wait_until
from test_cancels import busy
from test_streaming import Reader, connected, frame_of, large, parts, settings

Start = Callable[..., ServiceCluster]
Note = Callable[[str, object], None]

PARTS = 40
QUOTA = 100
READERS = 10


def test_a_large_result_takes_little_memory_and_disk(services: Start, folder: Path, record_property: Note) -> None:
    """A GB, ten times what may lie on the disks. Sanitizers keep memory, so they bound the disk alone."""
    cluster = services(scheduler_extra=settings(PARTS, quota=f"{QUOTA} MB"), workers=2)
    result = made(folder, 1000, PARTS)
    cost = read(cluster, result, folder)
    part = 1000 // PARTS
    record_property("summary", f"a GB streamed in {cost.seconds:.0f} s, {cost.disk_bytes // MB} MB on disk, memory in MB: "
                    + ", ".join(f"{name} {peak // MB}" for name, peak in cost.processes.items()))
    assert (cost.rows, cost.sum) == (result.rows, result.sum)
    assert QUOTA * MB // 2 < cost.disk_bytes < (QUOTA + 4 * part) * MB, "two parts are being written, one is read"
    assert cost.client_bytes < 400 * MB
    assert SANITIZED or max(cost.processes.values()) < 200 * MB, cost.processes


def stopped_readers(cluster: ServiceCluster, folder: Path, seconds: float) -> None:
    """Each has begun to read, and does not go on."""
    query = large(folder)
    alone = statistics.median(timed(cluster.answers) for _ in range(5))
    with connected(cluster) as channel:
        readers = [Reader(channel, query) for _ in range(READERS)]
        streams = [reader.get(0, seconds + 60) for reader in readers if reader.poll_all()]
        begun = [next(stream) for stream in streams]
        wait_until(lambda: not busy(cluster), "no slot is taken", 10 * SLOWNESS)
        lying = disk_bytes(cluster)
        assert len(parts(cluster)) == READERS * 4 and lying > READERS * 30 * MB
        end = time.monotonic() + seconds
        worked = sum(p.cpu_seconds() for p in floe_processes(cluster).values())
        time.sleep(seconds / 2)
        worked = sum(p.cpu_seconds() for p in floe_processes(cluster).values()) - worked
        beside = []
        while time.monotonic() < end:
            beside.append(timed(cluster.answers))
        assert worked < 0.1 * seconds / 2 * SLOWNESS + 0.1, f"{worked:.2f} s of CPU for readers that do nothing"
        assert statistics.median(beside) < 3 * alone + 0.1, f"{statistics.median(beside):.3f} s, before {alone:.3f} s"
        assert disk_bytes(cluster) == lying and not busy(cluster)
        expected = query.collect()
        for reader, stream, first in zip(readers, streams, begun):
            rows = [frame_of(iter([first, *stream])), *(reader.read(part) for part in range(1, 4))]
            assert_frame_equal(pl.concat(rows), expected)
    wait_until(lambda: not parts(cluster), "all was read", 10)


def test_ten_readers_that_stop(services: Start, folder: Path) -> None:
    stopped_readers(services(scheduler_extra=settings(4)), folder, 4)


@pytest.mark.faults
@pytest.mark.seconds(240)
def test_ten_readers_that_stop_for_a_minute(services: Start, folder: Path) -> None:
    stopped_readers(services(scheduler_extra=settings(4)), folder, 60)
