"""tests/cluster/test_planning.py: the executor's answers to the planner, and stages that read and write shuffle files.
SPDX-License-Identifier: Apache-2.0

The executor's modules run in this process, as built; what the planner would send is made by Polars.
"""

from __future__ import annotations

import datetime as dt
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs
import pytest
from cluster import FLOE
from leaves import planned as plan
from polars.testing import assert_frame_equal

sys.path.insert(0, str(FLOE.parent / "executor"))
from floe_executor import capture as capturing  # noqa: E402
from floe_executor import inputs, leaf, planning_pb2, sources, task  # noqa: E402
from floe_executor.executor_pb2 import Boundaries, Done, Input, Run, Shuffle  # noqa: E402

DESCRIBE, CAPTURE, HEADS = 1, 2, 3
Question = planning_pb2.Question


class NoSignals:
    """An Interrupt that never comes."""

    def guard(self, work: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        try:
            return work(), None
        except Exception as error:
            return None, error


def run(plan: bytes, **request: Any) -> Done:
    return task.run(Run(task=1, **request), task.Plan(plan, None), NoSignals())  # type: ignore[arg-type]


def ok(done: Done) -> Done:
    assert done.ok, (done.error_type, done.error_message)
    return done


def expr(e: pl.Expr) -> bytes:
    return e.meta.serialize()


def schema(**dtypes: Any) -> bytes:
    return leaf.write_schema(pl.Schema(dtypes))


def capture(stages: list[planning_pb2.StagePlan], **request: Any) -> list[planning_pb2.CapturedStage]:
    sources = request.pop("sources", [])
    asked = planning_pb2.CaptureRequest(stages=stages, sources=sources)
    done = ok(run(asked.SerializeToString(), call=CAPTURE, **request))
    return list(planning_pb2.CaptureResponse.FromString(done.answer).stages)


def captured_of(*frames: pl.LazyFrame, keys: tuple[pl.Expr, ...] = ()) -> list[planning_pb2.CapturedStage]:
    """The first frame is a stage; each other one reads it through leaf 0."""
    first = planning_pb2.StagePlan(plan=plan(frames[0]), keys=map(expr, keys))
    use = planning_pb2.LeafUse(leaf=0, producers=[0])
    return capture([first, *(planning_pb2.StagePlan(plan=plan(f), leaves=[use]) for f in frames[1:])])


# ---- leaves ----

FRAME = pl.DataFrame({"k": [1, 2, 3, 4, 5, 6], "s": ["a", "b", None, "d", "e", "f"], "x": [0.5, 1.5, 2.5, 3.5, None, 5.5]})


@pytest.fixture
def parts(tmp_path: Path) -> list[str]:
    """FRAME in three files, whose names do not sort in the order of its rows."""
    paths = [str(tmp_path / f"{name}[0].ipc") for name in ("z", "a", "m")]
    for i, path in enumerate(paths):
        FRAME.slice(2 * i, 2).write_ipc(path)
    return paths


def read(frame: pl.LazyFrame, out: Path, *inputs: Input) -> pl.DataFrame:
    ok(run(plan(frame), inputs=inputs, shuffle=Shuffle(directory=str(out), ordered=True)))
    return pl.read_ipc(out / "all.ipc")


@pytest.mark.parametrize(
    "query",
    [
        lambda f: f,
        lambda f: f.select(pl.len()),
        lambda f: f.select("x", "k"),
        lambda f: f.head(3),
        lambda f: f.filter(pl.col("k") > 1).select("s"),
        lambda f: f.filter(pl.col("k") > 1, pl.col("s") != "e").head(2),
        lambda f: f.join(f.filter(pl.col("x") > 1), on="k").select("k", "x_right"),
        lambda f: f.group_by("s").agg(pl.sum("x")).sort("s"),
        lambda f: f.select(pl.lit(1)),
    ],
)
@pytest.mark.parametrize("broadcast", [False, True])
def test_leaf_reads_its_files_in_order(query: Any, broadcast: bool, parts: list[str], tmp_path: Path) -> None:
    given = Input(leaf=3, paths=parts, schema=leaf.write_schema(FRAME.schema), broadcast=broadcast)
    out = read(query(leaf.frame(3)), tmp_path / "out", given)
    is_join = "join" in query(FRAME.lazy()).explain().lower()
    assert_frame_equal(out, query(FRAME.lazy()).collect(), check_row_order=not is_join)


def test_columns_stand_in_the_order_of_the_schema(tmp_path: Path) -> None:
    FRAME.select("x", "k").write_ipc(tmp_path / "in.ipc")
    given = Input(leaf=0, paths=[str(tmp_path / "in.ipc")], schema=schema(k=pl.Int64(), x=pl.Float64()))
    assert read(leaf.frame(0), tmp_path / "out", given).columns == ["k", "x"]


def test_a_leaf_without_files_is_empty(tmp_path: Path) -> None:
    given = Input(leaf=0, schema=leaf.write_schema(FRAME.schema))
    query = leaf.frame(0).filter(pl.col("k") > 1).select("s", pl.len())
    query = pl.concat([query.select(pl.col("s").count()), query.select(s=pl.len())])
    assert read(query, tmp_path / "out", given).to_series().to_list() == [0, 0]


def test_a_leaf_is_found_in_any_slot(tmp_path: Path, parts: list[str]) -> None:
    """Heads of one, three and five bytes; nodes that stand inline; slots beyond 127 and 255."""
    given = [Input(leaf=i, paths=parts[i : i + 1], schema=leaf.write_schema(FRAME.schema)) for i in range(3)]
    for width in (1, 20, 300):
        wide = [leaf.frame(i % 3).filter(pl.col("k") > 0).select(pl.all()) for i in range(3 * width)]
        out = read(pl.concat(wide), tmp_path / f"{width}", *given)
        assert_frame_equal(out, pl.concat([FRAME] * width))


def test_other_data_may_look_like_slots(tmp_path: Path, parts: list[str]) -> None:
    slots = b"\xa9dsl_plans\x92\x82\xa5value\xc0\xa7version\x00\x82\xa5value"
    data = pl.DataFrame({"k": [1, 2], "dsl_plans": [slots, b"\xa7version\x01"]})
    query = leaf.frame(0).join(data.lazy(), on="k").filter(pl.col("dsl_plans") == pl.lit(slots)).select("s", "dsl_plans")
    given = Input(leaf=0, paths=parts, schema=leaf.write_schema(FRAME.schema))
    assert read(query, tmp_path / "out", given).rows() == [("a", slots)]


def test_a_broadcast_side_filters_the_other_while_it_is_read(tmp_path: Path, parts: list[str]) -> None:
    """Polars does so for scans that it deems selective, and not for leaves."""
    pl.concat([FRAME] * 50_000).write_parquet(tmp_path / "large.parquet")
    query = pl.scan_parquet(tmp_path / "large.parquet").join(leaf.frame(0), on="k")
    for broadcast in (True, False):
        given = Input(leaf=0, paths=parts[:1], schema=leaf.write_schema(FRAME.schema), broadcast=broadcast)
        whole = pl.LazyFrame.deserialize(io.BytesIO(inputs.in_place(plan(query), {0: inputs.rows_of(given).serialize()})))
        assert ("dynamic_predicate" in whole.explain(engine="streaming")) == broadcast


def test_files_may_have_more_columns_than_a_leaf(tmp_path: Path, parts: list[str]) -> None:
    given = Input(leaf=0, paths=parts, schema=schema(x=pl.Float64(), k=pl.Int64()))
    assert_frame_equal(read(leaf.frame(0), tmp_path / "out", given), FRAME.select("x", "k"))
    assert_frame_equal(read(leaf.frame(0), tmp_path / "all", Input(leaf=0, paths=parts)), FRAME)
    given = Input(leaf=0, paths=parts, schema=schema(nope=pl.Int64()))
    done = run(plan(leaf.frame(0)), inputs=[given], shuffle=Shuffle(directory=str(tmp_path)))
    assert not done.ok and '"nope"' in done.error_message


def test_a_leaf_without_an_input(parts: list[str]) -> None:
    given = Input(leaf=1, paths=parts, schema=leaf.write_schema(FRAME.schema))
    done = run(plan(leaf.frame(0)), inputs=[given])
    assert not done.ok and "leaf 0 of the plan has no input" in done.error_message


# ---- describe ----


def describe(*nodes: planning_pb2.Node) -> list[planning_pb2.DescribedNode]:
    asked = planning_pb2.DescribeRequest(nodes=nodes)
    return list(planning_pb2.DescribeResponse.FromString(ok(run(asked.SerializeToString(), call=DESCRIBE)).answer).nodes)


def node(frame: pl.LazyFrame, *questions: Any, inputs: tuple[int, ...] = (), source: bool = False) -> planning_pb2.Node:
    return planning_pb2.Node(plan=plan(frame), questions=questions, inputs=inputs, is_source=source)


def answers(frame: pl.LazyFrame, *questions: Any) -> list[planning_pb2.Answer]:
    """About a node over one source."""
    return list(describe(node(frame), node(leaf.frame(0), *questions, inputs=(0,)))[1].answers)


def test_nodes_are_described_over_their_inputs() -> None:
    joined = leaf.frame(0).join(leaf.frame(1).with_columns(y=pl.col("x").cast(pl.Float32)), on="k")
    found = describe(node(FRAME.lazy()), node(leaf.frame(0).select("k", "x"), inputs=(0,)), node(joined, inputs=(0, 1)))
    assert list(found[2].names) == ["k", "s", "x", "x_right", "y"]
    assert list(found[2].dtypes) == ["Int64", "String", "Float64", "Float64", "Float32"]


def test_selectors_and_dtypes() -> None:
    expand, dtypes, unknown = answers(
        FRAME.lazy(),
        Question(kind=Question.EXPAND, exprs=[expr(cs.numeric().as_expr())]),
        Question(kind=Question.DTYPE, exprs=[expr(pl.col("k").mean()), expr(pl.col("s").implode())]),
        Question(),
    )
    assert list(expand.names) == ["k", "x"]
    assert list(dtypes.names) == ["Float64", "List(String)"]
    assert not unknown.ok


def test_what_cannot_be_hashed() -> None:
    def opaque(_: object) -> object:
        return object()

    frame = FRAME.lazy().with_columns(
        o=pl.col("k").map_elements(opaque, return_dtype=pl.Object),
        c=pl.col("s").cast(pl.Categorical),
        n=pl.struct("s", l=pl.concat_list("x")),
    )
    exprs = [[pl.col("k"), pl.col("n")], [pl.col("c")], [pl.col("k"), pl.col("o")], [pl.all()], [pl.exclude("o")]]
    found = answers(frame, *(Question(kind=Question.HASHABLE, exprs=map(expr, es)) for es in exprs))
    assert [answer.ok for answer in found] == [True, True, False, False, True]


KEYS = {
    "Int8": pl.Int8(), "Int32": pl.Int32(), "Int64": pl.Int64(), "UInt64": pl.UInt64(), "UInt128": pl.UInt128(),
    "Float32": pl.Float32(), "Float64": pl.Float64(), "String": pl.String(), "Categorical": pl.Categorical(),
    "Enum": pl.Enum(["1", "2"]), "Decimal2": pl.Decimal(20, 2), "Decimal3": pl.Decimal(20, 3),
    "ms": pl.Datetime("ms"), "us": pl.Datetime("us"), "UTC": pl.Datetime("us", "UTC"), "List": pl.List(pl.Int32()),
}  # fmt: skip


@pytest.mark.parametrize("left", KEYS)
@pytest.mark.parametrize("right", KEYS)
def test_keys_that_a_join_takes_hash_equally(left: str, right: str) -> None:
    """Whatever local Polars joins must be joined by partitions, too: cast to the same dtype."""
    one, other = (pl.LazyFrame({"v": ["1", "2", "-1"]}).select(v=key_of(KEYS[side])) for side in (left, right))
    v = pl.col("v")
    question = Question(kind=Question.JOIN_KEYS, exprs=[expr(v)], other=[expr(v)])
    answer = describe(node(one), node(other), node(leaf.frame(0), question, inputs=(0, 1)))[2].answers[0]
    try:
        one.join(other, on="v").collect()
    except pl.exceptions.PolarsError:
        assert not answer.ok
        return
    assert answer.ok
    if left == right:
        assert [*answer.exprs, *answer.other] == [*question.exprs, *question.other]
    hashes = [leaf.expression(e).hash().alias("h") for e in (*answer.exprs, *answer.other)]
    joined = one.with_columns(hashes[0]).join(other.with_columns(hashes[1]), on="v").collect()
    assert joined.height >= 1 and joined["h"].equals(joined["h_right"])


def key_of(dtype: pl.DataType) -> pl.Expr:
    """1 and 2, and -1 where that is possible, as this dtype."""
    number = pl.col("v").cast(pl.Int64)
    if dtype.is_nested():
        return pl.concat_list(number.cast(dtype.inner))  # type: ignore[attr-defined]
    if not dtype.is_numeric() and not dtype.is_temporal():
        return pl.col("v").str.strip_prefix("-").cast(dtype)
    return (number.abs() if dtype.is_unsigned_integer() else number).cast(dtype)


@pytest.mark.parametrize(
    ("how", "frames"),
    [
        ("vertical", [FRAME, FRAME.head(2)]),
        ("vertical_relaxed", [FRAME, FRAME.cast({"k": pl.Float64})]),
        ("diagonal", [FRAME.select("k", "s"), FRAME.select("x", "k")]),
        ("diagonal_relaxed", [FRAME.select("k", "s"), FRAME.select("x", k=pl.col("k").cast(pl.Float64))]),
        ("diagonal", [FRAME, FRAME.select("x", "s", "k")]),
    ],
)
def test_inputs_of_a_union_conform(how: Any, frames: list[pl.DataFrame]) -> None:
    questions = [Question(kind=Question.CONFORM, input=i) for i in range(2)]
    union = pl.concat([leaf.frame(0), leaf.frame(1)], how=how)
    nodes = describe(*(node(f.lazy()) for f in frames), node(union, *questions, inputs=(0, 1)))
    conformed = []
    for frame, answer in zip(frames, nodes[2].answers):
        assert answer.ok
        columns = [leaf.expression(e) for e in answer.exprs]
        is_union = frame.columns == list(nodes[2].names) and [str(d) for d in frame.dtypes] == list(nodes[2].dtypes)
        assert bool(columns) != is_union
        conformed.append(frame.select(columns) if columns else frame)
    assert_frame_equal(pl.concat(conformed), pl.concat(frames, how=how))


def test_inputs_of_a_union_that_do_not_conform() -> None:
    """Local Polars refuses the first when it runs; the second would be literals without a height."""
    questions = [Question(kind=Question.CONFORM, input=i) for i in range(2)]
    frame = FRAME.select("k", l=-pl.col("k"))
    for how, other in (("vertical", frame.select("l", "k")), ("diagonal", FRAME.select([]))):
        union = pl.concat([leaf.frame(0), leaf.frame(1)], how=how)  # type: ignore[arg-type]
        nodes = describe(node(frame.lazy()), node(other.lazy()), node(union, *questions, inputs=(0, 1)))
        assert not nodes[2].answers[1].ok


def test_errors_are_those_of_local_polars() -> None:
    nodes = [node(FRAME.lazy()), node(leaf.frame(0).select("nope"), inputs=(0,))]
    done = run(planning_pb2.DescribeRequest(nodes=nodes).SerializeToString(), call=DESCRIBE)
    assert (done.ok, done.error_type) == (False, "ColumnNotFoundError") and '"nope"' in done.error_message
    missing = planning_pb2.DescribeRequest(nodes=[node(pl.scan_parquet("/nonexistent/x.parquet"), source=True)])
    assert run(missing.SerializeToString(), call=DESCRIBE).error_type == "FileNotFoundError"


SOURCES: dict[str, tuple[Callable[[pl.DataFrame, Path], None], Callable[..., pl.LazyFrame]]] = {
    "parquet": (pl.DataFrame.write_parquet, pl.scan_parquet),
    "ipc": (pl.DataFrame.write_ipc, pl.scan_ipc),
    "csv": (pl.DataFrame.write_csv, pl.scan_csv),
    "ndjson": (pl.DataFrame.write_ndjson, pl.scan_ndjson),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_files_of_a_source(kind: str, tmp_path: Path) -> None:
    write, scan = SOURCES[kind]
    files = []
    for i in range(3):
        files.append(tmp_path / f"k={i}" / f"part.{kind}")
        files[-1].parent.mkdir()
        write(FRAME.head(i + 1), files[-1])
    for _ in range(2):  # the second from memory
        described = describe(node(scan(tmp_path / "*" / f"*.{kind}"), source=True))[0]
        found = described.source
        assert [(f.path, f.bytes) for f in found.files] == [(str(f), f.stat().st_size) for f in files]
        assert found.has_rows == (kind in ("parquet", "ipc"))
        if found.has_rows:
            assert [f.rows for f in found.files] == [1, 2, 3] and found.rows == 6
        assert list(leaf.read_schema(found.schema)) == list(described.names)
        assert pl.LazyFrame.deserialize(io.BytesIO(found.frame)).collect_schema().names() == list(described.names)
    write(FRAME, files[1])  # written anew: counted anew
    found = describe(node(scan(tmp_path / "*" / f"*.{kind}"), source=True))[0].source
    assert found.rows == (1 + FRAME.height + 3 if found.has_rows else 0)


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_is_opened_once(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a file is changed, added or removed, in a pattern or a list."""
    opened = []
    look = sources.look
    monkeypatch.setattr(sources, "look", lambda *given: opened.append(given) or look(*given))
    write, scan = SOURCES[kind]
    paths = [tmp_path / f"{i}.{kind}" for i in range(3)]

    def described(source: Any) -> tuple[list[str], list[str]]:
        found = describe(node(scan(source), source=True))[0]
        return list(found.names), [file.path for file in found.source.files]

    write(FRAME, paths[0])
    for source in (tmp_path / f"*.{kind}", [paths[0]], tmp_path):
        assert described(source) == described(source) == (FRAME.columns, [str(paths[0])])
    assert len(opened) == 3
    write(FRAME, paths[1])
    assert described(tmp_path / f"*.{kind}") == (FRAME.columns, list(map(str, paths[:2])))
    assert described([paths[0]]) == (FRAME.columns, [str(paths[0])])
    assert len(opened) == 4
    write(FRAME.select("x"), paths[0])
    assert described([paths[0]]) == (["x"], [str(paths[0])])
    paths[0].unlink()
    assert described(tmp_path) == (FRAME.columns, [str(paths[1])])
    assert run(planning_pb2.DescribeRequest(nodes=[node(scan([paths[0]]), source=True)]).SerializeToString(), call=DESCRIBE).error_type
    assert len(opened) == 6


def test_what_is_remembered_of_sources_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_REMEMBERED_BYTES", 40_000)
    monkeypatch.setattr(sources, "_remembered", {})
    plans = []
    for i in range(20):
        FRAME.write_parquet(tmp_path / f"{i}.parquet")
        plans.append(pl.scan_parquet(tmp_path / f"{i}.parquet").serialize())
    for plan in plans:
        sources.find(plan)
        sources.find(plans[0])
    known = sources._remembered
    assert 2 <= len(known) < 20 and list(known)[-2:] == [plans[-1], plans[0]]
    assert sum(one.bytes for one in known.values()) <= 40_000


def test_sources_that_are_not_files() -> None:
    buffer = io.BytesIO()
    FRAME.write_ipc(buffer)
    sources = [FRAME.lazy(), pl.scan_ipc(buffer.getvalue()), pl.scan_parquet(_parquet_bytes())]
    found = [n.source for n in describe(*(node(s, source=True) for s in sources))]
    assert [(list(f.files), f.has_rows, f.rows) for f in found] == [([], True, 6), ([], False, 0), ([], False, 0)]


def _parquet_bytes() -> bytes:
    buffer = io.BytesIO()
    FRAME.write_parquet(buffer)
    return buffer.getvalue()


def test_many_new_files_are_not_counted(tmp_path: Path) -> None:
    for i in range(65):
        FRAME.write_parquet(tmp_path / f"{i}.parquet")
    found = describe(node(pl.scan_parquet(tmp_path), source=True))[0].source
    assert (len(found.files), found.has_rows) == (65, False)


# ---- capture ----

SOURCE = FRAME.lazy().with_columns(b=pl.lit(True), t=pl.lit("a long text"))


def test_columns_filters_and_limits_are_captured() -> None:
    wanted, root = captured_of(SOURCE, leaf.frame(0).filter(pl.col("k") > 2).select("x"))
    assert list(wanted.columns) == ["k", "x"]
    assert [str(leaf.expression(f)) for f in wanted.filters] == ['[(col("k")) > (2)]']
    assert not wanted.has_limit and not root.has_columns
    assert list(leaf.read_schema(root.leaves[0].schema)) == ["k", "x"]
    assert [leaf.expression(e).meta.output_name() for e in root.leaves[0].exprs] == ["k", "s", "x", "b", "t"]
    (wanted, _) = captured_of(SOURCE, leaf.frame(0).select("s").slice(2, 3))
    assert list(wanted.columns) == ["s"] and wanted.limit == 5
    (wanted, _) = captured_of(SOURCE, leaf.frame(0))
    assert not wanted.has_columns and not wanted.columns and not wanted.filters and not wanted.has_limit


def test_only_what_serves_all_consumers_is_captured() -> None:
    wanted, *_ = captured_of(SOURCE, leaf.frame(0).filter(pl.col("k") > 2).select("x"), leaf.frame(0).select("s").head(1))
    assert list(wanted.columns) == ["k", "s", "x"] and not wanted.filters and not wanted.has_limit
    twice = leaf.frame(0).select("k").filter(pl.col("k") > 2).join(leaf.frame(0).select("k", "s"), on="k")
    wanted, _ = captured_of(SOURCE, twice)
    assert list(wanted.columns) == ["k", "s"] and not wanted.filters
    wanted, *_ = captured_of(SOURCE, leaf.frame(0), leaf.frame(0).select("s"))
    assert not wanted.has_columns


def test_keys_and_heights_need_columns() -> None:
    wanted, _ = captured_of(SOURCE, leaf.frame(0).select("x"), keys=(pl.struct("k", pl.col("s")).hash() % 3,))
    assert list(wanted.columns) == ["k", "s", "x"]
    wanted, _ = captured_of(SOURCE, leaf.frame(0).select("x"), keys=(pl.struct(pl.all()).hash() % 3,))
    assert not wanted.has_columns
    wanted, _ = captured_of(SOURCE, leaf.frame(0).select(pl.lit(1)))
    assert list(wanted.columns) == ["b"]
    wanted, _ = captured_of(SOURCE, pl.LazyFrame({"a": [1]}))
    assert list(wanted.columns) == ["b"]


def test_requests_go_through_stages_and_sources_are_not_opened() -> None:
    schema = leaf.write_schema(SOURCE.collect_schema())
    stages = [
        planning_pb2.StagePlan(plan=plan(leaf.frame(9).with_columns(y=pl.col("x") * 2))),
        planning_pb2.StagePlan(plan=plan(leaf.frame(9).with_columns(y=pl.lit(0.0)))),
        planning_pb2.StagePlan(
            plan=plan(leaf.frame(0).with_columns(z=pl.col("y") + 1)), leaves=[planning_pb2.LeafUse(leaf=0, producers=[0, 1])]
        ),
        planning_pb2.StagePlan(
            plan=plan(leaf.frame(1).filter(pl.col("z") > 1, pl.col("s") == "a").select("k").sink_parquet("/nonexistent/x", lazy=True)),
            leaves=[planning_pb2.LeafUse(leaf=1, producers=[2])],
        ),
    ]
    found = capture(stages, sources=[planning_pb2.CapturedLeaf(leaf=9, schema=schema)])
    assert list(found[2].columns) == ["k", "s", "z"] and len(found[2].filters) == 2
    for producer in found[:2]:  # the filter on z, which is made of y, stays
        assert list(producer.columns) == ["k", "s", "y"] and len(producer.filters) == 1


def test_pushdown_that_is_switched_off_is_not_captured() -> None:
    query = leaf.frame(0).filter(pl.col("k") > 2).select("x")
    stages = [
        planning_pb2.StagePlan(plan=plan(SOURCE)),
        planning_pb2.StagePlan(plan=plan(query), leaves=[planning_pb2.LeafUse(leaf=0, producers=[0])]),
    ]
    predicate, projection = 1 << 2, 1 << 0
    type_coercion = 1 << 4
    wanted, _ = capture(stages, optimization_flags=projection | type_coercion)
    assert list(wanted.columns) == ["k", "x"] and not wanted.filters
    wanted, _ = capture(stages, optimization_flags=predicate | type_coercion)
    assert not wanted.has_columns and len(wanted.filters) == 1


def test_functions_of_python_stay_where_they_are() -> None:
    odd = pl.col("k").map_elements(lambda k: k % 2 == 1, return_dtype=pl.Boolean)
    wanted, _ = captured_of(SOURCE, leaf.frame(0).filter(odd).select("x"))
    assert list(wanted.columns) == ["k", "x"] and not wanted.filters


# ---- rows between stages ----

ROWS = 3000
WIDE = pl.DataFrame({"k": range(ROWS)}).with_columns(
    g=pl.col("k") * 7919 % 13,
    s=pl.when(pl.col("k") % 5 > 0).then(pl.concat_str(pl.lit("row "), pl.col("k") % 97)),
    c=pl.concat_str(pl.lit("c"), pl.col("k") % 50).cast(pl.Categorical),
    e=pl.when(pl.col("k") % 2 == 0).then(pl.lit("b")).otherwise(pl.lit("a")).cast(pl.Enum(["b", "a"])),
    m=(pl.col("k") / 7).cast(pl.Decimal(20, 3)),
    d=pl.lit(dt.datetime(2026, 1, 1)) + pl.duration(minutes="k"),
    n=pl.lit(None),
    l=pl.concat_list("k", pl.lit(None, pl.Int64)),
    r=pl.struct("k", x=pl.lit(1.5)),
    __p=pl.lit("a name that is in use"),
)


def shuffled(frame: pl.LazyFrame, directory: Path, inputs: tuple[Input, ...] = (), **shuffle: Any) -> Done:
    directory.mkdir()
    done = ok(run(plan(frame), inputs=inputs, shuffle=Shuffle(directory=str(directory), **shuffle)))
    assert [f.name for f in done.shuffled] == sorted(
        (str(f.relative_to(directory)) for f in directory.rglob("*.*")), key=lambda n: (len(n), n)
    )
    return done


@pytest.mark.parametrize("partitions", [0, 1, 2, 40])
@pytest.mark.parametrize("form", ["ipc", "parquet", "lz4", "zstd"])
def test_rows_go_to_their_partitions_and_back(partitions: int, form: str, tmp_path: Path) -> None:
    key = pl.col("g").hash() % max(partitions, 1)
    how: dict[str, Any] = {"parquet": form == "parquet", "compression": form if form in ("lz4", "zstd") else ""}
    done = shuffled(
        WIDE.lazy(), tmp_path / "out", partitions=partitions, key=expr(key) if partitions else b"", ordered=True, **how
    )
    expected = WIDE.with_columns(p=key if partitions else pl.lit(0, pl.UInt64))
    assert sum(f.rows for f in done.shuffled) == ROWS
    assert {f.partition for f in done.shuffled} == set(expected["p"])
    for partition, rows in expected.group_by("p", maintain_order=True):
        paths = [str(tmp_path / "out" / f.name) for f in done.shuffled if f.partition == partition[0]]
        given = Input(leaf=0, paths=paths, schema=leaf.write_schema(WIDE.schema), parquet=how["parquet"])
        assert_frame_equal(inputs.rows_of(given).collect(engine="streaming"), rows.drop("p"))
        assert sum(f.rows for f in done.shuffled if f.partition == partition[0]) == rows.height


def test_no_rows_make_no_file(tmp_path: Path) -> None:
    none = WIDE.lazy().filter(pl.col("k") < 0)
    assert not shuffled(none, tmp_path / "some", partitions=3, key=expr(pl.col("g") % 3)).shuffled
    assert not shuffled(none, tmp_path / "one").shuffled
    (file,) = shuffled(pl.DataFrame(height=5).lazy(), tmp_path / "height").shuffled
    assert file.rows == 5


@pytest.mark.parametrize("key", [pl.lit(None, pl.Int64), pl.col("k")])
def test_a_key_that_is_no_partition(key: pl.Expr, tmp_path: Path) -> None:
    shuffle = Shuffle(directory=str(tmp_path), partitions=2, key=expr(key))
    done = run(plan(pl.LazyFrame({"k": [0, 1, 2]})), shuffle=shuffle)
    assert not done.ok and "expected a number below 2" in done.error_message


@pytest.mark.parametrize("parts", [1, 2, 7])
@pytest.mark.parametrize("skew", [1, 2, ROWS])
def test_boundaries_cut_rows_into_even_parts(parts: int, skew: int) -> None:
    rows = WIDE.lazy().select(v=(pl.col("k") * 7919 % ROWS // skew).cast(pl.String).str.zfill(6))
    key = pl.col("v").cast(pl.Binary)
    done = ok(run(plan(rows), boundaries=Boundaries(partitions=parts, key=expr(key))))
    cuts = list(done.boundaries)
    assert cuts == sorted(set(cuts)) and len(cuts) == (parts - 1 if skew < ROWS else 0)
    part = pl.sum_horizontal([pl.lit(0), *((key >= pl.lit(cut)).cast(pl.Int32) for cut in cuts)])
    sizes = rows.group_by(part).len().collect()["len"]
    assert len(sizes) == len(cuts) + 1 and sizes.max() - sizes.min() <= skew + parts


def test_the_sample_for_boundaries_is_bounded_and_even(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("floe_executor.output.MAX_SAMPLE", 1000)
    from floe_executor import output

    keys = pl.LazyFrame({"key": range(1_000_000)}).select(pl.col("key").cast(pl.String).str.zfill(7).cast(pl.Binary))
    taken = output.sample(keys, engine="streaming")
    assert 500 <= taken.len() <= 1000
    gaps = taken.cast(pl.String).cast(pl.Int64).sort().diff().drop_nulls()
    assert gaps.max() < 8 * 1_000_000 // taken.len()
    assert not run(plan(WIDE.lazy().head(0)), boundaries=Boundaries(partitions=3, key=expr(pl.col("s").cast(pl.Binary)))).boundaries


def test_heads_follow_each_other() -> None:
    heads = []
    for start in (0, 2, 4):
        buffer = io.BytesIO()
        FRAME.slice(start, 2).write_ipc(buffer)
        heads.append(buffer.getvalue())
    for rows in (0, 3, 10):
        done = ok(run(planning_pb2.HeadsRequest(rows=rows, heads=heads).SerializeToString(), call=HEADS))
        head = planning_pb2.HeadsResponse.FromString(done.answer).head
        assert_frame_equal(pl.read_ipc(head), FRAME.head(rows))


# ---- two stages, as the scheduler runs them ----

k, g = pl.col("k"), pl.col("g")
CONSUMERS: dict[str, Callable[[pl.LazyFrame], pl.LazyFrame]] = {
    "all": lambda f: f,
    "filter only column": lambda f: f.filter(pl.col("s") == "row 3").select(pl.sum("k"), pl.len()),
    "filter above a group": lambda f: f.group_by("g", "e").agg(pl.sum("k")).filter(pl.col("e") == "a").select("g", "k"),
    "filter above a sort": lambda f: f.sort("d").filter(pl.col("c") == "c7").select("m"),
    "two filters": lambda f: f.filter(k > 10).with_columns(z=k * 2).filter(pl.col("z") < 500).select("l"),
    "unused aggregate": lambda f: f.group_by("g").agg(pl.sum("k"), pl.col("s").n_unique()).select("g", "k"),
    "height": lambda f: f.select(pl.len()),
    "sql": lambda f: f.sql("select g, sum(k) n from self where s = 'row 3' group by g"),
    "self join": lambda f: f.filter(k < 100).join(f.select("k", "m"), on="k").select("m", "s"),
    "function": lambda f: f.filter(pl.col("k").map_elements(lambda v: v % 3 == 0, return_dtype=pl.Boolean)).select("s"),
    "window": lambda f: f.filter(k > 7).with_columns(w=k.sum().over("g")).filter(pl.col("w") > 9).select("w", "d"),
}


@pytest.mark.parametrize("name", CONSUMERS)
@pytest.mark.filterwarnings("ignore")
def test_scans_show_what_leaves_are_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to ask give the same."""
    consumer = CONSUMERS[name](leaf.frame(0))
    shown = captured_of(WIDE.lazy(), consumer, consumer)
    alone = captured_of(WIDE.lazy(), consumer)
    told = []
    tell = capturing.Stage._told
    monkeypatch.setattr(capturing.Stage, "_shown", lambda stage, *_: ({number: [] for number in stage.below}, set()))
    monkeypatch.setattr(capturing.Stage, "_told", lambda *given: told.append(given) or tell(*given))
    assert captured_of(WIDE.lazy(), consumer, consumer) == shown
    assert captured_of(WIDE.lazy(), consumer) == alone
    assert len(told) == 3


@pytest.mark.parametrize("name", CONSUMERS)
@pytest.mark.parametrize("partitions", [0, 3])
@pytest.mark.filterwarnings("ignore")
def test_two_stages_equal_one(name: str, partitions: int, tmp_path: Path) -> None:
    """What was captured is put on the producer, its files have only that, and nothing is lost."""
    consumer = CONSUMERS[name]
    key = g.hash() % max(partitions, 1)
    wanted, root = captured_of(WIDE.lazy(), consumer(leaf.frame(0)), keys=(key,))
    producer = WIDE.lazy()
    for predicate in wanted.filters:
        producer = producer.filter(leaf.expression(predicate))
    producer = producer.select(list(wanted.columns)) if wanted.has_columns else producer
    done = shuffled(producer, tmp_path / "1", partitions=partitions, key=expr(key), ordered=True)
    given = Input(leaf=0, schema=root.leaves[0].schema)
    named = [leaf.expression(e) for e in root.leaves[0].exprs]
    rows = leaf.frame(0).select(named) if named else leaf.frame(0)
    given.paths.extend(str(tmp_path / "1" / f.name) for f in done.shuffled)
    ok(run(plan(consumer(rows)), inputs=[given], shuffle=Shuffle(directory=str(tmp_path))))
    expected = consumer(WIDE.lazy()).collect()
    assert expected.height
    assert_frame_equal(pl.read_ipc(tmp_path / "all.ipc"), expected, check_row_order=False)
