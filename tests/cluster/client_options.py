"""tests/cluster/client_options.py: every option of every way to start a query, and of every sink, tried alone.
SPDX-License-Identifier: Apache-2.0

Adds to client_cases.CASES. Who has which options is read from the client; a new option without a value here has no
case, and test_client.py says so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import polars_cloud as pc
import pyarrow.ipc
import pyarrow.parquet
from client_cases import CASES, LF, World, same, shows
from client_names import arguments
from polars_cloud.query.dst import TmpDst
from polars_cloud.query.lineage import LineageContext
from polars_cloud.query.query import DistributionSettings

# ---- queries ----

QUERY = LF.group_by("s").agg(pl.col("a").sum()).sort("s")
FLAGS = pl.QueryOptFlags(predicate_pushdown=False)
UNSTABLE = {"sort_partitioned": False, "pre_aggregation": False, "planner": "naive"}
OPTIONS: dict[str, Any] = {
    "plan_type": "plain",
    "n_retries": 2,
    "priority": -3,
    "engine": "streaming",
    "scaling_mode": "single-node",
    "labels": ["one", "two"],
    "min_workers": 1,
    "max_workers": 1,
    "shuffle_compression": "zstd",
    "shuffle_format": "parquet",
    "shuffle_compression_level": 3,
    "equi_join_broadcast_limit": 0,
    "partitions_per_worker": 2,
    "single_worker_ops": "forbid",
    "expression_lowering": False,
    "**kwargs": UNSTABLE,
    "distributed": True,
    "distributed_settings": DistributionSettings(partitions_per_worker=2),
    "lineage": LineageContext("space", "job"),
    "sink_to_single_file": True,
    "optimizations": FLAGS,
    "**optimizations": {"predicate_pushdown": False},
    "execute_until": "physical",
}
REMARKS = {"**kwargs": "`planner` has no effect: there is one planner", "execute_until": "plans alone, no rows"}
GIVEN = {"lf", "context", "dst"}  # by every call

Start = Callable[[World, dict[str, Any]], list[pc.QueryResult]]


def through_execute_remote(w: World, options: dict[str, Any]) -> list[pc.QueryResult]:
    required = {"plan_type": "dot", "n_retries": 0, "engine": "auto", "labels": None}
    return [pc.ExecuteRemote(QUERY, w.context, **(required | options)).execute()]


def spawned(w: World, options: dict[str, Any]) -> list[pc.QueryResult]:
    return [pc.spawn(QUERY, dst=TmpDst(), context=w.context, **options).await_result()]


def spawned_at_once(w: World, options: dict[str, Any]) -> list[pc.QueryResult]:
    queries = pc.spawn_many([QUERY, QUERY], dst=TmpDst(), context=w.context, **options)
    return [query.await_result() for query in queries]


DOORS: dict[str, tuple[Callable[..., Any], Start]] = {
    "polars.LazyFrame.remote": (pl.LazyFrame.remote, lambda w, o: [QUERY.remote(w.context, **o).execute()]),
    "LazyFrameRemote": (pc.LazyFrameRemote, lambda w, o: [pc.LazyFrameRemote(QUERY, w.context, **o).execute()]),
    "LazyFrameRemote.distributed": (
        pc.LazyFrameRemote.distributed,
        lambda w, o: [QUERY.remote(w.context).distributed(**o).execute()],
    ),
    "ExecuteRemote": (pc.ExecuteRemote, through_execute_remote),
    "DistributionSettings": (
        DistributionSettings,
        lambda w, o: spawned(w, {"distributed": DistributionSettings(**o)}),
    ),
    "polars.RemoteEngine": (pl.RemoteEngine, lambda w, o: [QUERY.execute(engine=pl.RemoteEngine(w.context, **o))]),
    "spawn": (pc.spawn, spawned),
    "spawn_blocking": (pc.spawn_blocking, lambda w, o: [pc.spawn_blocking(QUERY, dst=TmpDst(), context=w.context, **o)]),
    "spawn_many": (pc.spawn_many, spawned_at_once),
    "spawn_many_blocking": (
        pc.spawn_many_blocking,
        lambda w, o: pc.spawn_many_blocking([QUERY, QUERY], dst=TmpDst(), context=w.context, **o),
    ),
}


def start_case(start: Start, argument: str) -> Callable[[World], str | None]:
    def case(w: World) -> str | None:
        value = OPTIONS.get(argument)
        options = {} if argument in GIVEN else value if argument.startswith("**") else {argument: value}
        for result in start(w, options):
            assert result.status is pc.QueryStatus.SUCCESS
            if argument != "execute_until":
                same(result.lazy(), QUERY)
        return REMARKS.get(argument)

    return case


for door, (function, start) in DOORS.items():
    CASES[door] = start_case(start, "lf")
    for argument in arguments(function):
        if argument in GIVEN or argument in OPTIONS:
            CASES[f"{door}({argument})"] = start_case(start, argument)


@shows(*(f"{o}.{m}(optimizations)" for o in ("LazyFrameRemote", "ExecuteRemote") for m in ("execute", "collect", "collect_batches", "explain", "sink_batches")))
@shows(*(f"polars.RemoteEngine.{m}(optimizations)" for m in ("execute", "collect", "collect_batches")))
def _(w: World) -> None:
    for remote in (QUERY.remote(w.context), QUERY.remote(w.context).distributed()):
        same(remote.execute(optimizations=FLAGS).lazy(), QUERY)
        same(remote.collect(optimizations=FLAGS), QUERY)
        same(pl.concat(remote.collect_batches(maintain_order=True, optimizations=FLAGS)), QUERY)
        assert remote.explain(optimizations=FLAGS)
        mark, _ = w.marking()
        remote.sink_batches(mark, optimizations=FLAGS).await_result()
    engine = pl.RemoteEngine(w.context)
    same(QUERY.execute(engine=engine, optimizations=FLAGS).lazy(), QUERY)
    same(QUERY.collect(engine=engine, optimizations=FLAGS), QUERY)
    same(pl.concat(QUERY.collect_batches(engine=engine, optimizations=FLAGS)), QUERY)


# ---- sinks ----

ROWS = pl.LazyFrame({"i": [1, 2, None], "f": [1.5, 2.25, 1e20], "s": ["x", 'q"', "y"]}).with_columns(
    t=pl.datetime(2026, 1, 2, 3, 4, 5), d=pl.date(2026, 1, 2), u=pl.time(3, 4, 5)
)
Proof = Callable[[Path], object]  # false, or an exception: the option had no effect
Tries = dict[str, tuple[Any, Proof]]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def group(path: Path) -> Any:
    return pyarrow.parquet.ParquetFile(path).metadata.row_group(0)


def anything(path: Path) -> bool:
    return path.stat().st_size > 0


EVERY: Tries = {
    "maintain_order": (False, anything),
    "storage_options": ({"max_retries": 1}, anything),
    "credential_provider": (None, anything),
    "sink_to_single_file": (True, anything),
    "optimizations": (FLAGS, anything),
    "sync_on_close": ("data", anything),
    "mkdir": (True, anything),
    "sinked_paths_callback": (lambda *_: None, anything),
    "check_extension": (False, anything),
}
SCHEMA = pyarrow.schema([("i", pyarrow.int64()), ("f", pyarrow.float64()), ("s", pyarrow.large_string())])
SINKS: dict[str, Tries] = {
    "parquet": {
        "compression": ("snappy", lambda p: group(p).column(0).compression == "SNAPPY"),
        "compression_level": (19, anything),
        "statistics": (False, lambda p: group(p).column(0).statistics is None),
        "row_group_size": (2, lambda p: pyarrow.parquet.ParquetFile(p).num_row_groups == 2),
        "data_page_size": (64, anything),
        "metadata": ({"who": "me"}, lambda p: pl.read_parquet_metadata(p)["who"] == "me"),
        "arrow_schema": (SCHEMA, anything),
    },
    "csv": {
        "include_bom": (True, lambda p: read(p).startswith("\ufeff")),
        "include_header": (False, lambda p: not read(p).startswith("i,")),
        "separator": (";", lambda p: read(p).startswith("i;f;")),
        "line_terminator": ("\r\n", lambda p: b"\r\n" in p.read_bytes()),
        "quote_char": ("'", lambda p: 'q"' in read(p) and 'q""' not in read(p)),
        "batch_size": (1, anything),
        "datetime_format": ("%Y/%m", lambda p: "2026/01" in read(p)),
        "date_format": ("%d.%m", lambda p: "02.01" in read(p)),
        "time_format": ("%Hh", lambda p: "03h" in read(p)),
        "float_scientific": (True, lambda p: "1.5e0" in read(p)),
        "float_precision": (3, lambda p: "1.500" in read(p)),
        "decimal_comma": (True, lambda p: '"1,5"' in read(p)),
        "null_value": ("none", lambda p: "none" in read(p)),
        "quote_style": ("always", lambda p: read(p).startswith('"i"')),
        "compression": ("gzip", anything),
        "compression_level": (3, anything),
    },
    "ipc": {
        "compression": ("lz4", anything),
        "compat_level": (pl.CompatLevel.oldest(), lambda p: pyarrow.ipc.open_file(p).schema.field("s").type == "large_string"),
        "record_batch_size": (2, anything),
        "_record_batch_statistics": (True, anything),
    },
}
PLACES = {"uri", "path", "lf"}
DESTINATIONS = {"parquet": pc.ParquetDst, "csv": pc.CsvDst, "ipc": pc.IpcDst}
Sink = Callable[[World, pl.LazyFrame, Any, dict[str, Any]], Any]


def rows_for(argument: str) -> pl.LazyFrame:
    return ROWS.select("i", "f", "s") if argument == "arrow_schema" else ROWS


def sink_case(kind: str, argument: str, sink: Sink) -> Callable[[World], None]:
    def case(w: World) -> None:
        value, proof = (SINKS[kind] | EVERY).get(argument, (None, anything))
        path = w.folder / f"out.{kind}"
        sink(w, rows_for(argument), str(path), {} if argument in PLACES else {argument: value})
        assert proof(path), f"{argument}={value!r} had no effect"
        if kind != "csv" or argument not in SINKS[kind]:  # else it has rows that only the same options read
            same(scan(kind, path), rows_for(argument).select("i", "f", "s"))
        if argument in ("uri", "path"):
            sink(w, ROWS, pl.PartitionBy(str(w.folder / "parts/"), key="s"), {})
            same(scan(kind, w.folder / f"parts/**/*.{kind}").sort("i"), ROWS.select("i", "f", "s").sort("i"))

    return case


def scan(kind: str, path: Path) -> pl.LazyFrame:
    hive: dict[str, Any] = {"hive_partitioning": True, "hive_schema": {"s": pl.String}}
    options = hive if kind != "csv" else {"schema_overrides": {"i": pl.Int64}}
    rows: pl.LazyFrame = getattr(pl, f"scan_{kind}")(path, **options)
    return rows.select("i", "f", "s")


def to_single_file(options: dict[str, Any]) -> dict[str, Any]:
    return {"sink_to_single_file": True} | options


for kind, destination in DESTINATIONS.items():
    through: dict[str, tuple[Callable[..., Any], Sink]] = {
        f"LazyFrameRemote.sink_{kind}": (
            getattr(pc.LazyFrameRemote, f"sink_{kind}"),
            lambda w, q, path, o, kind=kind: getattr(q.remote(w.context), f"sink_{kind}")(path, **to_single_file(o)).await_result(),
        ),
        f"ExecuteRemote.sink_{kind}": (
            getattr(pc.ExecuteRemote, f"sink_{kind}"),
            lambda w, q, path, o, kind=kind: getattr(q.remote(w.context).single_node(), f"sink_{kind}")(path, **o).await_result(),
        ),
        destination.__name__: (
            destination,
            lambda w, q, path, o, dst=destination: pc.spawn_blocking(q, dst=dst(path, **o), context=w.context),
        ),
        f"polars.RemoteEngine.sink_{kind}": (
            getattr(pl.RemoteEngine, f"sink_{kind}"),
            lambda w, q, path, o, kind=kind: getattr(q, f"sink_{kind}")(
                path, engine=pl.RemoteEngine(w.context, scaling_mode="single-node"), **o
            ),
        ),
    }
    for door, (function, sink) in through.items():
        CASES[door] = sink_case(kind, "uri", sink)
        for argument in arguments(function):
            if argument in PLACES | SINKS[kind].keys() | EVERY.keys():
                CASES[f"{door}({argument})"] = sink_case(kind, argument, sink)
    CASES[f"polars.LazyFrame.sink_{kind}(engine)"] = CASES[f"polars.RemoteEngine.sink_{kind}"]


@shows("polars.LazyFrame.sink_ndjson(engine)", "polars.RemoteEngine.sink_ndjson")
@shows(*(f"polars.RemoteEngine.sink_ndjson({a})" for a in arguments(pl.RemoteEngine.sink_ndjson)))
def _(w: World) -> None:
    LF.sink_ndjson(w.folder / "out.ndjson", engine=pl.RemoteEngine(w.context))
