"""tests/cluster/processes.py: what runs, who listens, what is left; read from /proc.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout_s} s still not true: {what}")
        time.sleep(0.01)


@dataclass(frozen=True)
class Process:
    """A pid together with its start time: a reused pid is another Process."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        stat = _stat(pid)
        return Process(pid, int(stat[19])) if stat else None

    def alive(self) -> bool:
        stat = _stat(self.pid)
        return stat is not None and int(stat[19]) == self.started and stat[0] not in "ZX"

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self.alive():
            os.kill(self.pid, how)

    def wait_gone(self, timeout_s: float = 15.0) -> None:
        wait_until(lambda: not self.alive(), f"process {self} is gone", timeout_s)

    def command(self) -> str:
        return _read(self.pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()

    def children(self) -> list[Process]:
        return [p for p in processes() if _parent(p.pid) == self.pid]

    def descendants(self) -> list[Process]:
        parents = {p: _parent(p.pid) for p in processes()}
        found = [self]
        for ancestor in found:
            found += [p for p, parent in parents.items() if parent == ancestor.pid]
        return found[1:]

    def status(self, key: str) -> str:
        """One line of /proc/<pid>/status, as `VmRSS` or `Uid`."""
        for line in _read(self.pid, "status").decode().splitlines():
            if line.startswith(key + ":"):
                return line.split(":", 1)[1].strip()
        raise KeyError(f"{key} of process {self.pid}, which is {'alive' if self.alive() else 'gone'}")

    def cpu_seconds(self) -> float:
        """Its own, and of children that have ended."""
        stat = _stat(self.pid)
        return sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK") if stat else 0.0

    def memory_bytes(self, key: str = "Rss") -> int:
        """`Rss` or `Pss`, from smaps_rollup."""
        for line in _read(self.pid, "smaps_rollup").decode().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
        raise KeyError(f"{key} of process {self.pid}")

    def open_files(self) -> list[str]:
        names = []
        for fd in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                names.append(os.readlink(fd))
            except OSError:
                continue
        return names


def processes() -> list[Process]:
    found = (Process.of(int(p.name)) for p in Path("/proc").iterdir() if p.name.isdigit())
    return [p for p in found if p]


def in_session(session: int) -> list[Process]:
    return [p for p in processes() if (s := _stat(p.pid)) and int(s[3]) == session and p.alive()]


def listening_on(port: int) -> Process | None:
    """The process that listens on a TCP port of this machine."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A" and int(columns[1].rsplit(":", 1)[1], 16) == port:
                inodes.add(f"socket:[{columns[9]}]")
    for process in processes() if inodes else []:
        try:
            if inodes.intersection(process.open_files()):
                return process
        except OSError:
            continue
    return None


def serving(config: Path) -> Process | None:
    """The `floe service` of this configuration. By its command line: what a process that is not
    dumpable has open can be seen by root alone."""
    end = f"service --config-path {config}"
    return next((p for p in processes() if p.command().endswith(end) and p.alive()), None)


def kill_all(victims: Iterable[Process]) -> None:
    for victim in victims:
        victim.kill()


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _stat(pid: int) -> list[str] | None:
    """/proc/<pid>/stat from its third field (the state) on."""
    text = _read(pid, "stat").decode(errors="replace")
    return text.rpartition(")")[2].split() if text else None


def _parent(pid: int) -> int:
    stat = _stat(pid)
    return int(stat[1]) if stat else 0
