"""tests/cluster/pods.py: a rendered chart as processes of this machine. SPDX-License-Identifier: Apache-2.0

Each pod has its own network and mounts, and runs what its container says, as its user, with exactly
the container's variables; paths of volumes are folders of the test. Services are names in
/etc/hosts that lead to the pods which they select. No images: the program, the Pythons and the
storage are those of this tree. Needs root, and iproute2.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster import FLOE, REPO, RUNTIMES, SANITIZER_MARKS, executor_user, open_folder
from processes import Process, kill_all, wait_until

Object = dict[str, Any]
NODE = "10.77.0.1"


def rendered(variant: str) -> list[Object] | None:
    """The objects of a variant of tests/chart/variants.py. None: Helm cannot be had."""
    command = ["/usr/bin/python3", str(REPO / "tests/chart/render.py"), variant]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


@dataclass
class Namespace:
    """Network and mounts of its own; goes with its processes."""

    ip: str
    holder: subprocess.Popen[bytes]

    @classmethod
    def open(cls, ip: str) -> Namespace:
        command = ["unshare", "--net", "--mount", "--propagation", "private", "sleep", "infinity"]
        holder = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        own = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != own, "the namespace is there")
        wait_until(lambda: b"sleep" in Path(f"/proc/{holder.pid}/cmdline").read_bytes()[:6], "its holder sleeps")
        return cls(ip, holder)

    def enter(self, *command: str) -> list[str]:
        return ["nsenter", "--target", str(self.holder.pid), "--net", "--mount", *command]

    def run(self, script: str) -> None:
        subprocess.run(self.enter("sh", "-euc", script), check=True)

    def close(self) -> None:
        self.holder.kill()
        self.holder.wait()


@dataclass
class Pod:
    name: str
    labels: dict[str, str]
    spec: Object
    folder: Path
    namespace: Namespace
    popen: subprocess.Popen[bytes] | None = None
    uid: str = field(default="")

    @property
    def container(self) -> Object:
        found: Object = self.spec["containers"][0]
        return found

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def volume(self, name: str) -> Path:
        """Its folder; that of a claim is the same for all pods."""
        (volume,) = (v for v in self.spec["volumes"] if v["name"] == name)
        return (self.folder.parent if "persistentVolumeClaim" in volume else self.folder) / name

    def here(self, text: str) -> str:
        """A path of the container, where the test has it."""
        for mount in self.container["volumeMounts"]:
            if mount["mountPath"] != "/tmp" and text.split("=")[-1].startswith(mount["mountPath"]):
                return text.replace(mount["mountPath"], str(self.volume(mount["name"])), 1)
        return text

    def port(self, named: str | int) -> int:
        ports = {p["name"]: p["containerPort"] for p in self.container.get("ports", [])}
        return ports.get(named) or int(named)

    def probes(self) -> Iterator[list[object]]:
        """The container's own, as [kind, address, port]."""
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = self.container.get(name, {})
            for kind in ("tcpSocket", "grpc"):
                if kind in probe:
                    yield [kind, self.namespace.ip, self.port(probe[kind]["port"])]


class Pods:
    """All pods of the rendered Deployments, on one bridge."""

    def __init__(self, objects: list[Object], folder: Path) -> None:
        self.objects = objects
        self.folder = folder
        self.node = Namespace.open(NODE)
        self.pods: list[Pod] = []
        self.node.run(f"ip link set lo up; ip link add br0 type bridge; ip addr add {NODE}/24 dev br0; ip link set br0 up")
        for deployment in self.of("Deployment"):
            for number in range(deployment["spec"]["replicas"]):
                self.add(f"{deployment['metadata']['name']}-{number}", deployment["spec"]["template"])
        self.write_hosts()
        for pod in self.pods:
            self.start(pod)

    def of(self, kind: str) -> list[Object]:
        return [x for x in self.objects if x["kind"] == kind]

    def add(self, name: str, template: Object) -> None:
        namespace = Namespace.open(f"10.77.0.{10 + len(self.pods)}")
        link = f"pod{len(self.pods)}"
        self.node.run(f"ip link add {link} type veth peer name eth0 netns {namespace.holder.pid}; ip link set {link} master br0 up")
        namespace.run(f"ip link set lo up; ip addr add {namespace.ip}/24 dev eth0; ip link set eth0 up")
        folder = open_folder(self.folder / name, 0o777)
        pod = Pod(name, template["metadata"]["labels"], template["spec"], folder, namespace, uid=f"uid-of-{name}")
        for mount in pod.container["volumeMounts"]:
            open_folder(pod.volume(mount["name"]), 0o777)
        self.pods.append(pod)

    # names

    def selected(self, service: Object) -> list[Pod]:
        return [p for p in self.pods if service["spec"]["selector"].items() <= p.labels.items()]

    def write_hosts(self) -> None:
        hosts = self.folder / "hosts"
        with hosts.open("w") as out:
            print("127.0.0.1 localhost", file=out)
            for service in self.of("Service"):
                for pod in self.selected(service):
                    print(pod.namespace.ip, f"{service['metadata']['name']}.default.svc.cluster.local", file=out)
        for namespace in (self.node, *(p.namespace for p in self.pods)):
            namespace.run(f"mount --bind {shlex.quote(str(hosts))} /etc/hosts")

    # variables

    def value(self, pod: Pod, variable: Object) -> str:
        source = variable.get("valueFrom")
        if not source:
            return pod.here(str(variable["value"]))
        if "fieldRef" in source:
            return {"metadata.uid": pod.uid, "status.podIP": pod.namespace.ip}[source["fieldRef"]["fieldPath"]]
        wanted = source["secretKeyRef"]
        (secret,) = (s for s in self.of("Secret") if s["metadata"]["name"] == wanted["name"])
        return base64.b64decode(secret["data"][wanted["key"]]).decode()

    def environment(self, pod: Pod) -> dict[str, str]:
        sanitizers = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
        found = {v["name"]: self.value(pod, v) for v in pod.container.get("env", [])}
        return {"PATH": os.environ["PATH"], **sanitizers, **found}

    # processes

    def start(self, pod: Pod) -> None:
        environment = self.environment(pod)
        if pod.container["name"] == "seaweedfs":
            command = self.storage_command(pod)
        else:
            command = [str(FLOE), *pod.container["args"][1:]]
            environment["PC_CUBLET__worker__runtimes_dir"] = str(RUNTIMES)  # what setup.sh adds
            environment.setdefault("POLARS_TEMP_DIR", str(pod.volume("tmp-data")))  # /tmp is that of this machine
        with pod.log.open("wb") as log:
            pod.popen = subprocess.Popen(
                pod.namespace.enter(*self.become(pod), *command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                cwd="/",
            )

    def become(self, pod: Pod) -> list[str]:
        """Who the pod runs as; root where others may not execute the Pythons."""
        user = pod.spec["securityContext"]["runAsUser"]
        if executor_user() != "nobody":
            return []
        return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]

    def storage_command(self, pod: Pod) -> list[str]:
        """It leaves sockets in /tmp: that of the pod is its own, and the program is reached elsewhere."""
        program = next(RUNTIMES.glob("*/bin/weed")).resolve()
        pod.namespace.run(f"mount --bind {shlex.quote(str(program.parent))} /mnt; mount -t tmpfs tmpfs /tmp; mkdir -m 777 /tmp/data")
        arguments = ["-dir=/tmp/data" if a == "-dir=/data" else a for a in pod.container["args"]]
        return ["/mnt/weed", *arguments]

    def run(self, job: Object, timeout_s: float) -> str:
        """pod_node.py on the node: it waits for probes, forwards ports, runs a script."""
        command = self.node.enter(sys.executable, str(Path(__file__).with_name("pod_node.py")), json.dumps(job))
        output = self.folder / "printed"
        with output.open("w") as printed:
            job_process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=printed, stderr=printed)
            try:
                wait_until(lambda: job_process.poll() is not None or self.dead(), "the job is done", timeout_s)
            finally:
                job_process.kill()
        text = output.read_text()
        if job_process.wait() or self.dead():
            raise RuntimeError(f"dead: {self.dead()}\n{text}\n{self.logs()}")
        return text

    def dead(self) -> list[str]:
        return [p.name for p in self.pods if p.popen and p.popen.poll() is not None]

    def forwards(self) -> list[list[object]]:
        """Every port of a Service, to the pod that it selects, as `kubectl port-forward` does."""
        found: list[list[object]] = []
        for service in self.of("Service"):
            pod = self.selected(service)[0]
            found += [[p["port"], pod.namespace.ip, pod.port(p["targetPort"])] for p in service["spec"]["ports"]]
        return found

    def logs(self) -> str:
        return "\n".join(f"--- {p.name}\n{p.log.read_text(errors='replace')[-3000:]}" for p in self.pods if p.log.exists())

    def stop(self) -> list[str]:
        """Returns what was wrong with that."""
        wrong: list[str] = []
        for pod in self.pods:
            if pod.popen and pod.container["name"] != "seaweedfs":  # it has nothing to keep
                pod.popen.send_signal(signal.SIGTERM)
        for pod in self.pods:
            if not pod.popen:
                continue
            left = [p for p in [Process.of(pod.popen.pid), *Process(pod.popen.pid, 0).descendants()] if p]
            if pod.container["name"] == "seaweedfs":
                pod.popen.kill()
            elif (code := pod.popen.wait(60)) not in (0, -signal.SIGTERM):
                wrong.append(f"{pod.name} ended with {code}: {pod.log.read_text()[-3000:]}")
            wrong += [x for x in pod.log.read_text(errors="replace").splitlines() if any(m in x for m in SANITIZER_MARKS)]
            pod.popen.wait(60)
            kill_all(left)
            pod.namespace.close()
        self.node.close()
        return wrong
