"""SIGINT, tamed: it interrupts the task that it is meant for and nothing else.

The worker sends one SIGINT for each Cancel frame, and only while a task runs. The signal may come
early (the task is still on its way), in time, or late (the task has just ended). So signals are
counted; a Cancel is acknowledged only when its signal has arrived, and the next task is safe.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

Result = TypeVar("Result")

LATE_SIGNAL_S = 0.4  # a little less than the worker's patience


class Interrupt:
    def __init__(self) -> None:
        """Must come before `import polars`, whose own hook runs in front of ours and calls it."""
        self._arrived = 0
        self._acknowledged = 0
        self._armed = False
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._arrived += 1
        if self._armed:
            self._armed = False
            raise KeyboardInterrupt

    def guard(self, work: Callable[[], Result]) -> tuple[Result | None, BaseException | None]:
        """Run `work`; whatever it raises, SystemExit too, comes back as a value."""
        try:
            try:
                self._armed = True
                if self._arrived > self._acknowledged:
                    raise KeyboardInterrupt
                return work(), None
            finally:
                self._armed = False
        except BaseException as error:
            # Polars raises first; Python's own handler may follow, here at the latest.
            self._armed = False
            return None, error

    def acknowledge(self) -> bool:
        """Wait for the signal of a Cancel; False when it does not come."""
        deadline = time.monotonic() + LATE_SIGNAL_S
        while self._arrived == self._acknowledged:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        self._acknowledged += 1
        return True
