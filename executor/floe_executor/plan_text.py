"""Polars' text of an optimized plan, taken apart into nodes.

The text is all that Polars tells of a plan without running it. What is not understood becomes a node
that shows its text; text that does not nest as expected (a literal with line breaks) is one node.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

OPENING, CLOSING = "([{", ")]}"
SCAN_DETAILS = ("PROJECT", "SELECTION: ", "SLICE: ", "ROW_INDEX: ", "ESTIMATED ROWS: ")
FUSED = "FUSED PREDICATE: "
AFTER_HEAD = ("FROM", "LEFT PLAN", "RIGHT PLAN", "END ")  # of a node that has several lines


@dataclass
class Node:
    """One of the client's 36 types (type_id), with at least the properties that it must have."""

    type_id: str
    properties: dict[str, Any]
    title: str
    inputs: list[Node] = field(default_factory=list)


@dataclass
class Line:
    text: str
    below: list[Line] = field(default_factory=list)


class NotUnderstood(Exception):
    pass


def nodes_of(text: str) -> Node:
    try:
        return node_of(nested(text))
    except (NotUnderstood, RecursionError):
        return as_text(text)


def as_text(text: str) -> Node:
    return Node("MapFunction", {"function": text}, text)


def nested(text: str) -> list[Line]:
    top = Line("")
    path = [(-1, top)]
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip(" "))
        while path[-1][0] >= indent:
            path.pop()
        path[-1][1].below.append(Line(line.strip()))
        path.append((indent, path[-1][1].below[-1]))
    return top.below


def node_of(lines: list[Line]) -> Node:
    if not lines:
        raise NotUnderstood
    for pattern, make in SHAPES:
        found = pattern.fullmatch(lines[0].text)
        node = make(found, lines) if found else None
        if node is not None:
            return node
    return other(lines)


def other(lines: list[Line]) -> Node:
    head, *rest = lines
    if any(not line.text.startswith(AFTER_HEAD) for line in rest):
        raise NotUnderstood
    node = as_text(head.text)
    node.inputs = [one for line in lines for one in inputs_of(line)]
    return node


def inputs_of(line: Line) -> Iterator[Node]:
    if line.below and line.below[0].text.startswith("PLAN 0"):
        for plan in line.below:
            yield node_of(plan.below)
    elif line.below:
        yield node_of(line.below)


def only(lines: list[Line], n: int) -> None:
    if len(lines) != n:
        raise NotUnderstood


# ---- lists of expressions ----


def items(text: str) -> list[str]:
    """Of `a, b(c, d)`, which stood in brackets: its parts."""
    found, depth, quoted = [""], 0, False
    for char in text:
        if char == '"':
            quoted = not quoted
        elif not quoted:
            depth += (char in OPENING) - (char in CLOSING)
        if char == "," and not depth and not quoted:
            found.append("")
        else:
            found[-1] += char
    return [item.strip() for item in found if item.strip()]


def names(text: str) -> list[str]:
    return [item.strip('"') for item in items(text)]


def is_true(text: str | None) -> bool:
    return text == "true"


# ---- one function for each shape: what Polars printed, and what the client wants of it ----


def single(type_id: str, **properties: Callable[[re.Match[str]], Any]) -> Callable[[re.Match[str], list[Line]], Node]:
    """A node of one line, its inputs below it."""

    def make(found: re.Match[str], lines: list[Line]) -> Node:
        node = Node(type_id, {name: value(found) for name, value in properties.items()}, lines[0].text)
        if lines[1:]:
            only(lines, 2)
            if not lines[1].text.startswith("END "):
                raise NotUnderstood
        node.inputs = list(inputs_of(lines[0]))
        return node

    return make


def filtered(found: re.Match[str], lines: list[Line]) -> Node:
    only(lines, 2)
    node = Node("Filter", {"predicate": [found[1]]}, lines[0].text)
    node.inputs = list(inputs_of(lines[1]))
    return node


def with_columns(found: re.Match[str], lines: list[Line]) -> Node:
    only(lines, 2)
    exprs = lines[1].text
    if not exprs.startswith("["):
        raise NotUnderstood
    node = Node("HStack", {"exprs": items(exprs[1:-1]), "should_broadcast": True}, f"WITH_COLUMNS {exprs}")
    node.inputs = list(inputs_of(lines[1]))
    return node


def window(found: re.Match[str], lines: list[Line]) -> Node:
    only(lines, 1)
    only(lines[0].below, 1)
    exprs = lines[0].below[0]
    properties = {
        "partition_by": names(found[3]),
        "exprs": items(exprs.text[1:-1]),
        "maintain_order": is_true(found[1]),
        "ordered_eval": is_true(found[2]),
    }
    return Node("Window", properties, f"{found[0]} {exprs.text}", list(inputs_of(exprs)))


def aggregate(found: re.Match[str], lines: list[Line]) -> Node | None:
    only(lines, 1)
    exprs, word, *below = lines[0].below
    below = word.below + below  # below WITH_COLUMNS, which stands one further in
    parts = items(exprs.text.replace("] BY [", "], ["))
    if len(parts) != 2:
        return None
    aggs, keys = (items(part[1:-1]) for part in parts)
    properties = {"keys": keys, "aggs": aggs, "maintain_order": is_true(found[1])}
    return Node("GroupBy", properties, f"AGGREGATE {exprs.text}", [node_of(below)])


def sort(found: re.Match[str], lines: list[Line]) -> Node:
    only(lines, 1)
    groups = re.split(r"(?<=\]) (?=\[)", found[1])
    options, columns = groups[0] if len(groups) > 1 else "", items(groups[-1][1:-1])
    flags = {
        name: [is_true(flag) for flag in items(each[1])] if (each := re.search(rf"{name}: \[([^\]]*)\]", options)) else []
        for name in ("descending", "nulls_last")
    }
    properties: dict[str, Any] = {
        "sort_columns": [
            {"expr": expr} | {name: each[i] if i < len(each) else False for name, each in flags.items()}
            for i, expr in enumerate(columns)
        ],
        "maintain_order": "maintain_order: true" in options,
    }
    if part := re.search(r"slice: \((-?\d+), (\d+)", options):
        properties["slice"] = [int(part[1]), int(part[2]), None]
    return Node("Sort", properties, lines[0].text, list(inputs_of(lines[0])))


def join(found: re.Match[str], lines: list[Line]) -> Node:
    fused = [line.text for line in lines if line.text.startswith(FUSED)]
    rows = [line for line in lines if not line.text.startswith(FUSED)]
    only(rows, 4)
    sides = [re.fullmatch(r"(?:LEFT|RIGHT) PLAN ON: \[(.*)\]", line.text) for line in rows[1:3]]
    if not all(sides):
        raise NotUnderstood
    left, right = (items(side[1]) for side in sides if side)
    properties = {"how": found[1], "left_on": left, "right_on": right, "nulls_equal": False}
    properties |= {"coalesce": "", "maintain_order": "", "validation": ""}  # not said, and not shown
    title = "\n".join([f"{found[1]} JOIN", f"left: [{', '.join(left)}]", f"right: [{', '.join(right)}]", *fused])
    node = Node("Join", properties, title, [one for line in rows[1:3] for one in inputs_of(line)])
    if fused:  # the client's joins have none
        predicate = fused[0][len(FUSED) :]
        return Node("Filter", {"predicate": [predicate]}, f"FILTER {predicate}", [node])
    return node


def scan(found: re.Match[str], lines: list[Line]) -> Node:
    details = {}
    for line in lines[1:]:
        if not line.text.startswith(SCAN_DETAILS) or line.below:
            raise NotUnderstood
        name, _, value = line.text.partition(": ")
        details[name.split(" ")[0]] = value or line.text
    more = re.search(r", \.\.\. (\d+) other", found[2])
    sources = items(found[2].split(", ... ")[0])
    properties: dict[str, Any] = {
        "scan_type": found[1],
        "num_sources": len(sources) + (int(more[1]) if more else 0),
        "first_source": sources[0] if sources else None,
        "has_table_statistics": False,
    }
    if counts := re.search(r"(\*|\d+)/(\d+) COLUMNS", details.get("PROJECT", "")):  # it says only how many
        properties["file_columns"] = [""] * int(counts[2])
        properties["projection"] = None if counts[1] == "*" else [""] * int(counts[1])
    if "SELECTION" in details:
        properties["predicate"] = details["SELECTION"]
    if "ROW_INDEX" in details:
        properties["row_index_name"] = details["ROW_INDEX"]
    if part := re.search(r"offset: (\d+), len: (\d+)", details.get("SLICE", "")):
        properties["pre_slice"] = [int(part[1]), int(part[2])]
    if part := re.search(r"offset_from_end: (\d+), len: (\d+)", details.get("SLICE", "")):
        properties["pre_slice"] = [-int(part[1]), int(part[2])]
    return Node("Scan", properties, "\n".join(line.text for line in lines))


MAINTAIN = r"\[maintain_order: (\w+)\]"
SHAPES: list[tuple[re.Pattern[str], Callable[[re.Match[str], list[Line]], Node | None]]] = [
    (re.compile(r"(\S+) SCAN \[(.*)\]"), scan),
    (re.compile(r"FILTER (.+)"), filtered),
    (re.compile(r"WITH_COLUMNS:"), with_columns),
    (re.compile(r"WINDOW\[maintain_order: (\w+), ordered_eval: (\w+)\] PARTITION BY \[(.*)\]:"), window),
    (re.compile(rf"AGGREGATE{MAINTAIN}"), aggregate),
    (re.compile(r"SORT BY (\[.*\])"), sort),
    (re.compile(r"(.+) JOIN:"), join),
    (re.compile(r"SELECT \[(.*)\]"), single("Select", exprs=lambda m: items(m[1]))),
    (re.compile(r"simple π \S+ \[(.*)\]"), single("SimpleProjection", columns=lambda m: names(m[1]))),
    (re.compile(r"SINK \((\w+)\)"), single("Sink", sink_type=lambda m: m[1])),
    (re.compile(rf"UNION{MAINTAIN}"), single("Union", maintain_order=lambda m: is_true(m[1]))),
    (re.compile(r"HCONCAT"), single("HConcat", schema_names=lambda _: [], strict=lambda _: False)),
    (re.compile(r"CACHE\[id: ([^\]]*)\]"), single("Cache", id=lambda m: m[1])),
    (
        re.compile(r"SLICE\[offset: (-?\d+), len: (\d+)\]"),
        single("Slice", offset=lambda m: int(m[1]), len=lambda m: int(m[2])),
    ),
    (
        re.compile(r"DF \[(.*)\]; PROJECT.*"),
        single("DataFrameScan", n_rows=lambda _: 0, schema_names=lambda m: names(m[1])),
    ),
    (
        re.compile(r"UNIQUE\[maintain_order: (\w+), keep_strategy: (\w+)\] BY (?:Some\(\[(.*)\]\)|None)"),
        single(
            "Distinct",
            maintain_order=lambda m: is_true(m[1]),
            keep_strategy=lambda m: m[2],
            subset=lambda m: None if m[3] is None else names(m[3]),
        ),
    ),
]
