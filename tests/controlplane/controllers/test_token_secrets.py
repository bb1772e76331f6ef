"""Secrets that keep a token. Numbers are rows of kube-behaviour.md."""

import base64
from typing import Any

import pytest

from controlplane.api.resource import Object
from controlplane.controllers import token_secrets
from controlplane.controllers.token_secrets import (
    NAME,
    TYPE,
    UID,
    Plan,
    filled,
    keys_of_account,
    plan,
)
from controlplane.objects import ObjectStore
from controlplane.tokens import TokenError, Tokens
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.objects import AUTHORITY, NOW, signing_key

ACCOUNT: Object = {"metadata": {"name": "robot", "namespace": "n", "uid": "u"}}


def _secret(namespace: str = "n", account: str = "robot", **annotations: str) -> dict[str, Any]:
    metadata = {
        "name": "s",
        "namespace": namespace,
        "annotations": {NAME: account, **annotations},
    }
    return {"metadata": metadata, "type": TYPE}


# ------------------------------------------------------------------------ the plan


def test_empty_secret_is_filled_once() -> None:
    """11.2."""
    assert plan(ACCOUNT, [_secret()], AUTHORITY) == Plan(fill=[_secret()], delete=[])
    full = filled(_secret(), ACCOUNT, "the token", AUTHORITY)
    assert {key: base64.b64decode(value).decode() for key, value in full["data"].items()} == {
        "token": "the token",
        "namespace": "n",
        "ca.crt": AUTHORITY,
    }
    assert full["metadata"]["annotations"] == {NAME: "robot", UID: "u"}
    assert plan(ACCOUNT, [full], AUTHORITY) == Plan(fill=[], delete=[])


def test_token_that_is_there_stays() -> None:
    full = filled(_secret(), ACCOUNT, "first", AUTHORITY)
    assert filled(full, ACCOUNT, "second", AUTHORITY) == full
    assert plan(ACCOUNT, [full], "new authority").fill == [full]


def test_secret_goes_with_its_account() -> None:
    """11.2: invalid once the account is gone; one of the same name is another."""
    full = filled(_secret(), ACCOUNT, "the token", AUTHORITY)
    assert plan(None, [full], AUTHORITY).delete == [full]
    another = {"metadata": {**ACCOUNT["metadata"], "uid": "u2"}}
    assert plan(another, [full], AUTHORITY) == Plan(fill=[], delete=[full])


def test_secrets_of_other_types_are_nobodys() -> None:
    assert keys_of_account({**_secret(), "type": "Opaque"}) == []
    assert [str(key) for key in keys_of_account(_secret())] == ["n/robot"]


def test_token_of_a_secret_says_whose_it_is() -> None:
    """11.2."""
    tokens = Tokens([signing_key()], issuer="us", audiences=("us",))
    token = tokens.issue_for_secret(ACCOUNT, "s")
    claims = tokens.verify(token, now=NOW + 1e9)
    assert (claims.namespace, claims.name, claims.uid) == ("n", "robot", "u")
    assert claims.bound == ("secret", "s", "")
    with pytest.raises(TokenError):
        tokens.verify(token, now=NOW, audiences=["others"])


# ------------------------------------------------------------------ on real stores


async def test_secret_is_filled_and_goes_with_its_account(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """11.2, 3.1."""
    await cluster.create("secrets", _secret(namespace))
    async with cluster.running(token_secrets.controller) as context:

        async def is_gone() -> bool:
            return await cluster.find("secrets", namespace, "s") is None

        await until(is_gone)
        metadata = {"name": "robot", "namespace": namespace}
        account = await cluster.create("serviceaccounts", {"metadata": metadata})
        await cluster.create("secrets", _secret(namespace))

        async def is_full() -> bool:
            found = await cluster.find("secrets", namespace, "s")
            assert found is not None
            return bool((found.get("data") or {}).get("token"))

        await until(is_full)
        found = await cluster.find("secrets", namespace, "s")
        assert found is not None
        token = base64.b64decode(found["data"]["token"]).decode()
        assert context.tokens is not None
        claims = context.tokens.verify(token, now=store.clock())
        assert claims.uid == account["metadata"]["uid"]
        await store.delete(cluster.resource("serviceaccounts"), namespace, "robot")
        await until(is_gone)
