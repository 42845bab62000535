"""tests/cluster/test_planner.py: queries cut into stages and run in this process equal local Polars.
SPDX-License-Identifier: Apache-2.0

The planner in C and the executor's modules, without a cluster between them: what is wrong here is
the plan. golden/stages.txt holds the stage graphs; UPDATE=1 writes it anew.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pdsh
import polars as pl
import pytest
from cluster import temporary_folder
from equality import assert_same
from frames import FRAMES, Data
from local_cluster import Limits, LocalCluster

SCALE = 0.05
GOLDEN = Path(__file__).parent / "golden/stages.txt"
LIMITS = {
    "hash": Limits(),
    "mixed": Limits(replicate_rows=1000, broadcast_rows=20_000, partitions=5),
}


@pytest.fixture(scope="session")
def tables() -> Iterator[Path]:
    folder = temporary_folder("planner")
    pdsh.generate(folder, SCALE, row_group_size=20_000)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("number", range(1, 23))
def test_pdsh(number: int, limits: str, local: LocalCluster, tables: Path) -> None:
    for layout in ("single", "split"):
        query = dict(pdsh.queries())[number](pdsh.scan(tables, layout, SCALE))
        ran = local.run(query, LIMITS[limits])
        assert_same(ran.rows, query.collect(engine="streaming"), ordered=False)
        assert ran.stages > 1


@pytest.mark.filterwarnings("ignore")
def test_stage_graphs(local: LocalCluster, tables: Path, data: Data) -> None:
    """What is distributed and what is gathered."""
    queries = {f"pdsh {n}": q(pdsh.scan(tables, "split", SCALE)) for n, q in pdsh.queries()}
    queries |= {f.name: f.build(data) for f in FRAMES if not f.heavy}
    found = []
    for name, query in queries.items():
        try:
            text = local.run(query, LIMITS["mixed"]).text
        except pl.exceptions.PolarsError as error:
            text = f"{type(error).__name__}\n"
        found.append(f"== {name}\n{text}")
    if os.environ.get("UPDATE"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text("\n".join(found))
    assert "\n".join(found) == GOLDEN.read_text()
