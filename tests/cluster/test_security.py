"""tests/cluster/test_security.py: what user code may not see, and who may call whom.
SPDX-License-Identifier: Apache-2.0

As root, executors get another user. Without root, or with runtimes that only root may enter, the
user is the same, and the tests that need the difference are skipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import polars as pl
import pytest
from cluster import RUNTIMES, ServiceCluster, executor_user
from conftest import Remote
from wire import block, caller, number

needs_other_user = pytest.mark.skipif(
    executor_user() != "nobody", reason=f"not root, or others may not execute the Pythons in {RUNTIMES}"
)


@pytest.fixture(scope="module")
def guarded() -> Iterator[ServiceCluster]:
    cluster = ServiceCluster("guarded", workers=1)
    yield cluster
    wrong = cluster.stop()
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


@pytest.fixture
def inside(guarded: ServiceCluster) -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Runs a function in an executor and brings back what it returns, through JSON."""
    remote = Remote(guarded)

    def run(function: Callable[[], Any]) -> Any:
        def call(_: int) -> str:
            import json

            return json.dumps(function())

        query = pl.LazyFrame({"a": [1]}).select(pl.col("a").map_elements(call, return_dtype=pl.String))
        return json.loads(remote.collect(query).item())

    yield run
    remote.clean()


def read(path: str) -> Callable[[], str]:
    def attempt() -> str:
        try:
            with open(path, "rb") as file:
                return "read " + repr(file.read(1000))
        except OSError as error:
            return type(error).__name__

    return attempt


def test_environment_is_clean(inside: Callable[..., Any]) -> None:
    environment = inside(lambda: dict(__import__("os").environ))
    assert not [name for name in environment if name.startswith("PC_CUBLET__")]
    assert not [v for v in environment.values() if ServiceCluster.TOKEN in v]
    assert not {"LD_PRELOAD", "AWS_SECRET_ACCESS_KEY"} & set(environment)


def test_main_process_is_not_dumpable(guarded: ServiceCluster) -> None:
    """/proc/<pid> of a process that is not dumpable belongs to root, and core files are off."""
    for process in (guarded.scheduler(), guarded.worker(0)):
        limits = Path(f"/proc/{process.pid}/environ")
        assert limits.stat().st_uid == 0


@needs_other_user
def test_executor_is_another_user(inside: Callable[..., Any]) -> None:
    user, groups = inside(lambda: (__import__("os").getresuid(), __import__("os").getgroups()))
    assert 0 not in user
    assert 0 not in groups


@needs_other_user
def test_executor_cannot_become_root(inside: Callable[..., Any]) -> None:
    def attempt() -> list[str]:
        import os

        outcome = []
        for action in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.kill(os.getppid(), 0)):
            try:
                action()
                outcome.append("done")
            except OSError as error:
                outcome.append(type(error).__name__)
        return outcome

    assert inside(attempt) == ["PermissionError"] * 3


@needs_other_user
def test_executor_cannot_read_secrets(guarded: ServiceCluster, inside: Callable[..., Any]) -> None:
    worker = guarded.worker(0).pid
    paths = [f"/proc/{worker}/{name}" for name in ("environ", "mem", "maps", "fd/3")]
    paths += [str(guarded.token_file), str(guarded.folder / "worker-0.toml"), "/etc/shadow"]
    for path in paths:
        assert inside(read(path)) in ("PermissionError", "FileNotFoundError"), path


def test_executor_has_no_foreign_descriptors(inside: Callable[..., Any]) -> None:
    """Its link on 3 and what it opened itself; no listening socket, no log, no other connection."""

    def sockets() -> list[str]:
        import os

        found = []
        for fd in os.listdir("/proc/self/fd"):
            try:
                target = os.readlink(f"/proc/self/fd/{fd}")
            except OSError:
                continue
            if target.startswith("socket:"):
                found.append(fd)
        return found

    assert inside(sockets) == ["3"]


def test_core_files_are_off(inside: Callable[..., Any]) -> None:
    assert inside(lambda: __import__("resource").getrlimit(__import__("resource").RLIMIT_CORE)[0]) == 0


def test_executor_is_the_first_to_go(guarded: ServiceCluster, inside: Callable[..., Any]) -> None:
    """When memory is out, the kernel takes an executor and not the worker."""
    own = int(inside(lambda: open("/proc/self/oom_score_adj").read()))
    worker = int(Path(f"/proc/{guarded.worker(0).pid}/oom_score_adj").read_text())
    assert own > worker


JOIN = block(1, "intruder") + block(2, "3e1a2b44-0000-4000-8000-000000000000") + block(4, "127.0.0.1:1") + number(6, 1)
PORTS_AND_CALLS = {
    "join": ("membership", "/cluster.Membership/Join", JOIN),
    "heartbeat": ("membership", "/cluster.Membership/Heartbeat", block(1, "worker-0")),
    "leave": ("membership", "/cluster.Membership/Leave", block(1, "worker-0")),
    "run_task": ("task", "/cluster.Tasks/RunTask", block(1, "x")),
}


@pytest.mark.parametrize("token", [None, "", "wrong", ServiceCluster.TOKEN[:-1], ServiceCluster.TOKEN + "0"])
@pytest.mark.parametrize("name", PORTS_AND_CALLS)
def test_calls_without_the_token_are_refused(name: str, token: str | None, guarded: ServiceCluster) -> None:
    where, method, request = PORTS_AND_CALLS[name]
    port = guarded.ports.membership if where == "membership" else guarded.ports.task(0)
    headers = {} if token is None else {"authorization": f"Bearer {token}".strip()}
    with caller(port) as call:
        with pytest.raises(grpc.RpcError) as caught:
            call(method, request, headers)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]
    assert guarded.answers()


def test_logs_hold_no_token(guarded: ServiceCluster) -> None:
    assert guarded.answers()
    for log in guarded.logs():
        assert ServiceCluster.TOKEN not in Path(log).read_text(errors="replace")
    for process in (guarded.scheduler(), guarded.worker(0)):
        assert ServiceCluster.TOKEN not in process.command()


@needs_other_user
def test_results_are_not_for_everyone_to_change(guarded: ServiceCluster, inside: Callable[..., Any]) -> None:
    """User code of one query cannot change the finished result of another."""
    remote = Remote(guarded)
    result = remote.execute(pl.LazyFrame({"a": [1]}))
    assert result.location
    path = result.location[0].removeprefix("file://")

    def spoil() -> str:
        try:
            with open(path, "r+b") as file:
                file.write(b"spoiled")
            return "spoiled"
        except OSError as error:
            return type(error).__name__

    assert inside(spoil) == "PermissionError"
    assert result.lazy().collect().item() == 1
    remote.clean()
