"""Scans of files as they are: names are no patterns, and folders named key=value no columns.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import polars as pl

Scan = Callable[..., pl.LazyFrame]  # of a path or several, and options

SCANS: dict[str, Scan] = {
    "parquet": functools.partial(pl.scan_parquet, glob=False, hive_partitioning=False),
    "ipc": functools.partial(pl.scan_ipc, glob=False, hive_partitioning=False),
    "csv": functools.partial(pl.scan_csv, glob=False, infer_schema=False),
    "ndjson": pl.scan_ndjson,
}
WITH_FOOTERS = ("parquet", "ipc")  # they say how many rows there are


def unopened(paths: list[str], schema: pl.Schema) -> pl.LazyFrame:
    """A scan that opens nothing before it runs, for its schema is known."""
    return SCANS["parquet"](paths, schema=schema)


def between_stages(parquet: bool) -> Scan:
    """Of the files that tasks write for each other."""
    return SCANS["parquet" if parquet else "ipc"]
