"""The user's own destinations. A task writes beside them, under names of its attempt; when the query
has accepted the attempt, what it wrote is renamed. So an attempt that was lost changes nothing.

Objects in a store are written directly: each is there as a whole or not at all.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from dataclasses import dataclass

from .executor_pb2 import Run, Sink
from .planning_pb2 import CommitRequest, Staged

LONGEST_SUFFIX = 32  # Polars looks at it where a format can be compressed


class LostError(RuntimeError):
    """What was to be committed is not there: its query runs again."""


@dataclass
class Destination:
    sink: Sink
    target: str  # absolute, links followed; "" for an object
    path: str  # where it is written now: the target itself, or beside it

    @property
    def staged(self) -> bool:
        return self.path != self.target

    def files(self) -> list[str]:
        """In the order in which they are committed."""
        return [os.path.join(self.path, file) for file in files_below(self.path)] if self.sink.folder else [self.path]

    def size(self) -> int:
        return sum(map(os.path.getsize, self.files()))

    def to_commit(self) -> bytes:
        staged = Staged(target=self.target, path=self.path, folder=self.sink.folder)
        for last in self.files()[-1:]:
            staged.last = os.path.relpath(last, self.path)
            seen = os.stat(last)
            staged.inode, staged.modified_ns = seen.st_ino, seen.st_mtime_ns
        return staged.SerializeToString()


def files_below(folder: str) -> list[str]:
    found = (os.path.relpath(os.path.join(top, name), folder) for top, _, names in os.walk(folder) for name in names)
    return sorted(found)


# ---- before it is written ----


def choose(sink: Sink, number: int, attempt: str) -> Destination:
    target = local_path(sink.path)
    if target is None:
        return Destination(sink, "", "")
    if not sink.len or will_be_refused(target, sink.folder):
        return Destination(sink, target, target)
    return Destination(sink, target, beside(target, sink.folder, number, attempt))


def local_path(path: str) -> str | None:
    path = path.removeprefix("file://")
    return None if "://" in path else os.path.realpath(os.path.expanduser(path))


def will_be_refused(target: str, folder: bool) -> bool:
    """Polars shall say so itself. Or it is no file, but a device, say: that is written as it is."""
    try:
        mode = os.stat(target).st_mode
    except OSError:
        return False
    return not stat.S_ISDIR(mode) if folder else not stat.S_ISREG(mode) or not os.access(target, os.W_OK)


def beside(target: str, folder: bool, number: int, attempt: str) -> str:
    """On the same filesystem: in the folder, or next to what may be no folder yet."""
    name = f".floe-{attempt}.{number}"
    if folder and os.path.isdir(target):
        return os.path.join(target, name)
    suffix = os.path.splitext(target)[1]
    return os.path.join(os.path.dirname(target), name + (suffix if len(suffix) <= LONGEST_SUFFIX else ""))


def stage(request: Run, plan: bytes) -> tuple[bytes, list[Destination]]:
    """The plan that writes beside the destinations. Whoever finds the marks can remove what is there,
    should this process die."""
    pieces, at, chosen = [], 0, []
    for number, sink in enumerate(request.sinks):
        destination = choose(sink, number, request.attempt)
        chosen.append(destination)
        if not destination.staged:
            continue
        os.symlink(destination.path, os.path.join(request.marks, str(number)))
        end = sink.offset + sink.len
        if not plan[sink.offset : end].endswith(sink.path.encode()):
            raise RuntimeError(f"{sink.path!r} does not stand in the plan; this is an error of Floe")
        pieces += [plan[at : sink.offset], text(destination.path)]
        at = end
    return b"".join([*pieces, plan[at:]]), chosen


def text(value: str) -> bytes:
    """A MessagePack string."""
    data = value.encode("utf-8", "surrogateescape")
    return b"\xdb" + len(data).to_bytes(4, "big") + data


def in_users_words(message: str, destinations: list[Destination]) -> str:
    if "is absolute but does not start with base path" in message:
        message += "; here a file_path_provider must return paths relative to it"
    for destination in destinations:
        if destination.staged:
            message = message.replace(destination.path, destination.sink.path)
    return message


# ---- commit ----


def commit(request: CommitRequest) -> None:
    """Any number of times, by any number of workers: a file that is no longer beside its target is
    there."""
    for data in request.staged:
        staged = Staged.FromString(data)
        if staged.folder:
            commit_folder(staged)
        else:
            move(staged.path, staged.target)
        if staged.last and not is_there(staged):
            raise LostError(f"what was written for {staged.target} is not on this worker any more")
        for attempt in request.lost:
            remove_lost(staged, attempt)


def commit_folder(staged: Staged) -> None:
    for file in files_below(staged.path):
        target = os.path.join(staged.target, file)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        move(os.path.join(staged.path, file), target)
    shutil.rmtree(staged.path, ignore_errors=True)


def move(path: str, target: str) -> None:
    """A file that is replaced keeps its owner and mode, as if it had been overwritten."""
    with contextlib.suppress(FileNotFoundError):
        before = os.stat(target)
        os.chmod(path, stat.S_IMODE(before.st_mode))
        with contextlib.suppress(PermissionError):
            os.chown(path, before.st_uid, before.st_gid)
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, target)


def is_there(staged: Staged) -> bool:
    try:
        found = os.stat(os.path.normpath(os.path.join(staged.target, staged.last)))
    except OSError:
        return False
    return (found.st_ino, found.st_mtime_ns) == (staged.inode, staged.modified_ns)


def remove_lost(staged: Staged, attempt: str) -> None:
    """What an attempt left whose worker may be gone for good."""
    _, number = os.path.basename(staged.path)[len(".floe-") :].split(".", 2)[:2]
    for path in {beside(staged.target, folder, int(number), attempt) for folder in (False, staged.folder)}:
        with contextlib.suppress(OSError):
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
