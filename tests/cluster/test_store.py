"""tests/cluster/test_store.py: src/store alone, against SeaweedFS and against servers that misbehave.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import http.server
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
from cluster import FLOE, START_S, Ports, accepts, temporary_folder
from polars.testing import assert_frame_equal
from processes import Process, wait_until
from test_storage import status_of

TOOL = Path(os.environ.get("FLOE_BUILD_DIR", FLOE.parent)) / "tests/cluster/store_tool"
KEY, SECRET = "testkey", "test/secret+with=odd characters"
CREDENTIALS = [f"aws_access_key_id={KEY}", f"aws_secret_access_key={SECRET}"]


def tool(*arguments: str) -> str:
    done = subprocess.run([TOOL, *arguments], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return done.stdout.strip()


@dataclass
class Weed:
    """`weed mini`: SeaweedFS in one process, with the bucket `polars`."""

    port: int

    def options(self, prefix: str = "", host: str = "127.0.0.1") -> list[str]:
        return [f"s3://polars/{prefix}", f"endpoint_url=http://{host}:{self.port}", *CREDENTIALS]


@pytest.fixture(scope="module")
def weed() -> Iterator[Weed]:
    ports, folder = Ports.reserve(), temporary_folder("weed")
    flags = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"]
    flags += ["s3.port", "s3.port.grpc", "admin.port", "admin.port.grpc"]
    numbers = {flag: ports.base + 1 + i for i, flag in enumerate(flags)}
    command = ["weed", "-logtostderr", "mini", f"-dir={folder}", "-bucket=polars", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += ["-webdav=false", "-admin.ui=false", "-master.telemetry=false"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", f"-filer.localSocket={folder}/filer.sock"]
    command += [f"-s3.localSocket={folder}/s3.sock"]
    command += [f"-{flag}={port}" for flag, port in numbers.items()]
    environment = os.environ | {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    process = Process.of(server.pid)
    try:
        weed = Weed(numbers["s3.port"])
        wait_until(lambda: server.poll() is not None or accepts(weed.port), "weed listens", START_S)
        wait_until(lambda: server.poll() is not None or ready(weed, folder), "weed stores", START_S)
        if server.poll() is not None:
            pytest.fail(f"weed ended: {(folder / 'log').read_text()[-2000:]}")
        yield weed
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        assert process is None or not process.alive()
        shutil.rmtree(folder)
        for socket in ports.storage_sockets():
            socket.unlink()
        ports.release()


def ready(weed: Weed, folder: Path) -> bool:
    """It listens before the bucket is there."""
    probe = folder / "probe"
    probe.write_bytes(b"x")
    try:
        tool("put", str(uuid.uuid4()), str(probe), *weed.options())
    except RuntimeError:
        return False
    return True


@pytest.fixture
def id() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"a": range(1000), "b": ["ü"] * 1000}).write_parquet(path)
    return path


PREFIXES = ["", "p/q/", "a b", "ü/+%25&=~;,!*'()@:$[]", "a//b", "?#"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_put_scan_delete(weed: Weed, id: str, parquet: Path, prefix: str) -> None:
    location = tool("put", id, str(parquet), *weed.options(prefix))
    assert location.startswith("s3://polars/") and location.endswith(f"{id}/part-00000.parquet")
    url = tool("url", id, *weed.options(prefix))
    assert_frame_equal(pl.scan_parquet(url).collect(), pl.read_parquet(parquet))
    for _ in range(2):
        tool("delete", id, *weed.options(prefix))
        assert status_of(url) == 404


def test_the_object_is_under_its_plain_name(weed: Weed, id: str, parquet: Path) -> None:
    """A path-style URL of ours and a signed request of Polars' own S3 client mean the same key."""
    tool("put", id, str(parquet), *weed.options("a b/ü"))
    options = {"endpoint_url": f"http://127.0.0.1:{weed.port}", "aws_region": "us-east-1", "aws_allow_http": "true"}
    options |= {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
    frame = pl.scan_parquet(f"s3://polars/a b/ü/{id}/part-00000.parquet", storage_options=options, glob=False)
    assert_frame_equal(frame.collect(), pl.read_parquet(parquet))


def test_external_endpoint_is_the_signed_host(weed: Weed, id: str, parquet: Path) -> None:
    tool("put", id, str(parquet), *weed.options())
    external = f"external_endpoint=http://localhost:{weed.port}"
    url = tool("url", id, *weed.options(), external)
    assert url.startswith(f"http://localhost:{weed.port}/polars/")
    assert status_of(url) == 200
    assert status_of(url.replace("localhost", "127.0.0.1")) == 403


def test_only_the_signed_request_is_allowed(weed: Weed, id: str, parquet: Path) -> None:
    tool("put", id, str(parquet), *weed.options())
    url = tool("url", id, *weed.options())
    assert status_of(url) == 200
    changed = [
        url[:-1] + ("0" if url[-1] != "0" else "1"),  # the signature
        url.replace(id, str(uuid.uuid4())),
        url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"),
        url.split("?")[0],
    ]
    assert [status_of(u) for u in changed] == [403] * len(changed)
    assert status_of(url, "DELETE") == 403
    assert status_of(url) == 200


def test_expired(weed: Weed, id: str, parquet: Path) -> None:
    tool("put", id, str(parquet), *weed.options())
    old = ["presign_ms=5000", "age_s=30"]
    assert status_of(tool("url", id, *weed.options(), *old)) == 403


def test_refusals_say_why_and_hide_the_signature(weed: Weed, id: str, parquet: Path) -> None:
    wrong = [o.replace(SECRET, "wrong") for o in weed.options()]
    with pytest.raises(RuntimeError) as refused:
        tool("put", id, str(parquet), *wrong)
    text = str(refused.value)
    assert text.startswith(f"DENIED: PUT http://127.0.0.1:{weed.port}/polars/{id}/part-00000.parquet: status 403: ")
    assert "SignatureDoesNotMatch" in text
    assert "X-Amz" not in text and KEY not in text


def test_a_large_and_an_empty_file(weed: Weed, id: str, tmp_path: Path) -> None:
    for size in (0, 50_000_000):
        data = os.urandom(size)
        (tmp_path / "file").write_bytes(data)
        tool("put", id, str(tmp_path / "file"), *weed.options())
        url = tool("url", id, *weed.options())
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == data


# --- servers that misbehave ---------------------------------------------------------------------


@dataclass
class Moody:
    """Answers with the given statuses, then with 200; keeps what it was sent."""

    statuses: list[int]
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    received: list[bytes] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)
    port: int = 0


@pytest.fixture
def moody() -> Iterator[Moody]:
    mood = Moody([])

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            mood.connections.add(self.client_address)
            mood.received.append(self.rfile.read(int(self.headers["content-length"])))
            status = mood.statuses.pop(0) if mood.statuses else 200
            if status == 0:  # no answer at all
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(status)
            for name, value in mood.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(mood.body)))
            self.end_headers()
            self.wfile.write(mood.body)

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        mood.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield mood
        server.shutdown()
        thread.join()


def put_to(moody: Moody, file: Path) -> None:
    tool("put-to", f"http://127.0.0.1:{moody.port}/bucket/key?X-Amz-Signature=secret", str(file))


@pytest.mark.parametrize("statuses", [[503], [500, 429, 408], [0, 503]])
def test_what_passes_is_tried_again(moody: Moody, parquet: Path, statuses: list[int]) -> None:
    moody.statuses = list(statuses)
    put_to(moody, parquet)
    assert len(moody.received) == len(statuses) + 1
    assert set(moody.received) == {parquet.read_bytes()}
    if 0 not in statuses:
        assert len(moody.connections) == 1  # kept open


def test_what_stays_is_given_up(moody: Moody, parquet: Path) -> None:
    moody.statuses, moody.body = [503] * 9, b"<html>all\nbusy " + b"x" * 5000
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=r"^UNAVAILABLE: PUT \S+/bucket/key: status 503: <html>all busy x+") as failed:
        put_to(moody, parquet)
    assert time.monotonic() - start < 10
    assert len(moody.received) == 5
    assert "secret" not in str(failed.value) and len(str(failed.value)) < 500


@pytest.mark.parametrize(("status", "name"), [(400, "IO"), (401, "DENIED"), (403, "DENIED"), (404, "NOT_FOUND")])
def test_what_is_refused_is_not_repeated(moody: Moody, parquet: Path, status: int, name: str) -> None:
    moody.statuses = [status]
    moody.body = b"<Error><Code>Why</Code><Message>because</Message><SignatureProvided>secret</SignatureProvided></Error>"
    with pytest.raises(RuntimeError) as failed:
        put_to(moody, parquet)
    assert str(failed.value) == (
        f"{name}: PUT http://127.0.0.1:{moody.port}/bucket/key: status {status}: Why: because (1 tries)"
    )
    assert len(moody.received) == 1


def test_redirects_are_not_followed(moody: Moody, parquet: Path) -> None:
    moody.statuses, moody.headers = [307], {"location": "/elsewhere"}
    with pytest.raises(RuntimeError, match="status 307; redirects are not followed, check the endpoint and the region"):
        put_to(moody, parquet)
    assert len(moody.received) == 1


def test_nobody_there(parquet: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(RuntimeError, match="^UNAVAILABLE: PUT .*5 tries"):
            tool("put-to", f"http://127.0.0.1:{port}/x", str(parquet))
