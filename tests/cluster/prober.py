"""tests/cluster/prober.py: how long a call takes, measured with as little of a client as HTTP/2 allows.
SPDX-License-Identifier: Apache-2.0

A gRPC library has threads of its own, and on a busy machine their delays would be taken for the server's.
This is one socket, one call at a time, one wake-up for each answer.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from dataclasses import dataclass, field

DATA, HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


def text(value: str) -> bytes:
    data = value.encode()
    return bytes([len(data)]) + data if len(data) < 127 else b"\x7f" + bytes([len(data) - 127]) + data


def header_block(path: str, token: str | None) -> bytes:
    """Literals without indexing: nobody has to remember anything."""
    headers = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x", "te": "trailers"}
    headers |= {"content-type": "application/grpc"} | ({"authorization": f"Bearer {token}"} if token else {})
    return b"".join(b"\0" + text(name) + text(value) for name, value in headers.items())


def set_priority(niceness: int) -> None:
    """Of this thread, and of this session where sessions share the cores; as far as we may."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as file:
        file.write(str(niceness))


class Prober:
    """Unary calls over one connection."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))
        self._token = token
        self._stream = -1
        self._received = b""

    def __call__(self, path: str, message: bytes) -> bytes:
        """The answer's message; b"" when there is none. A status that is not OK is not looked at."""
        self._stream += 2
        body = struct.pack(">BI", 0, len(message)) + message
        head = frame(HEADERS, END_HEADERS, self._stream, header_block(path, self._token))
        self._socket.sendall(head + frame(DATA, END_STREAM, self._stream, body))
        answer = b""
        while True:
            kind, flags, stream, data = self._frame()
            if kind == GOAWAY:
                raise ConnectionError("the server said GOAWAY")
            if kind in (SETTINGS, PING) and not flags & ACK:
                self._socket.sendall(frame(kind, ACK, 0, b"" if kind == SETTINGS else data))
            if kind == DATA and data:
                self._socket.sendall(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(data))))
            if stream == self._stream:
                answer += data if kind == DATA else b""
                if kind in (DATA, HEADERS) and flags & END_STREAM:
                    return answer[5:]

    def _frame(self) -> tuple[int, int, int, bytes]:
        head = self._take(9)
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        return kind, flags, stream & 0x7FFFFFFF, self._take(int.from_bytes(head[:3], "big"))

    def _take(self, count: int) -> bytes:
        while len(self._received) < count:
            data = self._socket.recv(1 << 16)
            if not data:
                raise ConnectionError("the server closed the connection")
            self._received += data
        taken, self._received = self._received[:count], self._received[count:]
        return taken

    def close(self) -> None:
        self._socket.close()


@dataclass
class Times:
    """Milliseconds."""

    all: list[float] = field(default_factory=list)

    def take(self, prober: Prober, path: str, message: bytes) -> bytes:
        start = time.perf_counter()
        answer = prober(path, message)
        self.all.append((time.perf_counter() - start) * 1000)
        return answer

    def quantile(self, share: float) -> float:
        return sorted(self.all)[min(int(share * len(self.all)), len(self.all) - 1)]

    def __str__(self) -> str:
        p50, p99 = self.quantile(0.5), self.quantile(0.99)
        return f"p50 {p50:6.2f}   p99 {p99:7.2f}   most {max(self.all):7.2f} ms   ({len(self.all)} calls)"
