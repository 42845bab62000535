"""Scans in place of a plan's leaves: of the files that earlier stages wrote, or of nothing at all.

The leaves could stay, for Polars would ask them. But what it knows of a scan (rows, selectivity) it
learns from a leaf too late: then no join filters its other side while that is read. And asking is
slow, where only names and dtypes are wanted.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import polars as pl

from . import leaf
from .executor_pb2 import Input
from .scans import between_stages, unopened

# A plan ends with its nodes in slots, that of number 0 empty; by these numbers nodes name others.
# No text and no frame of a client's plan can look like the beginning: it is not UTF-8.
PLAN_HEADER_BYTES = 79
SLOTS = re.compile(rb"\xa9dsl_plans(?:[\x91-\x9f]|\xdc..|\xdd....)\x82\xa5value\xc0\xa7version\x00", re.DOTALL)
BEFORE, AFTER = b"\x82\xa5value", b"\xa7version\x01"  # a node in its slot
KEY = re.compile(rb"\x82\xa3idx([\x01-\x7f])\xa7version\x01")


def in_place(plan: bytes, rows: Mapping[int, bytes]) -> bytes:
    """The plan with plans of scans (rows_of, unread) in place of its leaves. A leaf's slot takes the
    last node, those below it come into new slots at the end."""
    begin, end, used = slots_of(plan)
    more: list[bytes] = []
    for number, scan in rows.items():
        node = leaf.node(number)
        if node in plan:
            *below, top = nodes_of(scan, used + len(more))
            more += below
            plan = plan.replace(node, top)
    count = (used + len(more)).to_bytes(4, "big")
    head = b"\xa9dsl_plans\xdd" + count + BEFORE + b"\xc0\xa7version\x00"
    return plan[:begin] + head + plan[end:] + b"".join(BEFORE + node + AFTER for node in more)


def slots_of(plan: bytes) -> tuple[int, int, int]:
    """Where the nodes' head begins and ends, and how many slots there are."""
    head = SLOTS.search(plan, PLAN_HEADER_BYTES)
    if head is None:
        raise RuntimeError("the plan has no nodes; this is an error of Floe")
    number = head.group()[len(b"\xa9dsl_plans") : -len(BEFORE + b"\xc0\xa7version\x00")]
    return head.start(), head.end(), number[0] & 15 if len(number) == 1 else int.from_bytes(number[1:], "big")


def nodes_of(plan: bytes, first: int) -> list[bytes]:
    """The nodes of a plan of scans, the root last; numbered so that they may stand in slots from
    `first` on."""
    nodes = plan[slots_of(plan)[1] + len(BEFORE) : -len(AFTER)].split(AFTER + BEFORE)
    return [KEY.sub(lambda key: slot(first - 1 + key[1][0]), node) for node in nodes]


def slot(number: int) -> bytes:
    return b"\x82\xa3idx\xce" + number.to_bytes(4, "big") + AFTER


def unread(schema: pl.Schema) -> pl.LazyFrame:
    """No rows. Polars looks through it several times faster than it asks a leaf."""
    return unopened([], schema)


def rows_of(given: Input) -> pl.LazyFrame:
    """The files, one after the other. They may have more columns than the leaf: what other stages
    want. Without a schema: all columns of the files, of which there are some then."""
    schema = leaf.read_schema(given.schema) if given.schema else None
    if not given.paths:
        return unread(schema)
    rows = between_stages(given.parquet)(list(given.paths))
    if schema is not None:
        rows = rows.select(schema.names())
    # Makes Polars filter the other side of a join by the keys of this one while it reads.
    return rows.filter(pl.lit(True)) if given.broadcast else rows
