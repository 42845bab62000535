"""tests/cluster/test_comparison.py: the comparison of answers sees every difference, and no other.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import polars as pl
import pytest
from equality import assert_same

NAN = float("nan")
WHOLE = pl.DataFrame(
    {
        "k": [1, 2, None],
        "f": [0.1 + 0.2, NAN, -0.0],
        "l": [[1.5], [], None],
        "s": [{"x": "a"}, None, {"x": None}],
        "c": ["b", "a", None],
    },
    schema_overrides={"c": pl.Categorical},
)
SAME = [
    WHOLE,
    WHOLE.with_columns(f=pl.Series([0.3, NAN, 0.0])),
    WHOLE.with_columns(l=pl.Series([[1.5 + 1e-12], [], None])),
]
OTHERS = [
    WHOLE.head(2),
    WHOLE.rename({"f": "g"}),
    WHOLE.select(reversed(WHOLE.columns)),
    WHOLE.cast({"k": pl.Int32}),
    WHOLE.with_columns(k=pl.Series([1, 2, 0])),
    WHOLE.with_columns(f=pl.Series([0.3001, NAN, 0.0])),
    WHOLE.with_columns(f=pl.Series([0.3, None, 0.0])),
    WHOLE.with_columns(l=pl.Series([[1.5], None, []], dtype=pl.List(pl.Float64))),
    WHOLE.with_columns(s=pl.Series([{"x": "a"}, {"x": None}, None])),
    WHOLE.with_columns(c=pl.Series(["b", "b", None], dtype=pl.Categorical)),
]


@pytest.mark.parametrize("ordered", [True, False])
def test_same(ordered: bool) -> None:
    for frame in SAME:
        assert_same(frame, WHOLE, ordered=ordered)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("number", range(len(OTHERS)))
def test_different(number: int, ordered: bool) -> None:
    with pytest.raises(AssertionError):
        assert_same(OTHERS[number], WHOLE, ordered=ordered)


def test_order() -> None:
    with pytest.raises(AssertionError):
        assert_same(WHOLE.reverse(), WHOLE, ordered=True)
    assert_same(WHOLE.reverse(), WHOLE, ordered=False)


def test_sums_in_another_order_are_paired_right() -> None:
    """The first column's order says nothing: its values are equal but for rounding."""
    one = pl.DataFrame({"f": [1.0, 1.0 + 1e-15, 1.234375], "g": [2.0, 1.0, 3.0]})
    other = pl.DataFrame({"f": [1.234375 - 1e-15, 1.0, 1.0 + 1e-15], "g": [3.0, 1.0, 2.0]})
    assert_same(one, other, ordered=False)
