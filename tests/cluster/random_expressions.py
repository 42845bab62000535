"""tests/cluster/random_expressions.py: templates of expressions, by what their column is.
SPDX-License-Identifier: Apache-2.0

{a} is a column of the kind, {b} one of the same dtype, {f} the first field of a struct; {p} a
condition, {n} any number, {m} a small positive one. {o} says: only if the order of rows is promised;
{t}: only for tame numbers, whose squares can be added up.
"""

from __future__ import annotations

import polars as pl

KEYS = ("int", "int", "text", "text", "bool", "day", "when", "cat", "dec", "raw", "clock", "float")
SORTABLE = ("int", "text", "bool", "day", "when", "span", "clock", "cat", "dec", "raw", "float")


def kind_of(dtype: pl.DataType) -> str:
    if dtype.is_integer():
        return "int"
    if dtype.is_float():
        return "float"
    kinds = {
        pl.String: "text", pl.Boolean: "bool", pl.Date: "day", pl.Datetime: "when", pl.Duration: "span",
        pl.Time: "clock", pl.Categorical: "cat", pl.Enum: "cat", pl.Decimal: "dec", pl.Binary: "raw",
        pl.List: "list", pl.Array: "array", pl.Struct: "struct",
    }  # fmt: skip
    return kinds.get(dtype.base_type(), "null")


ROW_WISE: dict[str, tuple[str, ...]] = {
    "any": (
        "{a}.is_null()", "pl.when({p}).then({a}).otherwise({b})", "pl.when({p}).then({a})", "pl.coalesce({a}, {b})",
        "{a}.eq_missing({b})", "pl.struct(x={a}, y={b})", "{a}.is_not_null() & {p}", "pl.lit({n})",
    ),
    "int": (
        "{a} + {b}", "{a} - {n}", "{a} * {m}", "{a} // {m}", "{a} % {m}", "{a} / {m}", "{a}.abs()", "{a}.clip(0, 50)",
        "{a}.cast(pl.Float64)", "{a}.cast(pl.Int16, strict=False)", "{a}.cast(pl.String)", "{a} > {b}", "{a} != {m}",
        "{a}.is_in([1, 2, {m}])", "{a}.is_between({n}, {m})", "{a}.fill_null({m})", "pl.max_horizontal({a}, {b})",
        "pl.sum_horizontal({a}, {b}, {m})", "{a}.replace({m}, 0)", "pl.concat_list({a}, {b})", "{a}.sign()",
        "{a}.replace_strict({{1: 'one', 2: 'two'}}, default='many')", "pl.duration(minutes={a} % 100)",
        "{a}.map_elements(lambda x: x % 5, return_dtype=pl.Int64)", "{a} ** 2", "{a}.hash(3) % 11",
        "{a}.map_batches(lambda s: s.is_null(), return_dtype=pl.Boolean, is_elementwise=True)",
        "pl.concat_str({a}, {b}, separator='/')", "pl.format('<{{}}>', {a})", "{a}.cut([0, {m}]).cast(pl.String)",
        "pl.fold(pl.lit(0), lambda s, t: s + t, [{a}, {b}])", "{a}.cast(pl.Decimal(30, 2), strict=False)",
    ),
    "float": (
        "{a} + {b}", "{a} * 0.5", "{a} / {b}", "{a}.is_nan()", "{a}.fill_nan(0.0)", "{a}.fill_nan(None)", "{a} > {b}",
        "{a}.is_finite()", "{a}.round(1)", "{a}.floor()", "{a}.cast(pl.Int64, strict=False)", "{a}.abs().sqrt()",
        "{a}.cast(pl.String)", "{a} == {b}", "{a}.clip(-3.0, 3.0)", "{a}.cast(pl.Float32)",
    ),
    "text": (
        "{a}.str.to_uppercase()", "{a}.str.len_chars()", "{a}.str.contains('a')", "{a}.str.slice(1, 2)", "{a} + {b}",
        "{a}.str.replace_all('a', 'bb')", "{a}.str.split(' ')", "{a}.str.head({m})", "{a}.is_in(['', 'é', 'a'])",
        "{a}.cast(pl.Categorical)", "{a}.str.pad_start(4, 'x')", "{a}.str.to_integer(strict=False)", "{a} < {b}",
        "{a}.str.extract(r'(\\d)').cast(pl.Int8)", "pl.concat_str({a}, {b}, separator='-', ignore_nulls=True)",
        "{a}.map_elements(lambda x: x[::-1], return_dtype=pl.String)", "{a}.str.len_bytes()", "{a}.cast(pl.Binary)",
        "{a}.replace({{'a': 'b'}})", "{a}.str.starts_with('A')", "{a}.str.strip_chars('a ')",
    ),
    "bool": ("~{a}", "{a} & {b}", "{a} | {p}", "{a} ^ {b}", "{a}.cast(pl.Int8)", "{a}.fill_null(False)",
             "pl.all_horizontal({a}, {b})"),
    "day": (
        "{a}.dt.year()", "{a}.dt.weekday()", "{a} + pl.duration(days={m})", "{a}.dt.truncate('1mo')", "{a} > {b}",
        "{a} - {b}", "{a}.dt.strftime('%Y/%m')", "{a}.dt.offset_by('1mo')", "{a}.cast(pl.Datetime('ms'))",
        "{a} < dt.date(2020, 5, 17)", "{a}.dt.month_end()",
    ),
    "when": (
        "{a}.dt.hour()", "{a}.dt.truncate('1h')", "{a}.dt.date()", "{a}.dt.time()", "{a}.dt.epoch('s')", "{a} - {b}",
        "{a}.dt.cast_time_unit('ns')", "{a} >= {b}", "{a}.dt.offset_by('90m')",
    ),
    "span": ("{a}.dt.total_minutes()", "{a} * 2", "{a} + {b}", "{a}.abs()", "{a} > {b}"),
    "clock": ("{a}.dt.hour()", "{a} > {b}"),
    "cat": ("{a}.cast(pl.String)", "{a} == {b}", "{a}.cast(pl.String).str.len_chars()"),
    "dec": ("{a} + {b}", "{a} > {b}", "{a}.cast(pl.Float64)", "{a}.round(1)", "{a}.abs()", "{a}.cast(pl.String)"),
    "raw": ("{a}.bin.size()", "{a}.bin.encode('hex')", "{a} == {b}"),
    "list": (
        "{a}.list.len()", "{a}.list.first()", "{a}.list.get(1, null_on_oob=True)", "{a}.list.reverse()",
        "{a}.list.drop_nulls()", "{a}.list.head({m})", "{a}.list.eval(pl.element().is_null())", "{a}.list.sort()",
        "{a}.list.set_union({b}).list.sort()", "{a}.list.n_unique()", "{a}.list.concat({b})",
    ),
    "array": ("{a}.arr.to_list()", "{a}.arr.first()", "{a}.arr.sum()", "{a}.arr.get(1)"),
    "struct": ("{a}.struct.field('{f}')", "{a}.struct.json_encode()", "{a}.struct.rename_fields(['p', 'q'])"),
    "null": (),
}  # fmt: skip

CONDITIONS: dict[str, tuple[str, ...]] = {
    "int": ("{a} > {n}", "{a} % {m} == 0", "{a} < {b}", "{a}.is_in([0, 1, {m}])", "{a} == 0"),
    "float": ("{a} > {n}", "{a}.is_nan()", "{a}.is_not_nan()"),
    "text": ("{a} > 'a'", "{a}.str.contains('a')", "{a}.str.len_chars() < {m}", "{a} != {b}"),
    "bool": ("{a}", "~{a}"),
    "day": ("{a} < dt.date(2020, 5, 17)", "{a}.dt.month() > 3"),
    "when": ("{a}.dt.hour() < 12",),
    "cat": ("{a}.is_not_null()",),
    "dec": ("{a} > 0",),
    "list": ("{a}.list.len() > 1",),
    "any": ("{a}.is_null()", "{a}.is_not_null()"),
}

# one value of many rows
AGGREGATES: dict[str, tuple[str, ...]] = {
    "any": (
        "pl.len()", "{a}.count()", "{a}.null_count()", "{o}{a}.first()", "{o}{a}.last()", "{a}.len() + 1",
        "{a}.filter({p}).len()", "{a}.is_null().any()", "{o}{a}.drop_nulls().first()",
    ),
    "int": (
        "{a}.sum()", "{a}.sum()", "{a}.min()", "{a}.max()", "{t}{a}.mean()", "{t}{a}.median()", "{t}{a}.std()",
        "{t}{a}.var(ddof=0)", "{a}.n_unique()", "{a}.quantile(0.3, 'nearest')", "({a} * 2).sum()",
        "{a}.filter({p}).sum()", "{a}.sum() + pl.len()", "{a}.max() - {b}.min()", "{a}.bitwise_xor()",
        "pl.when({p}).then({a}).otherwise(0).sum()", "{a}.mode().sort().first()", "{a}.unique().count()",
        "{a}.sum().fill_null(0) * {m}", "{a}.sort(descending=True).first()", "{o}{a}.diff().sum()",
        "{t}{a}.mean() + {a}.max()", "{a}.rank('dense').max()", "{a}.product()",
    ),
    "float": (
        "{a}.sum()", "{a}.mean()", "{a}.min()", "{a}.max()", "{a}.count()", "{a}.median()", "{a}.is_nan().sum()",
        "{a}.filter({p}).sum()", "({a} * {b}).sum()", "{a}.fill_nan(None).std()", "{a}.n_unique()",
    ),
    "text": (
        "{a}.min()", "{a}.max()", "{a}.n_unique()", "{a}.str.len_chars().sum()", "{o}{a}.str.join('|')",
        "{a}.sort().str.join(',')", "{a}.drop_nulls().n_unique()", "{a}.approx_n_unique() >= 0",
    ),
    "bool": ("{a}.sum()", "{a}.any()", "{a}.all()", "{a}.mean()", "{a}.any(ignore_nulls=False)", "(~{a}).all()"),
    "day": ("{a}.min()", "{a}.max()", "{a}.n_unique()", "{a}.max() - {b}.min()"),
    "when": ("{a}.min()", "{a}.max()", "{a}.n_unique()"),
    "span": ("{a}.sum()", "{a}.max()"),
    "clock": ("{a}.min()", "{a}.max()"),
    "cat": ("{a}.n_unique()", "{a}.count()", "{a}.cast(pl.String).max()"),
    "dec": ("{a}.sum()", "{a}.min()", "{a}.max()", "{a}.mean()"),
    "raw": ("{a}.n_unique()", "{a}.bin.size().sum()"),
    "list": ("{a}.list.len().sum()",),
    "array": ("{a}.arr.sum().sum()",),
    "struct": ("{a}.n_unique()", "{a}.struct.field('{f}').count()"),
    "null": (),
}  # fmt: skip

# many values of many rows: in group_by lists of them
LISTS: dict[str, tuple[str, ...]] = {
    "any": ("{o}{a}", "{o}{a}.head({m})", "{o}{a}.filter({p})", "{o}{a}.tail(2).reverse()"),
    "int": ("{a}.sort()", "{a}.unique().sort()", "{a}.top_k(2).sort()", "{o}{a}.cum_sum()", "{a}.drop_nulls().sort()"),
    "text": ("{a}.unique().sort()", "{a}.sort(nulls_last=True).head({m})", "{a}.value_counts(sort=True).len()"),
}

# as many values as rows, in place
WINDOWS: dict[str, tuple[str, ...]] = {
    "int": ("{a}.rank('dense')", "{a}.rank('min')", "{a} - {a}.min()", "{a}.is_duplicated()", "{a}.is_unique()",
            "{a} == {a}.max()", "{a}.rank('average', descending=True)"),
    "text": ("{a}.rank('dense')", "{a}.is_duplicated()", "{a} == {a}.min()"),
    "day": ("{a}.rank('dense')", "{a}.max() - {a}"),
}  # fmt: skip
ORDERED_WINDOWS: dict[str, tuple[str, ...]] = {
    "int": ("{a}.cum_sum()", "{a}.cum_max()", "{a}.diff()", "{a}.shift({m})", "{a}.cum_count()", "{a}.rank('ordinal')",
            "{a}.fill_null(strategy='forward')", "{a}.is_first_distinct()", "{a}.rolling_sum(3)", "{a}.pct_change()",
            "{a}.reverse()", "{a}.rle_id()", "{a}.cum_sum(reverse=True)", "{a}.ewm_mean(alpha=0.5)", "{a}.interpolate()"),
    "text": ("{a}.shift(-1)", "{a}.is_last_distinct()", "{a}.forward_fill()", "{a}.rle_id()"),
    "bool": ("{a}.cum_sum()", "{a}.shift(1, fill_value=True)"),
    "day": ("{a}.diff()", "{a}.cum_min()"),
    "when": ("{a}.shift(1)", "{a}.backward_fill()"),
    "list": ("{a}.shift(1)",),
}  # fmt: skip
