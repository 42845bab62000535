"""tests/cluster/wire.py: the client's protocol by hand, to say what the client never would.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import grpc
import polars as pl

CLIENT = "/polars_cloud.compute_plane.client.v1.ClientService/"
HEALTH = "/grpc.health.v1.Health/Check"


def varint(n: int) -> bytes:
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def block(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def read_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0

    def take_varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = take_varint()
        if key & 7 == 0:
            yield key >> 3, take_varint()
        else:
            size = take_varint()
            yield key >> 3, message[at : at + size]
            at += size


def submit_request(plan: bytes) -> bytes:
    """Auto engine, single node, run to the end."""
    settings = number(1, 1) + block(2, b"") + number(12, 3)
    return block(1, settings) + block(2, plan)


def query_ref(query_id: str) -> bytes:
    return block(1, block(1, query_id))


def plan_of(query: pl.LazyFrame) -> bytes:
    """The bytes that the client would send for execute(), in the same frame of a sink."""
    out = io.BytesIO()
    query.sink_parquet("<in-memory>", lazy=True).serialize(out)
    return out.getvalue()


class Caller:
    """Unary calls of raw bytes."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def __call__(
        self, method: str, request: bytes, headers: Mapping[str, str] | None = None, timeout_s: float = 20.0
    ) -> bytes:
        call = self._channel.unary_unary(method, lambda b: b, lambda b: b)
        answer: bytes = call(request, metadata=list((headers or {}).items()), timeout=timeout_s)
        return answer

    def submit(self, plan: bytes, polars_version: str = pl.__version__) -> str:
        headers = {"x-polars-version": polars_version, "x-client-version": "0.12.0"}
        answer = self(CLIENT + "SubmitQuery", submit_request(plan), headers)
        query_id = dict(read_fields(dict(read_fields(answer))[1]))[1].decode()  # type: ignore[arg-type, union-attr]
        return str(uuid.UUID(query_id))

    def status(self, query_id: str) -> int:
        answer = self(CLIENT + "GetQueryStatus", query_ref(query_id))
        return dict(read_fields(answer))[1]  # type: ignore[return-value]

    def health(self) -> int:
        """1: serving."""
        return dict(read_fields(self(HEALTH, b""))).get(1, 0)  # type: ignore[return-value]


@contextmanager
def caller(port: int) -> Iterator[Caller]:
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        yield Caller(channel)


def refusal(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    """The code, and the details as the client reads them: `Type: message`."""
    trailers = dict(error.trailing_metadata() or ())  # type: ignore[attr-defined]
    details = trailers.get("grpc-status-details-bin", b"").decode()
    return error.code(), details or error.details()  # type: ignore[attr-defined]
