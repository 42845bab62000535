"""tests/fuzz/make_expressions.py: real expressions of the Polars it runs with.
SPDX-License-Identifier: Apache-2.0

    python make_expressions.py FOLDER          one file for each

The corpus of fuzz_expr, and what tests/unit/test_expr.c and test_aggregate.c read.
"""

import sys
import warnings
from pathlib import Path

import polars as pl
from polars import col as c
from polars import selectors as cs

from make_plans import forget_folders

warnings.simplefilter("ignore")  # advice about slow functions

x, y = c("x"), c("y")

EXPRESSIONS = {
    "column": x,
    "literal": pl.lit(1),
    "series": pl.lit(pl.Series([1, 2])),
    "len": pl.len(),
    "alias": x.alias("z"),
    "suffix": x.name.suffix("_s"),
    "upper": x.name.to_uppercase(),
    "keep": (x + y).alias("z").name.keep(),
    "renamed": x.name.map(str.upper),
    "binary": (x + 1) * y,
    "scalar": pl.lit(2) * 3,
    "cast": x.cast(pl.Float32),
    "cast_as": x.cast(pl.dtype_of("y")),
    "ternary": pl.when(x > 1).then(y).otherwise(None),
    "is_in": x.is_in([1, 2]),
    "is_in_series": x.is_in(pl.Series([1, 2])),
    "is_in_column": x.is_in(y),
    "strptime": c("s").str.to_date("%Y"),
    "strptime_guessed": c("s").str.to_date(),
    "field": c("st").struct.field("f"),
    "fields": c("st").struct.field("f", "g"),
    "with_fields": c("st").struct.with_fields(pl.field("f") + x),
    "list_eval": c("l").list.eval(pl.element().rank()),
    "list_shuffle": c("l").list.eval(pl.element().shuffle()),
    "cumulative_eval": x.cumulative_eval(pl.element().sum()),
    "struct": pl.struct(x, y),
    "python": x.map_batches(abs, is_elementwise=True),
    "python_whole": x.map_batches(abs),
    "fold": pl.fold(0, max, [x, y]),
    "shuffle": x.shuffle(),
    "cum_sum": x.cum_sum(),
    "sort_by": x.sort_by(y),
    "slice": x.head(2),
    "filter": x.filter(y > 1),
    "centred": x - x.mean(),
    "over": x.sum().over("g"),
    "over_order": x.cum_sum().over("g", "h"),
    "over_rank": x.rank("dense").over("g"),
    "over_twice": x.sum().over("g") + x.sum().over("h"),
    "over_mixed": x / x.sum().over("g"),
    "over_computed": x.sum().over(c("g") + 1),
    "over_joined": x.sum().over("g", mapping_strategy="join"),
    "over_sum": x.sum().over("g").sum(),
    "selector": cs.numeric(),
    "selector_sum": cs.numeric().sum(),
    "selector_in_place": pl.sum_horizontal(cs.numeric()),
    "selectors": cs.numeric() + cs.float(),
    "sum": x.sum(),
    "sum_alias": x.sum().alias("z"),
    "min": x.min(),
    "mean": x.mean(),
    "std": x.std(ddof=2),
    "first": x.first(),
    "median": x.median(),
    "count": x.count(),
    "null_count": x.null_count(),
    "has_nulls": x.has_nulls(),
    "any": (x > 1).any(),
    "filter_sum": x.filter(y > 1).sum(),
    "filter_first": x.filter(y > 1).first(),
    "literal_sum": pl.lit(1).sum(),
    "ratio": x.sum() / pl.len(),
    "sums": pl.struct(x.sum(), (y.max() + 1).alias("m")),
    "having": x.sum() > 3,
}


if __name__ == "__main__":
    forget_folders()
    for name, expr in EXPRESSIONS.items():
        (Path(sys.argv[1]) / name).write_bytes(expr.meta.serialize())
