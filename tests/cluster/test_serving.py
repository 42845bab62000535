"""tests/cluster/test_serving.py: results on disks that the client does not see, by URLs on 3001.
SPDX-License-Identifier: Apache-2.0

`machines` has a scheduler and two workers with a disk each, none of which this process sees.
`served` has one folder for all, in which a test may put files that it signs itself.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest
from cluster import FORCED, ServiceCluster, files_below
from conftest import Remote, until_stopped
from polars.testing import assert_frame_equal as assert_equal
from processes import wait_until

BY_URL = 'anonymous_result_location.local.external_endpoint = "http://localhost:OBSERVATORY/"'
NAMES = ("worker-0", "worker-1", "scheduler")
NUMBERS = pl.LazyFrame({"a": range(100), "s": [f"é{i}" for i in range(100)]})


@pytest.fixture(scope="module")
def machines() -> Iterator[ServiceCluster]:
    if os.geteuid() != 0:
        pytest.skip("disks of their own need mount namespaces, and those need root")
    yield from until_stopped(ServiceCluster("machines", in_scheduler=BY_URL, machines=True, scheduler_extra=FORCED))


@pytest.fixture(scope="module")
def served() -> Iterator[ServiceCluster]:
    yield from until_stopped(ServiceCluster("served", workers=1, in_scheduler=BY_URL))


# --- HTTP --------------------------------------------------------------------------------------


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def ask(url: str, verb: str = "GET", **headers: str) -> Answer:
    """As it stands: urllib would tidy the path."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=60)
    connection.request(verb, f"{parts.path}?{parts.query}" if parts.query else parts.path, headers=headers)
    response = connection.getresponse()
    answer = Answer(response.status, response.headers, response.read())
    connection.close()
    return answer


@dataclass(frozen=True)
class Signed:
    """A part of a result, as the scheduler names and signs it."""

    cluster: ServiceCluster
    query: str
    bytes: int
    part: int = 0
    worker: str = "worker-0"
    expires: int = 4_000_000_000

    @property
    def path(self) -> Path:
        return self.cluster.results / self.query / f"part-{self.part:05}.parquet"

    @property
    def signature(self) -> str:
        key = hmac.digest(ServiceCluster.TOKEN.encode(), b"floe: URLs of results", hashlib.sha256)
        text = f"{self.query} {self.part} {self.bytes} {self.expires} {self.worker}"
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def url(self, signature: str | None = None) -> str:
        return (
            f"http://localhost:{self.cluster.ports.observatory}/results/{self.query}/part-{self.part:05}.parquet"
            f"?bytes={self.bytes}&worker={self.worker}&expires={self.expires}&signature={signature or self.signature}"
        )


@pytest.fixture
def put(served: ServiceCluster) -> Iterator[Callable[[bytes], Signed]]:
    """A file in the folder of results, with its URL."""
    made: list[Signed] = []

    def write(content: bytes) -> Signed:
        made.append(Signed(served, str(uuid.uuid4()), len(content)))
        made[-1].path.parent.mkdir()
        made[-1].path.write_bytes(content)
        return made[-1]

    yield write
    for file in made:
        shutil.rmtree(file.path.parent)


def on_disk(machines: ServiceCluster, name: str) -> list[str]:
    """Files and folders; some may be about to go."""
    return [entry for _, folders, files in os.walk(machines.disk(name)) for entry in folders + files]


# --- what users do -----------------------------------------------------------------------------


def test_a_result_of_other_machines(machines: ServiceCluster, remote_to: Callable[..., Remote]) -> None:
    remote = remote_to(machines)
    for i in range(3):
        query = NUMBERS.filter(pl.col("a") % 3 == i)
        result = remote.execute(query)
        assert all(url.startswith(f"http://localhost:{machines.ports.observatory}/results/") for url in result.location)
        assert not files_below(machines.results), "this process sees the disk"
        assert_equal(result.lazy().collect(), query.collect())
        assert result.head is not None
        assert_equal(result.head, query.head(10).collect())
        assert_equal(result.lazy().filter(pl.col("a") > 50).select("s").collect(), query.filter(pl.col("a") > 50).select("s").collect())


def test_parts_on_several_disks(
    machines: ServiceCluster, remote_to: Callable[..., Remote], folder: Path
) -> None:
    for i in range(8):
        pl.DataFrame({"k": range(i * 1000, i * 1000 + 1000)}).with_columns(s=pl.col("k").cast(pl.String)).write_parquet(folder / f"{i}.parquet")
    query = pl.scan_parquet(folder / "*.parquet").with_columns(twice=pl.col("k") * 2)
    wait_until(lambda: not any(on_disk(machines, name) for name in NAMES), "what tests before have left is deleted")
    result = remote_to(machines).execute(query)
    assert on_disk(machines, "worker-0") and on_disk(machines, "worker-1") and not on_disk(machines, "scheduler")
    assert {parse_qs(urlsplit(url).query)["worker"][0] for url in result.location} == {"worker-0", "worker-1"}
    assert_equal(result.lazy().collect(), query.collect())
    assert_equal(result.lazy().tail(5).collect(), query.tail(5).collect())
    urls = list(result.location)
    assert ask(urls[0]).status == 200
    result.delete()
    wait_until(lambda: not any(on_disk(machines, name) for name in NAMES), "the files are deleted")
    assert {ask(url).status for url in urls} == {404}


def test_a_worker_that_is_gone(machines: ServiceCluster, remote_to: Callable[..., Remote]) -> None:
    remote = remote_to(machines)
    result = remote.execute(NUMBERS)
    url = result.location[0]
    name = parse_qs(urlsplit(url).query)["worker"][0]
    machines.stop_program(name)
    assert ask(url).status == 503
    machines.start_worker(int(name[-1]))
    wait_until(lambda: ask(url).status == 200, "the worker has joined again, its disk is as it was")
    assert_equal(result.lazy().collect(), NUMBERS.collect())


def test_cancelled_queries_leave_nothing(machines: ServiceCluster, remote_to: Callable[..., Remote]) -> None:
    remote = remote_to(machines)
    for pause in (0.0, 0.05, 0.2, 0.5):
        query = remote.submit(pl.LazyFrame({"x": range(200_000)}).with_columns(y=pl.col("x").sort(descending=True)))
        time.sleep(pause)
        query.cancel()
        query.await_result()
        query.delete_result()
    wait_until(lambda: not any(on_disk(machines, name) for name in NAMES), "no files are left")


def test_paths_for_clients_that_mount_the_folder(
    services: Callable[..., ServiceCluster], remote_to: Callable[..., Remote]
) -> None:
    mounted = f"{BY_URL}\nanonymous_result_location.local.mounted_by_clients = true"
    cluster = services(workers=1, in_scheduler=mounted)
    (path,) = remote_to(cluster).execute(NUMBERS).location
    assert Path(path).is_file()


def test_a_client_here_of_what_lies_elsewhere(
    services: Callable[..., ServiceCluster], remote_to: Callable[..., Remote]
) -> None:
    """Without any setting: who comes by loopback is given a path only if there is a file."""
    if os.geteuid() != 0:
        pytest.skip("disks of their own need mount namespaces, and those need root")
    cluster = services(workers=1, machines=True)
    result = remote_to(cluster).execute(NUMBERS)
    assert result.location[0].startswith(f"http://localhost:{cluster.ports.observatory}/results/")
    assert_equal(result.lazy().collect(), NUMBERS.collect())


def test_a_url_outlives_the_scheduler(served: ServiceCluster, remote_to: Callable[..., Remote]) -> None:
    result = remote_to(served).execute(NUMBERS)
    (url,) = result.location
    served.stop_program("scheduler")
    served.start_scheduler()
    assert_equal(pl.scan_parquet(url).collect(), NUMBERS.collect())
    shutil.rmtree(served.results / urlsplit(url).path.split("/")[2])  # nobody else remembers it


# --- what clients read -------------------------------------------------------------------------

FORMATS = {
    "parquet": (pl.DataFrame.write_parquet, pl.scan_parquet),
    "csv": (pl.DataFrame.write_csv, pl.scan_csv),
    "ipc": (pl.DataFrame.write_ipc, pl.scan_ipc),
    "ndjson": (pl.DataFrame.write_ndjson, pl.scan_ndjson),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_by_its_own_reader(name: str, put: Callable[[bytes], Signed], folder: Path) -> None:
    write, scan = FORMATS[name]
    frame = pl.DataFrame({"i": range(300_000), "s": [f"ü{i % 1000}" for i in range(300_000)]})
    write(frame, folder / "file")
    url = put((folder / "file").read_bytes()).url()
    assert_equal(scan(url).collect(), frame)
    assert_equal(scan(url).select("s").tail(3).collect(), frame.select("s").tail(3))
    assert_equal(scan([url, url]).collect(), pl.concat([frame, frame]))


def test_ranges(put: Callable[[bytes], Signed]) -> None:
    content = os.urandom(1_000_003)
    url = put(content).url()
    whole = ask(url)
    assert (whole.status, whole.body) == (200, content)
    for text, part in {
        "bytes=0-0": content[:1],
        "bytes=5-999999": content[5:1_000_000],
        "bytes=1000002-": content[-1:],
        "bytes=-262144": content[-262144:],
        "bytes=-9999999": content,
    }.items():
        answer = ask(url, Range=text)
        assert (answer.status, answer.body) == (206, part)
        assert answer.headers["Content-Range"].endswith("/1000003")
        assert answer.headers["ETag"] == whole.headers["ETag"]
    assert ask(url, Range="bytes=1000003-").status == 416
    head = ask(url, "HEAD")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "1000003", b"")


def test_a_file_of_several_gigabytes(put: Callable[[bytes], Signed]) -> None:
    small = put(b"")
    size = 5 << 30
    with open(small.path, "r+b") as file:
        file.truncate(size)  # takes no room on the disk
        file.seek(size - 4)
        file.write(b"PAR1")
    url = replace(small, bytes=size).url()
    assert ask(url, "HEAD").headers["Content-Length"] == str(size)
    assert ask(url, Range="bytes=-4").body == b"PAR1"
    assert ask(url, Range=f"bytes={(4 << 30) + 1}-{(4 << 30) + 10}").body == bytes(10)
    assert ask(url, Range=f"bytes={size - 4}-{size + 99}").body == b"PAR1"


def test_many_readers_at_once(put: Callable[[bytes], Signed]) -> None:
    content = os.urandom(3_000_000)
    url = put(content).url()
    with ThreadPoolExecutor(40) as pool:
        assert all(answer.body == content for answer in pool.map(lambda _: ask(url), range(120)))


# --- what nobody may read ----------------------------------------------------------------------


def test_signatures(put: Callable[[bytes], Signed], served: ServiceCluster) -> None:
    file = put(b"rows")
    good = file.url()
    assert ask(good).status == 200
    now = int(time.time())
    assert ask(replace(file, expires=now + 60).url()).status == 200
    expired = ask(replace(file, expires=now - 2).url())
    assert expired.status == 403 and b"expired" in expired.body
    wrong = {
        "none": good.split("&signature=")[0],
        "empty": f"{good.split('&signature=')[0]}&signature=",
        "other": file.url("0" * 64),
        "longer": good + "00",
        "shorter": good[:-1],
        "later": replace(file, expires=file.expires + 1).url(file.signature),
        "another part": replace(file, part=1).url(file.signature),
        "another worker": replace(file, worker="worker-1").url(file.signature),
        "other bytes": replace(file, bytes=3).url(file.signature),
        "zeros before": good.replace("bytes=4", "bytes=04"),
        "a sign before": good.replace("bytes=4", "bytes=%2B4"),
        "another query": replace(file, query=str(uuid.uuid4())).url(file.signature),
    }
    assert {name: ask(url).status for name, url in wrong.items()} == dict.fromkeys(wrong, 403)
    assert ask(replace(file, bytes=3).url()).status == 404  # signed, but not this file
    (file.path.parent / "part-00001.parquet").symlink_to("/etc/passwd")
    size = os.stat("/etc/passwd").st_size
    assert ask(replace(file, part=1, bytes=size).url()).status == 404  # signed, but a link


@pytest.mark.parametrize(
    "path",
    [
        "/results/",
        "/results/..",
        "/results/../../etc/passwd",
        "/results/%2e%2e/%2e%2e/etc/passwd",
        "/results//etc/passwd",
        "/results/QUERY",
        "/results/QUERY/",
        "/results/QUERY/../QUERY/part-00000.parquet",
        "/results/QUERY/part-00000.parquet/",
        "/results/QUERY/part-00000.parquet%00",
        "/results/QUERY/part-0.parquet",
        "/results/QUERY/part-000000.parquet",
        "/results/QUERY/part-+0000.parquet",
        "/results/QUERY/.attempt-00000.parquet",
        "/results/QUERY/part-99999999999999999999.parquet",
        "/results/" + "a" * 20000,
    ],
)
def test_tricks_with_paths(path: str, put: Callable[[bytes], Signed]) -> None:
    file = put(b"rows")
    query = file.url().split("?")[1]
    port = file.cluster.ports.observatory
    status = ask(f"http://localhost:{port}{path.replace('QUERY', file.query)}?{query}").status
    # %00 ends the library's string: then the path is right, and so is the signature
    assert status in (400, 403, 404, 414, 431) or (path.endswith("%00") and status == 200)
    assert ask(file.url()).status == 200


def test_other_verbs(put: Callable[[bytes], Signed]) -> None:
    file = put(b"rows")
    for verb in ("PUT", "DELETE", "POST"):
        assert ask(file.url(), verb).status == 405
    assert file.path.read_bytes() == b"rows"
