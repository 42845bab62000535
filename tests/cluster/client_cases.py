"""tests/cluster/client_cases.py: what each public name of the client does, by calling it on a cluster.
SPDX-License-Identifier: Apache-2.0

A case that returns works; what it returns is a remark. One that raises is refused, with that text. An AssertionError
is a defect, and never a line of the table. Options of queries and of sinks are tried by client_options.py.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import polars as pl
import polars_cloud as pc
from cluster import Cluster
from polars_cloud import constants
from polars_cloud.query.dst import CallbackDst, ClientDst, Dst, IcebergDst, TmpDst
from polars_cloud.query.lineage import LineageContext

LF = pl.LazyFrame({"a": [3, 1, 2], "s": ["x", "y", "x"]})


@dataclass
class World:
    cluster: Cluster
    context: pc.ClusterContext
    folder: Path  # where executors may write; each case has its own
    tls: Cluster  # one that speaks TLS
    authority: bytes  # who signed its certificate

    def submit(self, query: pl.LazyFrame = LF, **options: Any) -> Any:
        return query.remote(self.context, **options).execute(blocking=False)

    def execute(self, query: pl.LazyFrame = LF, **options: Any) -> pc.QueryResult:
        return query.remote(self.context, **options).execute()

    def details(self, query: Any) -> pc.QueryDetail:
        assert self.context._direct_client
        return pc.QueryDetail._from_inner(self.context._direct_client.get_query_details(query._query_id))

    def waiting(self) -> pl.LazyFrame:
        """Ends when `folder/gate` is there."""
        gate = str(self.folder / "gate")

        def wait(x: int) -> int:
            import os
            import time

            while not os.path.exists(gate):
                time.sleep(0.01)
            return x

        return LF.with_columns(pl.col("a").map_elements(wait, return_dtype=pl.Int64))

    def let_go(self) -> None:
        (self.folder / "gate").touch()

    def marking(self) -> tuple[Callable[[pl.DataFrame], None], Callable[[], int]]:
        """A function for batches, and the rows that it has seen."""
        where = str(self.folder)

        def mark(batch: pl.DataFrame) -> None:
            import uuid

            with open(f"{where}/batch-{uuid.uuid4()}", "w") as file:
                file.write(str(batch.height))

        return mark, lambda: sum(int(p.read_text()) for p in self.folder.glob("batch-*"))


Case = Callable[[World], Any]
CASES: dict[str, Case] = {}


def shows(*names: str) -> Callable[[Case], Case]:
    def add(case: Case) -> Case:
        CASES.update(dict.fromkeys(names, case))
        return case

    return add


def same(rows: Any, query: pl.LazyFrame = LF) -> None:
    rows = rows.collect() if isinstance(rows, pl.LazyFrame) else rows
    assert isinstance(rows, pl.DataFrame) and rows.equals(query.collect(engine="streaming")), rows


@contextmanager
def environment(**variables: str | None) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    try:
        for name, value in variables.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        yield
    finally:
        for name, old in before.items():
            os.environ.pop(name, None) if old is None else os.environ.update({name: old})


# ---- contexts ----


def uri(w: World, scheme: str = "http", host: str = "localhost") -> str:
    cluster = w.tls if scheme == "https" else w.cluster
    return f"{scheme}://{host}:{cluster.ports.client}"


@shows("ClusterContext", "ClusterContext(uri)", "ClientOptions", "ClientOptions(uri)", "ClientOptions.uri")
def _(w: World) -> None:
    same(LF.remote(pc.ClusterContext(uri(w))).execute().lazy())
    assert pc.ClientOptions(uri(w)).uri.startswith(uri(w))


@shows("ClusterContext(domain_name)", "ClientOptions(domain_name)", "ClientOptions.domain_name")
def _(w: World) -> None:
    tls = pc.TLSOptions(ca_cert=w.authority)
    same(LF.remote(pc.ClusterContext(uri(w, "https", "127.0.0.1"), domain_name="floe.example", tls_options=tls)).execute().lazy())
    assert pc.ClientOptions(uri(w, "https", "127.0.0.1"), domain_name="floe.example").domain_name == "floe.example"


@shows("ClusterContext(extra_headers)", "ClientOptions(extra_headers)", "ClientOptions.extra_headers")
def _(w: World) -> None:
    headers = {"x-polars-user": "bob", "authorization": "Bearer of-nothing"}
    query = LF.remote(pc.ClusterContext(uri(w), extra_headers=headers)).execute(blocking=False)
    same(query.await_result().lazy())
    assert w.details(query).user_name == "bob"
    assert dict(pc.ClientOptions(uri(w), extra_headers=headers).extra_headers or {}) == headers


@shows("ClusterContext(tls_options)", "ClientOptions(tls_options)", "ClientOptions.tls_options", "TLSOptions")
@shows("TLSOptions(ca_cert)", "TLSOptions.ca_cert")
def _(w: World) -> None:
    tls = pc.TLSOptions(ca_cert=w.authority)
    same(LF.remote(pc.ClusterContext(uri(w, "https"), tls_options=tls)).execute().lazy())
    assert tls.ca_cert is not None and pc.ClientOptions(uri(w, "https"), tls_options=tls).tls_options is not None


@shows("TLSOptions(insecure)", "TLSOptions.insecure")
def _(w: World) -> None:
    tls = pc.TLSOptions(insecure=True)
    same(LF.remote(pc.ClusterContext(uri(w, "https"), tls_options=tls)).execute().lazy())
    assert tls.insecure


@shows("ClusterContext(observatory)", "QueryDetail", *(f"QueryDetail.{f.name}" for f in fields(pc.QueryDetail)))
@shows("QueryPlanTiming", *(f"QueryPlanTiming.{f.name}" for f in fields(pc.QueryPlanTiming)))
def _(w: World) -> None:
    query = w.submit()
    query.await_result()
    details = w.details(query)
    assert (details.id, details.status, details.query_type) == (str(query._query_id), "Success", "Distributed")
    assert details.output_rows == 3 and details.start_time and details.end_time and details.errors in (None, [])
    repr(details), repr(details.query_plan_timing), details._repr_html_()


@shows("ClientContext", "ClientContext.show_versions")
def _(w: World) -> None:
    """The base class knows no cluster."""
    pc.ClientContext().show_versions()


@shows("ClusterContext.show_versions", "show_versions", "show_versions(context)")
def _(w: World) -> None:
    w.context.show_versions()
    pc.show_versions(w.context)
    assert w.context._direct_client and w.context._direct_client.get_compute_versions().polars_python_version == pl.__version__


@shows("set_compute_context", "set_compute_context(context)")
def _(w: World) -> None:
    with pc.set_compute_context(w.context):
        same(LF.remote().execute().lazy())


# ---- pc.Config ----


@shows("Config", "Config(**options)", "Config.set_single_node", "Config.set_single_node(active)")
def _(w: World) -> None:
    with pc.Config(single_node=True):
        query = w.submit()
        query.await_result()
    assert w.details(query).query_type == "Single"


@shows("Config.set_user_name", "Config.set_user_name(name)")
def _(w: World) -> None:
    with pc.Config():
        pc.Config.set_user_name("alice")
        query = w.submit()
        query.await_result()
    assert w.details(query).user_name == "alice"


@shows("Config(restore_defaults)", "Config(apply_on_context_enter)", "Config.get", "Config.get(name)", "Config.load")
@shows("Config.load(cfg)", "Config.load_from_file", "Config.load_from_file(file)", "Config.restore_defaults", "Config.save")
@shows("Config.save(if_set)", "Config.save_to_file", "Config.save_to_file(file)", "Config.state", "Config.state(if_set)")
@shows("Config.state(env_only)")
def _(w: World) -> str:
    with pc.Config(restore_defaults=True):
        later = pc.Config(apply_on_context_enter=True, username=None)
        assert pc.Config.get("POLARS_CLOUD_USER_NAME") is None and later is not None
        pc.Config.set_user_name("carol")
        saved = pc.Config.save(if_set=True)
        pc.Config.save_to_file(w.folder / "config")
        pc.Config.restore_defaults()
        assert not pc.Config.state(if_set=True, env_only=True)
        pc.Config.load(saved)
        pc.Config.load_from_file(w.folder / "config")
        assert pc.Config.state()["POLARS_CLOUD_USER_NAME"] == "carol"
    return "the client alone"


# ---- a query in flight ----


@shows("DirectQuery", "DirectQuery(query_id)", "DirectQuery(client)", "DirectQuery(cluster)", "DirectQuery.get_status")
@shows("DirectQuery.await_result", "QueryStatus", "QueryStatus.SUCCESS", "QueryStatus.is_done")
def _(w: World) -> None:
    query = w.submit()
    assert isinstance(query, pc.DirectQuery)
    same(query.await_result().lazy())
    again = pc.DirectQuery(query._query_id, query._client, w.context)
    assert again.get_status() is pc.QueryStatus.SUCCESS and again.get_status().is_done() and "SUCCESS" in repr(again)
    again._repr_html_()


@shows("DirectQuery.cancel", "QueryStatus.CANCELED", "QueryStatus.SCHEDULED", "QueryStatus.INPROGRESS")
def _(w: World) -> None:
    query = w.submit(w.waiting())
    assert query.get_status() in (pc.QueryStatus.SCHEDULED, pc.QueryStatus.INPROGRESS)
    query.cancel()
    assert query.await_result().status is pc.QueryStatus.CANCELED is query.get_status()
    try:
        query._get_stream()
    except RuntimeError as error:
        assert "canceled" in str(error)


@shows("QueryStatus.QUEUED")
def _(w: World) -> str:
    return "not of direct mode: the scheduler's own first status is SCHEDULED"


@shows("DirectQuery.await_result(raise_on_failure)", "QueryStatus.FAILED", "QueryResult.raise_err")
@shows("DirectQuery.await_result(silent)")
def _(w: World) -> None:
    def fail(x: int) -> int:
        raise ZeroDivisionError("on purpose")

    query = w.submit(LF.select(pl.col("a").map_elements(fail, return_dtype=pl.Int64)))
    result = query.await_result(raise_on_failure=False, silent=True)
    assert result.status is pc.QueryStatus.FAILED and result.head is None
    for raising in (result.raise_err, query.await_result):
        try:
            raising()
        except ZeroDivisionError as error:
            assert "on purpose" in str(error)
        else:
            raise AssertionError("it did not raise")


@shows("DirectQuery.await_result_async", "DirectQuery.await_result_async(raise_on_failure)")
def _(w: World) -> None:
    result = asyncio.run(w.submit().await_result_async(raise_on_failure=False))
    same(result.lazy())


@shows("DirectQuery.delete_result")
def _(w: World) -> None:
    query = w.submit()
    (location,) = query.await_result().location or []
    query.delete_result()
    assert not Path(location).exists()


@shows("QueryResult.delete")
def _(w: World) -> None:
    result = w.execute()
    result.delete()
    assert not any(Path(location).exists() for location in result.location or [])
    for once_more in (result.delete, result.lazy):
        try:
            once_more()
        except pl.exceptions.InvalidOperationError:
            continue
        raise AssertionError("a deleted result was used")


# ---- results ----


@shows("QueryResult", "QueryResult(result)", "QueryResult(status)", "QueryResult(query)", "QueryResult.head", "QueryResult.lazy")
@shows("QueryResult.n_rows_total", "QueryResult.location", "QueryResult.file_type", "QueryResult.total_stages")
@shows("QueryResult.finished_stages", "QueryResult.failed_stages", "QueryInfo", "QueryInfo.id", "QueryInfo.inner", "QueryInfo.head")
@shows("QueryInfo.errors", "QueryInfo.failed_stages", "QueryInfo.finished_stages", "QueryInfo.n_rows_result")
@shows("QueryInfo.sink_dst", "QueryInfo.sink_type", "QueryInfo.total_stages")
def _(w: World) -> None:
    first = w.execute()
    info = first.finished_task_info
    result = pc.QueryResult(info, first.status, first._query)
    same(result.head)
    same(result.lazy())
    assert (result.n_rows_total, result.file_type, result.failed_stages) == (3, "parquet", 0)
    assert result.total_stages == result.finished_stages >= 1 and len(result.location or []) >= 1
    assert (info.id, info.errors, info.sink_dst) == (first._query._query_id, [], result.location)  # type: ignore[union-attr]
    assert "total_rows: 3" in repr(result) and "Total Rows" in result._repr_html_()


@shows("QueryInfo.ir_plan_dot", "QueryInfo.ir_plan_explain", "QueryInfo.phys_plan_dot", "QueryInfo.phys_plan_explain")
def _(w: World) -> str:
    info = w.execute().finished_task_info
    assert info.ir_plan_dot is info.ir_plan_explain is info.phys_plan_dot is info.phys_plan_explain is None
    return "none in direct mode: plans come by graph() and plan()"


@shows("QueryResult.stage_statistics", "QueryResult.stage_statistics(stage_number)", "StageStatistics", "StageStatistics.inner")
@shows("StageStatistics.num_workers_used")
def _(w: World) -> None:
    result = w.execute()
    every, first = result.stage_statistics(), result.stage_statistics(0)
    assert len(every) == result.total_stages and first and first.num_workers_used == every[0].num_workers_used >= 1
    repr(pc.StageStatistics(inner=first.inner))


# ---- plans ----

OF_PLANS = [f"{owner}.{name}" for owner in ("DirectQuery", "QueryResult") for name in ("graph", "plan")]


def both(query: Any) -> Iterator[Any]:
    result = query.await_result()
    yield from (query, result)


@shows(*OF_PLANS, *(f"{name}(plan_type)" for name in OF_PLANS), *(f"{n}(raw_output)" for n in OF_PLANS if "graph" in n))
def _(w: World) -> None:
    for it in both(w.submit()):
        for kind, title in (("ir", ("digraph", "graph")), ("physical", "digraph stage_graph")):
            assert it.graph(kind, show=False, raw_output=True).lstrip().startswith(title)
        assert it.plan("physical").startswith("STAGE 0") and it.plan("ir") == ""
    for it in both(w.submit(plan_type="plain")):
        assert "DF [" in it.plan("ir") and it.plan("physical").startswith("STAGE 0")
        try:
            it.graph("ir", show=False, raw_output=True)
        except pl.exceptions.NoDataError:
            continue
        raise AssertionError("a plan in words was drawn")


@shows(*(f"{name}({argument})" for name in OF_PLANS if "graph" in name for argument in ("show", "output_path", "figsize")))
def _(w: World) -> str:
    """With a `dot` of our own, for this machine may have none."""
    (w.folder / "dot").write_text("#!/bin/sh\ncat\n")
    (w.folder / "dot").chmod(0o755)
    target = w.folder / "graph.svg"
    with environment(PATH=f"{w.folder}:{os.environ['PATH']}", POLARS_DOT_SVG_VIEWER="true %file%"):
        for it in both(w.submit()):
            it.graph(show=True, output_path=target, figsize=(3.0, 2.0))
            assert target.read_text().startswith("digraph stage_graph")
            target.unlink()
    return "drawn by the client's own graphviz"


# ---- the remaining doors ----

REMOTES = ("LazyFrameRemote", "ExecuteRemote")


def remotes(w: World, query: pl.LazyFrame = LF) -> Iterator[Any]:
    yield from (query.remote(w.context), query.remote(w.context).single_node(), query.remote(w.context).distributed())


def of_both(name: str, *arguments: str) -> list[str]:
    return [f"{owner}.{name}{argument}" for owner in REMOTES for argument in ("", *(f"({a})" for a in arguments))]


@shows(*of_both("execute", "blocking", "silent"), *of_both("await_and_scan", "silent"), "LazyFrameRemote.single_node")
@shows("LazyFrameRemote.distributed")
def _(w: World) -> None:
    for remote in remotes(w):
        same(remote.execute(blocking=True, silent=True).lazy())
        assert isinstance(remote.execute(blocking=False), pc.DirectQuery)
        same(remote.await_and_scan(silent=True))


@shows(*of_both("show", "n", "silent"))
def _(w: World) -> None:
    for remote in remotes(w):
        same(remote.show(2, silent=True), LF.head(2))


@shows(*of_both("explain", "plan_stage", "silent"))
def _(w: World) -> None:
    for remote in remotes(w, LF.filter(pl.col("a") > 1)):
        assert "FILTER" in remote.explain(plan_stage="ir", silent=True)
        assert remote.explain(silent=True).startswith("STAGE 0")


@shows(*of_both("collect", "ttl"), "ClientDst", "ClientDst(ttl)", "ClientDst(maintain_order)", "TmpDst", "Dst")
def _(w: World) -> None:
    for remote in remotes(w):
        same(remote.collect(ttl=90))
    assert issubclass(TmpDst, Dst) and issubclass(ClientDst, Dst)
    same(pl.scan_arrow_c_stream(pc.spawn(LF, dst=ClientDst(ttl=90, maintain_order=True), context=w.context)._get_stream()))  # type: ignore[union-attr]


@shows(*of_both("collect_batches", "ttl", "maintain_order"))
def _(w: World) -> None:
    for remote in remotes(w):
        same(pl.concat(remote.collect_batches(ttl=90, maintain_order=True)))
        same(pl.concat(remote.collect_batches()).sort("a"), LF.sort("a"))


@shows(*of_both("sink_batches", "function", "chunk_size", "maintain_order"))
@shows("CallbackDst", "CallbackDst(function)", "CallbackDst(chunk_size)", "CallbackDst(maintain_order)")
def _(w: World) -> None:
    mark, rows = w.marking()
    for number, remote in enumerate(remotes(w), 1):
        remote.sink_batches(mark, chunk_size=2, maintain_order=True).await_result()
        assert rows() == 3 * number
    pc.spawn_blocking(LF, dst=CallbackDst(mark, chunk_size=2, maintain_order=True), context=w.context)
    assert rows() == 12


@shows(*of_both("sink_iceberg", "target", "mode", "catalog", "storage_options", "optimizations"))
def _(w: World) -> None:
    LF.remote(w.context).sink_iceberg("space.table", mode="append", catalog=None, storage_options=None).await_result()


@shows("IcebergDst", *(f"IcebergDst({a})" for a in ("target", "mode", "catalog", "storage_options")))
def _(w: World) -> None:
    pc.spawn_blocking(LF, dst=IcebergDst("space.table", mode="append"), context=w.context)


@shows("LazyFrameRemote.labels", "LazyFrameRemote.labels(labels)")
def _(w: World) -> None:
    same(LF.remote(w.context).labels("one").labels(["one", "two"]).execute().lazy())


LINEAGE = dict.fromkeys(("job_namespace", "job_name", "parent_job_namespace", "parent_job_name"), "some")


@shows("LazyFrameRemote.with_lineage", *(f"LazyFrameRemote.with_lineage({f.name})" for f in fields(LineageContext)))
@shows("LineageContext", *(f"LineageContext.{f.name}" for f in fields(LineageContext)))
def _(w: World) -> None:
    parent = uuid.uuid4()
    same(LF.remote(w.context).with_lineage(**LINEAGE, parent_run_id=parent).execute().lazy())  # type: ignore[call-overload]
    same(pc.spawn_blocking(LF, dst=TmpDst(), context=w.context, lineage=LineageContext(**LINEAGE, parent_run_id=parent)).lazy())


# ---- Polars' own doors ----


def engine(w: World) -> pl.RemoteEngine:
    return pl.RemoteEngine(w.context)


OF_ENGINE = "polars.RemoteEngine."


@shows("polars.LazyFrame.collect(engine)", OF_ENGINE + "collect", OF_ENGINE + "collect(lf)", OF_ENGINE + "name")
@shows(OF_ENGINE + "plan_engine", *(OF_ENGINE + f for f in pl.RemoteEngine.__annotations__))
def _(w: World) -> None:
    same(LF.collect(engine=engine(w)))
    assert (engine(w).name, engine(w).plan_engine, engine(w).context) == ("remote", "auto", w.context)


@shows("polars.LazyFrame.execute(engine)", OF_ENGINE + "execute", OF_ENGINE + "execute(lf)")
def _(w: World) -> None:
    same(LF.execute(engine=engine(w)).lazy())


@shows("polars.LazyFrame.collect_batches(engine)", *(OF_ENGINE + "collect_batches" + a for a in ("", "(lf)", "(maintain_order)")))
def _(w: World) -> None:
    same(pl.concat(LF.collect_batches(engine=engine(w), maintain_order=True)))


@shows(OF_ENGINE + "collect_batches(chunk_size)")
def _(w: World) -> None:
    LF.collect_batches(engine=engine(w), chunk_size=2)


@shows(OF_ENGINE + "collect_batches(lazy)")
def _(w: World) -> None:
    LF.collect_batches(engine=engine(w), lazy=True)


@shows(OF_ENGINE + "collect(background)")
def _(w: World) -> None:
    engine(w).collect(LF, optimizations=pl.QueryOptFlags(), background=True)


@shows(OF_ENGINE + "collect(post_opt_callback)")
def _(w: World) -> None:
    engine(w).collect(LF, optimizations=pl.QueryOptFlags(), post_opt_callback=lambda *_: None)


@shows("polars.Config.set_engine_affinity")
def _(w: World) -> None:
    with pl.Config(engine_affinity=engine(w)):
        same(LF.select(pl.col("a").sum()).collect(), LF.select(pl.col("a").sum()))


@shows("polars.LazyFrame.explain(engine)")
def _(w: World) -> str:
    assert "DF [" in LF.explain(engine=engine(w))
    return "the client alone: its own plan"


@shows("polars.LazyFrame.show_graph(engine)")
def _(w: World) -> str:
    assert "graph" in str(LF.show_graph(engine=engine(w), raw_output=True, show=False))
    return "the client alone: its own plan"


@shows("polars.LazyFrame.collect_async(engine)", *(OF_ENGINE + "collect_async" + a for a in ("", "(lf)", "(gevent)", "(optimizations)")))
def _(w: World) -> None:
    LF.collect_async(engine=engine(w))


@shows("polars.collect_all(engine)", *(OF_ENGINE + "collect_all" + a for a in ("", "(lfs)", "(optimizations)")))
def _(w: World) -> None:
    pl.collect_all([LF, LF], engine=engine(w))


@shows("polars.collect_all_async(engine)")
@shows(*(OF_ENGINE + "collect_all_async" + a for a in ("", "(lfs)", "(gevent)", "(optimizations)")))
def _(w: World) -> None:
    pl.collect_all_async([LF, LF], engine=engine(w))


@shows("polars.LazyFrame.sink_batches(engine)", OF_ENGINE + "sink_batches")
@shows(*(OF_ENGINE + f"sink_batches({a})" for a in ("lf", "function", "chunk_size", "maintain_order", "optimizations")))
def _(w: World) -> None:
    LF.sink_batches(w.marking()[0], engine=engine(w))


@shows("polars.LazyFrame.sink_delta(engine)")
def _(w: World) -> None:
    LF.sink_delta(str(w.folder / "delta"), engine=engine(w))


@shows("polars.LazyFrame.sink_iceberg(engine)")
def _(w: World) -> None:
    LF.sink_iceberg("space.table", mode="append", engine=engine(w))


# ---- Polars Cloud's own service ----


class ControlPlane:
    """Stands where the client keeps its connection to the cloud service."""

    class Asked(Exception):
        pass

    def __getattr__(self, method: str) -> Any:
        raise ControlPlane.Asked(method)


def cloud(call: Callable[[], Any]) -> Case:
    def case(w: World) -> str:
        before, constants.API_CLIENT = constants.API_CLIENT, ControlPlane()  # type: ignore[assignment]
        try:
            call()
        except ControlPlane.Asked as asked:
            return f"not of direct mode: asks the cloud service ({asked})"
        finally:
            constants.API_CLIENT = before
        raise AssertionError("it did not ask the cloud service")

    return case


SOME = uuid.UUID(int=1)
CLOUD: dict[str, Callable[[], Any]] = {
    "ComputeContext": lambda: pc.ComputeContext(name="some", workspace=SOME),
    "Organization": lambda: pc.Organization("some"),
    "ProxyQuery": lambda: pc.ProxyQuery(SOME, SOME).get_status(),
    "QueryCloudObserver": lambda: pc.QueryCloudObserver(organization="some"),
    "Workspace": lambda: pc.Workspace("some"),
    "WorkspaceProviderAWS": lambda: pc.WorkspaceProviderAWS(SOME).is_connected(),
    "authenticate": pc.authenticate,
    "login": pc.login,
}
OF_THE_CLOUD = "not of direct mode: of the cloud service"
ONLY_WORDS = ("ComputeContextStatus", "LogLevelModel", "ProviderType", "WorkspaceDefaultComputeSpecs", "WorkspaceStatus", "cli_main", "exceptions")


def find(name: str) -> Case | None:
    """The case of a name; members and arguments of what only the cloud service has are as their owner."""
    owner = name.replace("(", ".").split(".")[0]
    if owner in CLOUD:
        return cloud(CLOUD[owner])
    if owner in ONLY_WORDS:
        return lambda w: OF_THE_CLOUD
    return CASES.get(name)
