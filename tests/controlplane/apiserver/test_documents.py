"""Discovery, OpenAPI, health, keys (kube-behaviour 1.1, 1.3, 2.22)."""

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson
import pytest

from controlplane.api.errors import ApiError
from controlplane.api.registry import Registry
from controlplane.apiserver.documents import Check, Documents
from controlplane.apiserver.incoming import Answer
from controlplane.apiserver.metrics import Metrics
from controlplane.apiserver.ui import Ui
from kvstore.client import connect
from tests.controlplane.apiserver.asked import ALICE, incoming
from tests.controlplane.kinds import WIDGETS
from tests.controlplane.test_tokens import tokens

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"


def documents(checks: Mapping[str, Check] = {}, registry: Registry | None = None) -> Documents:
    ui = Ui(connect(["127.0.0.1:1"]), ())
    return Documents(registry or Registry.builtin(), tokens(), Metrics(), checks, ui)


async def asked(path: str, by: Documents | None = None, **headers: Any) -> Answer:
    path, _, query = path.partition("?")
    return await (by or documents()).answer(incoming("GET", path, query, **headers), ALICE)


async def got(path: str, **headers: Any) -> Any:
    return orjson.loads((await asked(path, **headers)).body)


async def test_versions() -> None:
    found = await got("/version")
    assert (found["major"], found["minor"]) == ("1", "33")
    assert found["gitVersion"].startswith("v1.33.")


async def test_discovery_in_one_answer() -> None:
    """1.1: the Content-Type says that it is."""
    accept = ",".join([AGGREGATED.format("v2"), AGGREGATED.format("v2beta1"), "application/json"])
    answer = await asked("/apis", accept=accept)
    assert answer.content_type == AGGREGATED.format("v2")
    assert orjson.loads(answer.body)["kind"] == "APIGroupDiscoveryList"
    answer = await asked("/api", accept=f"{AGGREGATED.format('v2beta1')},application/json")
    assert answer.content_type == AGGREGATED.format("v2beta1")
    plain = await asked("/apis", accept=f"application/json,{AGGREGATED.format('v2')}")
    assert orjson.loads(plain.body)["kind"] == "APIGroupList"


async def test_discovery_one_by_one() -> None:
    assert (await got("/api"))["versions"] == ["v1"]
    assert any(one["name"] == "pods" for one in (await got("/api/v1"))["resources"])
    assert "apps" in [group["name"] for group in (await got("/apis"))["groups"]]
    assert (await got("/apis/apps"))["preferredVersion"]["version"] == "v1"
    assert any(one["name"] == "deployments" for one in (await got("/apis/apps/v1"))["resources"])


async def test_openapi() -> None:
    """1.3: the index names each document with a hash; v2 is a document in protobuf."""
    paths = (await got("/openapi/v3"))["paths"]
    assert "?hash=" in paths["api/v1"]["serverRelativeURL"]
    assert "components" in await got("/openapi/v3/api/v1")
    assert "components" in await got("/openapi/v3/apis/apps/v1")
    v2 = await asked("/openapi/v2")
    assert v2.content_type == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    assert b"/apis/apps/v1/namespaces/{namespace}/deployments/{name}" in v2.body


@pytest.mark.parametrize(
    "path",
    [
        *("/nothing", "/api/v2", "/apis/none", "/apis/none/v1", "/apis/apps/v2", "/apis/apps/v1/x"),
        *("/openapi", "/openapi/v3/x", "/openapi/v3/api/v2", "/openapi/v3/apis/none/v1"),
        *("/healthz/none", "/healthz/ping/x", "/metrics/x", "/version/x", "/api/v1/"[:-1] + "/x"),
    ],
)
async def test_what_there_is_not(path: str) -> None:
    with pytest.raises(ApiError) as caught:
        await asked(path)
    assert caught.value.code == 404


async def test_nothing_is_written_here() -> None:
    with pytest.raises(ApiError):
        await documents().answer(incoming("POST", "/version"), ALICE)


async def test_who_has_a_document_already_is_told_so() -> None:
    """1.1: kubectl keeps it with its ETag."""
    registry = Registry.builtin()
    by = documents(registry=registry)
    first = await asked("/openapi/v3", by)
    tag = dict(first.headers)["ETag"]
    again = await asked("/openapi/v3", by, if_none_match=tag)
    assert (again.code, again.body, dict(again.headers)["ETag"]) == (304, b"", tag)
    registry.add(msgspec.structs.replace(WIDGETS, is_custom=True))
    changed = await asked("/openapi/v3", by, if_none_match=tag)
    assert changed.code == 200
    assert dict(changed.headers)["ETag"] != tag


async def test_one_tag_is_of_one_form() -> None:
    by = documents()
    accept = AGGREGATED.format("v2")
    tags = {dict((await asked("/apis", by, accept=a)).headers)["ETag"] for a in ("", accept)}
    assert len(tags) == 2


# ------------------------------------------------------------------------ health, 2.22


def checks(why: str) -> dict[str, Check]:
    async def store() -> str:
        return why

    return {"etcd": store}


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/readyz/etcd", "/readyz/ping"])
async def test_what_is_well_says_ok(path: str) -> None:
    answer = await asked(path, documents(checks("")))
    assert (answer.code, answer.body, answer.content_type) == (200, b"ok", "text/plain")


async def test_what_is_not_well_says_why() -> None:
    by = documents(checks("the store is away"))
    answer = await asked("/readyz", by)
    assert answer.code == 500
    assert answer.body.decode().splitlines() == [
        "[+]ping ok",
        "[-]etcd failed: the store is away",
        "readyz check failed",
    ]
    assert (await asked("/readyz/etcd", by)).code == 500
    assert (await asked("/readyz?exclude=etcd", by)).code == 200
    # Nobody restarts a process because its store is away.
    assert (await asked("/livez", by)).code == 200


async def test_each_check_is_told_to_who_asks() -> None:
    answer = await asked("/readyz?verbose", documents(checks("")))
    assert answer.body.decode().splitlines() == ["[+]ping ok", "[+]etcd ok", "readyz check passed"]


# ------------------------------------------------------------------------------ issuer


async def test_others_can_verify_our_tokens() -> None:
    """11.2: OIDC discovery and JWKS."""
    found = await got("/.well-known/openid-configuration")
    assert found["issuer"] == "https://kubernetes.default.svc"
    assert found["jwks_uri"] == "https://kubernetes.default.svc/openid/v1/jwks"
    assert found["id_token_signing_alg_values_supported"] == ["ES256"]
    answer = await asked("/openid/v1/jwks")
    assert answer.content_type == "application/jwk-set+json"
    (key,) = orjson.loads(answer.body)["keys"]
    assert (key["kty"], key["use"]) == ("EC", "sig")
    assert "d" not in key


async def test_what_there_is_is_listed() -> None:
    paths = (await got("/"))["paths"]
    assert {"/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/readyz"} <= set(paths)
