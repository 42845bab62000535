"""A stage's rows on their way to later stages: files by partition, or where to cut them.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import os
from typing import Any

import polars as pl

from . import leaf
from .executor_pb2 import Boundaries, Done, Shuffle, ShuffledFile
from .scans import between_stages

MAX_SAMPLE = 1 << 17  # keys that boundaries are chosen from


def write(rows: pl.LazyFrame, to: Shuffle, done: Done, **how: Any) -> None:
    """Polars' own sink writes <directory>/<key>=<partition>/00000000.ipc, or all.ipc."""
    suffix = "parquet" if to.parquet else "ipc"
    target: Any = os.path.join(to.directory, f"all.{suffix}")
    name = "__p"
    if to.partitions:
        columns = rows.collect_schema()
        while name in columns:
            name += "_"
        key = leaf.expression(to.key).alias(name)
        target = pl.PartitionBy(to.directory, key=key, include_key=False, approximate_bytes_per_file=None)
    how |= {"compression": to.compression or "uncompressed", "maintain_order": to.ordered, "mkdir": True}
    if to.parquet:
        level = to.level if to.HasField("level") else None
        rows.sink_parquet(target, compression_level=level, statistics=False, **how)
    else:
        rows.sink_ipc(target, **how)
    if to.partitions:
        done.shuffled.extend(files_of(to.directory, name, to.partitions))
    else:
        done.shuffled.add(name=f"all.{suffix}")
    count(to, done)


def files_of(directory: str, key: str, partitions: int) -> list[ShuffledFile]:
    """By partition; a partition that Polars wrote in pieces has them in the order of its rows."""
    found = []
    for folder in os.listdir(directory):
        value = folder[len(key) + 1 :]
        if not value.isdigit() or int(value) >= partitions:
            raise RuntimeError(f"a partition is {folder!r}, expected a number below {partitions}; this is an error of Floe")
        for name in os.listdir(os.path.join(directory, folder)):
            found.append(ShuffledFile(partition=int(value), name=f"{folder}/{name}"))
    return sorted(found, key=lambda file: (file.partition, len(file.name), file.name))


def count(to: Shuffle, done: Done) -> None:
    scan = between_stages(to.parquet)
    counts = [scan(os.path.join(to.directory, file.name)).select(pl.len()) for file in done.shuffled]
    for file, counted in zip(done.shuffled, pl.collect_all(counts)):
        file.rows = counted.item()
    # Nobody may read a file without rows: Polars 2.0.0 panics where it estimates a join of a group_by of one.
    for file in [file for file in done.shuffled if not file.rows]:
        os.unlink(os.path.join(to.directory, file.name))
        done.shuffled.remove(file)


def boundaries(rows: pl.LazyFrame, wanted: Boundaries, done: Done, **how: Any) -> None:
    """Quantiles of an even sample of the keys, each once and none that has nothing before it."""
    keys = sample(rows.select(leaf.expression(wanted.key).alias("key")), **how).sort()
    cuts = [keys[keys.len() * i // wanted.partitions] for i in range(1, wanted.partitions)] if keys.len() else []
    done.boundaries.extend(cut for cut in dict.fromkeys(cuts) if cut != keys[0])


def sample(keys: pl.LazyFrame, **how: Any) -> pl.Series:
    """Every n-th of them; n is doubled whenever there are too many, so that they are never all here."""
    taken = pl.Series(dtype=pl.Binary)
    step, seen = 1, 0
    for batch in keys.collect_batches(maintain_order=False, **how):
        taken.append(batch.to_series().gather_every(step, -seen % step))
        seen += batch.height
        while taken.len() > MAX_SAMPLE:
            taken = taken.gather_every(2)
            step *= 2
    return taken
