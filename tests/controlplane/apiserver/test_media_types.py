"""YAML and protobuf on request (row 2.21 of kube-behaviour.md)."""

from typing import Any

import aiohttp
import pytest

from controlplane.api import decoding
from controlplane.apiserver import lists
from tests.controlplane.api.test_protobuf import field, request
from tests.controlplane.apiserver.conftest import Answered, Api
from tests.controlplane.apiserver.test_http import put, session

__all__ = ["session"]

YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"


def read(answered: Answered) -> Any:
    return decoding.decode_yaml(answered.raw)[0]


@pytest.fixture
async def path(api: Api) -> str:
    space = await api.new_namespace()
    for name in ("a", "b"):
        await put(api, space, name, 5)
    return f"/api/v1/namespaces/{space}/configmaps"


async def test_objects_are_answered_in_yaml(api: Api, path: str) -> None:
    """2.21. The same object, whatever the verb."""
    wanted = {"data": {"a": "yes", "b": "1e3", "c": "one\ntwo\n"}}
    merge: dict[str, Any] = {"content_type": "application/merge-patch+json"}
    changed = await api.ask("PATCH", f"{path}/a", wanted, accept=YAML, **merge)
    assert changed.code == 200
    plain = await api.good("GET", f"{path}/a")
    assert read(changed) == plain
    assert read(await api.ask("GET", f"{path}/a", accept=YAML)) == plain
    assert read(await api.ask("GET", f"{path}/a", accept=f"{YAML};q=0.9,text/html")) == plain
    deleted = read(await api.ask("DELETE", f"{path}/a", accept=YAML))
    assert (deleted["kind"], deleted["status"]) == ("Status", "Success")


@pytest.mark.parametrize(
    "parameters", ["", ";as=Table;v=v1;g=meta.k8s.io", ";as=PartialObjectMetadataList;v=v1"]
)
@pytest.mark.parametrize("whole_bytes_max", [0, lists.WHOLE_BYTES_MAX])
async def test_lists_are_answered_in_yaml(
    api: Api,
    path: str,
    session: aiohttp.ClientSession,
    parameters: str,
    whole_bytes_max: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """2.21. Also those that are made as they are taken, and those of nothing."""
    monkeypatch.setattr(lists, "WHOLE_BYTES_MAX", whole_bytes_max)
    now = api.assembly.server._now()
    monkeypatch.setattr(api.assembly.server, "_now", lambda: now)
    for query in ("?resourceVersion=0", "?resourceVersion=0&labelSelector=x%3Dnothing"):
        plain = await api.good("GET", path + query, accept=f"application/json{parameters}")
        wanted = {"Accept": YAML + parameters}
        async with session.get(api.url + path + query, headers=wanted) as response:
            assert response.content_type == YAML
            assert decoding.decode_yaml(await response.read())[0] == plain


async def test_errors_are_answered_in_yaml(api: Api, path: str) -> None:
    answered = await api.ask("GET", f"{path}/none", accept=YAML)
    assert answered.code == 404
    assert read(answered)["reason"] == "NotFound"


async def test_yaml_and_protobuf_are_read_and_json_is_answered(
    api: Api, path: str, session: aiohttp.ClientSession
) -> None:
    """2.21, 1.5: Accept as Go's clients send it."""
    both = f"{PROTOBUF},application/json"
    bodies = {
        YAML: b"metadata:\n  name: from-yaml\ndata: {x: 'yes'}\n",
        PROTOBUF: request("v1", "ConfigMap", field(1, field(1, b"from-protobuf"))),
    }
    for content_type, body in bodies.items():
        headers = {"Content-Type": content_type, "Accept": both}
        async with session.post(api.url + path, data=body, headers=headers) as response:
            assert response.status == 201
            assert response.content_type == "application/json"
            made = await response.json()
        assert (
            made["metadata"]["name"] == f"from-{content_type.rpartition('/')[2].rpartition('.')[2]}"
        )


async def test_who_accepts_protobuf_only_is_told_before_anything_is_done(
    api: Api, path: str
) -> None:
    """2.21: answers in protobuf are not made. 406, and nothing was written."""
    for method, place, body in (
        ("GET", path, None),
        ("POST", path, {"metadata": {"name": "never"}}),
        ("DELETE", f"{path}/a", None),
        ("GET", f"{path}?watch=1", None),
    ):
        status = await api.fault(method, place, body, accept=PROTOBUF)
        assert (status["code"], status["reason"]) == (406, "NotAcceptable")
        assert "application/json" in status["message"]
    found = await api.good("GET", path)
    assert [one["metadata"]["name"] for one in found["items"]] == ["a", "b"]
