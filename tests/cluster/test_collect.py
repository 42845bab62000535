"""tests/cluster/test_collect.py: rows that the client streams: collect(), collect_batches(),
pl.RemoteEngine, over Arrow Flight; and rows that it sinks. SPDX-License-Identifier: Apache-2.0

They equal what local Polars collects, through every door in turn. Enums and integers of 128 bits are
the exception: the client cannot read them from a stream.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import polars as pl
import pytest
from cluster import open_folder, temporary_folder
from conftest import FORCED, Remote, in_turn
from equality import assert_same
from frames import FRAMES, Data, Frame
from random_frames import Sources, random_program
from shapes import PAIRS, SHAPES, Shape, Tables
from test_random import answers_agree

Door = Callable[[Remote, pl.LazyFrame], pl.DataFrame]


# ---- doors ----


def collect(remote: Remote, query: pl.LazyFrame) -> pl.DataFrame:
    return remote.prepare(query).collect()


def single_node(remote: Remote, query: pl.LazyFrame) -> pl.DataFrame:
    return remote.prepare(query, "single_node").collect()


def engine(remote: Remote, query: pl.LazyFrame) -> pl.DataFrame:
    return query.collect(engine=pl.RemoteEngine(remote.context))


def affinity(remote: Remote, query: pl.LazyFrame) -> pl.DataFrame:
    with pl.Config(engine_affinity=pl.RemoteEngine(remote.context)):
        return query.collect()


def ordered_batches(remote: Remote, query: pl.LazyFrame) -> pl.DataFrame:
    return joined(query, remote.prepare(query).collect_batches(maintain_order=True))


def engine_batches(remote: Remote, query: pl.LazyFrame) -> pl.DataFrame:
    return joined(query, query.collect_batches(engine=pl.RemoteEngine(remote.context)))


def unordered_batches(remote: Remote, query: pl.LazyFrame) -> pl.DataFrame:
    return joined(query, remote.prepare(query).collect_batches(maintain_order=False))


def sink(remote: Remote, query: pl.LazyFrame) -> pl.DataFrame:
    folder = open_folder(temporary_folder("sink"), 0o777)
    try:
        remote.prepare(query).sink_ipc(str(folder / "rows.ipc"), sink_to_single_file=True).await_result()
        return pl.read_ipc(folder / "rows.ipc")
    finally:
        shutil.rmtree(folder)


def joined(query: pl.LazyFrame, batches: Iterator[pl.DataFrame]) -> pl.DataFrame:
    """Without rows there are no batches."""
    all_of_them = list(batches)
    return pl.concat(all_of_them) if all_of_them else pl.DataFrame(schema=query.collect_schema())


DOORS: tuple[Door, ...] = (collect, ordered_batches, engine, single_node, sink, unordered_batches, affinity, engine_batches)


def door_for(cases: list[Any], case: Any) -> Door:
    return DOORS[cases.index(case) % len(DOORS)]


# ---- equality ----


def without_enums(query: pl.LazyFrame) -> pl.LazyFrame:
    try:
        schema = query.collect_schema()
    except pl.exceptions.PolarsError:
        return query
    enums = [name for name, dtype in schema.items() if isinstance(dtype, pl.Enum)]
    return query.with_columns(pl.col(enums).cast(pl.String)) if enums else query


def local(query: pl.LazyFrame) -> pl.DataFrame | pl.exceptions.PolarsError:
    try:
        return query.collect(engine="streaming")
    except pl.exceptions.PolarsError as error:
        return error


def check(door: Door, remote: Remote, query: pl.LazyFrame, expected: Any, *, ordered: bool) -> None:
    if isinstance(expected, pl.exceptions.PolarsError):
        with pytest.raises(type(expected)):
            door(remote, query)
    elif "Int128" in str(expected.schema) and door is not sink:
        with pytest.raises(NotImplementedError, match="Int128"):
            door(remote, query)
    else:
        assert_same(door(remote, query), expected, ordered=ordered and door is not unordered_batches)


@pytest.mark.parametrize("frame", [f for f in FRAMES if not f.heavy], ids=lambda f: f.name)
def test_frame(frame: Frame, remote: Remote, data: Data) -> None:
    query = without_enums(frame.build(data))
    check(door_for(FRAMES, frame), remote, query, local(query), ordered=frame.ordered)


@cache
def expected(shape: Shape, tables: Tables) -> Any:
    return local(without_enums(shape.build(tables)))


@in_turn(SHAPES, FORCED)
def test_shape(case: Shape, distributed: Remote, tables: Tables) -> None:
    check(door_for(SHAPES, case), distributed, without_enums(case.build(tables)), expected(case, tables), ordered=case.ordered)


@in_turn(PAIRS[::4], FORCED)
def test_pair(case: Shape, distributed: Remote, tables: Tables) -> None:
    check(door_for(PAIRS, case), distributed, without_enums(case.build(tables)), expected(case, tables), ordered=case.ordered)


RANDOM_SEED = int(os.environ.get("FLOE_RANDOM_SEED", "1"))
RANDOM_PLANS = int(os.environ.get("FLOE_RANDOM_PLANS", "2000")) // 20  # of those of test_random.py


@pytest.fixture(scope="session")
def sources() -> Iterator[Sources]:
    folder = open_folder(temporary_folder("random"))
    yield Sources(folder)
    shutil.rmtree(folder)


@pytest.mark.seconds(120 + RANDOM_PLANS)
@pytest.mark.parametrize("way", FORCED[:2], ids=lambda way: way.name)
def test_random_plans(distributed: Remote, sources: Sources) -> None:
    """Each through one door. What Polars itself answers in two ways tells nothing."""
    for number in range(RANDOM_PLANS):
        program = random_program(RANDOM_SEED + number, sources)
        query = without_enums(program.build(sources))
        try:
            answer = local(query)
        except pl.exceptions.PanicException:
            continue
        if not isinstance(answer, pl.DataFrame):
            continue
        try:
            check(DOORS[number % len(DOORS)], distributed, query, answer, ordered=program.result.ordered)
        except AssertionError as error:
            if answers_agree(program, sources):
                raise AssertionError(f"{DOORS[number % len(DOORS)].__name__} of\n{program}") from error
