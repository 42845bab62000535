"""tests/cluster/contract.py: proto/cluster.proto as Python, for tests that play one of its sides.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from typing import Any

from cluster import REPO


def _compiled() -> Any:
    folder = tempfile.mkdtemp(prefix="floe-test-proto-")
    proto = REPO / "proto"
    subprocess.run(["protoc", "-I", proto, f"--python_out={folder}", proto / "cluster.proto"], check=True)
    sys.path.insert(0, folder)
    import cluster_pb2

    sys.path.remove(folder)
    shutil.rmtree(folder)
    return cluster_pb2


pb = _compiled()
