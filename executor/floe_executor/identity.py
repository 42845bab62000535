"""What this Polars is, so that the scheduler gives it only plans that it understands.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import datetime as dt
import hashlib
import platform
from collections.abc import Iterator
from decimal import Decimal

import polars as pl

from .executor_pb2 import Hello

PLAN_HEADER_BYTES = 79  # tag, version, schema hash: the same for every plan of one Polars


def hello() -> Hello:
    return Hello(
        polars_version=pl.__version__,
        index_bits=64 if pl.get_index_type() == pl.UInt64 else 32,
        python_version=platform.python_version(),
        plan_header=pl.LazyFrame().serialize()[:PLAN_HEADER_BYTES],
        fingerprint=fingerprint(),
        threads=pl.thread_pool_size(),
        commit=commit(),
    )


def commit() -> str:
    try:
        from polars._plr import _BUILD_COMMIT
    except ImportError:  # older ones do not know it, or not here
        return ""
    return str(_BUILD_COMMIT or "")


def fingerprint() -> str:
    """Equal when hashes and row encodings are: then tasks of one query may mix."""
    digest = hashlib.sha256()
    for series in every_dtype():
        digest.update(str(series.dtype).encode())
        for part in (hashes, row_encoding):
            try:
                digest.update(repr(part(series.to_frame())).encode())
            except Exception as error:  # a dtype that this Polars cannot hash is a fact, too
                digest.update(type(error).__name__.encode())
    return digest.hexdigest()


def hashes(frame: pl.DataFrame) -> list[int]:
    return frame.select(pl.all().hash(0)).to_series().to_list()


def row_encoding(frame: pl.DataFrame) -> list[bytes]:
    return frame._row_encode().cast(pl.Binary).to_list()


def every_dtype() -> Iterator[pl.Series]:
    signed = [pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Int128]
    for dtype in signed:
        yield pl.Series("s", [0, 1, -1, 100, None], dtype=dtype)
    unsigned = ["UInt8", "UInt16", "UInt32", "UInt64", "UInt128"]  # the last is not in every Polars
    for name in unsigned:
        if hasattr(pl, name):
            yield pl.Series("s", [0, 1, 200, None], dtype=getattr(pl, name))
    for name in ["Float16", "Float32", "Float64"]:
        if hasattr(pl, name):
            yield pl.Series("s", [0.0, -0.0, 1.5, float("nan"), None], dtype=getattr(pl, name))
    day, instant = dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 12, 30, 15, 250)
    text = ["", "a", "a longer string, beyond twelve bytes", None]
    yield pl.Series("s", [True, False, None])
    yield pl.Series("s", text)
    yield pl.Series("s", [b"", b"a", b"a longer string, beyond twelve bytes", None])
    yield pl.Series("s", text, dtype=pl.Categorical)
    yield pl.Series("s", ["b", "a", None], dtype=pl.Enum(["a", "b"]))
    yield pl.Series("s", [Decimal("1.50"), Decimal("-2"), None], dtype=pl.Decimal(20, 2))
    yield pl.Series("s", [day, None])
    yield pl.Series("s", [dt.time(12, 30), None])
    for unit in ["ms", "us", "ns"]:
        yield pl.Series("s", [instant, None], dtype=pl.Datetime(unit))  # type: ignore[arg-type]
        yield pl.Series("s", [dt.timedelta(1, 2), None], dtype=pl.Duration(unit))  # type: ignore[arg-type]
    yield pl.Series("s", [[1, 2], [], None], dtype=pl.List(pl.Int64))
    yield pl.Series("s", [[1, 2], None], dtype=pl.Array(pl.Int64, 2))
    yield pl.Series("s", [{"a": 1, "b": "x"}, None])
    yield pl.Series("s", [None, None], dtype=pl.Null)
