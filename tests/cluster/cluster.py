"""tests/cluster/cluster.py: real Floe clusters for tests, on loopback and free ports.
SPDX-License-Identifier: Apache-2.0

`UpCluster` is what a user starts with `floe up`; `ServiceCluster` is one `floe service` for the
scheduler and one for each worker, so that a test can end and restart each of them. Both check
themselves when they stop: no process left, no file left, no sanitizer report in a log.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, ClassVar

import polars as pl
import polars_cloud as pc

from processes import Process, in_session, kill_all, serving, wait_until

REPO = Path(__file__).resolve().parents[2]
FLOE = Path(os.environ.get("FLOE_BIN", REPO / "build/floe"))
RUNTIMES = Path(os.environ.get("FLOE_RUNTIMES_DIR", REPO / ".runtimes"))
OLD_PYTHON = Path(os.environ.get("FLOE_OLD_PYTHON", RUNTIMES / "polars-1.41.2/bin/python"))
LOGS = Path(os.environ.get("FLOE_TEST_LOGS", REPO / ".logs"))
SANITIZED = os.environ.get("FLOE_SANITIZED") == "1"  # set by tests/run: processes are 3 times slower
SLOWNESS = 3.0 if SANITIZED else 1.0
START_S = 30.0 * SLOWNESS
STOP_S = 15.0 * SLOWNESS

# Everything is distributed, in two partitions, however small.
FORCED = """
    [scheduler.planner]
    small_rows = 0
    replicate_rows = 0
    broadcast_rows = 0
    task_bytes = 1
    partitions = 2
"""

_numbers = itertools.count()


def _others_can_execute(program: Path) -> bool:
    real = program.resolve()
    return all(p.stat().st_mode & 0o001 for p in [real, *real.parents]) if real.exists() else False


def executor_user() -> str:
    """Nobody where the test runs as root and others may use the runtimes; else no other user."""
    if os.geteuid() == 0 and all(_others_can_execute(p) for p in RUNTIMES.glob("*/bin/python")):
        return "nobody"
    return "root" if os.geteuid() == 0 else ""


SANITIZER_MARKS = ("ERROR: AddressSanitizer", "WARNING: ThreadSanitizer", "ERROR: LeakSanitizer", "runtime error:", "Sanitizer:DEADLYSIGNAL")


# --- ports -------------------------------------------------------------------------------------


@dataclass
class Ports:
    """A block of ports that no other test of this machine uses: held by a lock on a file."""

    base: int
    lock: IO[str]

    WIDTH = 200

    @classmethod
    def reserve(cls) -> Ports:
        folder = Path(tempfile.gettempdir()) / f"floe-test-ports-{os.getuid()}"
        folder.mkdir(exist_ok=True)
        for base in range(12000, 32000, cls.WIDTH):  # below Linux' ephemeral ports
            lock = open(folder / str(base), "w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                continue
            if all(_port_is_free(base + offset) for offset in range(1, 110)):
                return cls(base, lock)
            lock.close()
        raise RuntimeError("no free block of ports between 12000 and 32000")

    def release(self) -> None:
        self.lock.close()

    def storage_sockets(self) -> list[Path]:
        """What SeaweedFS makes in /tmp, wherever its own folder is."""
        found = ((p, re.search(r"-(\d+)\.sock$", p.name)) for p in Path("/tmp").glob("seaweedfs-*.sock"))
        return [p for p, port in found if port and self.base <= int(port[1]) < self.base + self.WIDTH]

    @property
    def client(self) -> int:
        return self.base + 51

    @property
    def membership(self) -> int:
        return self.base + 50

    @property
    def observatory(self) -> int:
        return self.base + 1

    @property
    def storage(self) -> int:
        return self.base + 33

    def task(self, worker: int) -> int:
        return self.base + 100 + 2 * worker

    def shuffle(self, worker: int) -> int:
        return self.base + 101 + 2 * worker


def _port_is_free(port: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def accepts(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


# --- folders -----------------------------------------------------------------------------------


def open_folder(path: Path, mode: int = 0o755) -> Path:
    """Executors may run as another user: what they read is 0755, what they write 0777."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    return path


def temporary_folder(name: str) -> Path:
    return open_folder(Path(tempfile.mkdtemp(prefix=f"floe-test-{name}-")))


def files_below(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*")) if folder.exists() else []


def below(folder: Path) -> list[str]:
    """Files and folders; it minds none that goes meanwhile."""
    return [os.path.join(at, name) for at, folders, files in os.walk(folder) for name in folders + files]


# --- one program -------------------------------------------------------------------------------


@dataclass
class Program:
    """A `floe` of ours with everything that it started."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path
    seen: set[Process] = field(default_factory=set)

    @classmethod
    def start(
        cls,
        name: str,
        arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        wrapper: Sequence[str] = (),
    ) -> Program:
        if not FLOE.exists():
            raise FileNotFoundError(f"{FLOE} does not exist: run `make build`, or set FLOE_BIN")
        with open(log, "ab") as out:
            popen = subprocess.Popen(
                [*wrapper, str(FLOE), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=dict(environment),
                start_new_session=True,
                cwd="/",
            )
        return cls(name, popen, log)

    @property
    def process(self) -> Process:
        return Process.of(self.popen.pid) or Process(self.popen.pid, 0)

    def all(self) -> list[Process]:
        """Every process of it that lives, orphans included: now and whenever this was called."""
        if self.popen.poll() is None:
            self.seen.add(self.process)
            self.seen.update(self.process.descendants())
        self.seen.update(in_session(self.popen.pid))
        return [p for p in self.seen if p.alive()]

    def wait_for_line(self, start: str, timeout_s: float) -> str:
        def found() -> str | None:
            for line in self.text().splitlines():
                if line.startswith(start):
                    return line
            if self.popen.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.popen.returncode}; see {self.log}:\n{self.tail()}")
            return None

        wait_until(found, f"{self.name} printed {start!r}; see {self.log}", timeout_s)
        return found() or ""

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.text().splitlines()[-lines:])

    def stop(self, how: signal.Signals = signal.SIGTERM) -> list[str]:
        """End it, if it has not ended; returns what was wrong with that."""
        self.all()
        wrong: list[str] = []
        if self.popen.poll() is not None:
            how = signal.SIGKILL  # its exit status has been judged, or was meant to be
        else:
            self.popen.send_signal(how)
        try:
            code = self.popen.wait(STOP_S)
            if how is signal.SIGTERM and code not in (0, 128 + how, -how):
                wrong.append(f"{self.name} ended with {code} after {how.name}")
        except subprocess.TimeoutExpired:
            wrong.append(f"{self.name} did not end in {STOP_S} s after {how.name}")
        try:
            wait_until(lambda: not self.all(), "nothing is left", 5.0 * SLOWNESS)
        except TimeoutError:
            left = self.all()
            wrong += [f"{self.name} left process {p.pid}: {p.command()}" for p in left]
            kill_all(left)
            self.popen.wait(5)
        return wrong


# --- clusters ----------------------------------------------------------------------------------


class Cluster:
    """What both kinds share. `expected_leftovers`: results that a test could not delete."""

    alive: ClassVar[list[Cluster]] = []
    executor_nice: int | None = 0  # tests may share the machine with builds; None: what Floe does by itself

    def __init__(self, name: str) -> None:
        Cluster.alive.append(self)
        self.name = name
        self.ports = Ports.reserve()
        self.folder = temporary_folder(name)
        self.results = open_folder(self.folder / "results")
        self.temporary = open_folder(self.folder / "temp")
        self.programs: list[Program] = []
        self.expected_leftovers = 0
        self.keep_logs = False
        self.data = open_folder(LOGS / f"{name}-{os.getpid()}-{self.ports.base}-{next(_numbers)}")

    # as a client sees it

    def context(self, headers: Mapping[str, str] | None = None) -> pc.ClusterContext:
        if not accepts(self.ports.client):  # the constructor would hold the GIL for a minute
            raise ConnectionError(f"nothing listens on {self.ports.client}; see {self.logs()}")
        return pc.ClusterContext(
            uri=f"http://localhost:{self.ports.client}",
            observatory=pc.ClientOptions(uri=f"http://localhost:{self.ports.observatory}"),
            extra_headers=dict(headers) if headers else None,
        )

    def answers(self) -> bool:
        """A trivial query, with a fresh client, gives the right answer."""
        result = pl.LazyFrame({"x": [20, 22]}).select(pl.col("x").sum()).remote(self.context()).execute()
        right = result.lazy().collect().item() == 42
        result.delete()
        return right

    # as the scheduler sees it

    def members(self) -> set[str]:
        """The workers that the scheduler counts on."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports.observatory}/api/v1/cluster") as answer:
            return {worker["instance_id"] for worker in json.load(answer)["workers"]}

    # as the machine sees it

    def config(self, name: str) -> Path:
        """Where the configuration of a service stands."""
        raise NotImplementedError

    def service(self, name: str) -> Process:
        process = serving(self.config(name))
        assert process, f"no service runs with {self.config(name)}"
        return process

    def worker(self, number: int) -> Process:
        return self.service(f"worker-{number}")

    def scheduler(self) -> Process:
        return self.service("scheduler")

    def executors(self, number: int) -> list[Process]:
        return [p for p in self.worker(number).descendants() if "python" in p.command()]

    # life

    def environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PC_CUBLET__", "POLARS_"))}
        nice = {} if self.executor_nice is None else {"PC_CUBLET__worker__executor_nice": str(self.executor_nice)}
        return inherited | nice | {
            "POLARS_TEMP_DIR": str(self.temporary),
            "TMPDIR": str(self.temporary),
            "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "TSAN_OPTIONS": f"suppressions={REPO / 'tests/tsan.supp'}",
        }

    def log_file(self, program: str) -> Path:
        return open_folder(self.data / "logs") / f"{program}.log"

    def logs(self) -> list[str]:
        """Of our programs, and of the parts that `floe up` starts."""
        return sorted({str(p.log) for p in self.programs} | set(map(str, self.data.glob("logs/*"))))

    def stop(self) -> list[str]:
        """End everything and tidy up; returns what was wrong."""
        Cluster.alive.remove(self)
        wrong = [w for program in reversed(self.programs) for w in program.stop()]
        left = [p for p in files_below(self.results) if p.is_file()]
        if len(left) != self.expected_leftovers:
            wrong.append(f"{len(left)} files in the results, expected {self.expected_leftovers}: {left[:5]}")
        elif not left and (folders := files_below(self.results)):
            wrong.append(f"empty folders left in the results: {folders[:5]}")
        for folder in (self.temporary, self.data / "tmp", self.data / "shuffle"):
            # a killed worker's marker goes when a worker of its name starts
            if left := [p for p in files_below(folder) if not p.is_dir() and not p.name.startswith(".floe-")]:
                wrong.append(f"temporary files left: {left[:5]}")
        if left := self.ports.storage_sockets():
            wrong.append(f"the storage's sockets are left: {left[:5]}")
        for log in self.logs():
            wrong += [f"{log}: {x}" for x in Path(log).read_text(errors="replace").splitlines() if any(m in x for m in SANITIZER_MARKS)]
        self._tidy(keep_logs=self.keep_logs or bool(wrong))
        return wrong

    def _tidy(self, keep_logs: bool) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.ports.release()
        if not keep_logs:
            shutil.rmtree(self.data)
            return
        for entry in self.data.iterdir():
            if entry.name != "logs" and entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)


class UpCluster(Cluster):
    """`floe up`: two workers with one thread each; results in a local folder, or in storage."""

    def config(self, name: str) -> Path:
        return self.data / "conf" / f"{name}.toml"

    def __init__(
        self,
        name: str,
        *,
        workers: int = 2,
        threads: int = 1,
        storage: bool = False,
        options: Sequence[str] = (),
        planner: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(name)
        self.workers = workers
        arguments = ["up", f"--workers={workers}", f"--threads={threads}", f"--port-base={self.ports.base}"]
        arguments += [f"--runtimes={RUNTIMES}", f"--data-dir={self.data}"]
        arguments += [] if storage else [f"--results={self.results}"]
        settings = {f"PC_CUBLET__scheduler__planner__{k}": str(v) for k, v in (planner or {}).items()}
        environment = self.environment() | settings
        self.programs = [Program.start("up", [*arguments, *options], self.log_file("up"), environment)]
        try:
            self.ready = self.up.wait_for_line("ready", START_S)
        except BaseException:
            self.keep_logs = True
            self.stop()
            raise

    @property
    def up(self) -> Program:
        return self.programs[0]


class ServiceCluster(Cluster):
    """The same as separate programs, configured by TOML files as an administrator would.

    `in_scheduler`: lines of the table [scheduler]; OBSERVATORY stands for that port.
    `machines`: each program sees a disk of its own, `disk(name)`, where results are; the test sees
    nothing there. Needs root.
    """

    TOKEN = "a-token-of-the-tests-0123456789"

    def config(self, name: str) -> Path:
        return self.folder / f"{name}.toml"

    def __init__(
        self,
        name: str,
        *,
        workers: int = 2,
        scheduler_extra: str = "",
        worker_extra: str = "",
        in_scheduler: str = "",
        machines: bool = False,
        executor_nice: int | None = 0,
        observatory_apart: bool = False,
        observatory_extra: str = "",
    ) -> None:
        super().__init__(name)
        self.executor_nice = executor_nice
        self._observatory_here = not observatory_apart
        self.running: dict[str, Program] = {}
        self.token_file = self.folder / "token"
        self.token_file.write_text(self.TOKEN)
        self.token_file.chmod(0o600)
        self._extra = {"scheduler": scheduler_extra, "worker": worker_extra, "observatory": observatory_extra}
        self._in_scheduler = in_scheduler.replace("OBSERVATORY", str(self.ports.observatory))
        self._machines = machines
        try:
            if observatory_apart:
                self.start_observatory()
            self.start_scheduler()
            for number in range(workers):
                self.start_worker(number)
        except BaseException:
            self.keep_logs = True
            self.stop()
            raise

    def disk(self, name: str) -> Path:
        return open_folder(self.folder / f"disk-of-{name}")

    def _wrapper(self, name: str) -> list[str]:
        if not self._machines:
            return []
        mount = f"mount --bind {self.disk(name)} {self.results} && exec \"$@\""
        return ["unshare", "--mount", "sh", "-c", mount, "sh"]

    def _observatory(self) -> str:
        return f"""
            [observatory]
            enabled = true
            service.bind_addr = "127.0.0.1:{self.ports.base + 49}"
            rest_api.service.bind_addr = "127.0.0.1:{self.ports.observatory}"
            {self._extra["observatory"]}
            """

    def start_observatory(self) -> Program:
        toml = f"""
            cluster_id = "tests"
            instance_id = "observatory"
            [cluster]
            token_file = "{self.token_file}"
            {self._observatory()}
            """
        return self._start("observatory", toml, lambda: accepts(self.ports.observatory))

    def start_scheduler(self) -> Program:
        p = self.ports
        return self._start(
            "scheduler",
            f"""
            cluster_id = "tests"
            instance_id = "scheduler"
            [cluster]
            token_file = "{self.token_file}"
            [scheduler]
            enabled = true
            client_service.bind_addr = "127.0.0.1:{p.client}"
            worker_service.bind_addr = "127.0.0.1:{p.membership}"
            anonymous_result_location.local.path = "{self.results}"
            {self._in_scheduler}
            {self._observatory() if self._observatory_here else ""}
            [static_leader]
            leader_instance_id = "scheduler"
            observatory_service.public_addr = "127.0.0.1:{p.base + 49}"
            {self._extra["scheduler"]}
            """,
            lambda: accepts(p.client) and accepts(p.membership) and (accepts(p.observatory) or not self._observatory_here),
        )

    def start_worker(self, number: int) -> Program:
        p = self.ports
        shuffle = open_folder(self.folder / f"shuffle-{number}")
        return self._start(
            f"worker-{number}",
            f"""
            cluster_id = "tests"
            instance_id = "worker-{number}"
            cpu_reserved = "1"
            [cluster]
            token_file = "{self.token_file}"
            [worker]
            enabled = true
            heartbeat_period = "500ms"
            runtimes_dir = "{RUNTIMES}"
            executor_user = "{executor_user() or "nobody"}"
            shuffle_location.local.path = "{shuffle}"
            task_service.bind_addr = "127.0.0.1:{p.task(number)}"
            task_service.public_addr = "127.0.0.1:{p.task(number)}"
            shuffle_service.bind_addr = "127.0.0.1:{p.shuffle(number)}"
            shuffle_service.public_addr = "127.0.0.1:{p.shuffle(number)}"
            {self._extra["worker"]}
            [static_leader]
            leader_instance_id = "scheduler"
            scheduler_service.public_addr = "127.0.0.1:{p.membership}"
            observatory_service.public_addr = "127.0.0.1:{p.base + 49}"
            """,
            lambda: accepts(p.task(number)),
        )

    def stop_program(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        wrong = self.running.pop(name).stop(how)
        assert not wrong, wrong

    def _start(self, name: str, toml: str, is_ready: Callable[[], bool]) -> Program:
        config = self.config(name)
        config.write_text("\n".join(line.strip() for line in toml.splitlines()))
        config.chmod(0o600)
        arguments = ["service", "--config-path", str(config)]
        program = Program.start(name, arguments, self.log_file(name), self.environment(), self._wrapper(name))
        self.programs.append(program)
        self.running[name] = program

        def ready() -> bool:
            if program.popen.poll() is not None:
                raise RuntimeError(f"{name} ended with {program.popen.returncode}; see {program.log}:\n{program.tail()}")
            return is_ready()

        wait_until(ready, f"{name} listens; see {program.log}", START_S)
        return program


def timed(action: Callable[[], object]) -> float:
    start = time.monotonic()
    action()
    return time.monotonic() - start
