"""tests/cluster/random_data.py: what random queries read. SPDX-License-Identifier: Apache-2.0

Columns of every dtype with nulls, NaN, -0.0, infinities, a key that has most rows, a column without
values; in files of every format, of uneven sizes, some of them empty. `id` is unique. Floats are
multiples of 1/8.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

TEXTS = ["", "a", "b", "aa", "Abc", "é", "naïve 🐻‍❄️", "x y", "12", "-7", "zz"]
FLOATS = [0.0, -0.0, 0.5, -1.25, 3.0, 100.125, -77.75, float("nan"), float("inf"), float("-inf")]
ENUM = pl.Enum(["low", "mid", "high"])
DTYPES: dict[str, Any] = {
    "id": pl.Int64, "k": pl.Int32, "g": pl.String, "n": pl.Int64, "i8": pl.Int8, "i16": pl.Int16, "i64": pl.Int64,
    "i128": pl.Int128, "u8": pl.UInt8, "u16": pl.UInt16, "u32": pl.UInt32, "u64": pl.UInt64, "wide": pl.Int64,
    "f32": pl.Float32, "f64": pl.Float64, "text": pl.String, "flag": pl.Boolean, "day": pl.Date,
    "moment": pl.Datetime("us"), "milli": pl.Datetime("ms", "UTC"), "span": pl.Duration("us"), "clock": pl.Time,
    "cat": pl.Categorical, "enum": ENUM, "dec": pl.Decimal(12, 2), "raw": pl.Binary, "nums": pl.List(pl.Int64),
    "words": pl.List(pl.String), "pair": pl.Array(pl.Int32, 2), "void": pl.Int64,
    "rec": pl.Struct({"x": pl.Int64, "y": pl.String}),
}  # fmt: skip
MOST_ROWS = 4000
SEEDS = 3  # of data: what there is of it is made once
ALWAYS = ("id", "k", "g", "n")
PLAIN = ("id", "k", "g", "n", "i8", "i16", "i64", "u8", "u32", "wide", "f64", "text", "flag", "day", "moment", "void")
LOSSLESS = {"csv": PLAIN, "ndjson": (*(n for n in PLAIN if n not in ("i8", "i16", "u8")), "nums", "words", "rec")}  # what these formats can hold


def _values(name: str, r: random.Random) -> Callable[[], object]:
    """Makes the values of a column that are not null."""
    signed = lambda: r.choice([r.randrange(-5, 6), r.randrange(-100, 101)])
    unsigned = lambda: r.randrange(0, 200)
    start, night = dt.datetime(2024, 2, 28), dt.datetime(2024, 3, 31, tzinfo=dt.UTC)
    made: dict[str, Callable[[], object]] = {
        "k": lambda: 0 if r.random() < 0.6 else r.randrange(-3, 12),  # one key has most rows
        "g": lambda: r.choice(TEXTS[:6]),
        "n": signed, "i8": signed, "i16": signed, "i64": signed, "i128": signed,
        "u8": unsigned, "u16": unsigned, "u32": unsigned, "u64": unsigned,
        "wide": lambda: r.choice([2**63 - 1, -(2**63), 0, r.randrange(-(2**60), 2**60)]),
        "f32": lambda: r.choice([*FLOATS, r.randrange(-800, 800) / 8]),
        "f64": lambda: r.choice([*FLOATS, r.randrange(-8000, 8000) / 8]),
        "text": lambda: r.choice(TEXTS) + r.choice(["", "", r.choice(TEXTS)]),
        "flag": lambda: r.random() < 0.5,
        "day": lambda: dt.date(2020, 1, 1) + dt.timedelta(days=r.randrange(-900, 900)),
        "moment": lambda: start + dt.timedelta(minutes=r.randrange(10_000), microseconds=r.randrange(3)),
        "milli": lambda: night + dt.timedelta(seconds=r.randrange(9000)),
        "span": lambda: dt.timedelta(minutes=r.randrange(-500, 500), microseconds=r.randrange(5)),
        "clock": lambda: dt.time(r.randrange(24), r.randrange(60), r.randrange(60)),
        "cat": lambda: r.choice(TEXTS[1:8]),
        "enum": lambda: r.choice(["low", "mid", "high"]),
        "dec": lambda: Decimal(r.randrange(-5000, 5000)) / 100,
        "raw": lambda: r.choice([b"", b"\x00\xff", b"abc", b"<in-memory>"]),
        "nums": lambda: [r.choice([None, r.randrange(5)]) for _ in range(r.randrange(4))],
        "words": lambda: [r.choice(TEXTS) for _ in range(r.randrange(3))],
        "pair": lambda: [r.randrange(4), r.choice([None, 1, 2])],
        "rec": lambda: {"x": r.choice([None, r.randrange(9)]), "y": r.choice(TEXTS)},
    }  # fmt: skip
    return made[name]


@cache
def _column(seed: int, name: str) -> pl.Series:
    r = random.Random(f"{seed} {name}")
    if name == "id":
        return pl.Series(name, range(MOST_ROWS), dtype=DTYPES[name])
    if name == "void":
        return pl.Series(name, [None] * MOST_ROWS, dtype=DTYPES[name])
    value = _values(name, r)
    return pl.Series(name, [None if r.random() < 0.1 else value() for _ in range(MOST_ROWS)], dtype=DTYPES[name])


def make_data(seed: int, rows: int, columns: tuple[str, ...]) -> pl.DataFrame:
    """A column is the same whatever other columns there are, and begins alike."""
    return pl.DataFrame([_column(seed, name) for name in columns]).head(rows)


@dataclass(frozen=True)
class Source:
    """What `source(…)` in a program reads. `files`: rows of each, some of them none."""

    seed: int
    files: tuple[int, ...]
    kind: str
    columns: tuple[str, ...]

    def __str__(self) -> str:
        return f"source(seed={self.seed}, files={self.files}, kind={self.kind!r}, columns={self.columns})"


class Sources:
    """Writes files when they are asked for, once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, seed: int, files: tuple[int, ...], kind: str, columns: tuple[str, ...]) -> pl.LazyFrame:
        data = make_data(seed, sum(files), columns)
        if kind == "frame":
            return data.lazy()
        name = f"{seed}-{'-'.join(map(str, files))}-{'-'.join(columns)}.{kind}"
        folder = self.folder / hashlib.sha1(name.encode()).hexdigest()
        paths = [folder / f"{i}.{kind}" for i in range(len(files))]
        if not folder.exists():
            self._write(data, files, kind, paths)
        schema = {column: DTYPES[column] for column in columns}
        match kind:
            case "csv":
                return pl.scan_csv(paths, schema=schema, null_values="~")
            case "ndjson":
                return pl.scan_ndjson(paths, schema=schema)
            case "ipc":
                return pl.scan_ipc(paths)
            case _:
                return pl.scan_parquet(paths)

    def _write(self, data: pl.DataFrame, files: tuple[int, ...], kind: str, paths: list[Path]) -> None:
        new = paths[0].parent.with_suffix(f".{random.random()}")
        new.mkdir(mode=0o755)
        first = 0
        for rows, path in zip(files, paths, strict=True):
            part, to = data.slice(first, rows), new / path.name
            first += rows
            match kind:
                case "csv":
                    part.write_csv(to, null_value="~")
                case "ndjson":
                    part.write_ndjson(to)
                case "ipc":
                    part.write_ipc(to)
                case _:
                    part.write_parquet(to, row_group_size=100)
            to.chmod(0o644)
        try:
            new.rename(paths[0].parent)
        except OSError:  # another thread was faster
            pass
