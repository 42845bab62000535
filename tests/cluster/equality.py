"""tests/cluster/equality.py: when is an answer the same as local Polars'?
SPDX-License-Identifier: Apache-2.0

Names, dtypes, nulls and rows are equal; their order, too, where Polars promises one. NaN equals NaN
and -0.0 equals 0.0. Floats may differ as sums do that were added up in another order.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import polars as pl
import polars.selectors as cs
import pytest
from polars.testing import assert_frame_equal

if TYPE_CHECKING:
    from conftest import Remote

Answer = pl.DataFrame | pl.exceptions.PolarsError

REL_TOL = {pl.Float64: 1e-9, pl.Float32: 1e-4}
DIGITS = {pl.Float64: 6, pl.Float32: 3}


def local_answer(query: pl.LazyFrame) -> Answer:
    """The anonymous result is a Parquet file, so this is what local Polars reads back from one."""
    file = io.BytesIO()
    try:
        query.sink_parquet(file)
    except pl.exceptions.PolarsError as error:
        return error
    file.seek(0)
    return pl.read_parquet(file)


def assert_same(actual: pl.DataFrame, expected: pl.DataFrame, *, ordered: bool) -> None:
    assert actual.schema == expected.schema
    assert actual.height == expected.height
    if not ordered:
        actual, expected = _arranged(actual), _arranged(expected)
    single = [name for name, dtype in expected.schema.items() if "Float32" in repr(dtype)]
    options = {"check_dtypes": True, "categorical_as_str": True}
    assert_frame_equal(actual.drop(single), expected.drop(single), rel_tol=REL_TOL[pl.Float64], **options)
    assert_frame_equal(actual.select(single), expected.select(single), rel_tol=REL_TOL[pl.Float32], **options)


def _arranged(frame: pl.DataFrame) -> pl.DataFrame:
    """Sorted by what is exact, then by floats as far as they may not differ."""
    inexact = [name for name, dtype in frame.schema.items() if "Float" in repr(dtype)]
    by = [pl.col(name) for name in frame.columns if name not in inexact]
    for name in inexact:
        if digits := DIGITS.get(frame.schema[name]):
            # the factor moves the short numbers that people choose away from where rounding turns
            by.append((pl.col(name) * 1.0000271828).round_sig_figs(digits))
    by += [pl.col(name) for name in inexact]
    if not by:
        return frame
    # categories have an order of their own, which depends on what was seen first
    as_text = frame.with_columns(cs.categorical().cast(pl.String))
    order = as_text.select(pl.arg_sort_by(by)).to_series()
    return frame.select(pl.all().gather(order))


def check(query: pl.LazyFrame, expected: Answer, remote: Remote, *, ordered: bool, mode: str = "distributed") -> int:
    """Runs it; returns the number of its stages."""
    if isinstance(expected, pl.exceptions.PolarsError):
        with pytest.raises(type(expected)):
            remote.execute(query, mode)
        return 0
    result = remote.execute(query, mode)
    actual = result.lazy().collect()
    assert_same(actual, expected, ordered=ordered)
    assert result.n_rows_total == expected.height
    head = result.head
    assert head is not None
    assert_same(head, actual.head(head.height), ordered=True)
    assert head.height > 0 or expected.height == 0
    return result.total_stages
