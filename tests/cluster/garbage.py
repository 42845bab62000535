"""tests/cluster/garbage.py: what nobody should send to a port, in many ways. For test_garbage.py.
SPDX-License-Identifier: Apache-2.0

Each is bytes for one connection, and whether the server must end it: what is only much, not wrong, it may take.
"""

from __future__ import annotations

import random
import socket
import struct
import time
from dataclasses import dataclass

from prober import DATA, END_HEADERS, END_STREAM, HEADERS, PING, SETTINGS, WINDOW_UPDATE, frame, header_block, text
from wire import varint

PRIORITY, RST_STREAM, CONTINUATION = 2, 3, 9
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HELLO = PREFACE + frame(SETTINGS, 0, 0)
NOISE = random.Random(1).randbytes(1 << 16)
CLIENT_HELLO = bytes.fromhex("160301020001000001fc0303") + NOISE[:500]
ANSWER_S = 5.0


@dataclass(frozen=True)
class Garbage:
    data: bytes
    ends: bool = True  # the server must end the connection


def call(path: str, body: bytes, stream: int = 1) -> bytes:
    return frame(HEADERS, END_HEADERS, stream, header_block(path, None)) + frame(DATA, END_STREAM, stream, body)


def http2(path: str) -> dict[str, Garbage]:
    """`path`: of a method that there is."""
    block = header_block(path, None)
    ids = range(1, 40_001, 2)
    reset = struct.pack(">I", 8)
    bomb = b"\x40" + text("x") + b"\x7f" + varint(3000 - 127) + b"y" * 3000  # into the table, then named by one byte each
    return {
        "noise": Garbage(NOISE),
        "HTTP/1.1": Garbage(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        "TLS where there is none": Garbage(CLIENT_HELLO),
        "no SETTINGS": Garbage(PREFACE + frame(PING, 0, 0, b"12345678")),
        "a frame of 16 MB": Garbage(HELLO + b"\xff\xff\xff" + bytes([DATA, 0, 0, 0, 0, 1]) + NOISE * 4),
        "DATA of no stream": Garbage(HELLO + frame(DATA, 0, 0, b"x")),
        "a stream of the server's": Garbage(HELLO + frame(HEADERS, END_HEADERS, 2, block)),
        "HEADERS of no stream": Garbage(HELLO + frame(HEADERS, END_HEADERS, 0, block)),
        "headers that do not decode": Garbage(HELLO + frame(HEADERS, END_HEADERS, 1, b"\xff" * 200)),
        "headers of a MB": Garbage(HELLO + frame(HEADERS, 0, 1, block) + frame(CONTINUATION, 0, 1, NOISE[:16000]) * 64),
        "empty CONTINUATIONs": Garbage(HELLO + frame(HEADERS, 0, 1, block) + frame(CONTINUATION, 0, 1) * 100_000),
        "a header table that swells": Garbage(HELLO + frame(HEADERS, 0, 1, bomb + b"\xbe" * 10_000) + frame(CONTINUATION, END_HEADERS, 1, b"\xbe" * 16_000), False),
        "resets": Garbage(HELLO + b"".join(frame(HEADERS, END_HEADERS, i, block) + frame(RST_STREAM, 0, i, reset) for i in ids), False),
        "SETTINGS": Garbage(HELLO + frame(SETTINGS, 0, 0, b"\0\4\0\0\xff\xff") * 100_000, False),
        "PINGs": Garbage(HELLO + frame(PING, 0, 0, b"12345678") * 100_000, False),
        "PRIORITYs": Garbage(HELLO + b"".join(frame(PRIORITY, 0, i, b"\0\0\0\0\1") for i in ids), False),
        "empty DATA": Garbage(HELLO + frame(HEADERS, END_HEADERS, 1, block) + frame(DATA, 0, 1) * 100_000, False),
        "streams that never end": Garbage(HELLO + b"".join(frame(HEADERS, END_HEADERS, i, block) for i in ids), False),
        "a window of too much": Garbage(HELLO + frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 2),
        "a window of nothing": Garbage(HELLO + frame(WINDOW_UPDATE, 0, 0, bytes(4))),
        "a message of 4 GB": Garbage(HELLO + call(path, b"\0\xff\xff\xff\xff" + NOISE[:1000]), False),
        "a compressed message": Garbage(HELLO + call(path, b"\1\0\0\0\4abcd"), False),
        "no message": Garbage(HELLO + call(path, b""), False),
        "a message that is no protobuf": Garbage(HELLO + call(path, b"\0\0\0\3\xe8" + b"\xff" * 1000), False),
        "a method that is a path": Garbage(HELLO + call("/../../../etc/passwd", b"\0\0\0\0\0"), False),
    }


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def http1(path: str, folder: str) -> dict[str, Garbage]:
    """`folder`: where files are served. Nothing of this is answered by 200; ends says that it must be closed."""
    requests = {
        "a folder above": get(f"{folder}/../../../../etc/passwd"),
        "a folder above, encoded": get(f"{folder}/%2e%2e/%2e%2e/%2e%2e/etc/passwd"),
        "a folder above, encoded twice": get(f"{folder}/%252e%252e/%252e%252e/etc/passwd"),
        "backslashes": get(f"{folder}/..\\..\\etc\\passwd"),
        "a NUL in the path": get(f"{folder}/x%00/../../etc/passwd"),
        "two slashes": get("//etc/passwd"),
        "another host's path": get("http://other/etc/passwd"),
        "no token": get(folder + "/x"),
        "a wrong token": get(folder + "/x", "Authorization: Bearer wrong"),
        "a token of 50 KB": get(folder + "/x", "Authorization: Bearer " + "x" * 50_000),
        "an endless range": get(folder + "/x", "Range: bytes=18446744073709551615-"),
        "a thousand ranges": get(folder + "/x", "Range: bytes=" + ",".join("0-0" for _ in range(1000))),
        "a range of noise": get(folder + "/x", "Range: \x01\x02"),
        "DELETE": get(folder + "/x", method="DELETE"),
        "a method of noise": get(path, method="G\x01T"),
        "a length below 0": get(folder + "/x", "Content-Length: -1", method="POST"),
        "two lengths": get(folder + "/x", "Content-Length: 1", "Content-Length: 2", method="POST") + b"x",
        "a chunk of too much": get(folder + "/x", "Transfer-Encoding: chunked", method="POST") + b"ffffffffffffffff\r\n",
        "a body of 16 MB": get(folder + "/x", "Content-Length: 16777216", method="POST") + bytes(1 << 24),
    }
    return {name: Garbage(data, False) for name, data in requests.items()} | {
        "noise": Garbage(NOISE),
        "HTTP/2": Garbage(HELLO + call("/x", b"")),
        "TLS where there is none": Garbage(CLIENT_HELLO),
        "a line of a MB": Garbage(get("/" + "x" * (1 << 20))),
        "a header of a MB": Garbage(get(path, "X: " + "x" * (1 << 20))),
        "ten thousand headers": Garbage(get(path, *(f"X{i}: y" for i in range(10_000)))),
    }


@dataclass
class Ended:
    """What a connection came to."""

    closed: bool
    received: bytes
    seconds: float


def send(port: int, garbage: Garbage) -> Ended:
    """Sends what is taken, then reads to the end, or as long as an answer may take."""
    begun = time.monotonic()
    received, closed = b"", False
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S) as peer:
        try:
            peer.sendall(garbage.data)
        except (TimeoutError, ConnectionError, BrokenPipeError):
            pass  # it has been closed, or is read no more
        peer.settimeout(20.0 if garbage.ends else 0.3)  # a handshake may take 10 s
        try:
            while piece := peer.recv(1 << 16):
                received = (received + piece)[: 1 << 20]
            closed = True
        except TimeoutError:
            pass
        except ConnectionError:
            closed = True
    return Ended(closed, received, time.monotonic() - begun)
