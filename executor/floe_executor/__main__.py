"""The executor's program: say hello, then run one task after the other until the worker is gone.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import sys

from .interrupt import Interrupt
from .link import Link, close_all_but_link

PR_SET_PDEATHSIG = 1
FIRST_TO_GO = "1000"  # oom_score_adj: an executor is lost before anything else on the machine


def tie_to_worker() -> None:
    """Die with the worker, and before it when memory runs out."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(FIRST_TO_GO)
    except OSError as error:
        print(f"oom_score_adj stays as it is: {error}", file=sys.stderr)


def step_back(niceness: str) -> None:
    """Heartbeats and status calls go first. Where sessions share the cores, ours must be nice as well."""
    os.nice(int(niceness))
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as file:
        file.write(niceness)


def use_own_folder() -> None:
    """For temporary files. However we end, the worker removes it."""
    shared = os.environ["TMPDIR"]
    folder = os.path.join(shared, str(os.getpid()))
    os.makedirs(folder, 0o700, exist_ok=True)
    os.environ.update({name: folder for name, value in os.environ.items() if value == shared})


def main() -> None:
    close_all_but_link()
    tie_to_worker()
    step_back(sys.argv[2])
    use_own_folder()
    interrupt = Interrupt()
    from . import identity, profile, task  # with them comes Polars, which must find our SIGINT handler

    link = Link()
    watch = profile.Watch(link.profile)
    link.hello(identity.hello())
    gc.freeze()  # what is imported stays: no later collection looks at it
    while (frame := link.receive()) is not None:
        kind = frame.WhichOneof("body")
        if kind == "run":
            plan = task.Plan(frame.run.plan, None if frame.run.plan else link.take_fd())
            link.done(task.run(frame.run, plan, interrupt, watch))
            plan.close()
        elif kind == "cancel":
            if not interrupt.acknowledge():
                sys.exit("a Cancel came without its SIGINT")
            link.canceled(frame.cancel.task)
    # No finalizers: a user's thread or atexit hook must not keep the process.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
