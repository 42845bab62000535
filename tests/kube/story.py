#!/usr/bin/python3
"""tests/kube/story.py: the published page on a real Kubernetes (`make kube`). SPDX-License-Identifier: Apache-2.0

With FLOE_KUBEBOX=FILE it starts a Kubernetes of its own from that one program (see tests/kube/kubebox), with images made
of this tree and of this machine's Python. With KUBECONFIG it takes that cluster, whose nodes must have the images
floe-dist (for their Python), python and chrislusf/seaweedfs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests/chart"))
from render import pin, programs  # noqa: E402
from variants import PUBLISHED  # noqa: E402

WORK = REPO / "build-kube"
RUNTIME = REPO / f".runtimes/polars-{pin('polars')}/bin"
CLIENT = REPO / "tests/cluster/pod_client.py"
PORTS = {"polars-scheduler": 5051, "polars-observatory": 3001, "polars-temporary-storage": 8333}
PAUSE = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n"
# what a plain Python image has, out of this machine's
PYTHON_PACKAGES = "base-files base-passwd dash coreutils sed grep findutils libc-bin netbase tzdata ca-certificates libc6 libgcc-s1 libstdc++6"
PYTHON_PACKAGES += " python3 python3-minimal python3.11 python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libpython3-stdlib"


def run(*command: object) -> None:
    subprocess.run([str(c) for c in command], check=True)


def make_images() -> list[Path]:
    archive = REPO / "deploy/image/archive.py"
    images = {name: WORK / f"{name}.tar" for name in ("dist", "python", "storage", "pause")}
    WORK.mkdir(exist_ok=True)
    os.environ |= {"FLOE_PYTHON": "{}.{}".format(*sys.version_info), "FLOE_EXTRAS": "numpy"}
    run(REPO / "deploy/image/make_dist", WORK / "dist")
    tree = f"{WORK / 'dist'}=/opt"
    run(archive, images["dist"], f"docker.io/library/floe-dist:{pin('floe')}", "--tree", tree, "--programs", "/bin/cp")
    run(archive, images["python"], "docker.io/library/python:3.13.9-slim-bookworm", "--packages", *PYTHON_PACKAGES.split())
    (WORK / "storage").mkdir(exist_ok=True)
    run("cp", RUNTIME / "weed", WORK / "storage/weed")
    name = f"docker.io/chrislusf/seaweedfs:{pin('seaweedfs')}"
    run(archive, images["storage"], name, "--tree", f"{WORK / 'storage'}=/usr/bin", "--entrypoint", "/usr/bin/weed")
    (WORK / "pause").mkdir(exist_ok=True)
    subprocess.run(["gcc", "-static", "-Os", "-x", "c", "-", "-o", WORK / "pause/pause"], input=PAUSE.encode(), check=True)
    tree = f"{WORK / 'pause'}=/usr/bin"
    run(archive, images["pause"], "registry.k8s.io/pause:3.10.1", "--tree", tree, "--entrypoint", "/usr/bin/pause")
    return list(images.values())


class Kubernetes:
    """`prefix` goes before each command, to run it where the cluster can be reached."""

    def __init__(self, prefix: list[str], home: Path) -> None:
        self.prefix = prefix
        os.environ |= {"PATH": f"{programs()}:{os.environ['PATH']}", "HELM_CACHE_HOME": str(home / "cache")}
        os.environ |= {"HELM_CONFIG_HOME": str(home / "config"), "HELM_DATA_HOME": str(home / "data")}

    def run(self, *command: str, timeout_s: float = 120) -> str:
        done = subprocess.run([*self.prefix, *command], capture_output=True, text=True, timeout=timeout_s)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*self.prefix, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def accepts(self, port: int) -> bool:
        dial = f"import socket; socket.create_connection(('127.0.0.1', {port})).close()"
        return self.start(sys.executable, "-c", dial).wait() == 0

    def pods(self) -> dict[str, str]:
        """Name → `1/1 Running`."""
        lines = self.run("kubectl", "get", "pods", "--no-headers").splitlines()
        return {line.split()[0]: " ".join(line.split()[1:3]) for line in lines}

    def running(self) -> int:
        found = self.pods().values()
        return len(found) if set(found) == {"1/1 Running"} else 0


def wait_until(condition: Callable[[], object], what: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"after {seconds} s still not true: {what}")
        time.sleep(0.5)


@contextmanager
def kubernetes(home: Path) -> Iterator[Kubernetes]:
    if box := os.environ.get("FLOE_KUBEBOX"):
        script, folder = str(REPO / "tests/kube/kubebox"), str(WORK / "run")
        images = make_images()
        try:
            run(script, "up", folder, box, *images)
            yield Kubernetes([script, "in", folder], home)
        finally:
            run(script, "down", folder)
    elif "KUBECONFIG" in os.environ:
        yield Kubernetes([], home)
    else:
        sys.exit(f"no Kubernetes: {__doc__}")


@contextmanager
def chart_repository(kube: Kubernetes, folder: Path) -> Iterator[str]:
    """Served where the cluster's commands run."""
    run(REPO / "deploy/helm/make_repo", folder, "http://127.0.0.1:8879")
    server = kube.start(sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), "8879")
    try:
        wait_until(partial(kube.accepts, 8879), "the repository is served", 30)
        yield "http://127.0.0.1:8879"
    finally:
        server.kill()
        server.wait()


@contextmanager
def forwarded(kube: Kubernetes) -> Iterator[None]:
    forwards = [kube.start("kubectl", "port-forward", f"svc/{name}", f"{port}:{port}") for name, port in PORTS.items()]
    try:
        for port in PORTS.values():
            wait_until(partial(kube.accepts, port), f"{port} is forwarded", 60)
        yield
    finally:
        for forward in forwards:
            forward.terminate()
            forward.wait()


def first_queries(kube: Kubernetes) -> None:
    with forwarded(kube):
        print(kube.run(str(RUNTIME / "python"), str(CLIENT), timeout_s=180))


def left_over(kube: Kubernetes) -> list[str]:
    kinds = "pods,deployments,services,secrets,configmaps,persistentvolumeclaims,serviceaccounts"
    names = kube.run("kubectl", "get", kinds, "--output", "name").split()
    return [n for n in names if "polars" in n]


def story(kube: Kubernetes, url: str) -> None:
    kube.run("helm", "repo", "add", "polars-inc", url)
    kube.run("helm", "repo", "update")
    install = ["helm", "upgrade", "--install", "polars", "polars-inc/polars", *PUBLISHED]
    started = time.monotonic()
    kube.run(*install)
    wait_until(lambda: kube.running() == 4, "four pods are 1/1 Running", 240)
    print(f"four pods are 1/1 Running after {time.monotonic() - started:.1f} s")
    print(kube.run("kubectl", "get", "pods"))
    first_queries(kube)
    print(kube.run("helm", "test", "polars"))

    secrets = kube.run("kubectl", "get", "secret", "polars-temporary-storage", "polars-cluster-token", "--output", "jsonpath={.items[*].data}")
    scheduler = {name for name in kube.pods() if "scheduler" in name}
    kube.run(*install, "--set", "worker.deployment.replicaCount=3")
    wait_until(lambda: kube.running() == 5, "there are three workers", 180)
    now = kube.run("kubectl", "get", "secret", "polars-temporary-storage", "polars-cluster-token", "--output", "jsonpath={.items[*].data}")
    assert now == secrets, "an upgrade changed the secrets"
    assert scheduler <= set(kube.pods()), "scaling restarted the scheduler"
    print("an upgrade to three workers kept the secrets and the scheduler")

    kube.run("helm", "uninstall", "polars", "--wait")
    wait_until(lambda: not left_over(kube), "nothing is left", 60)
    print("uninstalled, nothing is left")


def main() -> None:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kube = stack.enter_context(kubernetes(home))
        try:
            story(kube, stack.enter_context(chart_repository(kube, home / "repo")))
        except Exception:
            for command in (["get", "pods", "--output", "wide"], ["get", "events"], ["describe", "pods"]):
                print(kube.run("kubectl", *command))
            raise


if __name__ == "__main__":
    main()
