#!/usr/bin/python3
"""tests/chart/test_chart.py: the chart without a cluster: lint, goldens, refusals, its repository, and its image's
setup. Skipped (77) when Helm cannot be had. UPDATE=1 writes the goldens anew. SPDX-License-Identifier: Apache-2.0

Two goldens are whole: without values, and of the published line. Those of the other variants are what differs from
the first.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import setup_cases
import yaml
from render import CHART, REPO, helm, pin, programs, render
from variants import PUBLISHED, REFUSED, VARIANTS

GOLDEN = REPO / "tests/chart/golden"


def normal(objects: list[dict[str, Any]]) -> str:
    """As text in a fixed order, without what is random."""
    for found in objects:
        if found["kind"] == "Secret":
            found["data"] = {k: "kept over upgrades" for k in found["data"]}
    objects.sort(key=lambda x: (x["kind"], x["metadata"]["name"]))
    return yaml.safe_dump_all(objects, sort_keys=True, width=200)


@cache
def plain_text() -> str:
    return normal(render(VARIANTS["defaults"]))


def check_golden(variant: str) -> None:
    text = normal(render(VARIANTS[variant]))
    whole = variant in ("defaults", "published")
    if not whole:
        plain = plain_text().splitlines(keepends=True)
        text = "".join(difflib.unified_diff(plain, text.splitlines(keepends=True), "defaults", variant, n=2))
        text = re.sub(r"(?m)^@@ .*@@$", "@@", text)
    file = GOLDEN / f"{variant}.{'yaml' if whole else 'diff'}"
    if os.environ.get("UPDATE"):
        file.write_text(text)
        return
    was = file.read_text() if file.exists() else ""
    changed = "".join(difflib.unified_diff(was.splitlines(keepends=True), text.splitlines(keepends=True), str(file), "now"))
    assert not changed, f"{changed}\n{file} is stale: run this test again with UPDATE=1"


def check_refused(case: str) -> None:
    arguments, word = REFUSED[case]
    done = helm("template", "polars", str(CHART), *arguments)
    assert done.returncode, f"{arguments} were taken"
    assert word in done.stderr, f"expected {word!r} in: {done.stderr}"


def test_lint() -> None:
    done = helm("lint", "--strict", str(CHART), *PUBLISHED)
    assert not done.returncode, done.stdout + done.stderr


def test_goldens_are_of_variants() -> None:
    assert {f.stem for f in GOLDEN.iterdir()} == set(VARIANTS)


def test_versions() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == pin("floe")
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values["temporaryStorage"]["deployment"]["container"]["image"]["tag"] == pin("seaweedfs")


def test_nothing_is_privileged() -> None:
    """What the `restricted` Pod Security Standard asks, of every container."""
    for variant in ("published", "secured"):
        for found in render(VARIANTS[variant]):
            pod = found["spec"] if found["kind"] == "Pod" else found.get("spec", {}).get("template", {}).get("spec")
            if not pod:
                continue
            assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]
            for container in pod["containers"] + pod.get("initContainers", []):
                context = container["securityContext"]
                assert context["allowPrivilegeEscalation"] is False and context["readOnlyRootFilesystem"] is True
                assert context["capabilities"] == {"drop": ["ALL"]}


def test_client_secret_is_in_a_secret() -> None:
    for found in render(PUBLISHED):
        assert found["kind"] == "Secret" or "a-secret" not in yaml.safe_dump(found)


def test_notes() -> None:
    with tempfile.TemporaryDirectory() as folder:
        done = helm("install", "polars", str(CHART), *PUBLISHED, "--dry-run=client", KUBECONFIG=f"{folder}/none", HOME=folder)
    assert not done.returncode, done.stderr
    for port in ("polars-scheduler 5051:5051", "polars-observatory 3001:3001", "polars-temporary-storage 8333:8333"):
        assert f"port-forward svc/{port}" in done.stdout
    assert re.search(r"without effect in Floe \S+: license\.", done.stdout)


def test_repository() -> None:
    """The published commands, against a folder that any web server can serve."""
    with tempfile.TemporaryDirectory() as folder:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=f"{folder}/repo"))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        make = [str(REPO / "deploy/helm/make_repo"), f"{folder}/repo", url, "https://polars.example.org"]
        environment = os.environ | {"PATH": f"{programs()}:{os.environ['PATH']}", "HOME": folder}
        subprocess.run(make, check=True, capture_output=True, env=environment)
        run = partial(helm, **{**environment, "KUBECONFIG": f"{folder}/none"})
        for command in (
            ["repo", "add", "polars-inc", url],
            ["repo", "update"],
            ["search", "repo", "polars-inc/polars", "--version", pin("floe")],
            ["install", "polars", "polars-inc/polars", *PUBLISHED, "--dry-run=client"],
        ):
            done = run(*command)
            assert not done.returncode, f"helm {command}: {done.stderr}"
        assert "https://polars.example.org" in done.stdout, "the control plane's address is not baked in"
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def cases() -> dict[str, Callable[[], None]]:
    found: dict[str, Callable[[], None]] = {f"golden_{v}": partial(check_golden, v) for v in VARIANTS}
    found |= {f"refused_{c}": partial(check_refused, c) for c in REFUSED}
    for module in (setup_cases, sys.modules[__name__]):
        found |= {name: value for name, value in vars(module).items() if name.startswith("test_")}
    return found


def main() -> int:
    try:
        programs()
    except subprocess.CalledProcessError:
        print("skipped: Helm could not be had (needs PyPI)")
        return 77
    failed = 0
    for name, case in cases().items():
        try:
            case()
            print(f"[       OK ] {name}")
        except Exception as error:  # a case must not hide the others
            failed += 1
            print(f"{error!r}\n{error}\n[  FAILED  ] {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
