"""tests/cluster/test_expressions.py: src/plan/expr and aggregate against Polars' own words and values.
SPDX-License-Identifier: Apache-2.0

What Floe's tables say of an expression is believed by nobody here: rows are split, the parts are
computed each by itself, and together they must be what Polars makes of all rows.
"""

from __future__ import annotations

import io
import json
import os
import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import equality
from expressions import EXPRESSIONS, rows
from cluster import FLOE

TOOL = Path(os.environ.get("FLOE_BUILD_DIR", FLOE.parent)) / "tests/cluster/expr_tool"
PAGE = Path(__file__).parents[2] / "docs/reference/distribution.md"
Pieces = list[bytes]

pytestmark = pytest.mark.filterwarnings("ignore")  # advice about slow and deprecated functions


class Tool:
    """A process that answers as expr_tool.c says; ends with this one."""

    def __init__(self, *verb: str) -> None:
        self.process = subprocess.Popen([TOOL, *verb], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, *lists: Pieces, answers: int = 1) -> list[Pieces]:
        assert self.process.stdin
        for pieces in lists:
            self.process.stdin.write(struct.pack("<I", len(pieces)))
            for piece in pieces:
                self.process.stdin.write(struct.pack("<I", len(piece)) + piece)
        self.process.stdin.flush()
        return [[self._read(self._number()) for _ in range(self._number())] for _ in range(answers)]

    def _read(self, n: int) -> bytes:
        assert self.process.stdout
        data = self.process.stdout.read(n)
        assert len(data) == n, "expr_tool ended"
        return data

    def _number(self) -> int:
        return int.from_bytes(self._read(4), "little")

    def end(self) -> None:
        self.process.communicate(timeout=20)
        assert self.process.returncode == 0


@cache
def tool(*verb: str) -> Tool:
    STARTED.append(Tool(*verb))
    return STARTED[-1]


STARTED: list[Tool] = []


@pytest.fixture(scope="module", autouse=True)
def _tools_end() -> Iterator[None]:
    yield
    for started in STARTED:
        started.end()


def expr_of(data: bytes) -> pl.Expr:
    return pl.Expr.deserialize(io.BytesIO(data))


@dataclass(frozen=True)
class Read:
    """An expression, and what Floe says of it."""

    expr: pl.Expr
    data: bytes
    facts: dict[str, Any]

    def __str__(self) -> str:
        return f"{str(self.expr)[:200]} {self.facts}"

    @property
    def kind(self) -> str:
        return str(self.facts["class"])


def read(expr: pl.Expr) -> Read:
    data = expr.meta.serialize()
    [[facts, _]] = tool("read").ask([data, b"x"])
    return Read(expr, data, json.loads(facts))


@cache
def all_read() -> list[Read]:
    return [read(expr) for expr in EXPRESSIONS]


def of_kind(*kinds: str) -> list[Read]:
    found = [r for r in all_read() if r.kind in kinds]
    assert len(found) > 5
    return found


def parts(df: pl.DataFrame) -> list[pl.DataFrame]:
    """Of different sizes, one of them empty, one of a single row."""
    return [df[:7], df[7:7], df[7:8], df[8:]]


def streamed(query: pl.LazyFrame) -> pl.DataFrame:
    """As executors run it."""
    return query.collect(engine="streaming")


def assert_same(got: pl.DataFrame, want: pl.DataFrame) -> None:
    equality.assert_same(got, want, ordered=True)


def check_all(reads: list[Read], check: Callable[[Read], None]) -> None:
    """All of them, and then one report."""
    wrong = []
    for read in reads:
        try:
            check(read)
        except (AssertionError, pl.exceptions.PolarsError) as error:
            wrong.append(f"{read}\n    {error}")
    assert not wrong, f"{len(wrong)} of {len(reads)}:\n" + "\n".join(wrong)


# ---- what Polars says -----------------------------------------------------------------------------


def test_row_wise_is_row_wise_to_polars() -> None:
    asked = 0

    def check(read: Read) -> None:
        nonlocal asked
        meta = read.expr.meta
        try:
            rowwise, scalar = meta.is_row_separable() and meta.is_length_preserving(), meta.is_scalar()
        except pl.exceptions.ColumnNotFoundError:
            return  # it would have to know dtypes
        assert rowwise if read.kind == "rowwise" else scalar
        asked += 1

    check_all([r for r in of_kind("rowwise", "scalar", "aggregate") if not r.facts["selector"]], check)
    assert asked > 400


def test_names_and_columns() -> None:
    df = rows()

    def check(read: Read) -> None:
        columns = read.facts["columns"]
        seen = df if columns is None else df.select(set(columns) | {"p"})
        one = seen.select(read.expr)
        if read.facts["name"] is not None:
            assert one.columns == [read.facts["name"]]

    check_all(all_read(), check)
    unnamed = [r for r in all_read() if not r.facts["selector"] and r.facts["name"] is None]
    assert len(unnamed) < 15, "\n".join(map(str, unnamed))


def test_selectors_are_replaced_by_their_columns() -> None:
    df = rows()
    expanding = [r for r in all_read() if r.facts["expands"]]
    for read in expanding:
        text = read.expr.meta.serialize(format="json")
        selector, _ = json.JSONDecoder().raw_decode(text, text.index('{"Selector":'))
        chosen = df.select(pl.Expr.deserialize(io.StringIO(json.dumps(selector)), format="json")).columns
        copies = [expr_of(tool("read").ask([read.data, name.encode()])[0][1]) for name in chosen]
        assert_same(df.select(copies), df.select(read.expr))
    assert len(expanding) > 12


# ---- row by row -----------------------------------------------------------------------------------


def test_row_wise_expressions_of_parts() -> None:
    df = rows()
    backwards = list(range(df.height))[::-1]

    def check(read: Read) -> None:
        whole = df.select(read.expr)
        assert whole.height == df.height
        assert_same(pl.concat([streamed(part.lazy().select(read.expr)) for part in parts(df)]), whole)
        assert_same(df[backwards].select(read.expr)[backwards], whole)

    check_all(of_kind("rowwise"), check)


def test_scalars_are_the_same_for_all_rows() -> None:
    df = rows()

    def check(read: Read) -> None:
        for part in parts(df):
            assert_same(part.select(read.expr), df.select(read.expr))

    check_all(of_kind("scalar"), check)


def test_windows_of_whole_groups() -> None:
    df = rows()

    def check(read: Read) -> None:
        keys = re.findall(r'"partition_by":\[([^]]*)\]', read.expr.meta.serialize(format="json"))
        names = [json.loads(f"[{text}]") for text in keys]
        assert names and all(name == names[0] for name in names)
        by = [name["Column"] for name in names[0]]
        groups = df.with_row_index("row").partition_by(by, maintain_order=False)
        halves = [pl.concat(groups[k::2]).sort("row") for k in (0, 1)]
        got = pl.concat([half.select("row", read.expr) for half in halves]).sort("row").drop("row")
        assert_same(got, df.select(read.expr))

    check_all([r for r in of_kind("window") if not r.facts["selector"]], check)


def test_order_shows_only_where_it_is_said() -> None:
    df = rows()

    def check(read: Read) -> None:
        mixed = df.with_row_index("row").sample(fraction=1, shuffle=True, seed=7)
        got = mixed.select("row", read.expr)
        got = got.sort("row").drop("row") if read.kind != "aggregate" else got.drop("row").head(1)
        assert_same(got, df.select(read.expr))

    check_all([r for r in of_kind("aggregate", "window") if not r.facts["order"] and not r.facts["selector"]], check)


# ---- aggregates in halves -------------------------------------------------------------------------


@dataclass(frozen=True)
class Halves:
    order: bool
    partial: list[pl.Expr]
    final: list[pl.Expr]
    having: list[pl.Expr]


def halves(verb: str, df: pl.DataFrame, exprs: list[pl.Expr], having: list[pl.Expr] | None = None) -> Halves | None:
    data = [e.meta.serialize() for e in exprs]
    tests = [e.meta.serialize() for e in having or []]
    [inputs] = tool("needs").ask(data + tests)
    dtypes = [str(df.select(expr_of(x)).dtypes[0]).encode() for x in inputs]
    [order], partial, final, rest = tool(verb).ask(data, tests, inputs, dtypes, answers=4)
    if not final:
        return None
    return Halves(order == b"1", *([expr_of(x) for x in xs] for xs in (partial, final, rest)))


def select_in_halves(df: pl.DataFrame, expr: pl.Expr) -> pl.DataFrame | None:
    if (h := halves("select", df, [expr])) is None:
        return None
    got = pl.concat([streamed(part.lazy().select(h.partial)) for part in parts(df)])
    return streamed(got.lazy().select(h.final))


def group_in_halves(df: pl.DataFrame, keys: list[str], expr: pl.Expr) -> pl.DataFrame | None:
    if (h := halves("group_by", df, [expr])) is None:
        return None
    got = pl.concat([streamed(part.lazy().group_by(keys).agg(h.partial)) for part in parts(df)])
    return streamed(got.lazy().group_by(keys).agg(h.final)).sort(keys)


def test_halves_of_a_select() -> None:
    df, halved = rows(), 0

    def check(read: Read) -> None:
        nonlocal halved
        for of in (df, df[:0], df[3:4]):
            if (got := select_in_halves(of, read.expr)) is None:
                return
            assert_same(got, of.select(read.expr))
        halved += 1

    check_all(of_kind("aggregate"), check)
    assert halved > 150


def test_halves_of_a_group_by() -> None:
    df, halved = rows(), 0

    def check(read: Read) -> None:
        nonlocal halved
        expr = read.expr.name.suffix("_") if read.facts["name"] in ("g", "h") else read.expr
        for keys in (["g"], ["h", "g"]):
            if (got := group_in_halves(df, keys, expr)) is None:
                return
            assert_same(got, df.group_by(keys).agg(expr).sort(keys))
        halved += 1

    check_all(of_kind("aggregate"), check)
    assert halved > 150


def test_parts_in_any_order_unless_said() -> None:
    df = rows()

    def check(read: Read) -> None:
        h = halves("select", df, [read.expr])
        if h and not h.order:
            got = pl.concat([part.select(h.partial) for part in reversed(parts(df))]).select(h.final)
            assert_same(got, df.select(read.expr))

    check_all(of_kind("aggregate"), check)


def test_halves_together() -> None:
    """Several of them share partial values; HAVING is halved with them."""
    df = rows()
    exprs = [pl.col("i").mean(), pl.col("i").sum().alias("s"), pl.len(), pl.col("i").std().alias("d")]
    having = [pl.len() > 3, pl.col("i").sum() > 0]
    h = halves("group_by", df, exprs, having)
    assert h and len(h.having) == 2
    assert len(h.partial) == 6  # sum of floats, count, mean, variance, sum, len
    got = pl.concat([part.group_by("g").agg(h.partial) for part in parts(df)])
    got = got.group_by("g").having(*h.having).agg(h.final)
    assert_same(got.sort("g"), df.group_by("g").having(*having).agg(exprs).sort("g"))
    with_literal = halves("select", df, [pl.lit(1).alias("one"), pl.col("i").sum()])
    assert with_literal and with_literal.final
    assert_same(df.select(with_literal.partial).select(with_literal.final), df.select(one=1, i=pl.col("i").sum()))


@pytest.mark.parametrize(
    "expr",
    [
        pl.col("i"),
        pl.lit(1),
        pl.col("i").median(),
        pl.col("i").n_unique(),
        pl.col("i").implode(),
        pl.col("s").str.join("-"),
        pl.col("i").sort().first(),
        pl.col("d").mean(),
        pl.col("dec").mean(),
        pl.lit(1).sum(),
        pl.all().sum(),
        pl.col("i").sum() - pl.col("i").n_unique(),
        pl.col("i").sum().over("g").sum(),
        pl.col("i") - pl.col("i").mean(),
    ],
    ids=str,
)
def test_what_has_no_halves(expr: pl.Expr) -> None:
    assert halves("group_by", rows(), [expr]) is None
    assert halves("group_by", rows(), [pl.col("i").sum().alias("other"), expr.alias("this")]) is None


# ---- literals in place of columns -----------------------------------------------------------------


def with_literals(expr: pl.Expr, df: pl.DataFrame) -> Iterator[pl.Expr]:
    """Copies in which a value, or a null, stands for one of the columns."""
    text = expr.meta.serialize(format="json")
    for found in re.finditer(r'\{"Column":"(\w+)"\}', text):
        values = df[found[1]]
        for one in (values.drop_nulls()[:1], values.filter(values.is_null())[:1]):
            if len(one) and values.dtype not in (pl.Array, pl.Categorical):
                literal = pl.lit(one.to_list()[0], dtype=values.dtype).meta.serialize(format="json")
                copy = text[: found.start()] + literal + text[found.end() :]
                yield pl.Expr.deserialize(io.StringIO(copy), format="json")


def test_literals_in_place_of_columns() -> None:
    """Where a function is as long as its first input, and where a part of the rows is empty."""
    df, checked = rows(), 0

    def check(read: Read) -> None:
        nonlocal checked
        try:
            whole = df.select(read.expr)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            return  # Polars wants a column there
        checked += 1
        if read.kind == "rowwise":
            assert whole.height == df.height
            split = [part.select(read.expr) for part in parts(df)]
            assert [part.height for part in split] == [part.height for part in parts(df)]
            assert_same(pl.concat(split), whole)
        if read.kind == "scalar":
            for part in parts(df):
                assert_same(part.select(read.expr), whole)
        if read.kind == "aggregate":
            if (got := select_in_halves(df, read.expr)) is not None:
                assert_same(got, whole)

    pure = [r for r in all_read() if not r.facts["impure"]]
    check_all([read(copy) for r in pure for copy in with_literals(r.expr, df)], check)
    assert checked > 600


# ---- exchanges ------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [["i"], ["g", "s"], ["f"], ["st"], ["i", "i"]], ids=str)
def test_hash_partitions(keys: list[str]) -> None:
    df = rows()
    [[made]] = tool("hash", "3").ask([pl.col(k).meta.serialize() for k in keys])
    numbered = df.with_columns(partition=expr_of(made))
    assert set(numbered["partition"]) <= {0, 1, 2}
    assert numbered.group_by(set(keys)).agg(pl.col("partition").n_unique())["partition"].max() == 1
    assert_same(pl.concat([part.select(expr_of(made)) for part in parts(df)]), df.select(expr_of(made)))


@pytest.mark.parametrize("descending", [[True, False], [False, True]], ids=str)
@pytest.mark.parametrize("nulls_last", [[True, True], [False, True], [False]], ids=str)
def test_range_partitions(descending: list[bool], nulls_last: list[bool]) -> None:
    df, by = rows(), ["i", "s"]
    how = {"descending": descending, "nulls_last": nulls_last if len(nulls_last) == 2 else nulls_last * 2}
    in_order = df.sort(by, **how, maintain_order=True)
    options = packed({"descending": descending, "nulls_last": nulls_last})
    [[made]] = tool("sort").ask([pl.col(k).meta.serialize() for k in by], [options])
    keyed = df.with_columns(key=expr_of(made))
    assert_same(keyed.sort("key", maintain_order=True).drop("key"), in_order)
    boundaries = [keyed["key"].sort()[k] for k in (5, 17)]
    for bounds in (boundaries, []):
        [[made]] = tool("range").ask([pl.col("key").meta.serialize()], bounds)
        numbered = keyed.with_columns(partition=expr_of(made))
        assert set(numbered["partition"]) == set(range(len(bounds) + 1))
        split = numbered.sort("partition", maintain_order=True).partition_by("partition", maintain_order=True)
        kept = [p.sort(by, **how, maintain_order=True) for p in split]
        assert_same(pl.concat(kept).drop("key", "partition"), in_order)


def packed(value: object) -> bytes:
    """MessagePack of what is small."""
    if isinstance(value, dict):
        return bytes([0x80 | len(value)]) + b"".join(packed(k) + packed(v) for k, v in value.items())
    if isinstance(value, list):
        return bytes([0x90 | len(value)]) + b"".join(map(packed, value))
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    assert isinstance(value, str) and len(value) < 32
    return bytes([0xA0 | len(value)]) + value.encode()


# ---- the tables know all of Polars ----------------------------------------------------------------


def variants(wrap: Callable[[object], object]) -> set[str]:
    """Polars says which names it knows when it is given another one."""
    try:
        expr_of(packed(wrap({"Nope": []})))
    except pl.exceptions.ComputeError as error:
        return set(re.findall(r"`(\w+)`", str(error).rsplit("expected", 1)[1]))
    raise AssertionError("Polars knows `Nope`")


def function(name: str | None, value: object) -> object:
    return {"Function": {"input": [{"Column": "i"}], "function": {name: value} if name else value}}


@cache
def table() -> dict[str, set[str]]:
    """The page, which is printed from the tables: family → functions."""
    found: dict[str, set[str]] = {}
    for line in PAGE.read_text().split("## Functions", 1)[1].split("##", 1)[0].splitlines():
        if row := re.fullmatch(r"\| (\w*) \| ([\w ]+) \| .* \|", line):
            found.setdefault(row[1], set()).update(row[2].split())
    return found


def test_each_function_of_polars_is_in_the_tables() -> None:
    known = table()
    families = known.keys() - {"", "of"}
    apart = {"FfiPlugin"}  # says by its flags what it is
    assert variants(lambda nope: function(None, nope)) == known[""] | families | apart
    for family in families:
        assert variants(lambda nope: function(family, nope)) == known[family], family


def test_each_variant_of_polars_is_in_the_tables() -> None:
    section = PAGE.read_text().split("## Expressions", 1)[1].split("##", 1)[0]
    listed = set(re.findall(r"^\| (\w+) \|", section, re.MULTILINE)) - {"expression"}
    never = {"DataTypeFunction", "Display", "PipeWithDtype", "SubPlan"}  # other, whatever is in them
    assert variants(lambda nope: nope) == listed | never


def names_in(value: object) -> Iterator[tuple[str, str]]:
    """(family, function) of each function in an expression."""
    if isinstance(value, list):
        for item in value:
            yield from names_in(item)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if key == "function" and "input" in value:
            name = inner if isinstance(inner, str) else next(iter(inner))
            nested = inner[name] if isinstance(inner, dict) and name in table() else None
            yield ("", name) if nested is None else (name, nested if isinstance(nested, str) else next(iter(nested)))
        yield from names_in(inner)


def test_each_function_is_tried() -> None:
    tried = {name for e in EXPRESSIONS for name in names_in(json.loads(e.meta.serialize(format="json")))}
    all_names = {(family, name) for family, names in table().items() for name in names if family != "of"}
    by_sql = {("Sql", name) for name in table()["Sql"]}
    by_polars_itself = {("", "AsList"), ("", "DecimalArith"), ("TruncArith", "IntDiv"), ("TruncArith", "Rem")}
    assert all_names - tried == by_sql | by_polars_itself
