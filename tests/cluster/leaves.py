"""tests/cluster/leaves.py: plans with leaves, made by Polars instead of the planner.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import functools
import sys

import polars as pl
from cluster import FLOE

sys.path.insert(0, str(FLOE.parent / "executor"))
from floe_executor import leaf  # noqa: E402

LEAVES = range(10)
LEAF = b"\x81\xa8Resolver"


def planned(frame: pl.LazyFrame) -> bytes:
    """The plan of a frame over leaf.frame(number), the leaves written as the planner writes them."""
    plan = frame.serialize()
    for number in LEAVES if LEAF in plan else ():
        plan = plan.replace(as_polars_writes(number), leaf.node(number))
    return plan


@functools.cache
def as_polars_writes(number: int) -> bytes:
    plan = leaf.frame(number).serialize()
    return plan[plan.index(LEAF) : -len(b"\xa7version\x01")]
