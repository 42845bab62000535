"""tests/cluster/test_scans.py: sources read in parts equal local Polars. SPDX-License-Identifier: Apache-2.0"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from equality import assert_same
from local_cluster import Limits, LocalCluster
from scans import SCANS, Scan

LIMITS = (Limits(partitions=2), Limits(partitions=3, pushdown=False), Limits(partitions=7, broadcast_rows=100))


Query = Callable[[pl.LazyFrame, str, str], pl.LazyFrame]  # of the scan, its first column and its last
SLICES: tuple[Query, ...] = (
    lambda f, first, last: f.slice(3, 20),
    lambda f, first, last: f.tail(4).select(first),
    lambda f, first, last: f.select(pl.len()),
)
IN_ORDER: tuple[Query, ...] = (
    lambda f, first, last: f,
    lambda f, first, last: f.select(pl.col(last), pl.all().exclude(last).name.suffix("_")),
    lambda f, first, last: f.filter(pl.col(last).is_not_null(), pl.col(first) == pl.col(first)),
    lambda f, first, last: f.select(last),
    lambda f, first, last: f.with_row_index("added").filter(pl.col("added") % 3 == 0),
)
IN_ANY_ORDER: tuple[Query, ...] = (
    lambda f, first, last: f.group_by(last).agg(pl.len(), pl.col(first).max().alias("most")),
    lambda f, first, last: f.join(f.filter(pl.col(last).is_not_null()), on=list({first, last}), how="semi"),
)


def answer(query: pl.LazyFrame) -> pl.DataFrame | pl.exceptions.PolarsError:
    try:
        return query.collect(engine="streaming")
    except pl.exceptions.PolarsError as error:
        return error


@pytest.mark.parametrize("case", SCANS, ids=lambda case: case.name)
def test_scan(case: Scan, local: LocalCluster, folder: Path) -> None:
    case.write(folder)
    whole = answer(case.build(folder))
    if isinstance(whole, pl.exceptions.PolarsError):
        with pytest.raises(type(whole)):
            local.run(case.build(folder), LIMITS[0])
        return
    assert (local.run(case.build(folder), LIMITS[0]).tasks > 1) == case.split
    queries = [(query, query not in IN_ANY_ORDER) for query in IN_ORDER + IN_ANY_ORDER + SLICES * case.slices]
    for number, (query, ordered) in enumerate(queries):
        frame = query(case.build(folder), whole.columns[0], whole.columns[-1])
        ran = local.run(frame, LIMITS[number % len(LIMITS)])
        assert_same(ran.rows, frame.collect(engine="streaming"), ordered=ordered)
