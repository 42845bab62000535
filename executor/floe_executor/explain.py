"""What becomes of a query, for people: its plan as Polars optimizes it, and its stages.

Nothing is run. Clients from 0.12 on draw the graph of the stages by themselves, those before get text.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import polars as pl

from . import leaf, plan_text
from .inputs import in_place
from .plan_text import Node
from .planning_pb2 import EXCHANGE_BROADCAST, EXCHANGE_HASH, EXCHANGE_LOCAL, EXCHANGE_NONE, EXCHANGE_RANGE, EXCHANGE_SINGLE
from .planning_pb2 import ExplainedStage, ExplainRequest, ExplainResponse
from .scans import unopened

PARTITIONING = {
    EXCHANGE_LOCAL: "Local",
    EXCHANGE_SINGLE: "Single",
    EXCHANGE_BROADCAST: "Broadcast",
    EXCHANGE_HASH: "Hash",
    EXCHANGE_RANGE: "Range",
}
LEAF = re.compile(r"Parquet SCAN \[leaf (\d+)\]")


def explain(request: ExplainRequest, **how: Any) -> ExplainResponse:
    plan = pl.LazyFrame.deserialize(io.BytesIO(request.plan))
    text = plan.explain(**how)
    answer = ExplainResponse(ir_plan=dot_of(plan, **how) if request.dot else text)
    if request.physical:
        keys = {stage.number: printed_keys(stage) for stage in request.stages}
        stages = [Stage(stage, keys, explained(stage, **how)) for stage in request.stages]
        stages = stages or [Stage(ExplainedStage(), {}, text)]
        answer.stage_graph = packed(graph_of(stages))
        answer.physical_plan = drawn(stages) if request.dot else "\n\n".join(stage.printed() for stage in stages)
    return answer


def dot_of(plan: pl.LazyFrame, engine: str, optimizations: pl.QueryOptFlags) -> str:
    dot = plan.show_graph(raw_output=True, show=False, engine=engine, optimizations=optimizations, plan_stage="ir")  # type: ignore[arg-type]
    return dot or ""


class Stage:
    def __init__(self, stage: ExplainedStage, keys: Mapping[int, str], text: str) -> None:
        self.stage = stage
        self.keys = keys  # of each stage
        self.leaves = {use.leaf: use for use in stage.leaves}
        self.text = text
        self.nodes = list(everything(self.with_exchanges(plan_text.nodes_of(text))))
        self.ids = {id(node): number for number, node in enumerate(self.nodes)}

    def with_exchanges(self, root: Node) -> Node:
        root = self.reading(root)
        if self.stage.output == EXCHANGE_NONE:
            return root
        return self.exchange("ShuffleWrite", self.stage.number, self.stage.output, inputs=[root])

    def reading(self, node: Node) -> Node:
        """The scan of a leaf is a read of what other stages wrote; the rest of the scan stays above it."""
        node.inputs = [self.reading(below) for below in node.inputs]
        if node.type_id == "MapFunction":
            node.properties["function"] = node.title = self.named(node.title)
        found = re.fullmatch(r"leaf (\d+)", str(node.properties.get("first_source", "")))
        use = self.leaves.get(int(found[1])) if found and node.type_id == "Scan" else None
        if use is None:
            return node
        columns = leaf.read_schema(use.schema).names()
        reads = [
            self.exchange("ShuffleRead", producer, use.read, is_local=False, schema_names=columns)
            for producer in use.producers
        ]
        rows = reads[0] if len(reads) == 1 else Node("Union", {"maintain_order": True}, "UNION", reads)
        if "pre_slice" in node.properties:
            offset, length = node.properties["pre_slice"]
            rows = Node("Slice", {"offset": offset, "len": length}, f"SLICE {offset}, {length}", [rows])
        if "predicate" in node.properties:
            predicate = node.properties["predicate"]
            rows = Node("Filter", {"predicate": [predicate]}, f"FILTER {predicate}", [rows])
        return rows

    def exchange(self, type_id: str, number: int, how: int, inputs: Iterable[Node] = (), **more: Any) -> Node:
        partitioning = {"partition_type": PARTITIONING[how]}
        if how == EXCHANGE_HASH:
            partitioning["by"] = self.keys[number]
        verb = "READ OF STAGE" if type_id == "ShuffleRead" else "WRITES FOR OTHERS: STAGE"
        title = f"{verb} {number} [{' '.join(partitioning.values())}]"
        return Node(type_id, {"shuffle_number": number, "partitioning": partitioning, **more}, title, list(inputs))

    def title(self) -> str:
        return f"stage {self.stage.number}" + (f": {self.stage.why}" if self.stage.why else "")

    def printed(self) -> str:
        return f"{self.title().upper()}\n" + textwrap.indent(self.named(self.text), "  ")

    def named(self, text: str) -> str:
        """With the stages that are read instead of leaves."""

        def name(found: re.Match[str]) -> str:
            use = self.leaves[int(found[1])]
            return f"READ OF STAGE {', '.join(map(str, use.producers))} [{PARTITIONING[use.read]}]"

        return LEAF.sub(name, text) if self.leaves else text


def explained(stage: ExplainedStage, **how: Any) -> str:
    """Leaves are scans of files that do not exist, known by their names."""
    scans = {
        use.leaf: unopened([f"leaf {use.leaf}"], leaf.read_schema(use.schema)).serialize()
        for use in stage.leaves
    }
    return pl.LazyFrame.deserialize(io.BytesIO(in_place(stage.plan, scans))).explain(**how)


def printed_keys(stage: ExplainedStage) -> str:
    return ", ".join(str(leaf.expression(key)) for key in stage.keys)


def everything(node: Node) -> Iterator[Node]:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(node.inputs)


# ---- the graph ----


def graph_of(stages: list[Stage]) -> dict[str, Any]:
    """As the client wants it: consumers first, so that the first is the root."""
    return {
        "title": "",
        "num_roots": sum(stage.stage.output == EXCHANGE_NONE for stage in stages),
        "nodes": [
            {"stage_number": stage.stage.number, "title": stage.title(), "data": plan_of(stage), "properties": {}}
            for stage in sorted(stages, key=lambda stage: stage.stage.output != EXCHANGE_NONE)
        ],
        "edges": [
            {"source": {"stage": number, "node": node}, "target": {"stage": producer, "node": 0}}
            for number, node, producer in exchanges(stages)
        ],
    }


def exchanges(stages: list[Stage]) -> Iterator[tuple[int, int, int]]:
    """A stage, one of its nodes, and the stage that this one reads."""
    for stage in stages:
        for node in stage.nodes:
            if node.type_id == "ShuffleRead":
                yield stage.stage.number, stage.ids[id(node)], node.properties["shuffle_number"]


def plan_of(stage: Stage) -> dict[str, Any]:
    return {
        "title": "",
        "num_roots": 1,
        "nodes": [
            {"id": stage.ids[id(node)], "type_id": node.type_id, "properties": node.properties} for node in stage.nodes
        ],
        "edges": [
            {"source": stage.ids[id(node)], "target": stage.ids[id(below)]}
            for node in stage.nodes
            for below in node.inputs
        ],
    }


def drawn(stages: list[Stage]) -> str:
    """In the dot language."""
    lines = ["digraph stages {", '  rankdir="BT"', '  node [fontname="Monospace", shape="box"]']
    for stage in stages:
        number = stage.stage.number
        lines += [f"  subgraph cluster_{number} {{", f"    label={quoted(stage.title())}"]
        lines += [f"    s{number}_n{i} [label={quoted(node.title)}]" for i, node in enumerate(stage.nodes)]
        for node in stage.nodes:
            here = f"s{number}_n{stage.ids[id(node)]}"
            lines += [f"    s{number}_n{stage.ids[id(below)]} -> {here}" for below in node.inputs]
        lines.append("  }")
    lines += [f"  s{producer}_n0 -> s{number}_n{node}" for number, node, producer in exchanges(stages)]
    return "\n".join([*lines, "}"])


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


# ---- MessagePack ----


def packed(value: Any) -> bytes:
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return b"\xd3" + value.to_bytes(8, "big", signed=True) if value < 0 else b"\xcf" + value.to_bytes(8, "big")
    if isinstance(value, str):
        data = value.encode("utf-8", "replace")
        return b"\xdb" + len(data).to_bytes(4, "big") + data
    if isinstance(value, dict):
        pairs = b"".join(packed(part) for pair in value.items() for part in pair)
        return b"\xdf" + len(value).to_bytes(4, "big") + pairs
    return b"\xdd" + len(value).to_bytes(4, "big") + b"".join(map(packed, value))
