"""tests/cluster/test_pods.py: the pods of the rendered chart run here, and the published quickstart on them.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import SLOWNESS, temporary_folder
from pods import Pods, rendered

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
START_S = 60 * SLOWNESS


# a variant of the chart, the pods that it makes besides scheduler and workers, where results are
WAYS = {
    "published": (["polars-temporary-storage-0"], "http://localhost:8333/polars/"),
    "results_shared": ([], "http://localhost:3001/"),
}


@pytest.fixture
def pods(variant: str) -> Iterator[Pods]:
    objects = rendered(variant)
    if objects is None:
        pytest.skip("Helm cannot be had")
    folder = temporary_folder("pods")
    folder.chmod(0o777)
    running = Pods(objects, folder)
    yield running
    wrong = running.stop()
    shutil.rmtree(folder)
    assert not wrong, wrong


@pytest.mark.seconds(300)
@pytest.mark.parametrize("variant", WAYS)
def test_quickstart(pods: Pods, variant: str) -> None:
    """All pods become ready by their own probes; the first queries run through the Services."""
    more, results = WAYS[variant]
    assert [p.name for p in pods.pods] == ["polars-scheduler-0", *more, "polars-worker-0", "polars-worker-1"]
    printed = pods.run(
        {
            "probes": [probe for pod in pods.pods for probe in pod.probes()],
            "forwards": pods.forwards(),
            "seconds": START_S,
            "script": str(Path(__file__).with_name("pod_client.py")),
        },
        timeout_s=2 * START_S,
    )
    assert f"rows were read from {results}" in printed, printed
