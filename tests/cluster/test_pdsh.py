"""tests/cluster/test_pdsh.py: the 22 queries of PDS-H, distributed, equal local Polars.
SPDX-License-Identifier: Apache-2.0

FLOE_PDSH_SCALE is the scale factor (0.05: all answers have rows), FLOE_PDSH_DATA a folder that keeps
the tables for the next run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pdsh
import polars as pl
import pytest
from cluster import temporary_folder
from conftest import WAYS, Remote, in_turn
from equality import Answer, check, local_answer

SCALE = float(os.environ.get("FLOE_PDSH_SCALE", "0.05"))
ROW_GROUP = 20_000 if SCALE < 1 else None  # several in a file

Expected = Callable[[int, str], tuple[pl.LazyFrame, Answer]]


@pytest.fixture(scope="session")
def expected() -> Iterator[Expected]:
    """A query over a layout, and the local answer, computed once."""
    kept = os.environ.get("FLOE_PDSH_DATA")
    folder = Path(kept) / f"scale-{SCALE:g}" if kept else temporary_folder("pdsh")
    pdsh.generate(folder, SCALE, row_group_size=ROW_GROUP)
    queries = dict(pdsh.queries())

    @cache
    def answer(number: int, layout: str) -> tuple[pl.LazyFrame, Answer]:
        query = queries[number](pdsh.scan(folder, layout, SCALE))
        return query, local_answer(query)

    yield answer
    if not kept:
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Case:
    number: int
    layout: str

    @property
    def name(self) -> str:
        return f"q{self.number}-{self.layout}"


CASES = [Case(number, layout) for number in range(1, 23) for layout in pdsh.LAYOUTS]


@pytest.mark.seconds(60 + 300 * SCALE)
@in_turn(CASES, WAYS, each=2)
def test_query(case: Case, distributed: Remote, expected: Expected) -> None:
    query, answer = expected(case.number, case.layout)
    assert isinstance(answer, pl.DataFrame)
    assert answer.height > 0
    check(query, answer, distributed, ordered=True)
