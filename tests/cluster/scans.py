"""tests/cluster/scans.py: files of every kind that a scan may meet, and scans of them.
SPDX-License-Identifier: Apache-2.0

`split`: can tasks read parts of it? What cannot be is read by one. An error is the same as local
Polars'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

NOBODY = "__HIVE_DEFAULT_PARTITION__"  # a null, in the name of a folder
WRITE: dict[str, Callable[[pl.DataFrame, Path], Any]] = {
    "parquet": lambda df, path: df.write_parquet(path, row_group_size=7),
    "ipc": lambda df, path: df.write_ipc(path, record_batch_size=7),
    "csv": lambda df, path: df.write_csv(path),
    "ndjson": lambda df, path: df.write_ndjson(path),
}
SCAN: dict[str, Callable[..., pl.LazyFrame]] = {
    "parquet": pl.scan_parquet,
    "ipc": pl.scan_ipc,
    "csv": pl.scan_csv,
    "ndjson": pl.scan_ndjson,
}


@dataclass(frozen=True)
class Scan:
    name: str
    write: Callable[[Path], None]
    build: Callable[[Path], pl.LazyFrame]
    split: bool = True
    slices: bool = True  # local Polars itself slices it right


SCANS: list[Scan] = []


def rows(first: int, count: int) -> pl.DataFrame:
    a = pl.int_range(first, first + count, eager=True).alias("a")
    return pl.DataFrame([a, (a % 3).alias("b"), ("text " + a.cast(pl.String)).alias("c")])


def scan(name: str, files: Mapping[str, Any], build: Callable[[Path], pl.LazyFrame], **known: bool) -> None:
    """`files`: of each name the content: rows, bytes or a text."""

    def write(folder: Path) -> None:
        for relative, content in files.items():
            path = folder / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, pl.DataFrame):
                WRITE[path.suffix[1:]](content, path)
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())

    SCANS.append(Scan(name, write, build, **known))


# --- folders named key=value -------------------------------------------------------------------


def years(kind: str) -> dict[str, pl.DataFrame]:
    return {
        f"x=5/t/year=2019/m=1/0.{kind}": rows(0, 9),
        f"x=5/t/year=2019/m=02/0.{kind}": rows(9, 0),
        f"x=5/t/year=2020/m=1/0.{kind}": rows(9, 30),
        f"x=5/t/year=2020/m=1/1.{kind}": rows(39, 1),
        f"x=5/t/year={NOBODY}/m=7/0.{kind}": rows(40, 5),
    }


def folders(name: str, values: tuple[str, ...], build: Callable[[Path], pl.LazyFrame], **more: Any) -> None:
    scan(name, {f"{value}/0.parquet": rows(10 * i, 3 + i) for i, value in enumerate(values)}, build, **more)


for kind in ("parquet", "ipc"):
    hive = partial(SCAN[kind], hive_partitioning=True)
    scan(f"hive_{kind}", years(kind), lambda p, hive=hive: hive(p / "x=5/t"))
    scan(f"hive_{kind}_pattern", years(kind), lambda p, hive=hive, kind=kind: hive(p / f"x=5/t/*/*/*.{kind}"))
    scan(f"hive_{kind}_by_itself", years(kind), lambda p, kind=kind: SCAN[kind](p / "x=5/t"))
    scan(
        f"hive_{kind}_of_folders",
        years(kind),
        lambda p, hive=hive: hive([p / "x=5/t/year=2019", p / "x=5/t/year=2020"]),
    )
    scan(
        f"hive_{kind}_of_files",
        years(kind),
        lambda p, hive=hive, kind=kind: hive([p / "x=5/t" / f"year=2020/m=1/{i}.{kind}" for i in (1, 0)]),
    )
    scan(
        f"hive_{kind}_schema",
        years(kind),
        lambda p, hive=hive: hive(p / "x=5/t", hive_schema={"m": pl.String, "year": pl.Int16}),
    )
    scan(f"hive_{kind}_off", years(kind), lambda p, kind=kind: SCAN[kind](p / "x=5/t", hive_partitioning=False))
    scan(f"hive_{kind}_one_file", {f"k=1/0.{kind}": rows(0, 40)}, lambda p, hive=hive: hive(p))
    scan(
        f"hive_{kind}_numbered",
        years(kind),
        lambda p, hive=hive: hive(p / "x=5/t", row_index_name="nr", row_index_offset=100, include_file_paths="file"),
    )
    scan(f"hive_{kind}_limited", years(kind), lambda p, hive=hive: hive(p / "x=5/t", row_index_name="nr", n_rows=38))

scan(
    "hive_folders_that_a_filter_rules_out",
    {"k=1/0.parquet": rows(0, 9), "k=2/0.parquet": "not parquet", "k=3/0.parquet": rows(9, 9), "k=4/0.parquet": ""},
    lambda p: pl.scan_parquet(p).filter(pl.col("k") % 2 == 1),
)

hive = partial(pl.scan_parquet, hive_partitioning=True)
scan("hive_schema_too_small", years("parquet"), lambda p: hive(p / "x=5/t", hive_schema={"m": pl.String}))
scan("hive_schema_too_large", years("parquet"), lambda p: hive(p / "x=5/t", hive_schema={"m": pl.Int8, "year": pl.Int16, "z": pl.Int8}))
folders("hive_numbers_and_texts", ("k=1", "k=2", "k=x", "k=3"), hive)
folders("hive_integers_and_floats", ("k=1", "k=2.5", "k=3"), hive)
folders("hive_dates", ("k=2024-01-01", "k=2024-02-29", f"k={NOBODY}"), hive)
folders("hive_dates_as_text", ("k=2024-01-01", "k=2024-02-29"), partial(hive, try_parse_hive_dates=False))
folders("hive_dates_and_texts", ("k=2024-01-01", "k=x"), hive)
folders("hive_strange_values", ("k=a%20b", "k=b c", "k=d ö=", "k="), hive)
folders("hive_unnamed_first", ("k=*[x]", "k=1", "k=a=b"), hive)
folders("hive_unnamed_later", ("k=1", "k=a=b", "k=z*"), hive)
folders("hive_null_first", (f"k={NOBODY}", "k=1", "k=2"), hive)
folders("hive_only_nulls", (f"k={NOBODY}/l=1", f"k={NOBODY}/l=2"), hive)
folders("hive_keys_in_any_order", ("k=1/l=2", "l=3/k=4"), hive)
folders("hive_keys_missing", ("k=1/l=2", "k=3/m=4"), hive)
folders("hive_levels_differ", ("k=1", "k=2/l=3"), hive)
folders("hive_beside_plain_files", ("k=1", "plain"), hive)
folders("hive_without_keys", ("1", "2"), hive)
folders("hive_key_in_files", ("b=7", "b=8"), hive)
folders("hive_key_in_files_as_text", ("c=7", "c=8"), hive)
folders("hive_schema_of_key_in_files", ("b=7", "b=8"), partial(hive, hive_schema={"b": pl.Int8}))
scan(
    "hive_columns_missing",
    {"k=1/0.parquet": rows(0, 5), "k=2/0.parquet": rows(5, 5).select("c", "a"), "k=3/0.parquet": rows(9, 3).with_columns(d=1)},
    lambda p: hive(p, missing_columns="insert", extra_columns="ignore"),
)  # fmt: skip
scan(
    "hive_columns_in_any_order",
    {"k=1/0.parquet": rows(0, 5), "k=2/0.parquet": rows(5, 5).select("c", "b", "a")},
    hive,
)

# --- numbers of rows, limits, names of files -----------------------------------------------------


def uneven(kind: str) -> dict[str, pl.DataFrame]:
    return {f"{i}.{kind}": rows(first, n) for i, (first, n) in enumerate([(0, 0), (0, 20), (20, 1), (21, 0), (21, 40)])}


for kind in ("parquet", "ipc"):
    build = SCAN[kind]
    for name, files in (("files", uneven(kind)), ("file", {f"0.{kind}": rows(0, 61)})):
        scan(f"{kind}_{name}_numbered", files, partial(build, row_index_name="nr"))
        scan(f"{kind}_{name}_numbered_from", files, partial(build, row_index_name="nr", row_index_offset=2**31))
        scan(f"{kind}_{name}_limited", files, partial(build, n_rows=33))
        scan(f"{kind}_{name}_limited_to_all", files, partial(build, n_rows=1000))
        scan(f"{kind}_{name}_limited_to_none", files, partial(build, n_rows=0), split=False)
        scan(f"{kind}_{name}_everything", files, partial(build, n_rows=23, row_index_name="nr", include_file_paths="file"))
    scan(f"{kind}_names", uneven(kind), partial(SCAN[kind], include_file_paths="file"))
for kind in ("parquet", "ipc", "csv"):
    strange = {f"a*[{i}] b é.{kind}": rows(10 * i, 10) for i in range(4)}
    scan(
        f"{kind}_strange_names",
        strange,
        lambda p, kind=kind, strange=strange: SCAN[kind]([p / n for n in strange], glob=False, include_file_paths="file"),
    )
for kind in ("csv", "ndjson"):
    scan(f"{kind}_names", uneven(kind), partial(SCAN[kind], include_file_paths="file"))
    scan(f"{kind}_numbered", uneven(kind), partial(SCAN[kind], row_index_name="nr"), split=False)
    scan(f"{kind}_limited", uneven(kind), partial(SCAN[kind], n_rows=33), split=False)

# --- texts ---------------------------------------------------------------------------------------


def texts(name: str, *contents: str | bytes, **options: Any) -> None:
    split = options.pop("split", True)
    build = partial(pl.scan_csv, **options)
    scan(f"csv_{name}", {f"{i}.csv": content for i, content in enumerate(contents)}, build, split=split)


texts("columns_in_any_order", "a,b\n1,2\n", "b,a\n3,4\n")
texts("columns_missing", "a,b\n1,2\n", "a\n3\n")
texts("columns_inserted", "a,b\n1,2\n", "a\n3\n", missing_columns="insert", split=False)
texts("empty_file", "a,b\n1,2\n", "", "a,b\n3,4\n")
texts("empty_files_allowed", "a,b\n1,2\n", "", "a,b\n3,4\n", raise_if_empty=False)
texts("only_headers", "a,b\n1,2\n", "a,b\n", "a,b", "a,b\n3,4")
texts("quotes", 'a,b\n1,"x\ny"\n2,""\n', 'a,b\n3,"z\n,\n""q"""', "a,b\n4,\n")
texts("no_quotes", 'a,b\n1,"x\n2,y"\n', 'a,b\n3,"\n', quote_char=None)
texts("bom", b"\xef\xbb\xbfa,b\n1,2\n", b"\xef\xbb\xbfa,b\n3,4")
texts("crlf", "a,b\r\n1,x\r\n\r\n", 'a,b\r\n3,"y\r\n"\r\n', "a,b\r\n4,z")
texts("comments", '#x\na,b\n#"y\n1,2\n', "a,b\n#z\n3,4\n#", comment_prefix="#")
texts("skipped", "junk\na,b\n1,2\n3,4\n", "junk\na,b\n5,6\n7,8\n", skip_rows=1, skip_rows_after_header=1)
texts("skipped_lines", '"junk\na,b\n1,2\n', '"junk\na,b\n3,4\n', skip_lines=1)
texts("no_header", "1,2\n3,4\n", "5,x\n", has_header=False)
texts("renamed", "a,b\n1,2\n", "a,b\n3,4\n", new_columns=["u", "v"])
texts("other_dtypes", "a,b\n1,2\n", "a,b\n3.5,x\n")
texts("dtypes_given", "a,b\n1,2\n", "a,b\n3,04\n", schema_overrides={"b": pl.String})
texts("ragged", "a,b\n1,2,3\n4\n", "a,b\n5,6,7,8\n\n", truncate_ragged_lines=True)
texts("errors_ignored", "a,b\n1,2\nx,y\n", "a,b\n3,z\n", schema={"a": pl.Int64, "b": pl.Int64}, ignore_errors=True)
texts("nulls", "a|b\n~|1,5\n", "a|b\n2|~\n", separator="|", null_values="~", decimal_comma=True)

scan(
    "ndjson_texts",
    {"0.ndjson": '{"a":1,"b":"x\\ny"}\n{"a":2}\n', "1.ndjson": "", "2.ndjson": '{"b":null,"a":3}\r\n', "3.ndjson": '{"a":4,"c":[1]}\n'},
    pl.scan_ndjson,
)
scan(
    "ndjson_lines_that_polars_miscounts",
    {"0.ndjson": '{"a":1}\n{"a":2}', "1.ndjson": '\n\n{"a":3}\n\n{"a":4}\n', "2.ndjson": '{"a":5}'},
    pl.scan_ndjson,
    slices=False,
)
scan("ndjson_other_dtypes", {"0.ndjson": '{"a":1}\n', "1.ndjson": '{"a":2.5}\n'}, pl.scan_ndjson)
