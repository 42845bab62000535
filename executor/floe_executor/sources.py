"""What stands behind a source of a plan: its schema, its files, and the rows that their footers tell.

To open a file takes longer than all else that is asked about a plan, so what was found is remembered
as long as the files stay as they are.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import functools
import io
import json
import os
from dataclasses import dataclass
from typing import Any, Tuple

import polars as pl

from . import leaf
from .planning_pb2 import Source
from .scans import SCANS, WITH_FOOTERS, Scan

MAX_COUNTED_FILES = 64  # of one source, that were not counted before
MAX_COUNTS = 1 << 16
MAX_REMEMBERED_BYTES = 8 << 20
BYTES_OF_A_FILE = 512  # that remembering it takes, about


@dataclass(frozen=True)
class Found:
    schema: pl.Schema
    source: Source


# ---- memory ----


@dataclass(frozen=True)
class Remembered:
    found: Found
    given: dict[str, Any]  # given_to_scan
    files: list[Identity]  # that it stood for before they were opened
    bytes: int


_remembered: dict[bytes, Remembered] = {}  # by plan; the one that was not used for longest is first


def find(plan: bytes) -> Found:
    """Of a plan that is one source."""
    known = _remembered.pop(plan, None)
    if known and files_at(known.given) == known.files:
        _remembered[plan] = known
        return known.found
    frame = pl.LazyFrame.deserialize(io.BytesIO(plan))
    given = given_to_scan(frame) if may_be_remembered(plan) else None
    files = files_at(given) if given else None
    schema = frame.collect_schema()
    found = Found(schema, look(plan, frame, schema))
    if given and files and [local_path(file.path) for file in found.source.files] == [file[0] for file in files]:
        size = 2 * (len(plan) + found.source.ByteSize()) + BYTES_OF_A_FILE * len(files)
        remember(plan, Remembered(found, given, files, size))
    return found


def may_be_remembered(plan: bytes) -> bool:
    """MessagePack: "sources": {"Paths": … on this machine."""
    return b"\xa7sources\x81\xa5Paths" in plan and b"://" not in plan


def remember(plan: bytes, new: Remembered) -> None:
    left = MAX_REMEMBERED_BYTES - new.bytes - sum(known.bytes for known in _remembered.values())
    while left < 0 and _remembered:
        left += _remembered.pop(next(iter(_remembered))).bytes
    if left >= 0:
        _remembered[plan] = new


# ---- a source that is not remembered ----


def look(plan: bytes, frame: pl.LazyFrame, schema: pl.Schema) -> Source:
    kind, scan = scan_of(plan, frame)
    held = {name: dtype for name, dtype in schema.items() if name not in made_by(scan)}
    found = Source(
        schema=leaf.write_schema(schema),
        frame=leaf.empty_frame(pl.Schema(held)).lazy().serialize(),
    )
    if kind == "DataFrameScan":
        found.rows = frame.select(pl.len()).collect(engine="in-memory").item()
        found.has_rows = True
    if scan is None:
        return found
    paths = [str(path) for path in scan.paths]
    sizes = scan.source_sizes or ()
    if len(sizes) != len(paths):
        sizes = map(size_of, paths)
    for path, size in zip(paths, sizes):
        found.files.add(path=path, bytes=size)
    if scan.hive_parts is not None:
        found.has_hive, found.hive_start = True, scan.file_options.hive_options["hive_start_idx"]
    if kind in WITH_FOOTERS and count(found, SCANS[kind]):
        found.has_rows = True
        found.rows = sum(file.rows for file in found.files)
    return found


def scan_of(plan: bytes, frame: pl.LazyFrame) -> tuple[str, Any]:
    """What is read, and the scan of files as Polars sees it: folders and patterns expanded."""
    try:
        node = frame._ldf.visit().view_current_node()
    except NotImplementedError as error:
        at = plan.rfind(IPC)
        if at < 0 or "ipc" not in str(error):
            return "", None
        plan = plan[:at] + no_parquet()
        return "ipc", pl.LazyFrame.deserialize(io.BytesIO(plan))._ldf.visit().view_current_node()
    if type(node).__name__ != "Scan":
        return type(node).__name__, None
    return node.scan_type[0], node


IPC = b"\xa9scan_type\x81\xa3Ipc"  # MessagePack: the last field of a scan


@functools.cache
def no_parquet() -> bytes:
    """Polars shows every scan but those of ipc: the same as one of parquet, which opens no file when
    its schema is given. The end of its plan, from its type on."""
    plan = pl.scan_parquet([], schema={}).serialize()
    return plan[plan.rindex(b"\xa9scan_type") :]


def made_by(scan: Any) -> tuple[str | None, ...]:
    """Columns that neither files nor their folders hold."""
    if scan is None:
        return ()
    options = scan.file_options
    return (options.include_file_paths, options.row_index[0] if options.row_index else None)


# ---- files ----


def given_to_scan(frame: pl.LazyFrame) -> dict[str, Any] | None:
    """What the plan says of the files of a scan whose schema is not known yet; None: it is something else."""
    text = io.BytesIO()
    frame._ldf.serialize_json(text)
    scan = json.loads(text.getvalue()).get("Scan", {})
    if "Paths" not in scan.get("sources", ()):
        return None
    paths = [path["inner"] for path in scan["sources"]["Paths"]]
    return {"source": paths, "glob": scan["unified_scan_args"]["glob"]}


def expanded(given: dict[str, Any]) -> Any:
    """A node of Polars that has the paths; no file is opened."""
    return pl.scan_lines(**given)._ldf.visit().view_current_node()


Identity = Tuple[Any, ...]  # of a file: its path, and what is another one when it changes


def files_at(given: dict[str, Any]) -> list[Identity] | None:
    """None: of one of them it is not known when it changes."""
    try:
        files = [identity(str(path)) for path in expanded(given).paths]
    except (pl.exceptions.PolarsError, OSError):
        return None
    return None if None in files else files  # type: ignore[return-value]


def identity(path: str) -> Identity | None:
    local = local_path(path)
    try:
        s = os.stat(local) if local else None
    except OSError:
        return None
    return (local, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) if s else None


def local_path(path: str) -> str | None:
    path = path[len("file://") :] if path.startswith("file://") else path
    return None if "://" in path else path


def size_of(path: str) -> int:
    local = local_path(path)
    try:
        return os.stat(local).st_size if local else 0
    except OSError:
        return 0


_counts: dict[Identity, int] = {}  # rows


def count(found: Source, scan: Scan) -> bool:
    """The rows of each file, from its footer; False when that would take long."""
    keys = [identity(file.path) for file in found.files]
    new = [i for i, key in enumerate(keys) if key not in _counts]
    if None in keys or len(new) > MAX_COUNTED_FILES:
        return False
    try:
        counts = pl.collect_all(scan(found.files[i].path).select(pl.len()) for i in new) if new else []
    except pl.exceptions.PolarsError:
        return False  # a file that cannot be read, and perhaps need not be
    if len(_counts) + len(new) > MAX_COUNTS:
        _counts.clear()
    _counts.update((keys[i], counted.item()) for i, counted in zip(new, counts))  # type: ignore[misc]
    for file, key in zip(found.files, keys):
        file.rows, file.has_rows = _counts[key], True  # type: ignore[index]
    return True
