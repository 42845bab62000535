"""tests/cluster/issuer.py: somebody who issues signed tokens, and serves the keys to check them.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

ISSUER, AUDIENCE = "https://issuer.example/realm", "floe"


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments: str | Path) -> bytes:
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True).stdout


KINDS = {
    "RSA": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "P-256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "P-384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "Ed25519": ["-algorithm", "ED25519"],
}
SIZES = {"P-256": 32, "P-384": 48}


@dataclass
class Key:
    """A private key in a file, and what of it is public."""

    kid: str
    kind: str
    path: Path

    @classmethod
    def make(cls, folder: Path, kid: str, kind: str) -> Key:
        path = folder / f"{kid}.pem"
        openssl("genpkey", *KINDS[kind], "-out", path)
        return cls(kid, kind, path)

    def public(self) -> bytes:
        return openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")

    def jwk(self) -> dict[str, str]:
        head = {"kid": self.kid, "use": "sig"}
        if self.kind == "RSA":
            modulus = openssl("rsa", "-in", self.path, "-noout", "-modulus").decode().strip().partition("=")[2]
            return head | {"kty": "RSA", "n": base64url(bytes.fromhex(modulus)), "e": "AQAB"}
        if self.kind == "Ed25519":
            return head | {"kty": "OKP", "crv": "Ed25519", "x": base64url(self.public()[-32:])}
        size = SIZES[self.kind]
        x, y = self.public()[-2 * size : -size], self.public()[-size:]
        return head | {"kty": "EC", "crv": self.kind, "x": base64url(x), "y": base64url(y)}

    def sign(self, alg: str, text: bytes) -> bytes:
        file = self.path.with_suffix(".text")
        file.write_bytes(text)
        if alg == "EdDSA":
            return openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", file)
        pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1"] if alg.startswith("PS") else []
        signature = openssl("dgst", f"-sha{alg[2:]}", *pss, "-sign", self.path, file)
        return _numbers(signature, SIZES[self.kind]) if alg.startswith("ES") else signature

    def token(self, alg: str, header: dict[str, object] | None = None, **claims: object) -> str:
        head = {"alg": alg, "kid": self.kid, "typ": "JWT"} | (header or {})
        text = signed_part({k: v for k, v in head.items() if v is not None}, claims)
        return f"{text}.{base64url(self.sign(alg, text.encode()))}"


def signed_part(header: dict[str, object], claims: dict[str, object]) -> str:
    """Right claims of alice, with others put over them; None: left out."""
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": int(time.time()) + 600}
    claims = {k: v for k, v in (usual | claims).items() if v is not None}
    return ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))


def unsigned(**claims: object) -> str:
    return signed_part({"alg": "none"}, claims) + "."


def signed_with_secret(secret: bytes, kid: str) -> str:
    text = signed_part({"alg": "HS256", "kid": kid}, {})
    return f"{text}.{base64url(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def _numbers(der: bytes, size: int) -> bytes:
    """SEQUENCE {INTEGER r, INTEGER s} → both side by side."""
    out, at = b"", 2 if der[1] < 128 else 3
    for _ in range(2):
        length = der[at + 1]
        out += der[at + 2 : at + 2 + length].lstrip(b"\0").rjust(size, b"\0")
        at += 2 + length
    return out


@dataclass
class Issuer:
    """An HTTP server that answers every GET with its key set, or with other bytes."""

    port: int
    body: bytes = b"not yet"
    asked: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/keys"

    def publish(self, *keys: Key) -> None:
        self.body = json.dumps({"keys": [k.jwk() for k in keys]}).encode()


@contextmanager
def serving() -> Iterator[Issuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            self.send_response(200)
            self.end_headers()
            self.wfile.write(issuer.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = Issuer(server.server_address[1])
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield issuer
    server.shutdown()
    thread.join()
    server.server_close()
