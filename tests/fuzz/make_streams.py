#!/usr/bin/env python3
"""tests/fuzz/make_streams.py: the corpus of fuzz_framing. SPDX-License-Identifier: Apache-2.0

usage: .runtimes/polars-*/bin/python tests/fuzz/make_streams.py

Arrow IPC streams as the executor writes them (executor/floe_executor/stream.py) and damaged ones,
each behind one byte that says how they are cut into pieces.
"""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl

CORPUS = Path(__file__).parent / "corpus/framing"
END = b"\xff\xff\xff\xff\0\0\0\0"


def stream(*frames: pl.DataFrame) -> bytes:
    out = b""
    for frame in frames:
        file = io.BytesIO()
        frame.write_ipc_stream(file, compat_level=pl.CompatLevel.oldest())
        data = file.getvalue()[: -len(END)]
        schema = 8 + int.from_bytes(data[4:8], "little")
        out += data[schema:] if out else data
    return out + END


def main() -> None:
    numbers = pl.DataFrame({"a": [1, 2, 3], "b": [0.5, None, 1.5]})
    words = pl.DataFrame({"w": ["x", "y", "x"]}, schema={"w": pl.Categorical})
    good = stream(numbers, numbers.head(1))
    cases = {
        "numbers": good,
        "dictionary": stream(words, words.head(1)),
        "no-rows": stream(numbers.head(0)),
        "no-columns": stream(pl.DataFrame()),
        "nested": stream(pl.DataFrame({"n": [[{"s": "x" * 40}], None]})),
        "cut": good[:-40],
        "no-end": good[: -len(END)],
        "more": good + b"\0",
        "only-end": END,
        "other-schema": stream(numbers) + stream(words),
        "long": b"\xff\xff\xff\xff\xff\xff\xff\x7f" + good,
    }
    CORPUS.mkdir(parents=True, exist_ok=True)
    for name, data in cases.items():
        (CORPUS / name).write_bytes(b"\x07" + data)


if __name__ == "__main__":
    main()
