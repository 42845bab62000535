"""tests/cluster/conftest.py: fixtures around real clusters. SPDX-License-Identifier: Apache-2.0

A cluster is shared by the tests of one pytest process unless a test breaks it (`throwaway`).
Results are deleted after the test that made them, so that at the end nothing may be left.
"""

from __future__ import annotations

import os
import shutil
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("POLARS_TIMEOUT_MS", "120000")  # a query that hangs is an error, not a hang
os.environ["RUST_BACKTRACE"] = "0"  # random queries find panics in Polars, which are none of ours

import polars as pl
import polars_cloud as pc
import pytest

pytest.register_assert_rewrite("equality")
from cluster import SLOWNESS, Cluster, ServiceCluster, UpCluster, files_below, open_folder, temporary_folder
from frames import Data
from local_cluster import LocalCluster
from shapes import Tables

TEST_SECONDS = 120


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    report = yield
    if report.failed:
        for cluster in Cluster.alive:  # the test's own, and those it shares
            cluster.keep_logs = True
            report.sections.append((f"logs of {cluster.name}", "\n".join(cluster.logs())))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests have to say that passed: record_property("summary", …)."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, text in getattr(report, "user_properties", []):
                if name == "summary" and report.when == "call":
                    terminalreporter.write_line(str(text))


@pytest.fixture(autouse=True)
def _limit(request: pytest.FixtureRequest) -> Iterator[None]:
    """The client looks at signals while it waits, so an alarm ends every hang."""
    marker = request.node.get_closest_marker("seconds")
    limit = (marker.args[0] if marker else TEST_SECONDS) * SLOWNESS

    def ring(*_: object) -> None:
        raise TimeoutError(f"the test took longer than {limit} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Polars' advice about slow UDFs and the like
        yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def until_stopped(cluster: Cluster, *, keeps_results: bool = False) -> Iterator[Any]:
    """`keeps_results`: where clients cannot delete them, or do not."""
    yield cluster
    if keeps_results:
        cluster.expected_leftovers = sum(p.is_file() for p in files_below(cluster.results))
    wrong = cluster.stop()
    if wrong:
        pytest.fail(f"{cluster.name}, logs {cluster.logs()}:\n" + "\n".join(wrong), pytrace=False)


@pytest.fixture(scope="session")
def cluster() -> Iterator[UpCluster]:
    """`floe up`, two workers with one thread each, results in a local folder."""
    yield from until_stopped(UpCluster("local"))


@pytest.fixture(scope="session")
def storage_cluster() -> Iterator[UpCluster]:
    """`floe up` with results in SeaweedFS."""
    yield from until_stopped(UpCluster("storage", storage=True))


@dataclass(frozen=True)
class Way:
    """How much is distributed: a cluster, and settings of its planner."""

    name: str
    workers: int
    planner: Mapping[str, object]

    @property
    def forced(self) -> bool:
        return "task_bytes" in self.planner


NOTHING_IS_SMALL = {"small_rows": 0, "replicate_rows": 0, "task_bytes": 1}
WAYS = (
    Way("automatic", 2, {"small_rows": 0}),
    Way("hash", 2, NOTHING_IS_SMALL | {"partitions": 3, "broadcast_rows": 0}),
    Way("broadcast", 3, NOTHING_IS_SMALL | {"partitions": 7, "broadcast_rows": 10**12}),
    Way("unpushed", 5, NOTHING_IS_SMALL | {"partitions": 5, "broadcast_rows": 0, "pushdown": "false"}),
    Way("revised", 2, NOTHING_IS_SMALL | {"partitions": 2, "broadcast_rows": 300}),
    Way("alone", 1, NOTHING_IS_SMALL | {"partitions": 4, "broadcast_rows": 10**12, "pushdown": "false"}),
)


FORCED = [way for way in WAYS if way.forced]
ALL_WAYS = os.environ.get("FLOE_WAYS") == "all"
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)


def in_turn(cases: Sequence[Any], ways: Sequence[Way], each: int = 1) -> pytest.MarkDecorator:
    """Parametrizes `case`: every case in `each` of the ways; in all of them if FLOE_WAYS is `all`."""
    each = len(ways) if ALL_WAYS else each
    pairs = [(c, w) for j, w in enumerate(ways) for i, c in enumerate(cases) if (i + j) % len(ways) < each]
    return pytest.mark.parametrize(("case", "way"), pairs, ids=lambda x: x.name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One way after the other: there is only one cluster of them at a time."""

    def number(item: pytest.Item) -> int:
        way = item.callspec.params.get("way") if hasattr(item, "callspec") else None
        return WAYS.index(way) if way else -1

    items.sort(key=number)


class Ways:
    """The cluster of the way that was last asked for."""

    def __init__(self) -> None:
        self.way: Way | None = None
        self.started: list[UpCluster] = []

    def cluster(self, way: Way) -> UpCluster:
        if way is not self.way:
            self.stop()
            self.started, self.way = [UpCluster(way.name, workers=way.workers, planner=way.planner)], way
        return self.started[0]

    def stop(self) -> None:
        started, self.started, self.way = self.started, [], None
        _stop_all(started)


@pytest.fixture(scope="session")
def ways() -> Iterator[Ways]:
    running = Ways()
    yield running
    running.stop()


@pytest.fixture
def distributing(way: Way, ways: Ways) -> UpCluster:
    """A cluster that distributes in this way."""
    return ways.cluster(way)


@pytest.fixture
def throwaway() -> Iterator[Callable[..., UpCluster]]:
    """Starts an UpCluster for one test."""
    started: list[UpCluster] = []

    def start(**options: Any) -> UpCluster:
        started.append(UpCluster("throwaway", **options))
        return started[-1]

    yield start
    _stop_all(started)


@pytest.fixture
def services() -> Iterator[Callable[..., ServiceCluster]]:
    """Starts a ServiceCluster for one test."""
    started: list[ServiceCluster] = []

    def start(**options: Any) -> ServiceCluster:
        started.append(ServiceCluster("services", **options))
        return started[-1]

    yield start
    _stop_all(started)


def _stop_all(started: list[Any]) -> None:
    wrong = [w for cluster in started for w in cluster.stop()]
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


@pytest.fixture(scope="session")
def data() -> Iterator[Data]:
    folder = temporary_folder("data")
    yield Data.write(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def tables() -> Iterator[Tables]:
    folder = open_folder(temporary_folder("tables"))
    yield Tables.write(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def local() -> Iterator[LocalCluster]:
    """Stages without a cluster: see stages.py."""
    cluster = LocalCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where executors, under whatever user, may write."""
    path = open_folder(temporary_folder("folder"), 0o777)
    yield path
    shutil.rmtree(path)


class Remote:
    """Runs queries; deletes their results when the test is over."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.context = cluster.context()
        self._results: list[pc.QueryResult] = []
        self._submitted: list[Any] = []

    def prepare(self, query: pl.LazyFrame, mode: str = "distributed", **options: Any) -> Any:
        remote = query.remote(self.context, **options)
        return remote.single_node() if mode == "single_node" else remote

    def execute(self, query: pl.LazyFrame, mode: str = "distributed", **options: Any) -> pc.QueryResult:
        result = self.prepare(query, mode, **options).execute()
        self._results.append(result)
        return result

    def collect(self, query: pl.LazyFrame, mode: str = "distributed", **options: Any) -> pl.DataFrame:
        return self.execute(query, mode, **options).lazy().collect()

    def submit(self, query: pl.LazyFrame, **options: Any) -> Any:
        """A query in flight; cancelled and deleted after the test, whatever became of it."""
        query_in_flight = self.prepare(query, **options).execute(blocking=False)
        self._submitted.append(query_in_flight)
        return query_in_flight

    def clean(self) -> None:
        for submitted in self._submitted:
            submitted.cancel()
            submitted.delete_result()
        for result in self._results:
            if not result._deleted:
                result.delete()
        self._results, self._submitted = [], []


@pytest.fixture
def remote(cluster: UpCluster) -> Iterator[Remote]:
    runner = Remote(cluster)
    yield runner
    runner.clean()


@pytest.fixture
def distributed(distributing: UpCluster) -> Iterator[Remote]:
    runner = Remote(distributing)
    yield runner
    runner.clean()


@pytest.fixture
def remote_to() -> Iterator[Callable[[Cluster], Remote]]:
    """A Remote for a cluster that the test started itself."""
    runners: list[Remote] = []

    def make(cluster: Cluster) -> Remote:
        runners.append(Remote(cluster))
        return runners[-1]

    yield make
    for runner in runners:
        runner.clean()
