"""tests/chart/setup_cases.py: what deploy/image/setup.sh does before it becomes the program; uv is a stand-in that
writes down how it was called. SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from render import REPO

UV = r"""#!/bin/sh
here=$(dirname "$0")
echo "$*" >>"$here/calls"
env | grep ^PC_CUBLET__ >>"$here/secrets"
case $* in
  *fails*) exit 1 ;;
  venv*) for folder in "$@"; do :; done; mkdir -p "$folder/bin" ;;
esac
"""


class Image:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uv = folder / "bin/uv"
        self.uv.parent.mkdir()
        self.uv.write_text(UV)
        self.uv.chmod(0o755)
        (folder / "setup.sh").write_bytes((REPO / "deploy/image/setup.sh").read_bytes())
        (folder / "whl").mkdir()
        for wheel in ("polars-1.41.2", "polars-2.0.0", "polars_runtime_64-2.0.0"):
            (folder / f"whl/{wheel}-py3-none-any.whl").touch()

    def run(self, **variables: str) -> subprocess.CompletedProcess[str]:
        command = ["sh", str(self.folder / "setup.sh"), "env"]
        return subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", **variables})

    def calls(self) -> list[str]:
        file = self.folder / "bin/calls"
        return file.read_text().splitlines() if file.exists() else []

    def runtimes(self) -> set[str]:
        folder = self.folder / "runtimes"
        return {p.name for p in folder.iterdir()} if folder.exists() else set()


@contextmanager
def image() -> Iterator[Image]:
    with tempfile.TemporaryDirectory() as folder:
        yield Image(Path(folder))


WORKER = {"PC_CUBLET__worker__enabled": "true", "PC_CUBLET__cluster__token": "secret"}


def test_setup_of_a_scheduler_is_nothing() -> None:
    with image() as i:
        done = i.run(PC_CUBLET__scheduler__enabled="true")
        assert done.returncode == 0 and "PC_CUBLET__scheduler__enabled=true" in done.stdout
        assert not i.calls() and "runtimes_dir" not in done.stdout


def test_setup_of_a_worker_makes_runtimes_once() -> None:
    with image() as i:
        done = i.run(**WORKER)
        assert f"PC_CUBLET__worker__runtimes_dir={i.folder}/runtimes" in done.stdout, done.stderr
        assert i.runtimes() == {"polars-1.41.2", "polars-2.0.0"}
        assert any("--no-index polars[rt64]==2.0.0 cloudpickle protobuf" in c for c in i.calls())
        calls = len(i.calls())
        assert i.run(**WORKER).returncode == 0 and len(i.calls()) == calls


def test_setup_keeps_secrets_from_packages() -> None:
    with image() as i:
        done = i.run(**WORKER)
        assert i.calls() and not (i.folder / "bin/secrets").read_text()
        assert "PC_CUBLET__cluster__token=secret" in done.stdout


def test_setup_goes_on_without_an_extra() -> None:
    with image() as i:
        done = i.run(**WORKER, POLARS_EXTRAS="numpy,fails")
        assert done.returncode == 0 and len(i.runtimes()) == 2
        assert "no wheels for polars[fails]" in done.stderr and "polars[numpy]" not in done.stderr


def test_setup_fails_without_a_requirement() -> None:
    """Half a runtime is none: the next start makes it anew."""
    with image() as i:
        assert i.run(**WORKER, PYTHON_REQUIREMENTS="/fails.txt").returncode
        assert not {r for r in i.runtimes() if not r.startswith(".")}
        assert i.run(**WORKER, PYTHON_REQUIREMENTS="/works.txt").returncode == 0
        assert any("--requirement /works.txt" in c and "--no-index" not in c for c in i.calls())
        assert len(i.runtimes()) == 2
