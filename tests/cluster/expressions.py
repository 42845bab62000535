"""tests/cluster/expressions.py: expressions of every kind that Polars has, and rows to run them on.
SPDX-License-Identifier: Apache-2.0

`EXPRESSIONS` names each variant and each function that the Python API reaches: a test demands it.
User functions are lambdas, so that they are pickled by value.
"""

from __future__ import annotations

import datetime as dt
import math
import warnings
from decimal import Decimal

import polars as pl
import polars.selectors as cs
from polars import col as c
from polars import element as el
from polars import lit
from polars.functions.lazy import _row_encode

warnings.simplefilter("ignore")  # advice about slow and deprecated functions

UTC = dt.timezone.utc
COLOURS = pl.Enum(["red", "green", "blue"])

ROW_ORDER = {"descending": [True, False], "nulls_last": [False, True]}
ROW = _row_encode([c("i"), c("s")], unordered=False, **ROW_ORDER)
pl.register_extension_type("floe.test", pl.Extension)


def _cycle(values: list[object], n: int = 24) -> list[object]:
    return [values[i % len(values)] for i in range(n)]


def rows() -> pl.DataFrame:
    """Nulls, NaN, -0.0, infinities and empty values, at different places in each column."""
    day, noon = dt.date(2024, 2, 28), dt.datetime(2024, 2, 28, 12, 30, 15, 123456)
    n = 24
    hour, days = dt.timedelta(hours=1), dt.timedelta(days=1)
    columns = {
        "g": pl.Series(_cycle([1, 2, None, 2, 1, 3, 1]), dtype=pl.Int32),
        "h": pl.Series(_cycle(["x", "y"]), dtype=pl.String),
        "i": pl.Series(_cycle([5, None, -3, 0, 7, 7, 2, None, 11]), dtype=pl.Int64),
        "j": pl.Series(range(1, n + 1), dtype=pl.Int64),
        "i8": pl.Series(_cycle([127, 1, None, -128, 100]), dtype=pl.Int8),
        "u8": pl.Series(_cycle([255, 1, None, 200]), dtype=pl.UInt8),
        "u32": pl.Series(_cycle([7, 4294967295, None]), dtype=pl.UInt32),
        "u64": pl.Series(_cycle([7, 18446744073709551615, None]), dtype=pl.UInt64),
        "i128": pl.Series(_cycle([2**70, -1, None, 3]), dtype=pl.Int128),
        "f": pl.Series(_cycle([1.5, None, math.nan, -0.0, 0.0, -2.25, 1e10]), dtype=pl.Float64),
        "f32": pl.Series(_cycle([1.5, None, 0.25, -0.0, 3e38]), dtype=pl.Float32),
        "x": pl.Series([math.sin(k) for k in range(n)], dtype=pl.Float64),
        "inf": pl.Series(_cycle([1.0, math.inf, -math.inf, None]), dtype=pl.Float64),
        "b": pl.Series(_cycle([True, None, False, False]), dtype=pl.Boolean),
        "p": pl.Series(_cycle([True, False, True]), dtype=pl.Boolean),
        "nothing": pl.Series([None] * n, dtype=pl.Int64),
        "null": pl.Series([None] * n, dtype=pl.Null),
        "s": pl.Series(_cycle(["ab", None, "", "Ünï code", "x-1-y", "ab ab", "abc"]), dtype=pl.String),
        "digits": pl.Series(_cycle(["12", "7", None, "101"]), dtype=pl.String),
        "dates": pl.Series(_cycle(["2024-01-31", "2023-12-01", None]), dtype=pl.String),
        "json": pl.Series(_cycle(['{"a": 1}', '{"a": 2, "b": 3}', None]), dtype=pl.String),
        "hex": pl.Series(_cycle(["0a", "ff", None]), dtype=pl.String),
        "d": pl.Series([day + days * (k * 5 % 17) if k % 5 else None for k in range(n)], dtype=pl.Date),
        "t": pl.Series([(noon + hour * k).time() for k in range(n)], dtype=pl.Time),
        "dt": pl.Series([noon + hour * 7 * k if k % 7 else None for k in range(n)], dtype=pl.Datetime("us")),
        "tz": pl.Series([(noon + hour * 9 * k).replace(tzinfo=UTC) for k in range(n)], dtype=pl.Datetime("us", "UTC")),
        "du": pl.Series(_cycle([hour, -days, None, hour * 50]), dtype=pl.Duration("us")),
        "cat": pl.Series(_cycle(["b", "a", None, "c"]), dtype=pl.Categorical),
        "enum": pl.Series(_cycle(["red", None, "blue"]), dtype=COLOURS),
        "bin": pl.Series(_cycle([b"ab", b"", None, b"\x00\xff12345678"]), dtype=pl.Binary),
        "l": pl.Series(_cycle([[1, 2, 3], [], None, [4, None], [5]]), dtype=pl.List(pl.Int64)),
        "ls": pl.Series(_cycle([["a", "b"], [], None, ["c"]]), dtype=pl.List(pl.String)),
        "lb": pl.Series(_cycle([[True, False], [], None, [True]]), dtype=pl.List(pl.Boolean)),
        "a": pl.Series(_cycle([[1, 2], None, [3, None]]), dtype=pl.Array(pl.Int64, 2)),
        "as": pl.Series(_cycle([["p", "q"], None]), dtype=pl.Array(pl.String, 2)),
        "st": pl.Series(
            _cycle([{"p": 1, "q": "u"}, {"p": None, "q": "v"}, {"p": 3, "q": None}]),
            dtype=pl.Struct({"p": pl.Int64, "q": pl.String}),
        ),
        "lst": pl.Series(
            _cycle([[{"key": "k", "value": 1}], [], [{"key": "k", "value": 2}, {"key": "m", "value": 3}]]),
            dtype=pl.List(pl.Struct({"key": pl.String, "value": pl.Int64})),
        ),
        "dec": pl.Series(_cycle([Decimal("1.25"), None, Decimal("-3.50")]), dtype=pl.Decimal(10, 2)),
    }
    return pl.DataFrame(columns)


def one_by_one(*names: str) -> list[pl.Expr]:
    return [c(name) for name in names]


def all_of(of: object, names: tuple[str, ...], *more: str) -> list[pl.Expr]:
    """The methods without arguments."""
    return [getattr(of, name)() for name in (*names, *more)]


CLOCK = (
    "millennium", "century", "year", "is_leap_year", "iso_year", "quarter", "month", "days_in_month", "week",
    "weekday", "day", "ordinal_day", "time", "date", "hour", "minute", "second", "millisecond", "microsecond",
    "nanosecond", "month_start", "month_end", "to_string", "timestamp", "epoch",
)  # fmt: skip
TOTALS = (
    "total_days", "total_hours", "total_minutes", "total_seconds", "total_milliseconds", "total_microseconds",
    "total_nanoseconds",
)  # fmt: skip
OF_A_LIST = (
    "len", "sum", "min", "max", "mean", "median", "std", "var", "sort", "reverse", "unique", "n_unique",
    "arg_min", "arg_max", "first", "last", "shift", "head", "tail",
)  # fmt: skip

LEAVES = [
    *one_by_one("i", "f", "s", "cat", "l", "st"), lit(1), lit("x"), lit(None), lit(1.5), lit([1, 2]),
    lit(dt.date(2024, 1, 1)), lit(2**100), lit(b"xy"), lit(dt.timedelta(hours=1)), lit(Decimal("1.5")),
    lit({"p": 1}), lit(1) + 2, lit("a").str.to_uppercase(), pl.len(), c("i").alias("z"),
    c("i").alias("z").name.keep(), c("i").name.suffix("_x"), c("i").name.prefix("x_"), c("i").name.to_uppercase(),
    c("i").name.to_lowercase(), c("i").name.replace("i", "k"), c("i").name.map(lambda name: name + "!"),
    (c("i") + c("j")).name.keep(), (lit(1) + c("i")).name.keep(), (c("i") + 1).alias("y").name.suffix("_x"),
    c("i").sum().alias("z").name.keep(),
]  # fmt: skip

ARITHMETIC = [
    c("i") + 1, 1 - c("i"), c("i") * c("j"), c("i") / c("j"), c("j") // 3, c("j") % 3, c("i") ** 2, -c("i"),
    c("i") > 2, c("i") >= c("j"), c("i") < 2, c("i") <= 2, c("i") == 2, c("i") != 2, c("i").eq_missing(2),
    c("i").ne_missing(None), c("b") & c("p"), c("b") | c("p"), c("b") ^ c("p"), ~c("b"), c("i") & 6,
    c("f") == c("f"), c("b").and_(c("p")), c("dec") * c("dec"), c("dec") / 3, c("dt") + c("du"),
    c("d") - dt.date(2024, 1, 1), c("i").cast(pl.Float32), c("f").cast(pl.String), c("s").cast(pl.Categorical),
    c("i").cast(pl.String), c("enum").cast(pl.String), c("h").cast(pl.Enum(["x", "y"])),
    c("f").cast(pl.Int8, strict=False), c("dt").cast(pl.String), c("d").cast(pl.Datetime("ns")),
    c("i").cast(pl.dtype_of("f")), c("s").cast(pl.Int64, strict=False), c("l").cast(pl.List(pl.String)),
    c("a").cast(pl.List(pl.Float64)), pl.when(c("i") > 2).then(c("j")).otherwise(c("i")), pl.when(c("b")).then(1),
    pl.when(c("b")).then(lit("x")).otherwise(c("s")),
    pl.when(c("i") > 2).then(c("j")).when(c("i") < 0).then(0).otherwise(None),
    pl.when(c("i").sum() > 2).then(c("i").max()).otherwise(0), pl.when(c("i") > c("i").mean()).then(1).otherwise(2),
    pl.when(lit(True)).then(c("i")).otherwise(c("j")),
]  # fmt: skip

FUNCTIONS = [
    c("i").abs(), c("f").neg(), c("f").sign(), c("f").exp(), c("j").log(), c("j").log10(), c("j").log1p(),
    c("j").sqrt(), c("f").cbrt(), c("f").floor(), c("f").ceil(), c("f").round(1), c("f").round_sig_figs(2),
    c("f").truncate(1), c("f").erf(), c("f").erfc(), c("f").pow(2), c("x").sin(), c("x").cos(), c("x").tan(),
    c("x").cot(), c("x").arcsin(), c("x").arccos(), c("x").arctan(), c("x").sinh(), c("x").cosh(), c("x").tanh(),
    c("x").arcsinh(), c("j").arccosh(), c("x").arctanh(), c("x").degrees(), c("x").radians(), pl.arctan2("x", "f"),
    c("i").clip(0, 5), c("i").clip(lower_bound=c("j")), c("i").fill_null(0), c("i").fill_null(c("j")),
    c("f").fill_nan(0), c("i").fill_null(c("j").mean()), c("i").fill_null(strategy="zero"),
    c("i").fill_null(strategy="one"), c("i").fill_null(strategy="mean"), c("i").fill_null(strategy="min"),
    c("i").fill_null(strategy="max"), c("i").fill_null(strategy="forward"), c("i").fill_null(strategy="backward"),
    c("i").hash(), c("s").hash(3), c("i").is_null(), c("i").is_not_null(), c("f").is_nan(), c("f").is_not_nan(),
    c("f").is_finite(), c("f").is_infinite(), c("i").is_between(0, 5), c("f").is_close(1.5),
    c("i").is_in([1, 2, 5]), c("i").is_in(c("l")), c("i").is_in(pl.Series([5, 7])), c("i").is_in(c("j").implode()),
    c("s").is_in(["ab", "abc"]), c("i").is_in(lit([5]).cast(pl.List(pl.Int64))), c("i").replace({5: 6}),
    c("i").replace_strict({5: 6}, default=c("j")), c("i").replace_strict({5: 6}, default=0),
    c("i").replace([5, 7], [0, 1]), c("i").repeat_by(2), c("i").repeat_by("g"), c("i").reinterpret(signed=False),
    c("d").to_physical(), c("cat").to_physical(), c("j").set_sorted(), c("x").cut([0.0, 0.5]),
    c("x").cut([0.0], labels=["lo", "hi"]), c("x").bin_intervals([0.0, 0.5], labels=False),
    c("x").bin_quantiles(3, labels=False), c("x").bin_ranks(3, labels=False), c("x").qcut(3), c("i").lower_bound(),
    c("i").upper_bound(), c("i8").bitwise_count_ones(), c("i8").bitwise_count_zeros(),
    c("i8").bitwise_leading_ones(), c("i8").bitwise_leading_zeros(), c("i8").bitwise_trailing_ones(),
    c("i8").bitwise_trailing_zeros(), pl.coalesce("i", "j"), pl.sum_horizontal("i", "j", "f"),
    pl.mean_horizontal("i", "j"), pl.max_horizontal("i", "j"), pl.min_horizontal("i", "f"),
    pl.all_horizontal("b", "p"), pl.any_horizontal("b", "p"), pl.struct("i", "s"), pl.struct(c("i"), z=c("s")),
    pl.concat_list("i", "j"), pl.concat_list("l", "i"), pl.concat_arr("i", "j"),
    pl.concat_str("s", "h", separator="-"), pl.format("{}-{}", "s", "i"),
    pl.fold(lit(0), lambda x, y: x + y, ["i", "j"]), pl.reduce(lambda x, y: x + y, ["i", "j"]),
    pl.cum_fold(lit(0), lambda x, y: x + y, ["i", "j"]), pl.cum_reduce(lambda x, y: x + y, ["i", "j"]),
    pl.cum_sum_horizontal("i", "j"), c("i").map_elements(lambda v: v + 1, return_dtype=pl.Int64),
    c("i").map_batches(lambda v: v + 1, is_elementwise=True), c("i").map_batches(lambda v: v.cum_sum()),
    c("i").map_batches(lambda v: v.sum(), returns_scalar=True, return_dtype=pl.Int64),
    pl.map_batches(["i", "j"], lambda v: v[0] + v[1]), c("i").rolling_map(lambda v: v.max(), 2),
    pl.business_day_count("d", dt.date(2024, 6, 1)), c("d").dt.add_business_days(2, roll="forward"),
    c("d").dt.is_business_day(), pl.int_ranges(0, c("g").fill_null(0)), pl.date_ranges(dt.date(2024, 1, 1), c("d")),
    pl.datetime_ranges(dt.datetime(2024, 2, 27), c("dt"), "1d"), pl.time_ranges(dt.time(1), dt.time(4), "1h"),
    pl.linear_spaces(0, c("j"), 3), pl.int_range(pl.len()), pl.int_range(0, 24),
    pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 1, 24)),
    pl.datetime_range(dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 24), "1d"),
    pl.time_range(dt.time(0), dt.time(23), "1h"), pl.linear_space(0, 1, 24), pl.repeat(1, 24),
    pl.repeat(1, pl.len()), pl.zeros(24), pl.row_index(), ROW.cast(pl.Binary),
    ROW._row_decode(["u", "v"], [pl.Int64, pl.String], unordered=False, **ROW_ORDER),
    c("i").pipe_with_dtype(lambda e, _: e + 1), pl.dtype_of("i").default_value(),
]  # fmt: skip

WHOLE = [
    c("i").sort(), c("i").sort_by("j", descending=True), c("i").reverse(), c("i").shift(),
    c("i").shift(1, fill_value=0), c("i").diff(), c("i").diff(null_behavior="drop"), c("x").pct_change(),
    c("i").cum_sum(), c("i").cum_count(), c("i").cum_max(), c("i").cum_min(), c("i8").cum_prod(), c("i").rank(),
    c("i").rank("dense"), c("i").rank("ordinal"), c("i").is_unique(), c("i").is_duplicated(),
    c("i").is_first_distinct(), c("i").is_last_distinct(), c("i").interpolate(), c("i").interpolate_by("j"),
    c("x").rolling_mean(3), c("x").rolling_sum(3), c("x").rolling_min(3), c("x").rolling_max(3),
    c("x").rolling_std(3), c("x").rolling_var(3), c("x").rolling_median(3),
    c("x").rolling_quantile(0.5, window_size=3), c("x").rolling_rank(3), c("x").rolling_skew(3),
    c("x").rolling_kurtosis(5), c("x").rolling_mean_by("j", "3i"), c("x").rolling_sum_by("j", "3i"),
    c("x").rolling_min_by("j", "3i"), c("x").rolling_max_by("j", "3i"), c("x").rolling_std_by("j", "3i"),
    c("x").rolling_var_by("j", "3i"), c("x").rolling_rank_by("j", "3i"),
    c("x").rolling_quantile_by("j", "3i", quantile=0.5), c("x").sum().rolling("j", period="3i"),
    pl.rolling_corr("x", "j", window_size=4), c("x").ewm_mean(com=1), c("x").ewm_std(com=1), c("x").ewm_var(com=1),
    c("x").ewm_sum(com=1), c("x").ewm_mean_by("j", half_life="2i"), c("x").ewm_sum_by("j", half_life="2i"),
    c("x").peak_max(), c("x").peak_min(), c("i").arg_sort(), c("h").rle_id(), c("i").cumulative_eval(el().sum()),
    c("i").shuffle(1), c("i") - c("i").mean(), c("i") == c("i").max(), c("i").filter(c("i") > 2),
    c("i").drop_nulls(), c("f").drop_nans(), c("i").unique(), c("i").mode(), c("i").top_k(2), c("i").bottom_k(2),
    c("i").top_k_by("j", 2), c("i").head(3), c("i").tail(3), c("i").slice(1, 2), c("i").gather([0, 2]),
    c("i").gather_every(2), c("i").get(2), c("l").explode(), c("l").list.explode(), c("a").arr.explode(),
    c("i").value_counts(), c("i").unique_counts(), c("i").arg_unique(), c("b").arg_true(), c("h").rle(),
    c("i").append(c("j")), c("i").extend_constant(1, 2), c("i").reshape((-1, 2)), c("x").hist([0.0, 0.5]),
    c("i").sample(3, seed=1), c("j").search_sorted(c("i")), c("s").str.to_datetime("%Y", strict=False),
    c("dates").str.to_date(), pl.arg_sort_by("i", "j"), pl.arg_where(c("i") > 2), pl.concat([c("i"), c("j")]),
    lit(pl.Series([1] * 24)), c("i").get(0) + c("i"), c("l").list.sample(n=1, with_replacement=True, seed=1),
    c("cat").cat.physical(), c("enum").cat.physical(), c("u8").cat.to(COLOURS, strict=False),
]  # fmt: skip

STRINGS = [
    c("s").str.contains("a"), c("s").str.contains("a", literal=True), c("s").str.contains_any(["a", "x"]),
    c("s").str.count_matches("a"), c("s").str.starts_with("a"), c("s").str.ends_with("b"),
    c("s").str.extract(r"(\w+)"), c("s").str.extract_all(r"\w"), c("s").str.extract_groups(r"(?<k>\w)"),
    c("s").str.extract_many(["ab", "x"]), c("s").str.find("b"), c("s").str.find_many(["ab"]),
    c("s").str.len_bytes(), c("s").str.len_chars(), c("s").str.to_lowercase(), c("s").str.to_uppercase(),
    c("s").str.to_titlecase(), c("s").str.reverse(), c("s").str.replace("a", "z"), c("s").str.replace_all("a", "z"),
    c("s").str.replace_many(["a"], ["z"]), c("s").str.normalize(), c("s").str.pad_start(6), c("s").str.pad_end(6),
    c("digits").str.zfill(5), c("s").str.slice(1, 2), c("s").str.head(2), c("s").str.tail(2), c("s").str.split(" "),
    c("s").str.split_exact("-", 1), c("s").str.splitn("-", 2), c("s").str.split(r"\W", literal=False),
    c("s").str.strip_chars("a"), c("s").str.strip_chars_start("a"), c("s").str.strip_chars_end("b"),
    c("s").str.strip_prefix("ab"), c("s").str.strip_suffix("b"), c("s").str.escape_regex(),
    c("s").str.encode("hex"), c("s").str.encode("base64"), c("hex").str.decode("hex"),
    c("s").str.encode("base64").str.decode("base64"), c("digits").str.to_integer(),
    c("digits").str.to_decimal(scale=2), c("dates").str.to_date("%Y-%m-%d"),
    c("dates").str.strptime(pl.Datetime, "%Y-%m-%d"), c("json").str.json_decode(pl.Struct({"a": pl.Int64})),
    c("json").str.json_path_match("$.a"), c("s").str.join("-"), c("bin").bin.contains(b"a"),
    c("bin").bin.starts_with(b"a"), c("bin").bin.ends_with(b"b"), c("bin").bin.size(), c("bin").bin.encode("hex"),
    c("bin").bin.encode("base64"), c("hex").cast(pl.Binary).bin.decode("hex"),
    c("bin").bin.encode("base64").cast(pl.Binary).bin.decode("base64"), c("bin").bin.reinterpret(dtype=pl.Int16),
    c("bin").bin.slice(1, 2), c("bin").bin.head(1), c("bin").bin.tail(1), c("bin").bin.get(0, null_on_oob=True),
    c("cat").cat.len_bytes(), c("cat").cat.len_chars(), c("cat").cat.starts_with("a"), c("cat").cat.ends_with("a"),
    c("cat").cat.slice(0, 1), c("cat").cast(pl.String),
]  # fmt: skip

TIMES = [
    *all_of(c("dt").dt, CLOCK),
    *all_of(c("du").dt, TOTALS),
    c("dt").dt.strftime("%Y"), c("dt").dt.cast_time_unit("ms"), c("tz").dt.convert_time_zone("Europe/Berlin"),
    c("dt").dt.replace_time_zone("Asia/Tokyo"), c("tz").dt.base_utc_offset(), c("tz").dt.dst_offset(),
    c("dt").dt.truncate("1d"), c("dt").dt.round("1d"), c("dt").dt.offset_by("1mo"), c("dt").dt.replace(year=2020),
    c("d").dt.combine(dt.time(1, 2)), pl.duration(hours=c("i")), pl.datetime(2024, 1, c("g").fill_null(1)),
    pl.date(2024, 1, c("g").fill_null(1)), c("d").dt.to_string("iso"), c("dt").dt.to_string("iso:strict"),
    c("du").dt.to_string("polars"), c("d") + dt.timedelta(days=1),
]  # fmt: skip

NESTED = [
    *all_of(c("l").list, OF_A_LIST, "diff", "drop_nulls"),
    *all_of(c("a").arr, OF_A_LIST, "to_list", "to_struct"),
    c("l").list.get(0, null_on_oob=True), c("l").list.gather([0], null_on_oob=True), c("l").list.gather_every(2),
    c("l").list.slice(0, 1), c("l").list.contains(1), c("l").list.contains(c("i")), c("l").list.count_matches(1),
    c("l").list.set_union([1]).list.sort(), c("l").list.set_intersection(c("l")).list.sort(),
    c("ls").list.join("-"), c("lb").list.any(), c("lb").list.all(), c("l").list.concat([c("i")]),
    c("l").list.to_struct(fields=["u", "v"]), c("l").list.head(2).list.eval(el() * 2),
    c("a").arr.to_list().list.to_array(2), c("l").list.eval(el().rank()), c("l").list.eval(el().filter(el() > 1)),
    c("l").list.eval(el().cum_sum()), c("l").list.agg(el().sum()), c("l").list.filter(el() > 1),
    c("l").list.eval(el().map_elements(lambda v: v, return_dtype=pl.Int64)), c("l").list.eval(el().shuffle(1)),
    c("ls").list.head(1).list.item(allow_empty=True), c("a").arr.get(0), c("a").arr.contains(1),
    c("a").arr.count_matches(1), c("as").arr.join("-"), c("a").arr.eval(el() + 1), c("a").arr.agg(el().max()),
    c("a").arr.slice(0, 1), pl.concat_arr("i", "j").arr.slice(0, 1, as_array=True), c("a").arr.dot(c("a")),
    c("a").arr.eval(el().sum(), as_list=True), pl.concat_arr(c("a"), c("a")),
    c("i").ext.to(pl.Extension("floe.test", pl.Int64)).ext.storage(), c("st").struct.field("p"),
    c("st").struct.field("p", "q"), c("st").struct.unnest(), c("st").struct.rename_fields(["u", "v"]),
    c("st").struct.json_encode(), c("st").struct.drop(["p"]),
    c("st").struct.with_fields(pl.field("p") + 1, z=pl.field("q")),
    c("st").struct.with_fields(pl.field("p") - pl.field("p").mean()), c("st").name.prefix_fields("k_"),
    c("st").name.suffix_fields("_k"), c("st").name.map_fields(lambda name: name + "k"),
    c("st").struct.eval(pl.field("p") + c("j")), c("lst").list.to_map().map.entries(),
    c("lst").list.to_map().map.keys(), c("lst").list.to_map().map.values(), c("lst").list.to_map().map.len(),
    c("lst").list.to_map().map.get("k"), c("lst").list.to_map().map.contains_key("k"),
]  # fmt: skip

NUMBERS = ("i", "j", "i8", "u8", "u32", "u64", "i128", "f", "f32", "x", "inf", "b", "nothing")
AGGREGATES = [
    *[c(name).sum() for name in (*NUMBERS, "du", "dec", "null")],
    *[c(name).mean() for name in (*NUMBERS, "du", "dec", "d", "null")], *[c(name).std() for name in NUMBERS],
    *[c(name).var(ddof=0) for name in NUMBERS], c("x").var(ddof=30), c("x").std(ddof=2),
    *[c(name).min() for name in (*NUMBERS, "s", "d", "t", "dt", "tz", "du", "cat", "enum", "bin", "dec")],
    *[c(name).max() for name in (*NUMBERS, "s", "d", "t", "dt", "tz", "du", "cat", "enum", "bin", "dec")],
    c("f").nan_min(), c("f").nan_max(), *[c(name).first() for name in ("i", "s", "nothing", "l", "st", "cat")],
    *[c(name).last() for name in ("i", "s", "nothing", "l", "st")], c("i").first(ignore_nulls=True),
    c("i").last(ignore_nulls=True), c("nothing").first(ignore_nulls=True),
    *[c(name).count() for name in ("i", "f", "s", "nothing", "l")], c("i").len(), c("i").null_count(),
    c("l").null_count(), c("i").has_nulls(), c("j").has_nulls(), c("i").is_empty(),
    c("nothing").is_empty(ignore_nulls=True), c("b").any(), c("b").all(), c("b").any(ignore_nulls=False),
    c("b").all(ignore_nulls=False), c("p").any(ignore_nulls=False), c("p").all(), c("i").bitwise_and(),
    c("i").bitwise_or(), c("i").bitwise_xor(), c("b").bitwise_and(), c("nothing").bitwise_or(),
    c("p").bitwise_xor(), c("i").product(), c("i").median(), c("i").n_unique(), c("i").approx_n_unique(),
    c("i").quantile(0.3), c("i").approx_quantile(0.3), c("i").implode(), c("x").skew(), c("x").kurtosis(),
    c("j").entropy(), c("i").arg_min(), c("i").arg_max(), c("i").min_by("j"), c("i").max_by("j"),
    c("i").index_of(7), c("i").is_sorted(), pl.corr("x", "j"), pl.cov("x", "j"),
    pl.corr("x", "j", method="spearman"), c("i").filter(c("j") == 1).item(), c("x").dot("j"), c("i").sort().first(),
    c("i").unique().sum(), lit(1).sum(), lit(5).count(), lit(pl.Series([1, 2])).sum(), c("i").filter(c("p")).sum(),
    c("i").filter(c("i") > 100).first(), c("i").filter(c("j") > 20).first(), c("i").filter(c("j") < 4).last(),
    c("x").filter(c("p")).mean(), c("x").filter(c("i") > 100).std(), c("i").drop_nulls().sum(),
    c("i").drop_nulls().len(), c("f").drop_nans().mean(), c("i").drop_nulls().first(), c("l").explode().sum(),
    c("l").explode().count(), c("l").list.explode().max(), c("i").filter(c("p")).abs().sum(),
    (c("i").filter(c("p")) + 1).sum(), c("i").drop_nulls().mean(), c("l").explode().mean(),
    c("x").filter(c("p")).cast(pl.Float32).mean(), c("i").sum() + 1, c("i").sum() / pl.len(),
    c("x").mean() - c("x").min(), c("i").sum().cast(pl.Float32), c("i").sum().alias("z") * 2,
    (c("i") * c("j")).sum(), (c("i") * 2).mean(), c("x").sum().round(2),
    pl.struct(c("i").sum(), c("j").max().alias("m")), pl.sum_horizontal(c("i").sum(), c("j").sum()),
    pl.max_horizontal(c("i").max(), pl.len()), pl.coalesce(c("nothing").max(), c("i").max()),
    c("i").max().is_in([11]), c("s").max().str.len_chars(), pl.concat_str(c("s").max(), lit("-"), c("h").min()),
    (c("i").sum() > 3) & (pl.len() > 2), c("x").std() / c("x").mean(), c("i").sum().name.suffix("_sum"),
    c("i").mean().name.keep(), (pl.len() * 100).alias("share"), c("i").sum() - c("i").n_unique(),
    c("d").max() - c("d").min(), c("i").is_null().sum(), c("i").is_null().mean(), c("i").is_not_null().all(),
    (c("i") > 2).any(), (c("i") > 2).sum(), pl.when(c("p")).then(c("i")).sum(),
    pl.when(c("p")).then(c("x")).otherwise(0).mean(), c("i").sum().map_elements(lambda v: v, return_dtype=pl.Int64),
    c("dt").max().dt.year(), c("i").max().cast(pl.String), c("st").struct.field("p").sum(), c("l").list.sum().sum(),
    c("l").list.len().max(), c("i").cast(pl.Float32).mean(), c("i").fill_null(0).mean(), c("i").clip(0, 5).var(),
    c("i").len() + c("j").len(), c("f32").mean().cast(pl.Float64),
]  # fmt: skip

WINDOWS = [
    c("i").sum().over("g"), c("i").rank("dense").over("g"), c("i").rank("ordinal").over("g"),
    c("i").cum_sum().over("g"), c("i").shift().over("g", "h"), (c("i") - c("i").mean()).over("g"),
    c("i") - c("i").mean().over("g"), c("x").sum().over("g") / c("x").sum().over("g"),
    c("i").sum().over("g") + c("i").sum().over("h"), c("i").first().over("g", order_by="x"),
    c("i").sum().over(c("g") + 1), c("i").sum().over("g", mapping_strategy="join"), c("i").sort().over("g"),
    pl.len().over("g"), pl.int_range(pl.len()).over("g"), c("i").n_unique().over("g"), c("x").median().over("h"),
    c("i").is_duplicated().over("g"), c("i").fill_null(strategy="mean").over("g"),
    c("i").fill_null(strategy="forward").over("g"), c("x").std().over("g").alias("z").name.suffix("_k"),
    c("i").map_batches(lambda v: v.sum(), return_dtype=pl.Int64, returns_scalar=True).over("g"),
    c("i").sum().over("g").sum(), c("i").filter(c("p")).sum().over("g"),
    c("i").sum().over("g", mapping_strategy="explode"), lit(1).over("g"), c("x").rolling_mean(2).over("g"),
    c("i").reverse().over("g"), c("i").is_first_distinct().over("g"), c("i").unique().count().over("g"),
    c("i").arg_max().over("g"), c("x").qcut(2).over("h"),
]  # fmt: skip

SELECTORS = [
    pl.all(), c("i", "j"), cs.numeric(), c("^i.*$"), pl.exclude("i"), pl.nth(0), cs.string() | cs.boolean(),
    cs.by_dtype(pl.Int64), pl.all().is_null(), cs.integer().sum(), cs.float() * 2,
    (cs.integer() + cs.integer()).name.suffix("_2"), pl.sum_horizontal(cs.integer()), pl.struct(cs.integer()),
    pl.coalesce(cs.integer()), cs.numeric().fill_null(0), cs.integer().sum().over("g"),
    pl.max_horizontal(cs.integer()), pl.concat_list(cs.integer()), pl.concat_str(cs.string()),
    pl.all_horizontal(cs.boolean()),
    cs.integer() + cs.by_name("i", "j", "i8", "u8", "u32", "u64", "i128", "nothing", "g"),
    cs.float().mean().name.prefix("m_"), pl.fold(0, lambda x, y: x + y, [cs.integer()]), cs.last(),
    cs.integer().filter(c("p")).sum(), cs.float().cast(pl.Float32), cs.string().str.len_chars(), pl.first(),
    pl.last(), c("st").struct.with_fields(cs.by_name("i", "j")), c("i").replace_strict({5: 6}, default=None),
]  # fmt: skip

EXPRESSIONS = [*LEAVES, *ARITHMETIC, *FUNCTIONS, *WHOLE, *STRINGS, *TIMES, *NESTED, *AGGREGATES, *WINDOWS, *SELECTORS]
