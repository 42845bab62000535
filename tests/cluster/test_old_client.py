"""tests/cluster/test_old_client.py: older clients with their older Polars on the same cluster.
SPDX-License-Identifier: Apache-2.0

The client cannot delete results, so these tests take a cluster of their own.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import OLD_PYTHON, REPO, RUNTIMES, UpCluster, open_folder, temporary_folder
from conftest import until_stopped

CASES = ["quickstart", "execute", "sinks", "show", "plans", "errors", "udf", "udf_error", "cancel", "collect"]
# client:Polars; the runtimes are apart, for a worker starts an executor of each that it finds
OLDER = re.findall(r"[^,\s]+:[^,\s]+", re.search(r"^older_clients=(.*)$", (REPO / "versions").read_text(), re.M)[1])  # type: ignore[index]


@pytest.fixture(scope="module")
def shared() -> Iterator[UpCluster]:
    yield from until_stopped(UpCluster("old-client"), keeps_results=True)


def run(python: Path | str, case: str, cluster: UpCluster, folder: Path) -> None:
    program = Path(__file__).with_name("old_client.py")
    ports = [str(cluster.ports.client), str(cluster.ports.observatory)]
    done = subprocess.run([str(python), str(program), case, *ports, str(folder)], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["ok"], done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES)
def test_old_client(case: str, shared: UpCluster, folder: Path) -> None:
    assert OLD_PYTHON.exists(), f"{OLD_PYTHON}: run `make runtimes`, or set FLOE_OLD_PYTHON"
    run(OLD_PYTHON, case, shared, folder)


# ---- every older client, each with its own Polars ----


@pytest.fixture(scope="module")
def of_all_ages() -> Iterator[UpCluster]:
    """Its workers have the Polars of every client."""
    runtimes = open_folder(temporary_folder("runtimes"))
    for python in [*RUNTIMES.glob("older/*/bin/python"), OLD_PYTHON, Path(sys.executable)]:
        home = python.parents[1]
        (runtimes / home.name).symlink_to(home)
    yield from until_stopped(UpCluster("older", options=[f"--runtimes={runtimes}"]), keeps_results=True)
    shutil.rmtree(runtimes)


@pytest.mark.conformance
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("versions", OLDER)
def test_older_client(versions: str, case: str, of_all_ages: UpCluster, folder: Path) -> None:
    run(RUNTIMES / f"older/polars-{versions.split(':')[1]}/bin/python", case, of_all_ages, folder)


@pytest.mark.conformance
def test_the_newest_beside_them(of_all_ages: UpCluster) -> None:
    assert of_all_ages.answers()


# ---- two ages on one cluster ----


def test_both_clients_in_turn(shared: UpCluster, folder: Path) -> None:
    """Each finds an executor of its own Polars, also after the other has used the worker."""
    for _ in range(3):
        assert shared.answers()
        run(OLD_PYTHON, "execute", shared, folder)


def test_new_client_uses_its_own_polars(shared: UpCluster) -> None:
    import polars as pl

    def version(_: int) -> str:
        import polars

        return f"{polars.__version__} {__import__('sys').version_info[:2]}"

    query = pl.LazyFrame({"a": [1]}).select(pl.col("a").map_elements(version, return_dtype=pl.String))
    result = query.remote(shared.context()).execute()
    assert result.lazy().collect().item() == f"{pl.__version__} {sys.version_info[:2]}"
    result.delete()
