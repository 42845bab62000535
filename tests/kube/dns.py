"""tests/kube/dns.py ADDRESS TOKEN: names of Services, asked of the API server at each query.
SPDX-License-Identifier: Apache-2.0

Knows <service>.<namespace>.svc.cluster.local and nothing else, which is what the chart needs.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import sys
import urllib.request

NO_SUCH_NAME, NO_ERROR = 0x8583, 0x8580
A = 1


def name_of(query: bytes) -> tuple[list[str], int]:
    """The labels, and where they end."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += query[at] + 1
    return labels, at + 1


def address_of(labels: list[str], token: str) -> str | None:
    if len(labels) != 5 or labels[2:] != ["svc", "cluster", "local"]:
        return None
    url = f"https://127.0.0.1:6443/api/v1/namespaces/{labels[1]}/services/{labels[0]}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    context = ssl._create_unverified_context()
    try:
        with urllib.request.urlopen(request, context=context, timeout=2) as answer:
            return str(json.load(answer)["spec"]["clusterIP"])
    except OSError:
        return None


def answer(query: bytes, token: str) -> bytes:
    labels, end = name_of(query)
    address = address_of(labels, token)
    (kind,) = struct.unpack_from(">H", query, end)
    found = address is not None and kind == A
    record = b"\xc0\x0c" + struct.pack(">HHIH", A, 1, 5, 4) + socket.inet_aton(address) if found and address else b""
    flags = NO_ERROR if address else NO_SUCH_NAME
    return query[:2] + struct.pack(">HHHHH", flags, 1, 1 if record else 0, 0, 0) + query[12 : end + 4] + record


def main() -> None:
    host, token = sys.argv[1:]
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((host, 53))
    while True:
        query, client = server.recvfrom(4096)
        if len(query) > 16:
            server.sendto(answer(query, token), client)


if __name__ == "__main__":
    main()
