"""tests/cluster/test_identity.py: tokens of users, and whose queries they may touch.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import issuer as issuing
import polars as pl
import polars_cloud as pc
import pytest
from cluster import ServiceCluster
from issuer import Issuer, Key, serving, signed_with_secret, unsigned
from processes import wait_until
from wire import CLIENT, block, caller, plan_of, query_ref, read_fields, submit_request

ALONE = pl.LazyFrame({"a": [41]}).select(pl.col("a") + 1)
STATIC = {"alice": "alice's-token-0123456789", "bob": "bob's-token-0123456789", "root": "root's-token-0123456789"}
HASHED = "a-token-that-stands-nowhere-0123456789"
FLIGHT = "/arrow.flight.protocol.FlightService/"


@dataclass
class Guarded:
    cluster: ServiceCluster
    issuer: Issuer
    keys: dict[str, Key]
    tokens: Path

    def context(self, token: str | None, **headers: str) -> pc.ClusterContext:
        return self.cluster.context(headers | ({"authorization": f"Bearer {token}"} if token else {}))

    def call(self, method: str, request: bytes, token: str | None) -> bytes:
        with caller(self.cluster.ports.client) as call:
            return call(method, request, {"authorization": f"Bearer {token}"} if token else {})

    def refusal(self, method: str, request: bytes, token: str | None) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.RpcError) as caught:
            self.call(method, request, token)
        return caught.value.code(), caught.value.details()

    def get(self, path: str, authorization: str | None) -> Any:
        url = f"http://127.0.0.1:{self.cluster.ports.observatory}{path}"
        request = urllib.request.Request(url, headers={"Authorization": authorization} if authorization else {})
        with urllib.request.urlopen(request) as answer:
            return answer.read()


def write_tokens(path: Path, users: dict[str, str]) -> None:
    hashed = hashlib.sha256(HASHED.encode()).hexdigest()
    lines = [f"{user} {token}" for user, token in users.items()]
    new = path.with_suffix(".new")
    new.write_text("\n".join(["# users", "", *lines, f"carol sha256:{hashed}"]) + "\n")
    new.replace(path)


def settings(url: str, tokens: Path | None) -> str:
    return f"""
        [scheduler.client_service.auth]
        admins = "nobody, root"
        {f'token_file = "{tokens}"' if tokens else ""}
        [scheduler.client_service.auth.jwks]
        url = "{url}"
        issuers = "https://other.example, {issuing.ISSUER}"
        audience = "{issuing.AUDIENCE}"
        """


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Key]:
    folder = tmp_path_factory.mktemp("keys")
    kinds = {"rsa": "RSA", "p256": "P-256", "p384": "P-384", "ed": "Ed25519", "stranger": "RSA", "next": "P-256"}
    return {kid: Key.make(folder, kid, kind) for kid, kind in kinds.items()}


@pytest.fixture(scope="module")
def guarded(keys: dict[str, Key], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with serving() as issuer:
        issuer.publish(*(keys[kid] for kid in ("rsa", "p256", "p384", "ed")))
        tokens = tmp_path_factory.mktemp("tokens") / "tokens"
        write_tokens(tokens, STATIC)
        cluster = ServiceCluster("identity", workers=1, scheduler_extra=settings(issuer.url, tokens))
        wait_until(lambda: issuer.asked, "the keys are fetched", 20)
        yield Guarded(cluster, issuer, keys, tokens)
        wrong = cluster.stop()
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


ACCEPTED: dict[str, Callable[[dict[str, Key]], str]] = {
    "static": lambda _: STATIC["alice"],
    "hashed": lambda _: HASHED,
    **{
        f"{alg}": lambda keys, alg=alg, kid=kid: keys[kid].token(alg)  # type: ignore[misc]
        for alg, kid in {
            "RS256": "rsa", "RS384": "rsa", "RS512": "rsa", "PS256": "rsa", "PS512": "rsa",
            "ES256": "p256", "ES384": "p384", "EdDSA": "ed",
        }.items()
    },  # fmt: skip
    "several audiences": lambda keys: keys["ed"].token("EdDSA", aud=["x", issuing.AUDIENCE]),
    "expired a moment ago": lambda keys: keys["ed"].token("EdDSA", exp=int(time.time()) - 20),
    "valid in a moment": lambda keys: keys["ed"].token("EdDSA", nbf=int(time.time()) + 20),
    "no kid, one key that fits": lambda keys: keys["ed"].token("EdDSA", {"kid": None}),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_token_is_accepted(name: str, guarded: Guarded) -> None:
    result = ALONE.remote(guarded.context(ACCEPTED[name](guarded.keys))).execute()
    assert result.lazy().collect().item() == 42
    users = {q["id"]: q["user"]["name"] for q in json.loads(guarded.get("/api/v1/queries", bearer("root")))["queries"]}
    assert users[id_of(result)] == ("carol" if name == "hashed" else "alice")
    result.delete()


def id_of(result: pc.QueryResult) -> str:
    assert result._query
    return str(result._query._query_id)


def bearer(user: str) -> str:
    return f"Bearer {STATIC[user]}"


def spoiled(token: str) -> str:
    return token[:-5] + ("AAAAA" if token[-5:] != "AAAAA" else "BBBBB")


def with_claims_of(token: str, other: str) -> str:
    (head, _, signature), (_, claims, _) = token.split("."), other.split(".")
    return ".".join((head, claims, signature))


REFUSED: dict[str, tuple[Callable[[dict[str, Key]], str | None], str]] = {
    "none": (lambda _: None, "authorization: Bearer"),
    "empty": (lambda _: "", "authorization: Bearer"),
    "nobody's": (lambda _: "x" * 32, "no"),
    "a part": (lambda _: STATIC["alice"][:-1], "no"),
    "garbage": (lambda _: "a.b.c", "no token"),
    "many points": (lambda _: "." * 100, "no token"),
    "huge": (lambda _: "a" * 9000 + "." + "b" * 9000 + ".c", "longer"),
    "expired": (lambda k: k["rsa"].token("RS256", exp=int(time.time()) - 100), "expired"),
    "never expires": (lambda k: k["rsa"].token("RS256", exp=None), "exp"),
    "not yet": (lambda k: k["rsa"].token("RS256", nbf=int(time.time()) + 600), "not valid yet"),
    "other audience": (lambda k: k["rsa"].token("RS256", aud="other"), "audience"),
    "no audience": (lambda k: k["rsa"].token("RS256", aud=None), "audience"),
    "other issuer": (lambda k: k["rsa"].token("RS256", iss="https://evil.example"), "issuer"),
    "issuer in part": (lambda k: k["rsa"].token("RS256", iss="https://issuer.example"), "issuer"),
    "no issuer": (lambda k: k["rsa"].token("RS256", iss=None), "issuer"),
    "no user": (lambda k: k["rsa"].token("RS256", sub=None), "sub"),
    "odd user": (lambda k: k["rsa"].token("RS256", sub="a\nb"), "sub"),
    "unknown kid": (lambda k: k["stranger"].token("RS256"), "not among those"),
    "stranger's key under a known kid": (lambda k: k["stranger"].token("RS256", {"kid": "rsa"}), "signature"),
    "another key's kind": (lambda k: k["rsa"].token("RS256", {"kid": "p256"}), "not among those"),
    "spoiled signature": (lambda k: spoiled(k["rsa"].token("RS256")), "signature"),
    "changed claims": (lambda k: with_claims_of(k["rsa"].token("RS256"), unsigned(sub="root")), "signature"),
    "alg none": (lambda _: unsigned(), "not signed in a way"),
    "HS256 with the public key": (lambda k: signed_with_secret(k["rsa"].public(), "rsa"), "not signed in a way"),
    "critical extension": (lambda k: k["rsa"].token("RS256", {"crit": ["b64"], "b64": False}), "critical"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_token_is_refused(name: str, guarded: Guarded) -> None:
    make, why = REFUSED[name]
    token = make(guarded.keys)
    code, text = guarded.refusal(CLIENT + "GetQueryStatus", query_ref(str(uuid.uuid4())), token)
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert why in text
    if token:
        assert token not in text
        assert not [log for log in guarded.cluster.logs() if token in Path(log).read_text(errors="replace")]


@pytest.mark.parametrize("method", [
    *(CLIENT + m for m in ("SubmitQuery", "GetQueryResult", "GetQueryStatus", "GetQueryPlans", "CancelQuery",
                           "DeleteQueryResult", "GetComputeVersions")),
    FLIGHT + "PollFlightInfo", FLIGHT + "DoGet",
])  # fmt: skip
def test_every_method_wants_a_token(method: str, guarded: Guarded) -> None:
    assert guarded.refusal(method, b"", None)[0] is grpc.StatusCode.UNAUTHENTICATED


def test_health_is_open(guarded: Guarded) -> None:
    with caller(guarded.cluster.ports.client) as call:
        assert call.health() == 1


def test_the_client_says_why(guarded: Guarded) -> None:
    with pytest.raises(RuntimeError, match="extra_headers"):
        ALONE.remote(guarded.context(None)).execute()


def test_streaming_with_a_token(guarded: Guarded) -> None:
    assert ALONE.remote(guarded.context(STATIC["bob"])).collect().item() == 42


def test_name_and_token_must_agree(guarded: Guarded) -> None:
    with pytest.raises(RuntimeError, match="alice's, and x-polars-user"):
        ALONE.remote(guarded.context(STATIC["alice"], **{"x-polars-user": "bob"})).execute()
    result = ALONE.remote(guarded.context(STATIC["alice"], **{"x-polars-user": "alice"})).execute()
    result.delete()


def flight_descriptor(query_id: str) -> bytes:
    return b"\x08\x01" + block(3, query_id)


def test_queries_are_their_users(guarded: Guarded) -> None:
    submitted = ALONE.remote(guarded.context(STATIC["alice"])).execute(blocking=False)
    query_id = str(submitted._query_id)
    submitted.await_result()
    streamed = list(ALONE.remote(guarded.context(STATIC["alice"])).collect_batches())
    assert streamed[0].item() == 42
    for method in ("GetQueryResult", "GetQueryStatus", "GetQueryPlans", "CancelQuery", "DeleteQueryResult"):
        code, text = guarded.refusal(CLIENT + method, query_ref(query_id), STATIC["bob"])
        assert (code, "another user's" in text) == (grpc.StatusCode.PERMISSION_DENIED, True), method
    for user in ("root", "alice"):
        assert guarded.call(CLIENT + "GetQueryStatus", query_ref(query_id), STATIC[user])
    guarded.call(CLIENT + "DeleteQueryResult", query_ref(query_id), STATIC["root"])
    assert not list(guarded.cluster.results.rglob("*.parquet"))


def test_streamed_rows_are_their_users(guarded: Guarded) -> None:
    with caller(guarded.cluster.ports.client) as call:
        plan = plan_of(ALONE).replace(b"\xab<in-memory>", b"\xa8<flight>")
        headers = {"x-polars-version": pl.__version__, "authorization": bearer("alice")}
        answer = call(CLIENT + "SubmitQuery", submit_request(plan), headers)
    query_id = dict(read_fields(dict(read_fields(answer))[1]))[1].decode()  # type: ignore[arg-type, union-attr]
    for method, request in (
        ("PollFlightInfo", flight_descriptor(query_id)),
        ("DoGet", block(1, f"{query_id}/0")),
    ):
        code, _ = guarded.refusal(FLIGHT + method, request, STATIC["bob"])
        assert code is grpc.StatusCode.PERMISSION_DENIED, method
    assert guarded.call(FLIGHT + "PollFlightInfo", flight_descriptor(query_id), STATIC["alice"])
    guarded.call(CLIENT + "DeleteQueryResult", query_ref(query_id), STATIC["alice"])


# --- the observatory -----------------------------------------------------------------------------


def basic(user: str, token: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


@pytest.mark.parametrize("path", ["/", "/app.js", "/api/v1/cluster", "/api/v1/queries", "/nothing"])
def test_observatory_asks_for_a_password(path: str, guarded: Guarded) -> None:
    for authorization in (None, "Bearer wrong-token-0123456789", basic("alice", "wrong"), "Basic !", "Basic YWxpY2U="):
        with pytest.raises(urllib.error.HTTPError) as caught:
            guarded.get(path, authorization)
        assert caught.value.code == 401
        assert caught.value.headers["WWW-Authenticate"].startswith("Basic ")
    if path != "/nothing":
        assert guarded.get(path, basic("whoever", STATIC["alice"]))
        assert guarded.get(path, bearer("bob"))


def test_observatory_shows_users_their_own(guarded: Guarded) -> None:
    result = ALONE.remote(guarded.context(STATIC["alice"])).execute()
    query_id = id_of(result)

    def seen(user: str) -> set[str]:
        return {q["id"] for q in json.loads(guarded.get("/api/v1/queries", bearer(user)))["queries"]}

    assert query_id in seen("alice") & seen("root")
    assert query_id not in seen("bob")
    for path in (f"/api/v1/query/{query_id}", f"/api/v1/query/{query_id}/stages"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            guarded.get(path, bearer("bob"))
        assert caught.value.code == 404
    assert json.loads(guarded.get(f"/api/v1/query/{query_id}", bearer("root")))["user"]["name"] == "alice"
    result.delete()


# --- what changes --------------------------------------------------------------------------------


def is_accepted(guarded: Guarded, token: str) -> bool:
    try:
        guarded.call(CLIENT + "GetComputeVersions", b"", token)
    except grpc.RpcError as error:
        assert error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE)
        return False
    return True


def test_token_file_is_read_again(guarded: Guarded) -> None:
    dave = "dave's-token-0123456789"
    assert not is_accepted(guarded, dave)
    write_tokens(guarded.tokens, STATIC | {"dave": dave})
    assert is_accepted(guarded, dave)
    guarded.tokens.write_text("dave short\n")  # a mistake changes nothing …
    assert is_accepted(guarded, dave)
    log = guarded.cluster.log_file("scheduler").read_text()
    assert "line 1: expected a token of at least" in log  # … and is told
    write_tokens(guarded.tokens, STATIC)
    assert not is_accepted(guarded, dave)
    assert is_accepted(guarded, STATIC["alice"])


def test_new_keys_are_fetched_at_a_bounded_rate(guarded: Guarded) -> None:
    token = guarded.keys["next"].token("ES256")
    assert not is_accepted(guarded, token)
    guarded.issuer.publish(guarded.keys["ed"], guarded.keys["next"])
    asked, start = guarded.issuer.asked, time.monotonic()

    def accepted() -> bool:
        return any([is_accepted(guarded, token) for _ in range(20)])

    wait_until(accepted, "the new key is known", 40)
    assert guarded.issuer.asked - asked <= 2 + (time.monotonic() - start) / 10
    assert not is_accepted(guarded, guarded.keys["rsa"].token("RS256"))  # it was taken back


def test_keys_that_come_late(keys: dict[str, Key], services: Callable[..., ServiceCluster]) -> None:
    """The issuer answers nonsense at first; static tokens count meanwhile."""
    with serving() as issuer:
        cluster = services(workers=0, scheduler_extra=settings(issuer.url, None))
        guarded = Guarded(cluster, issuer, keys, Path())
        wait_until(lambda: issuer.asked, "the issuer was asked", 20)
        code, text = guarded.refusal(CLIENT + "GetComputeVersions", b"", keys["ed"].token("EdDSA"))
        assert code is grpc.StatusCode.UNAVAILABLE
        assert "could not be fetched" in text
        issuer.publish(keys["ed"])
        wait_until(lambda: is_accepted(guarded, keys["ed"].token("EdDSA")), "the keys are fetched again", 40)


def test_keys_in_a_file(keys: dict[str, Key], services: Callable[..., ServiceCluster], folder: Path) -> None:
    def publish(*published: Key) -> None:
        new = folder / "new"
        new.write_text(json.dumps({"keys": [k.jwk() for k in published]}))
        new.replace(folder / "keys.json")

    publish(keys["ed"])
    cluster = services(workers=0, scheduler_extra=settings(f"file://{folder}/keys.json", None))
    guarded = Guarded(cluster, Issuer(0), keys, Path())
    assert is_accepted(guarded, keys["ed"].token("EdDSA"))
    assert not is_accepted(guarded, keys["rsa"].token("RS256"))
    publish(keys["rsa"])
    assert is_accepted(guarded, keys["rsa"].token("RS256"))
    assert not is_accepted(guarded, keys["ed"].token("EdDSA"))


@pytest.mark.parametrize(("setting", "why"), [
    ('token_file = "/nonexistent/tokens"', "/nonexistent/tokens"),
    ('jwks.url = "ftp://issuer/keys"', "expected https"),
    ('jwks.url = "file:///nonexistent/keys"', "/nonexistent/keys"),
    ('admins = "root"', "token_file or jwks.url"),
])  # fmt: skip
def test_a_service_that_could_not_check_does_not_start(
    setting: str, why: str, services: Callable[..., ServiceCluster]
) -> None:
    with pytest.raises(RuntimeError, match=why):
        services(workers=0, scheduler_extra=f"[scheduler.client_service.auth]\n{setting}")


def test_3001_may_have_tokens_of_its_own(services: Callable[..., ServiceCluster], folder: Path) -> None:
    write_tokens(folder / "operators", {"operator": "operator's-token-0123456789"})
    extra = f'[observatory.rest_api.service.auth]\ntoken_file = "{folder}/operators"'
    guarded = Guarded(services(workers=0, scheduler_extra=extra), Issuer(0), {}, Path())
    assert guarded.call(CLIENT + "GetComputeVersions", b"", None)  # 5051 stays open
    assert guarded.get("/api/v1/cluster", "Bearer operator's-token-0123456789")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        guarded.get("/api/v1/cluster", None)


def test_anonymous_users_may_be_denied_without_tokens(services: Callable[..., ServiceCluster]) -> None:
    cluster = services(workers=1, in_scheduler="deny_anonymous_users = true")
    for headers in ({}, {"x-polars-user": ""}):
        with pytest.raises(PermissionError, match="set_user_name"):
            ALONE.remote(cluster.context(headers)).execute()
    ALONE.remote(cluster.context({"x-polars-user": "alice"})).execute().delete()
