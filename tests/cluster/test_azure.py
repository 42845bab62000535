"""tests/cluster/test_azure.py: the user's own destinations in Azure's object store, which is Azurite
here (FLOE_AZURITE: its azurite-blob; `make conformance` fetches it). SPDX-License-Identifier: Apache-2.0

There is no such test of Google's store: fake-gcs-server takes no upload as Polars makes it.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from cluster import Ports, accepts
from conftest import Remote
from frames import Data
from polars.testing import assert_frame_equal
from processes import wait_until

AZURITE = os.environ.get("FLOE_AZURITE")
ACCOUNT = "devstoreaccount1"  # Azurite's own, as is the key
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

pytestmark = [pytest.mark.conformance, pytest.mark.skipif(not AZURITE, reason="no azurite-blob in FLOE_AZURITE")]


def make_container(endpoint: str, name: str) -> None:
    now = dt.datetime.now(dt.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {"x-ms-date": now, "x-ms-version": "2021-08-06"}
    signed = "\n".join(["PUT", *[""] * 11, *(f"{k}:{v}" for k, v in headers.items())])
    signed += f"\n/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    mac = base64.b64encode(hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()).decode()
    headers |= {"authorization": f"SharedKey {ACCOUNT}:{mac}", "content-length": "0"}
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{name}?restype=container", method="PUT", headers=headers))


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A running store with the container `own`."""
    ports = Ports.reserve()
    place = tmp_path_factory.mktemp("azurite")
    arguments = [f"--blobPort={ports.storage}", "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    server = subprocess.Popen([str(AZURITE), *arguments], cwd=place, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: accepts(ports.storage), "Azurite listens", 60)
        endpoint = f"http://127.0.0.1:{ports.storage}/{ACCOUNT}"
        make_container(endpoint, "own")
        yield {"account_name": ACCOUNT, "account_key": KEY, "azure_storage_endpoint": endpoint, "allow_http": "true"}
    finally:
        server.terminate()
        server.wait()
        ports.release()


@pytest.mark.parametrize("kind", ["parquet", "csv", "ipc"])
def test_own_object(kind: str, remote: Remote, data: Data, options: dict[str, str]) -> None:
    query = pl.scan_parquet(data.path("orders.parquet")).select("id", "city", "price")
    target = f"az://own/{kind}/x.{kind}"
    sink = getattr(remote.prepare(query), f"sink_{kind}")
    assert sink(target, storage_options=options, sink_to_single_file=True).await_result().location == [target]
    scan = getattr(pl, f"scan_{kind}")
    assert_frame_equal(scan(target, storage_options=options).collect(), query.collect())
    again = remote.collect(scan(target, storage_options=options).filter(pl.col("id") < 10))
    assert again.height == 10


def test_own_objects_in_folders(remote: Remote, data: Data, options: dict[str, str], folder: Path) -> None:
    query = pl.scan_parquet(data.path("orders.parquet")).select("id", "city", "price")
    target = pl.PartitionBy("az://own/folders", key="city")
    remote.prepare(query).sink_parquet(target, storage_options=options).await_result()
    found = pl.read_parquet("az://own/folders/**/*.parquet", storage_options=options)
    assert_frame_equal(found.sort("id"), query.collect().sort("id"), check_column_order=False)
