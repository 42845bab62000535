"""The link to the worker: descriptor 3, frames of u32 big-endian length and one protobuf Frame.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import os
import socket
import struct
import threading

from .executor_pb2 import Done, Frame, Hello, Profile

MAX_FRAME = 64 << 20
LINK_FD = 3
CHUNK = 1 << 18


class Link:
    def __init__(self) -> None:
        self._socket = socket.socket(fileno=LINK_FD)
        self._socket.set_inheritable(False)
        self._bytes = bytearray()
        self._fds: list[int] = []
        self._sending = threading.Lock()  # profiles come from a thread of their own

    def receive(self) -> Frame | None:
        """The next frame; None when the worker is gone."""
        head = self._take(4)
        if head is None:
            return None
        (length,) = struct.unpack(">I", head)
        if length > MAX_FRAME:
            raise ValueError(f"expected a frame of at most {MAX_FRAME} bytes, found {length}")
        body = self._take(length)
        return None if body is None else Frame.FromString(body)

    def _take(self, length: int) -> bytes | None:
        while len(self._bytes) < length:
            data, fds, _, _ = socket.recv_fds(self._socket, CHUNK, 1)
            if not data:
                return None
            self._bytes += data
            self._fds += fds
        taken = bytes(self._bytes[:length])
        del self._bytes[:length]
        return taken

    def take_fd(self) -> int:
        """The descriptor that came with the last frame; the caller closes it."""
        return self._fds.pop(0)

    def hello(self, hello: Hello) -> None:
        self._send(Frame(hello=hello).SerializeToString())

    def canceled(self, task: int) -> None:
        frame = Frame()
        frame.canceled.task = task
        self._send(frame.SerializeToString())

    def done(self, done: Done) -> None:
        self._send(Frame(done=done).SerializeToString())

    def profile(self, profile: Profile) -> None:
        self._send(Frame(profile=profile).SerializeToString())

    def _send(self, data: bytes) -> None:
        with self._sending:
            self._socket.sendall(struct.pack(">I", len(data)) + data)


def close_all_but_link() -> None:
    """Nothing of the worker's may reach a user's function."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > LINK_FD:
            try:
                os.close(int(name))
            except OSError:  # the descriptor of the listing itself
                pass
