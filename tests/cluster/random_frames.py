"""tests/cluster/random_frames.py: random LazyFrames whose answers Polars promises.
SPDX-License-Identifier: Apache-2.0

usage: random_frames.py SEED… → prints the programs of these seeds and their local answers

A program is a list of statements in Python, so a failure can be read, pasted and run. It uses only
what is promised: the order of rows and the uniqueness of keys are tracked for every frame, rows are
never chosen among equals, and a float that depends on the order of adding (`exact` is false) is
carried along but decides nothing. `shrink` makes a failing program small without losing that.
"""

from __future__ import annotations

import datetime as dt
import itertools
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs
from random_data import ALWAYS, DTYPES, LOSSLESS, MOST_ROWS, SEEDS, Source, Sources
from random_expressions import AGGREGATES, CONDITIONS, KEYS, LISTS, ORDERED_WINDOWS, ROW_WISE, SORTABLE, WINDOWS, kind_of

# --- programs ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    dtype: pl.DataType
    exact: bool = True  # its value does not depend on the order in which something was added up
    tame: bool = True  # small enough for sums of squares


@dataclass(frozen=True)
class Frame:
    """What is known of a frame."""

    name: str
    columns: dict[str, Column]
    ordered: bool  # the order of rows is promised
    key: tuple[str, ...] | None  # exact columns that no two rows have in common
    rows: int  # at most
    fragile: bool = False  # Polars forgets this order below a slice

    def exact(self, *kinds: str) -> list[str]:
        return [n for n, c in self.columns.items() if c.exact and (not kinds or kind_of(c.dtype) in kinds)]


@dataclass(frozen=True)
class Statement:
    """`frame = start parts end`; without any of the parts it may still be a statement."""

    frame: Frame
    inputs: tuple[Frame, ...]
    start: str
    parts: tuple[str, ...] = ()
    end: str = ""
    source: Source | None = None

    def __str__(self) -> str:
        code = self.source or f"{self.start}{', '.join(self.parts)}{self.end}"
        return f"{self.frame.name} = {code}"


@dataclass(frozen=True)
class Program:
    seed: int
    statements: tuple[Statement, ...]

    @property
    def result(self) -> Frame:
        return self.statements[-1].frame

    def build(self, sources: Sources) -> pl.LazyFrame:
        names: dict[str, Any] = {"__name__": "__main__", "pl": pl, "cs": cs, "dt": dt, "source": sources}
        for statement in self.statements:
            exec(str(statement), names)
        return names[self.result.name]

    def __str__(self) -> str:
        order = "in this order" if self.result.ordered else "in any order"
        return "\n".join([f"# seed {self.seed}", *map(str, self.statements), f"# {self.result.name}, {order}"])


WILD = re.compile(r"product|\*\*|xor|hash")  # what makes large numbers of small ones


@dataclass(frozen=True)
class Expression:
    code: str
    inputs: frozenset[str]


def assigned(made: dict[str, Expression]) -> tuple[str, ...]:
    return tuple(f"{n}={e.code}" for n, e in made.items())


class Generator:
    """Grows one program; every statement is checked by Polars' own schema before it is kept."""

    def __init__(self, seed: int, sources: Sources) -> None:
        self.seed = seed
        self.r = random.Random(seed)
        self.sources = sources
        self.statements: list[Statement] = []
        self.built: dict[str, pl.LazyFrame] = {}
        self.count = 0

    # names and choices

    def new(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def some(self, things: list[str], most: int, least: int = 1) -> list[str]:
        if len(things) < least:
            raise Impossible
        return self.r.sample(things, self.r.randint(least, max(least, min(most, len(things)))))

    def one(self, things: list[Any] | tuple[Any, ...]) -> Any:
        if not things:
            raise Impossible
        return self.r.choice(things)

    # expressions

    def fill(self, table: dict[str, tuple[str, ...]], frame: Frame, names: list[str] | None = None) -> Expression:
        """A template of the table over a column of the frame, or one of `names`."""
        name = self.one(names or frame.exact())
        column = frame.columns[name]
        kind = kind_of(column.dtype)
        own, general = table.get(kind, ()), table.get("any", ())
        template = self.one(own if own and (not general or self.r.random() < 0.75) else general)
        if ("{o}" in template and (not frame.ordered or frame.fragile)) or ("{t}" in template and not column.tame):
            raise Impossible
        other = self.one([n for n in frame.exact() if frame.columns[n].dtype == column.dtype])
        inputs = {name, other}
        condition = ""
        if "{p}" in template:
            made = self.fill(CONDITIONS, frame)
            condition, inputs = f"({made.code})", inputs | made.inputs
        field_name = column.dtype.fields[0].name if isinstance(column.dtype, pl.Struct) else ""
        code = template.format(
            a=f"pl.col({name!r})", b=f"pl.col({other!r})", p=condition, n=self.r.randrange(-9, 30),
            m=self.r.randrange(1, 6), f=field_name, o="", t="",
        )  # fmt: skip
        return Expression(code, frozenset(inputs))

    def named(self, table: dict[str, tuple[str, ...]], frame: Frame, most: int) -> dict[str, Expression]:
        return {self.new("x"): self.fill(table, frame) for _ in range(self.r.randint(1, most))}

    # statements

    def add(
        self,
        inputs: tuple[Frame, ...],
        start: str,
        parts: tuple[str, ...] = (),
        end: str = "",
        *,
        ordered: bool,
        key: tuple[str, ...] | None,
        rows: int,
        made: dict[str, Expression] | None = None,
        inexact: frozenset[str] = frozenset(),
        aggregate: bool = False,
        fragile: bool | None = None,
    ) -> Frame:
        """`made`: the new columns; others keep what is known of them. Raises if Polars refuses."""
        name = self.new("f")
        made = made or {}
        names = {"__name__": "__main__", "pl": pl, "cs": cs, "dt": dt} | self.built
        lazy = eval(f"{start}{', '.join(parts)}{end}", names)
        columns = {}
        for column, dtype in lazy.collect_schema().items():
            used = made[column].inputs if column in made else {column}
            known = [f.columns[n] for f in inputs for n in (*used, *(_base(u) for u in used)) if n in f.columns]
            exact = all(c.exact for c in known) and column not in inexact
            if aggregate and column in made:
                exact &= "Float" not in repr(dtype)
            tame = all(c.tame for c in known) and not (column in made and WILD.search(made[column].code))
            columns[column] = Column(dtype, exact, tame)
        if key and not all(column in columns and columns[column].exact for column in key):
            key = None
        fragile = any(f.fragile for f in inputs) if fragile is None else fragile
        frame = Frame(name, columns, ordered, key, rows, fragile)
        self.statements.append(Statement(frame, inputs, start, parts, end))
        self.built[name] = lazy
        return frame

    def add_source(self) -> Frame:
        r = self.r
        rows = r.choice([0, 1, 40, 300, 300, 300, 1000, 1000, 1000, 1000, MOST_ROWS, MOST_ROWS])
        kind = r.choice(["parquet"] * 8 + ["frame", "csv", "ipc", "ndjson"])
        if kind == "frame":
            rows = min(rows, 300)
        cuts = sorted(r.choice([0, rows, r.randint(0, rows)]) for _ in range(r.choice([0, 1, 2, 2, 4, 6])))
        edges = [0, *cuts, rows]
        files = tuple(b - a for a, b in itertools.pairwise(edges)) if kind != "frame" else (rows,)
        allowed = [n for n in LOSSLESS.get(kind, tuple(DTYPES)) if n not in ALWAYS]
        columns = (*ALWAYS, *r.sample(allowed, r.randint(1, 5)))
        source = Source(r.randrange(SEEDS), files, kind, columns)
        name = self.new("f")
        known = {n: Column(pl.Series(dtype=DTYPES[n]).dtype, tame=n != "wide") for n in columns}
        frame = Frame(name, known, True, ("id",), rows)
        self.statements.append(Statement(frame, (), "", source=source))
        self.built[name] = self.sources(source.seed, source.files, source.kind, source.columns)
        return frame

    # one input

    def filter(self, f: Frame) -> Frame:
        parts = tuple(self.fill(CONDITIONS, f).code for _ in range(self.r.randint(1, 2)))
        return self.add((f,), f"{f.name}.filter(", parts, ")", ordered=f.ordered, key=f.key, rows=f.rows)

    def filter_by_aggregate(self, f: Frame) -> Frame:
        name = self.one(f.exact("int", "text", "day"))
        condition = self.one(["{a} == {a}.max()", "{a} > {a}.min()", "{a}.is_unique()", "pl.len() > {n}"])
        code = condition.format(a=f"pl.col({name!r})", n=self.r.randrange(100))
        return self.add((f,), f"{f.name}.filter({code})", ordered=f.ordered, key=f.key, rows=f.rows)

    def with_columns(self, f: Frame) -> Frame:
        made = self.named(ROW_WISE, f, 3)
        if f.key and self.r.random() < 0.2:  # a column under its own name
            name = self.one([n for n in f.exact() if n not in f.key and n.isidentifier()])
            made[name] = self.fill(ROW_WISE, f, [name])
        parts = assigned(made)
        return self.add(
            (f,), f"{f.name}.with_columns(", parts, ")", ordered=f.ordered, key=f.key, rows=f.rows, made=made
        )

    def select(self, f: Frame) -> Frame:
        kept = self.some(list(f.columns), 5)
        if f.key and self.r.random() < 0.8:
            kept = [*dict.fromkeys([*f.key, *kept])]
        made = self.named(ROW_WISE, f, 2)
        parts = (*map(repr, kept), *assigned(made))
        return self.add((f,), f"{f.name}.select(", parts, ")", ordered=f.ordered, key=f.key, rows=f.rows, made=made)

    def select_by_selector(self, f: Frame) -> Frame:
        what = self.one([
            "pl.all()", "cs.numeric()", "~cs.float()", "cs.string() | cs.integer()", "pl.all().exclude('g')",
            "cs.by_index(0, -1)", "cs.exclude(cs.temporal())", "pl.col('^[a-k].*$')", "pl.exclude(pl.Float64)",
        ])  # fmt: skip
        return self.add((f,), f"{f.name}.select({what})", ordered=f.ordered, key=f.key, rows=f.rows)

    def rename_or_drop(self, f: Frame) -> Frame:
        name = self.one([n for n in f.columns if not f.key or n not in f.key])
        if self.r.random() < 0.5:
            return self.add((f,), f"{f.name}.drop({name!r})", ordered=f.ordered, key=f.key, rows=f.rows)
        new = self.new("r")
        made = {new: Expression("", frozenset({name}))}
        code = f"{f.name}.rename({{{name!r}: {new!r}}})"
        return self.add((f,), code, ordered=f.ordered, key=f.key, rows=f.rows, made=made)

    def nulls(self, f: Frame) -> Frame:
        name = self.one(f.exact())
        code = self.one([f".drop_nulls({name!r})", ".fill_null(0)", ".fill_nan(None)", ".drop_nans()", ".drop_nulls(cs.integer())"])
        return self.add((f,), f.name + code, ordered=f.ordered, key=f.key if "drop" in code else None, rows=f.rows)

    def group_by(self, f: Frame) -> Frame:
        keys = self.some(f.exact(*KEYS), 3)
        made = self.named(AGGREGATES, f, 4)
        if self.r.random() < 0.2:
            made |= self.named(LISTS, f, 1)
        computed: dict[str, Expression] = {}
        if self.r.random() < 0.25:
            computed = {self.new("key"): self.fill(ROW_WISE, f, f.exact("int", "text", "day"))}
        in_order = f.ordered and self.r.random() < 0.4
        by = [*map(repr, keys), *assigned(computed)]
        start = f"{f.name}.group_by({', '.join(by)}, maintain_order={in_order})"
        if self.r.random() < 0.15:
            name = self.one(f.exact("int"))
            start += f".having(pl.len() > {self.r.randrange(4)}, pl.col({name!r}).max() > 0)"
        floats = {n for n in keys if kind_of(f.columns[n].dtype) == "float"}  # 0.0 or -0.0?
        floats |= set(computed)  # its dtype is not known here
        return self.add(
            (f,), f"{start}.agg(", assigned(made), ")",
            ordered=in_order, key=(*keys, *computed), rows=f.rows, made=made | computed, inexact=frozenset(floats),
            aggregate=True, fragile=in_order,
        )  # fmt: skip

    def group_by_selector(self, f: Frame) -> Frame:
        key = self.one(f.exact("int", "text", "bool", "day"))
        what = self.one(["cs.integer().sum()", "pl.all().count()", "cs.numeric().max()", "pl.all().exclude('id').null_count()"])
        others = frozenset(n for n, c in f.columns.items() if "Float" in repr(c.dtype) or not c.exact)
        return self.add(
            (f,), f"{f.name}.group_by({key!r}).agg({what})", ordered=False, key=(key,), rows=f.rows, inexact=others
        )

    def aggregate(self, f: Frame) -> Frame:
        made = self.named(AGGREGATES, f, 4)
        parts = assigned(made)
        return self.add(
            (f,), f"{f.name}.select(", parts, ")", ordered=True, key=None, rows=1, made=made, aggregate=True
        )

    def group_by_time(self, f: Frame) -> Frame:
        if not f.key:
            raise Impossible
        when = self.one(f.exact("when", "day"))
        made = self.named(AGGREGATES, replace(f, ordered=False), 3)
        group = self.one([n for n in f.exact("int", "text", "bool") if n != when])
        by = self.r.random() < 0.4
        keys = [group, when] if by else [when]
        how = self.one(["group_by_dynamic({w!r}, every='1d'{g})", "group_by_dynamic({w!r}, every='7d', period='9d'{g})",
                        "rolling({w!r}, period='3d'{g})"])  # fmt: skip
        order = ", ".join(map(repr, dict.fromkeys([*keys, *f.key])))
        how = how.format(w=when, g=f", group_by={group!r}" if by else "")
        start = f"{f.name}.drop_nulls({when!r}).sort({order}).{how}.agg("
        return self.add(
            (f,), start, assigned(made), ")",
            ordered=not by, key=None, rows=f.rows * 2, made=made, aggregate=True,
        )  # fmt: skip

    def window(self, f: Frame) -> Frame:
        keys = [k for k in self.some(f.exact(*KEYS), 2) if kind_of(f.columns[k].dtype) != "float"]
        made = {}
        for _ in range(self.r.randint(1, 2)):
            table = self.one([AGGREGATES, WINDOWS, ORDERED_WINDOWS])
            order = ""
            if table is ORDERED_WINDOWS:
                if not f.key or len(f.key) > 1:
                    raise Impossible
                order = f", order_by={f.key[0]!r}"
            e = self.fill(table, f)
            over = f".over({', '.join(map(repr, keys))}{order})" if keys else ""
            if not over and order and not f.ordered:
                raise Impossible
            made[self.new("w")] = Expression(f"({e.code}){over}", e.inputs | set(keys))
        parts = assigned(made)
        return self.add(
            (f,), f"{f.name}.with_columns(", parts, ")", ordered=f.ordered, key=f.key, rows=f.rows, made=made,
            aggregate=True,
        )  # fmt: skip

    def cumulative(self, f: Frame) -> Frame:
        if not f.ordered:
            raise Impossible
        made = self.named(ORDERED_WINDOWS, f, 2)
        parts = assigned(made)
        return self.add(
            (f,), f"{f.name}.with_columns(", parts, ")", ordered=True, key=f.key, rows=f.rows, made=made, aggregate=True
        )

    def unique(self, f: Frame) -> Frame:
        inexact = [n for n, c in f.columns.items() if not c.exact or "Float" in repr(c.dtype)]
        choices = []
        if not inexact:
            choices.append(([], "any"))  # whole rows: whichever is kept is the same
        subset = self.some(f.exact("int", "text", "bool", "day", "cat", "dec", "when"), 2)
        choices.append((subset, "none"))
        if f.ordered:
            choices += [(subset, "first"), (subset, "last")]
        names, keep = self.one(choices)
        in_order = f.ordered and self.r.random() < 0.5
        subset_code = f"{names!r}, " if names else ""
        code = f"{f.name}.unique({subset_code}keep={keep!r}, maintain_order={in_order})"
        return self.add((f,), code, ordered=in_order, key=tuple(names) or tuple(f.columns), rows=f.rows)

    def sort(self, f: Frame) -> Frame:
        by = self.some(f.exact(*SORTABLE), 3)
        stable = False
        if f.key and (not f.ordered or self.r.random() < 0.7):
            by = [*dict.fromkeys([*by, *f.key])]
        elif f.ordered:
            stable = True
        down, last = [[self.r.random() < 0.4 for _ in by] for _ in range(2)]
        total = bool(f.key) and set(f.key or ()) <= set(by)
        code = f"{f.name}.sort({by!r}, descending={down}, nulls_last={last}, maintain_order={stable})"
        return self.add((f,), code, ordered=stable or total, key=f.key, rows=f.rows, fragile=stable and f.fragile)

    def sort_by_expression(self, f: Frame) -> Frame:
        if not f.ordered:
            raise Impossible
        e = self.fill(ROW_WISE, f, f.exact("int", "text", "day"))
        if "pl.col" not in e.code:
            raise Impossible
        code = f"{f.name}.sort({e.code}, maintain_order=True, descending={self.r.random() < 0.5})"
        return self.add((f,), code, ordered=True, key=f.key, rows=f.rows)

    def top_k(self, f: Frame) -> Frame:
        if not f.key:
            raise Impossible
        by = [*dict.fromkeys([*self.some(f.exact("int", "text", "day", "when"), 2), *f.key])]
        n = self.r.choice([0, 1, 5, 40, 200])
        down = [self.r.random() < 0.3 for _ in by]
        code = f"{f.name}.{self.one(['top_k', 'bottom_k'])}({n}, by={by!r}, reverse={down})"
        return self.add((f,), code, ordered=False, key=f.key, rows=n)

    def limit(self, f: Frame) -> Frame:
        if not f.ordered or f.fragile:
            raise Impossible
        n, at = self.r.choice([0, 1, 9, 50, 400, 2000]), self.r.choice([0, 1, 7, 90])
        code = self.one([f"head({n})", f"tail({n})", f"slice({at}, {n})", f"slice({at})", f"slice(-{at + 1}, {n})",
                         f"gather_every({at + 1})", "reverse()", f"limit({n})"])  # fmt: skip
        return self.add((f,), f"{f.name}.{code}", ordered=True, key=f.key, rows=f.rows)

    def row_index(self, f: Frame) -> Frame:
        if not f.ordered:
            raise Impossible
        name = self.new("nr")
        code = f"{f.name}.with_row_index({name!r}, offset={self.r.randrange(5)})"
        return self.add((f,), code, ordered=True, key=f.key or (name,), rows=f.rows)

    def explode(self, f: Frame) -> Frame:
        name = self.one([n for n in f.exact("list", "array") if not f.key or n not in f.key])
        return self.add((f,), f"{f.name}.explode({name!r})", ordered=f.ordered, key=None, rows=f.rows * 4)

    def unnest(self, f: Frame) -> Frame:
        name = self.one(f.exact("struct"))
        new = {field.name: Expression("", frozenset({name})) for field in f.columns[name].dtype.fields}
        return self.add((f,), f"{f.name}.unnest({name!r})", ordered=f.ordered, key=f.key, rows=f.rows, made=new)

    def unpivot(self, f: Frame) -> Frame:
        on = self.some([n for n in f.exact("int") if not f.key or n not in f.key], 3)
        index = self.some([n for n in f.exact("int", "text", "day") if n not in on], 2)
        if f.key:
            index = [*dict.fromkeys([*f.key, *index])]
        what, value = self.new("what"), self.new("value")
        made = {value: Expression("", frozenset(on))}
        code = f"{f.name}.unpivot(on={on!r}, index={index!r}, variable_name={what!r}, value_name={value!r})"
        key = (*f.key, what) if f.key else None
        return self.add((f,), code, ordered=False, key=key, rows=f.rows * 3, made=made)

    def pivot(self, f: Frame) -> Frame:
        on, values = self.one(f.exact("int")), self.one(f.exact("int"))
        index = self.one([n for n in f.exact("text", "bool", "int", "day") if n not in (on, values)])
        how = self.one(["sum", "min", "max", "len"])
        code = (
            f"{f.name}.pivot({on!r}, on_columns=[0, 1, 5], index={index!r}, values={values!r}, aggregate_function={how!r})"
        )
        made = {n: Expression("", frozenset({on, values})) for n in ("0", "1", "5")}
        return self.add((f,), code, ordered=False, key=(index,), rows=f.rows, made=made, aggregate=True)

    def user_function(self, f: Frame) -> Frame:
        code = self.one([
            ".map_batches(lambda df: df.filter(pl.col({n!r}).is_not_null()))", ".map_batches(lambda df: df, streamable=True)",
            ".pipe(lambda lf: lf.cache())", ".pipe(lambda lf: lf.with_columns(pl.col({n!r}).alias('again')))",
        ])  # fmt: skip
        code = code.format(n=self.one(f.exact()))
        return self.add((f,), f.name + code, ordered=f.ordered, key=f.key, rows=f.rows)

    def with_own_aggregate(self, f: Frame) -> Frame:
        """A group_by joined back to the rows it was made of."""
        key = self.one(f.exact("int", "text", "bool", "day"))
        made = {self.new("own"): self.fill(AGGREGATES, replace(f, ordered=False))}
        parts = assigned(made)
        start = f"{f.name}.join({f.name}.group_by({key!r}).agg("
        end = f"), on={key!r}, how={self.one(['left', 'inner'])!r}, nulls_equal={self.r.random() < 0.5})"
        return self.add((f,), start, parts, end, ordered=False, key=f.key, rows=f.rows, made=made, aggregate=True)

    # two inputs

    def pairs(self, a: Frame, b: Frame, most: int) -> list[tuple[str, str]]:
        """Columns that can be compared; integers of different widths, too."""
        found = []
        for x in a.exact(*KEYS):
            for y in b.exact(*KEYS):
                one, other = a.columns[x].dtype, b.columns[y].dtype
                if one == other or (one.is_integer() and other.is_integer() and self.r.random() < 0.2):
                    found.append((x, y))
        chosen = self.r.sample(found, min(len(found), self.r.randint(1, most)))
        chosen = [p for i, p in enumerate(chosen) if p[0] not in {q[0] for q in chosen[:i]} and p[1] not in {q[1] for q in chosen[:i]}]
        if not chosen:
            raise Impossible
        return chosen

    def join(self, a: Frame, b: Frame) -> Frame:
        keys = self.pairs(a, b, 2)
        if self.r.random() < 0.5 and "id" in a.exact() and "id" in b.exact():
            keys = [("id", "id")]
        left, right = [list(side) for side in zip(*keys, strict=True)]
        how = self.one(["inner"] * 3 + ["left"] * 3 + ["right", "full", "semi", "anti"])
        a_unique = bool(a.key) and set(a.key or ()) <= set(left)
        b_unique = bool(b.key) and set(b.key or ()) <= set(right)
        rows = a.rows + b.rows
        if how not in ("semi", "anti") and not a_unique and not b_unique:
            rows += a.rows * b.rows
            if rows > 100_000:
                raise Impossible
        suffix = f"_{self.count}"
        options = [f"how={how!r}", f"suffix={suffix!r}", f"nulls_equal={self.r.random() < 0.3}"]
        order = self.one(["none", "none", "left", "left_right", "right_left"]) if how not in ("semi", "anti") else "none"
        options.append(f"maintain_order={order!r}")
        if how not in ("semi", "anti"):
            options.append(f"coalesce={self.one([None, None, True, False])}")
        ordered = order in ("left_right", "right_left") or (order == "left" and how == "left" and b_unique)
        ordered &= a.ordered and b.ordered
        key: tuple[str, ...] | None = None
        if how in ("semi", "anti"):
            key = a.key
        elif a.key and b.key and how in ("inner", "left") and "coalesce=False" not in options:
            key = a.key if b_unique else None
        floats = {n for n, f in [*((n, a) for n in left), *((n, b) for n in right)] if kind_of(f.columns[n].dtype) == "float"}
        floats |= {n + suffix for n in floats}
        on = f"on={left!r}" if left == right else f"left_on={left!r}, right_on={right!r}"
        code = f"{a.name}.join({b.name}, {on}, {', '.join(options)})"
        return self.add((a, b), code, ordered=ordered, key=key, rows=rows, inexact=frozenset(floats))

    def join_on_expressions(self, a: Frame, b: Frame) -> Frame:
        x, y = self.one(a.exact("int")), self.one(b.exact("int"))
        if a.rows * b.rows > 100_000:
            raise Impossible
        how = self.one(["inner", "left", "semi", "anti"])
        on = f"left_on=pl.col({x!r}) + 1, right_on=pl.col({y!r}) * 2"
        code = f"{a.name}.join({b.name}, {on}, how={how!r}, suffix='_{self.count}')"
        key = a.key if how in ("semi", "anti") else None
        return self.add((a, b), code, ordered=False, key=key, rows=a.rows * b.rows)

    def cross_or_where(self, a: Frame, b: Frame) -> Frame:
        if a.rows * b.rows > 20_000:
            raise Impossible
        suffix = f"_{self.count}"
        rows = a.rows * b.rows
        if self.r.random() < 0.5:
            code = f"{a.name}.join({b.name}, how='cross', suffix={suffix!r})"
            return self.add((a, b), code, ordered=False, key=None, rows=rows)
        x, y = self.one(a.exact("int", "day")), self.new("y")
        z = self.one([n for n in b.exact("int", "day") if b.columns[n].dtype == a.columns[x].dtype])
        right = f"{b.name}.select({y}=pl.col({z!r}))"
        code = f"{a.name}.join_where({right}, pl.col({x!r}) {self.one(['<', '>=', '=='])} pl.col({y!r}))"
        made = {y: Expression("", frozenset({z}))}
        return self.add((a, b), code, ordered=False, key=None, rows=rows, made=made)

    def join_asof(self, a: Frame, b: Frame) -> Frame:
        if not a.key or b.key != ("id",) or "id" not in b.columns:
            raise Impossible
        on = self.one([n for n in a.exact("int") if a.columns[n].dtype == pl.Int64])
        order = ", ".join(map(repr, dict.fromkeys([on, *a.key])))
        by = self.one([None, *(n for n in a.exact("int", "text") if n in b.exact() and b.columns[n].dtype == a.columns[n].dtype)])
        if by in (on, "id"):
            raise Impossible
        options = f"strategy={self.one(['backward', 'forward'])!r}, suffix='_{self.count}'"
        options += f", by={by!r}" if by else ""
        code = (
            f"{a.name}.drop_nulls({on!r}).sort({order}).join_asof({b.name}.sort('id'), left_on={on!r}, right_on='id', {options})"
        )
        return self.add((a, b), code, ordered=True, key=a.key, rows=a.rows)

    def concat(self, a: Frame, b: Frame) -> Frame:
        how = self.one(["vertical", "vertical_relaxed", "diagonal", "diagonal_relaxed"])
        left = a.name
        right = b.name
        if how.startswith("vertical") and list(a.columns) != list(b.columns):
            both = [n for n in a.columns if n in b.columns and a.columns[n].dtype == b.columns[n].dtype]
            if not both:
                raise Impossible
            left, right = f"{a.name}.select({both!r})", f"{b.name}.select({both!r})"
        code = f"pl.concat([{left}, {right}], how={how!r})"
        return self.add((a, b), code, ordered=a.ordered and b.ordered, key=None, rows=a.rows + b.rows)

    # all

    UNARY = (
        (filter, 10), (with_columns, 10), (select, 5), (group_by, 12), (unique, 4), (sort, 5), (window, 6), (limit, 5),
        (top_k, 3), (aggregate, 2), (filter_by_aggregate, 2), (rename_or_drop, 3), (nulls, 2), (cumulative, 2),
        (row_index, 2), (explode, 4), (unnest, 3), (unpivot, 3), (pivot, 2), (user_function, 2), (group_by_time, 2),
        (select_by_selector, 2), (group_by_selector, 2), (with_own_aggregate, 4), (sort_by_expression, 2),
    )  # fmt: skip
    BINARY = ((join, 14), (concat, 4), (cross_or_where, 2), (join_on_expressions, 2), (join_asof, 2))

    def grow(self) -> Program:
        frames = [self.add_source() for _ in range(self.r.randint(1, 3))]
        current = frames[0]
        for _ in range(self.r.randint(2, 8)):
            for _attempt in range(30):  # then this statement is left out
                before = self.count
                try:
                    current = self.step(current, frames)
                    frames.append(current)
                    break
                except (Impossible, pl.exceptions.PolarsError):
                    self.count = before
        if self.r.random() < 0.85:  # few answers shall be empty
            current = next((f for f in reversed(frames[1:]) if self.has_rows(f)), current)
        return Program(self.seed, tuple(needed(self.statements, current.name)))

    def has_rows(self, frame: Frame) -> bool:
        try:
            return self.built[frame.name].head(1).collect(engine="streaming").height > 0
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            return False

    def step(self, current: Frame, frames: list[Frame]) -> Frame:
        steps = [*self.UNARY, *self.BINARY]
        method = self.r.choices([s for s, _ in steps], [w for _, w in steps])[0]
        if method in [s for s, _ in self.UNARY]:
            return method(self, current)
        other = self.one(frames)  # perhaps itself
        return method(self, *self.one([(current, other), (other, current)]))


class Impossible(Exception):
    """This frame has nothing that this statement could be made of."""


def _base(name: str) -> str:
    """The column of the right side that got a join's suffix."""
    return re.sub(r"_\d+$", "", name)


def needed(statements: list[Statement] | tuple[Statement, ...], result: str) -> Iterator[Statement]:
    wanted = {result}
    kept = []
    for statement in reversed(statements):
        if statement.frame.name in wanted:
            kept.append(statement)
            wanted |= {f.name for f in statement.inputs}
    return reversed(kept)


def random_program(seed: int, sources: Sources) -> Program:
    return Generator(seed, sources).grow()


# --- shrinking ---------------------------------------------------------------------------------


def shrink(program: Program, fails: Callable[[Program], bool], seconds: float) -> Program:
    """A smaller program that still fails: tries one change after the other until none helps."""
    end = time.monotonic() + seconds
    progress = True
    while progress:
        progress = False
        for candidate in _smaller(program):
            if time.monotonic() > end:
                return program
            if fails(candidate):
                program, progress = candidate, True
                break
    return program


def _smaller(program: Program) -> Iterator[Program]:
    statements = program.statements
    for statement in statements[:-1]:  # an earlier result
        yield Program(program.seed, tuple(needed(statements, statement.frame.name)))
    for i, statement in enumerate(statements):
        for other in _simpler(statement):
            changed = (*statements[:i], other, *statements[i + 1 :])
            yield Program(program.seed, tuple(needed(changed, program.result.name)))


def _simpler(statement: Statement) -> Iterator[Statement]:
    frame, source = statement.frame, statement.source
    for given in statement.inputs:
        # nothing that later statements rely on may go
        if given.ordered >= frame.ordered and frame.key in (None, given.key):
            yield Statement(frame, (given,), given.name)
    if len(statement.parts) > 1:
        for i in range(len(statement.parts)):
            yield replace(statement, parts=statement.parts[:i] + statement.parts[i + 1 :])
    if source:
        rows = sum(source.files)
        for files in ((rows // 2,), (rows,), tuple(n // 2 for n in source.files), (rows - 1,)):
            if 0 <= sum(files) < rows or (sum(files) == rows and len(files) < len(source.files)):
                yield replace(statement, source=replace(source, files=files))
        for i in range(len(source.columns) - 1, 0, -1):
            yield replace(statement, source=replace(source, columns=source.columns[:i] + source.columns[i + 1 :]))
        if source.kind not in ("parquet", "frame"):
            yield replace(statement, source=replace(source, kind="parquet"))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for seed in map(int, sys.argv[1:]):
            program = random_program(seed, Sources(Path(folder)))
            print(program)
            print(program.build(Sources(Path(folder))).collect(engine="streaming"))


if __name__ == "__main__":
    main()
