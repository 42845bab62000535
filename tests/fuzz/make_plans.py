"""tests/fuzz/make_plans.py: real plans of the Polars it runs with. SPDX-License-Identifier: Apache-2.0

    python make_plans.py FOLDER          one file for each kind of sink and of Python function

The corpus of fuzz_envelope is what this writes with the newest and the oldest Polars we serve.
"""

import copy
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import polars as pl
from cloudpickle import cloudpickle

warnings.simplefilter("ignore")  # advice about slow functions

reduce_code = cloudpickle.CloudPickler._dispatch_table[types.CodeType]


def reduce_code_without_folder(code: types.CodeType) -> Any:
    return reduce_code(code.replace(co_filename=Path(code.co_filename).name))


def forget_folders() -> None:
    """A pickled function holds the paths of its file and module, which differ between machines."""
    cloudpickle.CloudPickler._dispatch_table[types.CodeType] = reduce_code_without_folder
    for name, module in list(sys.modules.items()):
        if name == "__main__" or name.startswith("polars"):
            vars(module).pop("__file__", None)


frame = pl.LazyFrame({"a": [1, 200, 3], "b": ["x", "<in-memory>", "z"]})
a = pl.col("a")


def anonymous(query: pl.LazyFrame) -> pl.LazyFrame:
    return query.sink_parquet("<in-memory>", lazy=True)


PLANS = {
    "anonymous": anonymous(frame),
    "flight": frame.sink_parquet("<flight>", lazy=True),
    "csv": frame.sink_csv("/out/x.csv", lazy=True),
    "ipc": frame.sink_ipc("/out/x.arrow", lazy=True),
    "ndjson": frame.sink_ndjson("/out/x.ndjson", lazy=True),
    "parquet": frame.sink_parquet("/out/ü.parquet", lazy=True),
    "partitioned": frame.sink_parquet(pl.PartitionBy("/out/p/", key="a"), lazy=True),
    "callback": frame.sink_batches(lambda frame: None, lazy=True),
    "multiple": pl.collect_all(
        [frame.sink_csv("/out/1.csv", lazy=True), anonymous(frame)], lazy=True
    ),
    "map_elements": anonymous(frame.select(a.map_elements(lambda x: x, return_dtype=pl.Int64))),
    "map_batches": anonymous(frame.select(a.map_batches(lambda x: x, return_dtype=pl.Int64))),
    "frame_map_batches": anonymous(frame.map_batches(lambda x: x)),
    "map_groups": anonymous(frame.group_by("a").map_groups(lambda x: x, schema=None)),
    "fold": anonymous(frame.select(pl.fold(pl.lit(0), lambda x, y: x + y, [a, a]))),
    "name_map": anonymous(frame.select(a.name.map(lambda name: name + "_"))),
    "imported": anonymous(frame.map_batches(copy.copy)),  # pickled by name
    "binary": anonymous(frame.select(pl.lit(b"\x01\x0b\x07\x80\x05\x95"))),  # not a function
    # Looks like the placeholder, and is a row's value.
    "decoy": anonymous(
        frame.filter(pl.col("b") == "<in-memory>").select(
            pl.struct(pl.lit("<in-memory>").alias("inner")).alias("target")
        )
    ),
}

if __name__ == "__main__":
    forget_folders()
    for name, plan in PLANS.items():
        (Path(sys.argv[1]) / f"{pl.__version__}-{name}").write_bytes(plan.serialize())
