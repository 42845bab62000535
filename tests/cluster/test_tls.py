"""tests/cluster/test_tls.py: TLS on the client port, on the observatory, and inside the cluster.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import polars_cloud as pc
import pytest
from cluster import FLOE, FORCED, Ports, ServiceCluster
from conftest import Remote
from polars.testing import assert_frame_equal
from processes import wait_until

ALONE = pl.LazyFrame({"a": [41]}).select(pl.col("a") + 1)


CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
RSA = ["-newkey", "rsa:2048", "-nodes"]


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def certify(folder: Path, name: str, kind: list[str], names: str = "names") -> None:
    """A new key, and its certificate, which bears the names in a file."""
    openssl(folder, "req", *kind, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", names]
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signing)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority, and a server's key signed by it."""
    folder = tmp_path_factory.mktemp("tls")
    openssl(folder, "req", "-x509", *CURVE, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=tests")
    (folder / "names").write_text("subjectAltName=DNS:localhost,DNS:floe.example,IP:127.0.0.1\n")
    certify(folder, "server", CURVE)
    (folder / "peers").write_text("subjectAltName=DNS:peers.floe.example\n")
    certify(folder, "peer", CURVE, "peers")
    openssl(folder, "req", "-x509", *CURVE, "-keyout", "other.key", "-out", "other.pem", "-days", "2", "-subj", "/CN=others")
    return folder


@pytest.fixture(scope="module")
def tls_cluster(keys: Path) -> Iterator[ServiceCluster]:
    extra = "[scheduler.client_service.connection.tls]\n" + "".join(
        f'{key} = "{keys}/{file}"\n'
        for key, file in (("certificate_key_file", "server.pem"), ("private_key_file", "server.key"))
    )
    extra += extra.replace("scheduler.client_service", "observatory.rest_api.service")
    cluster = ServiceCluster("tls", workers=1, scheduler_extra=extra)
    yield cluster
    wrong = cluster.stop()
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


def connect(cluster: ServiceCluster, host: str = "localhost", name: str | None = None, **tls: Any) -> pc.ClusterContext:
    options = pc.TLSOptions(**tls)
    return pc.ClusterContext(
        uri=f"https://{host}:{cluster.ports.client}",
        domain_name=name,
        tls_options=options,
        observatory=pc.ClientOptions(
            uri=f"https://{host}:{cluster.ports.observatory}", domain_name=name, tls_options=options
        ),
    )


def ask(cluster: ServiceCluster, *address: str, **tls: Any) -> int:
    return ask_through(connect(cluster, *address, **tls))


def ask_through(context: pc.ClusterContext) -> int:
    result = ALONE.remote(context).execute()
    answer = result.lazy().collect().item()
    details = context._direct_client.get_query_details(result._query._query_id)  # type: ignore[union-attr]
    assert pc.QueryDetail._from_inner(details).status == "Success"
    result.delete()
    return int(answer)


def test_own_authority(tls_cluster: ServiceCluster, keys: Path) -> None:
    assert ask(tls_cluster, ca_cert=(keys / "ca.pem").read_bytes()) == 42


def test_insecure(tls_cluster: ServiceCluster) -> None:
    assert ask(tls_cluster, insecure=True) == 42


def test_other_domain_name(tls_cluster: ServiceCluster, keys: Path) -> None:
    assert ask(tls_cluster, "127.0.0.1", "floe.example", ca_cert=(keys / "ca.pem").read_bytes()) == 42


def test_speaks_modern_tls_and_h2(tls_cluster: ServiceCluster, keys: Path) -> None:
    context = ssl.create_default_context(cafile=str(keys / "ca.pem"))
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("localhost", tls_cluster.ports.client)) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            assert secure.version() == "TLSv1.3"
            assert secure.selected_alpn_protocol() == "h2"


@pytest.mark.parametrize("data", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff", b""])
def test_plaintext_is_refused(data: bytes, tls_cluster: ServiceCluster, keys: Path) -> None:
    with socket.create_connection(("localhost", tls_cluster.ports.client)) as plain:
        plain.settimeout(5)
        plain.sendall(data)
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(1000):
            pass
    assert ask(tls_cluster, ca_cert=(keys / "ca.pem").read_bytes()) == 42


def test_old_tls_is_refused(tls_cluster: ServiceCluster) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    except ValueError:
        pytest.skip("this Python cannot speak old TLS")
    with socket.create_connection(("localhost", tls_cluster.ports.client)) as plain:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(plain)


def shown(port: int) -> bytes:
    """The certificate that a new connection gets."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("localhost", port)) as plain, context.wrap_socket(plain) as secure:
        return secure.getpeercert(binary_form=True) or b""


def certificate(file: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(file.read_text())


def test_certificates_follow_their_files(tls_cluster: ServiceCluster, keys: Path) -> None:
    """Connections stay; new ones get the new certificate, of another kind too; a wrong one changes nothing."""
    ports = (tls_cluster.ports.client, tls_cluster.ports.observatory)
    authority = (keys / "ca.pem").read_bytes()
    before = connect(tls_cluster, ca_cert=authority)
    assert ask_through(before) == 42
    for number, kind in enumerate((RSA, CURVE)):
        certify(keys, f"next{number}", kind)
        (keys / f"next{number}.pem").replace(keys / "server.pem")
        old = [shown(port) for port in ports]
        assert certificate(keys / "server.pem") not in old  # it does not fit the key yet
        (keys / f"next{number}.key").replace(keys / "server.key")
        assert [shown(port) for port in ports] == [certificate(keys / "server.pem")] * 2
        assert ask(tls_cluster, ca_cert=authority) == 42
        assert ask_through(before) == 42
    right = certificate(keys / "server.pem")
    (keys / "server.pem").write_text("nonsense")
    assert [shown(port) for port in ports] == [right, right]
    (keys / "server.pem").unlink()
    assert [shown(port) for port in ports] == [right, right]
    assert ask_through(before) == 42
    log = tls_cluster.log_file("scheduler").read_text()
    assert "the certificate read before stays in use" in log
    assert log.count("certificate read again") == 4


def test_missing_key_is_named(folder: Path) -> None:
    ports = Ports.reserve()
    config = folder / "scheduler.toml"
    config.write_text(
        f"""
        scheduler.enabled = true
        scheduler.client_service.bind_addr = "127.0.0.1:{ports.client}"
        scheduler.worker_service.bind_addr = "127.0.0.1:{ports.membership}"
        [scheduler.client_service.connection.tls]
        certificate_key_file = "/nonexistent.pem"
        private_key_file = "/nonexistent.key"
        """
    )
    command = [str(FLOE), "service", "--config-path", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    ports.release()
    assert done.returncode != 0
    assert "/nonexistent" in done.stdout + done.stderr


# ---- inside the cluster ----


def inside(keys: Path, certificate: str = "peer", **others: str) -> str:
    files = {"certificate_key_file": f"{certificate}.pem", "private_key_file": f"{certificate}.key", "ca_file": "ca.pem"}
    settings = {key: str(keys / file) for key, file in files.items()} | {"server_name": "peers.floe.example"} | others
    return "[cluster.tls]\n" + "".join(f'{key} = "{value}"\n' for key, value in settings.items())


@pytest.fixture
def peers(keys: Path, services: Callable[..., ServiceCluster]) -> ServiceCluster:
    """Two workers that do not see each other's files."""
    cluster = services(workers=2, scheduler_extra=FORCED + inside(keys), worker_extra=inside(keys))
    markers = list(cluster.folder.glob("shuffle-*/**/.floe-*"))
    assert len(markers) == 2
    for marker in markers:
        marker.unlink()
    return cluster


def test_the_cluster_inside(peers: ServiceCluster, remote_to: Callable[[ServiceCluster], Remote], keys: Path, folder: Path) -> None:
    """Workers join, tasks run, rows are exchanged and streamed; nothing of it in the clear."""
    for number in range(4):
        pl.DataFrame({"k": range(1000), "v": [number] * 1000}).write_parquet(folder / f"{number}.parquet")
    query = pl.scan_parquet(folder / "*.parquet").group_by(pl.col("k") % 17).agg(pl.col("v").sum()).sort("k")
    remote = remote_to(peers)
    assert_frame_equal(remote.collect(query), query.collect())
    assert_frame_equal(remote.prepare(query).collect(), query.collect())
    ports = peers.ports
    for port in (ports.membership, ports.task(0), ports.task(1), ports.shuffle(0), ports.shuffle(1), ports.base + 49):
        assert shown(port) == certificate(keys / "peer.pem")
        assert b"200 OK" not in told(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


def told(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.settimeout(30)
        plain.sendall(data)
        try:
            return plain.recv(1000)
        except ConnectionError:
            return b""


STRANGERS = {"another name": {"server_name": "others.floe.example"}, "another authority": {"ca_file": "other.pem"}}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_who_is_not_of_the_cluster(stranger: str, keys: Path, services: Callable[..., ServiceCluster]) -> None:
    others = {key: str(keys / value) if key == "ca_file" else value for key, value in STRANGERS[stranger].items()}
    cluster = services(workers=1, scheduler_extra=inside(keys), worker_extra=inside(keys, **others))
    log = cluster.log_file("worker-0")
    wait_until(lambda: "the peer's certificate was refused" in log.read_text(), "the worker says why it cannot join", 30)
