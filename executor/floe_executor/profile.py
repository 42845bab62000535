"""What a task's plan becomes, and how far it is: told by Polars' own observer of queries.

Polars measures only plans that it is asked to, which is the task's own one: not those that users'
functions run, nor ours that count rows.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable
from typing import Any

from .executor_pb2 import Profile

PERIOD_S = 0.5  # between two profiles of a task
MAX_PLAN = 1 << 20  # a longer one is not told

try:
    import polars._plr as plr
    from polars.lazyframe.engine import InMemoryEngine, StreamingEngine

    INSTALL = plr.set_query_monitoring
except (ImportError, AttributeError):  # Polars before 2.0 has no observer
    ENGINES: dict[str, Any] = {}
    INSTALL = None
else:

    class _Measured:
        def _with_monitoring(self, optimizations: Any) -> Any:
            optimizations = optimizations.__copy__()
            optimizations._pyoptflags.query_monitoring = True
            return optimizations

    class _Streaming(_Measured, StreamingEngine):  # type: ignore[misc]
        pass

    class _InMemory(_Measured, InMemoryEngine):  # type: ignore[misc]
        pass

    ENGINES = {"streaming": _Streaming(), "in-memory": _InMemory()}


class Watch:
    """Polars' observer, and a thread that sends what a long task has to say."""

    def __init__(self, send: Callable[[Profile], None]) -> None:
        self._send = send
        self._changed = threading.Condition()
        self._task = 0  # 0: none is watched
        self._handle: Any = None  # of its query, once Polars has planned it
        self._plans: tuple[bytes, bytes] | None = None  # that are not told yet
        self._metrics = b""  # the last that were told
        if INSTALL:
            install(self)
            threading.Thread(target=self._run, daemon=True).start()

    def begin(self, task: int) -> None:
        with self._changed:
            self._task = task

    def end(self) -> Profile:
        with self._changed:
            profile = self._take()
            self._task, self._handle, self._plans, self._metrics = 0, None, None, b""
            self._changed.notify()
        return profile

    def engine(self, name: str) -> Any:
        return ENGINES.get(name, name)

    def _take(self) -> Profile:
        profile = Profile(task=self._task)
        if self._plans:
            profile.logical, profile.physical = self._plans
            self._plans = None
        metrics = self._handle.snapshot_query_metrics() if self._handle else b""
        if metrics != self._metrics:
            profile.metrics = self._metrics = metrics
        return profile

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._handle is not None)
                task = self._task
                if self._changed.wait_for(lambda: self._task != task, PERIOD_S):
                    continue
                profile = self._take()
            if profile.metrics or profile.physical:
                self._send(profile)

    # what Polars calls; its first query in a task is the task's own

    def on_query_started(self, _query: str) -> None:
        pass

    def on_query_planned(self, _query: str, handle: Any, logical: bytes, physical: bytes) -> Watch:
        with self._changed:
            if self._task and self._handle is None:
                self._handle = handle
                self._plans = tuple(plan if len(plan) <= MAX_PLAN else b"" for plan in (logical, physical))
                self._changed.notify()
        return self

    def on_query_failed(self, _query: str, _error: str) -> None:
        pass

    def close(self) -> None:
        """A query is over; what it has counted can still be asked for."""


def install(watch: Watch) -> None:
    """Polars looks for the class of its observer in the client's package, once. Who imports that
    package later gets the real one."""
    name = "polars_cloud"
    module: Any = types.ModuleType(name)
    module.QueryCloudObserver = lambda *_args, **_more: watch
    real = sys.modules.get(name)
    sys.modules[name] = module
    try:
        INSTALL(True, workspace=None, organization=None)
    finally:
        del sys.modules[name]
        if real is not None:
            sys.modules[name] = real
