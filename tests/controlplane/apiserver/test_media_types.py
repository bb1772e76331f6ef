"""YAML and protobuf on request (row 2.21 of kube-behaviour.md)."""

import threading
from collections.abc import Iterator
from typing import Any

import aiohttp
import orjson
import pytest

from controlplane.api import decoding
from controlplane.api.decoding import Decoded
from controlplane.apiserver import lists, negotiation
from controlplane.apiserver.delivery import SLICE_BYTES, Slices
from controlplane.apiserver.incoming import APPLY_PATCH, Answer
from controlplane.apiserver.large_bodies import LARGE_BYTES
from tests.controlplane.api.test_protobuf import field, request
from tests.controlplane.apiserver.asked import call, incoming, resource
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
@pytest.mark.parametrize("whole_bytes_max", [0, lists.WHOLE_YAML_BYTES_MAX])
async def test_lists_are_answered_in_yaml(
    api: Api,
    path: str,
    session: aiohttp.ClientSession,
    parameters: str,
    whole_bytes_max: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """2.21. Also those that are made as they are taken, and those of nothing."""
    monkeypatch.setattr(lists, "WHOLE_YAML_BYTES_MAX", whole_bytes_max)
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


async def test_large_bodies_are_read_while_others_are_served(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[bool] = []

    def decode(body: bytes) -> Decoded:
        threads.append(threading.current_thread() is threading.main_thread())
        return decoding.decode(body, decoding.JSON)

    monkeypatch.setitem(decoding.decoders, "application/slow", decode)
    maps = f"/api/v1/namespaces/{await api.new_namespace()}/configmaps"
    for name, size in (("small", 10), ("large", LARGE_BYTES)):
        body = {"metadata": {"name": name}, "data": {"k": "v" * size}}
        made = await api.good("POST", maps, body, content_type="application/slow")
        assert made["data"] == body["data"]
    assert threads == [True, False], "each is read once"


async def test_large_objects_are_applied_in_yaml_and_in_json(api: Api) -> None:
    maps = f"/api/v1/namespaces/{await api.new_namespace()}/configmaps"
    text = "v" * LARGE_BYTES
    for body in (f"data: {{k: {text}}}", f'{{"data": {{"k": "{text}x"}}}}'):
        asked = incoming("PATCH", f"{maps}/a", "fieldManager=m", authorization="Bearer admin")
        asked.headers = {**asked.headers, "content-type": APPLY_PATCH}
        asked.body = body.encode()
        answered = await api.assembly.server.serve(asked)
        assert isinstance(answered, Answer)
        assert answered.code in (200, 201), answered
    assert (await api.good("GET", f"{maps}/a"))["data"]["k"] == f"{text}x"


async def test_yaml_is_made_in_a_thread_piece_by_piece() -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(2):
            yield str(threading.current_thread() is threading.main_thread()).encode() * SLICE_BYTES

    for content_type, told in ((negotiation.JSON, b"True"), (negotiation.YAML, b"False")):
        slices = Slices(Answer(content_type=content_type, rest=pieces()))
        found = b""
        while (piece := await slices.next()) is not None:
            found += piece
        assert found == told * 2 * SLICE_BYTES


@pytest.mark.parametrize(
    ("accepted", "is_whole"), [(negotiation.JSON, True), (negotiation.YAML, False)]
)
def test_a_list_in_yaml_is_made_in_pieces_from_16_kib_on(accepted: str, is_whole: bool) -> None:
    asked = call(resource("configmaps"), "GET", "/api/v1/configmaps", accept=accepted)
    raw = orjson.dumps({"metadata": {"name": "a"}, "data": {"k": "v" * lists.WHOLE_YAML_BYTES_MAX}})
    found = lists.answer(asked, lists.Page(raws=[raw], revision=1))
    assert (found.rest is None) is is_whole
