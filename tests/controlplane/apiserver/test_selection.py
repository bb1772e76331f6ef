"""Selectors and forms of lists and watches (kube-behaviour 1.2, 2.20)."""

from typing import Any

import msgspec
import orjson
import pytest

from controlplane.api.errors import ApiError
from controlplane.apiserver.cache import ObjectCache
from controlplane.apiserver.incoming import target_of
from controlplane.apiserver.selection import Form, Selection, form_of, index_of, selection_of
from tests.controlplane.apiserver.asked import container, incoming, pod, resource
from tests.controlplane.kinds import WIDGETS

PODS = resource("pods")


def selection(path: str, query: str = "") -> Selection:
    asked = incoming("GET", path, query)
    target = target_of("GET", path, asked.query)
    assert target is not None
    return selection_of(PODS, target, asked)


def chosen(path: str, query: str = "") -> list[str]:
    """Of three pods; `shop/b` runs on a node, `bank/c` has a label."""
    made = ObjectCache(lambda group, plural: index_of(PODS), "/registry/")
    made.loaded(1)
    pods: dict[str, dict[str, Any]] = {
        "shop/a": {},
        "shop/b": {"spec": {"nodeName": "n1", "hostNetwork": True, "containers": []}},
        "bank/c": {"status": {"phase": "Running"}},
        "bank2/d": {},
    }
    for number, (place, more) in enumerate(pods.items(), 2):
        namespace, name = place.split("/")
        labels = {"app": "web"} if name == "c" else {}
        metadata = {"name": name, "namespace": namespace, "labels": labels}
        found = {**pod(container()), **more, "metadata": metadata}
        key = PODS.key(namespace, name)
        made.apply([(key, orjson.dumps(found), number)], number)
    wanted = selection(path, query)
    entries = made.of("", "pods").scan(wanted.prefix)
    return [one.key.removeprefix(PODS.key_prefix) for one in entries if wanted.matches(one)]


ALL, BANK = "/api/v1/pods", "/api/v1/namespaces/bank/pods"


@pytest.mark.parametrize(
    ("path", "query", "names"),
    [
        (ALL, "", ["bank/c", "bank2/d", "shop/a", "shop/b"]),
        (BANK, "", ["bank/c"]),  # and not bank2
        (ALL, "fieldSelector=metadata.namespace%3Dshop", ["shop/a", "shop/b"]),
        (ALL, "fieldSelector=metadata.name%3Da", ["shop/a"]),
        (ALL, "fieldSelector=metadata.name!%3Da,metadata.namespace%3Dshop", ["shop/b"]),
        (ALL, "fieldSelector=spec.nodeName%3Dn1", ["shop/b"]),
        (ALL, "fieldSelector=spec.nodeName%3D", ["bank/c", "bank2/d", "shop/a"]),
        (ALL, "fieldSelector=spec.hostNetwork%3Dtrue", ["shop/b"]),
        (ALL, "fieldSelector=spec.hostNetwork%3Dfalse", ["bank/c", "bank2/d", "shop/a"]),
        (ALL, "fieldSelector=status.phase%3DRunning", ["bank/c"]),
        (ALL, "labelSelector=app%3Dweb", ["bank/c"]),
        (ALL, "labelSelector=!app", ["bank2/d", "shop/a", "shop/b"]),
        (ALL, "labelSelector=app%3Dweb&fieldSelector=metadata.name%3Da", []),
        (f"{BANK}/c", "", ["bank/c"]),
    ],
)
def test_what_is_chosen(path: str, query: str, names: list[str]) -> None:
    assert chosen(path, query) == names


def test_only_known_fields_may_be_asked_for() -> None:
    """2.20."""
    with pytest.raises(ApiError, match=r"field label not supported: spec\.image") as caught:
        selection(ALL, "fieldSelector=spec.image%3Dx")
    assert caught.value.code == 400


@pytest.mark.parametrize(
    "query", ["labelSelector=a%3D%3D%3Db", "fieldSelector=x", "labelSelector=("]
)
def test_what_is_no_selector_is_400(query: str) -> None:
    with pytest.raises(ApiError) as caught:
        selection(ALL, query)
    assert caught.value.code == 400


def test_everything_is_known_to_be_everything() -> None:
    assert selection(ALL).is_all
    assert not selection(ALL, "labelSelector=a").is_all
    assert not selection(ALL, "fieldSelector=metadata.name%3Da").is_all


def test_an_index_takes_objects_as_they_are() -> None:
    kind = msgspec.structs.replace(WIDGETS, field_labels=("spec.size", "spec.a.b"))
    index = index_of(kind)
    assert index({"metadata": {"name": "x"}, "spec": {"size": 3}}) == {
        "metadata.name": "x",
        "metadata.namespace": "",
        "spec.size": "3",
        "spec.a.b": "",
    }
    for odd in ({}, {"metadata": None}, {"metadata": {}, "spec": "x"}, {"spec": {"a": [1]}}):
        assert index(odd)["spec.a.b"] == ""


# ---------------------------------------------------------------------------- forms


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form("json")),
        ("*/*", Form("json")),
        ("application/json", Form("json")),
        # what kubectl get sends
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Form("table")),
        ("application/json, application/json;as=Table;v=v1;g=meta.k8s.io", Form("json")),
        ("application/vnd.kubernetes.protobuf,application/json", Form("json")),
        (
            "application/vnd.kubernetes.protobuf;as=Table,application/json;as=PartialObjectMetadata",
            Form("metadata"),
        ),
        ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", Form("metadata")),
        ("application/json;as=Unheard,application/json", Form("json")),
        ("garbage;;;,,*/*;q=0.1", Form("json")),
        ("application/yaml", Form("json", media_type="application/yaml")),
        (
            "text/html, application/yaml;q=0.9, */*;q=0.8",
            Form("json", media_type="application/yaml"),
        ),
        ("application/yaml;q=0.5,application/json", Form("json")),
        ("application/yaml;as=Table;v=v1", Form("table", media_type="application/yaml")),
        ("application/*", Form("json")),
    ],
)
def test_the_first_form_that_is_served_is_taken(accept: str, form: Form) -> None:
    assert form_of(incoming(accept=accept)) == form


@pytest.mark.parametrize(
    "accept",
    [
        "application/vnd.kubernetes.protobuf",
        "application/cbor",
        "text/html",
        "application/json;as=Unheard",
        "application/json;q=0",
        "garbage;;;,,",
    ],
)
def test_who_accepts_nothing_that_we_have_is_told_what_there_is(accept: str) -> None:
    """2.18, 2.21: protobuf is read and not written."""
    with pytest.raises(ApiError, match="application/json, application/yaml") as caught:
        form_of(incoming(accept=accept))
    assert (caught.value.code, caught.value.reason) == (406, "NotAcceptable")


def test_a_watch_is_json_only() -> None:
    """2.21: documents of YAML in a row are no stream that any client of Kubernetes reads."""
    both = incoming(accept="application/yaml,application/json")
    assert form_of(both, is_stream=True) == Form("json")
    with pytest.raises(ApiError) as caught:
        form_of(incoming(accept="application/yaml"), is_stream=True)
    assert caught.value.code == 406


def test_rows_carry_what_is_asked_for() -> None:
    """1.2."""
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    assert form_of(incoming("GET", "/", "includeObject=Object", accept=table)) == Form(
        "table", "Object"
    )
    with pytest.raises(ApiError, match='unrecognized includeObject value: "All"'):
        form_of(incoming("GET", "/", "includeObject=All", accept=table))
