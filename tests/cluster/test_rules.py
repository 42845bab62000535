"""tests/cluster/test_rules.py: every decision that the planner can take is taken by some tested query.
SPDX-License-Identifier: Apache-2.0

The queries of the equality tests, planned as their clusters plan them, but not run. A rule that never
fires is one that nothing tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pdsh
import polars as pl
import pytest
from cluster import open_folder
from frames import FRAMES, Data
from local_cluster import Limits, LocalCluster, NotPlanned
from random_data import Sources
from random_frames import random_program
from shapes import SHAPES, Tables

SCALE = 0.05
RANDOM_PLANS = 100
HASH = Limits()
BROADCAST = Limits(partitions=7, broadcast_rows=10**12)
MIXED = Limits(replicate_rows=1000, broadcast_rows=20_000)


def queries(folder: Path, data: Data) -> Iterator[tuple[pl.LazyFrame, Limits]]:
    pdsh.generate(folder / "pdsh", SCALE, row_group_size=20_000)
    yield from ((query(pdsh.scan(folder / "pdsh", "split", SCALE)), MIXED) for _, query in pdsh.queries())
    yield from ((frame.build(data), MIXED) for frame in FRAMES if not frame.heavy)
    tables = Tables.write(open_folder(folder / "shapes"))
    yield from ((shape.build(tables), limits) for shape in SHAPES for limits in (MIXED, BROADCAST))
    sources = Sources(open_folder(folder / "random"))
    yield from ((random_program(seed, sources).build(sources), HASH) for seed in range(1, 1 + RANDOM_PLANS))


@pytest.mark.seconds(300)
def test_every_rule_fires(folder: Path, data: Data, record_property: object) -> None:
    local = LocalCluster()
    fired: Counter[str] = Counter()
    for query, limits in queries(folder, data):
        try:
            ran, _ = local.plan(query, limits)
            fired.update(ran.decided)
        except (NotPlanned, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            pass  # the query is wrong, or runs whole
    local.close()
    record_property("summary", "planner rules, times: " + ", ".join(f"{rule} {n}" for rule, n in sorted(fired.items())))  # type: ignore[operator]
    assert fired
    assert [rule for rule, times in fired.items() if times == 0] == []
