"""tests/cluster/test_random.py: random queries, distributed, equal local Polars.
SPDX-License-Identifier: Apache-2.0

FLOE_RANDOM_PLANS is how many there are in all (2000), FLOE_RANDOM_SEED where they begin. Plan n has
the seed FLOE_RANDOM_SEED + n; one plan is found again by its seed, FLOE_RANDOM_PLANS=1, FLOE_WAYS=all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import polars as pl
import pytest
from cluster import UpCluster, open_folder, temporary_folder
from conftest import ALL_WAYS, WAYS, Remote, Way, every_way
from equality import assert_same, check, local_answer
from random_frames import Program, Sources, random_program, shrink

SEED = int(os.environ.get("FLOE_RANDOM_SEED", "1"))
PLANS = int(os.environ.get("FLOE_RANDOM_PLANS", "2000"))
IN_FLIGHT = 4
SHRINK_SECONDS = 30
SHOWN = 3
NOT_RUN = 0.05  # at most this share: Polars fails, or its engines disagree
EXCHANGES = 0.8  # at least this share, where all is forced; of few plans nothing is asked
FEW = 100
ASKED = 10  # of Polars, before it is believed: it may drop the order below a slice, and be wrong now and then


@pytest.fixture(scope="session")
def sources() -> Iterator[Sources]:
    folder = open_folder(temporary_folder("random"))
    yield Sources(folder)
    shutil.rmtree(folder)


def answers_agree(program: Program, sources: Sources) -> bool:
    """Polars agrees with itself: whenever it is asked, and with its other engine where that can run it."""
    query = program.build(sources)
    try:
        answer = query.collect(engine="streaming")
        for _ in range(ASKED):
            assert_same(query.collect(engine="streaming"), answer, ordered=program.result.ordered)
        with contextlib.suppress(pl.exceptions.PanicException, pl.exceptions.PolarsError):
            assert_same(query.collect(engine="in-memory"), answer, ordered=program.result.ordered)
    except (AssertionError, pl.exceptions.PanicException, pl.exceptions.PolarsError):
        return False
    return True


def run(program: Program, sources: Sources, remote: Remote) -> tuple[str, str]:
    """What became of it, and why."""
    query = program.build(sources)
    try:
        answer = local_answer(query)
    except pl.exceptions.PanicException:
        return "not run", ""
    if not isinstance(answer, pl.DataFrame):
        return "not run", ""
    try:
        stages = check(query, answer, remote, ordered=program.result.ordered)
    except Exception as error:  # whatever it is, the answer is not there
        why = f"{type(error).__name__}: {error}"
        return ("wrong", why) if answers_agree(program, sources) else ("not run", why)
    finally:
        remote.clean()
    return "exchanges" if stages > 1 else "one stage", ""


def report(failed: list[tuple[Program, str]], sources: Sources, remote: Remote) -> str:
    """The first failures, made small."""
    parts = [f"{len(failed)} plans are wrong, seeds {[program.seed for program, _ in failed]}"]
    for program, why in failed[:SHOWN]:
        small = shrink(program, lambda p: run(p, sources, remote)[0] == "wrong", SHRINK_SECONDS)
        parts.append(f"{small}\n{run(small, sources, remote)[1] or why}")
    return "\n\n".join(parts)


@pytest.mark.seconds(600 + PLANS)
@every_way
def test_random(
    way: Way, distributing: UpCluster, sources: Sources, record_property: Callable[[str, object], None]
) -> None:
    remotes: SimpleQueue[Remote] = SimpleQueue()
    for _ in range(IN_FLIGHT):
        remotes.put(Remote(distributing))

    def one(seed: int) -> tuple[Program, str, str]:
        program = random_program(seed, sources)
        remote = remotes.get()
        try:
            return program, *run(program, sources, remote)
        finally:
            remotes.put(remote)

    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        seeds = range(SEED, SEED + PLANS) if ALL_WAYS else range(SEED + WAYS.index(way), SEED + PLANS, len(WAYS))
        done = list(pool.map(one, seeds))
    outcomes = Counter(what for _, what, _ in done)
    ran = len(done) - outcomes["not run"]
    summary = f"seeds from {SEED}, {len(done)} plans: {dict(outcomes)}, with exchanges {outcomes['exchanges'] / max(ran, 1):.0%}"
    record_property("summary", f"random plans, {way.name}: {summary}")

    if failed := [(program, why) for program, what, why in done if what == "wrong"]:
        pytest.fail(report(failed, sources, remotes.get()), pytrace=False)
    assert outcomes["not run"] <= NOT_RUN * len(done) + 1, summary
    if way.forced and ran > FEW:
        assert outcomes["exchanges"] >= EXCHANGES * ran, summary
