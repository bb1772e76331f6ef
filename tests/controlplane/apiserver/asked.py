"""Requests, reviews and objects of the API server's tests, in the fewest words."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import orjson

from controlplane.admission.review import Lister, Review
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.apiserver.call import Call
from controlplane.apiserver.incoming import Answer, Incoming, Query, target_of
from controlplane.apiserver.users import User

NOW = 1_700_000_000.0
"""2023-11-14T22:13:20Z."""
ALICE = User(name="alice", groups=("devs", "system:authenticated"))
MASTER = User(name="admin", groups=("system:masters", "system:authenticated"))


@cache
def registry() -> Registry:
    """The built-in kinds; nobody changes it."""
    return Registry.builtin()


def resource(plural: str, group: str = "", version: str = "v1") -> Resource:
    found = registry().find(group, version, plural)
    assert found is not None, plural
    return found


def incoming(
    method: str = "GET",
    path: str = "/",
    query: str = "",
    *,
    body: object = None,
    certificate: Sequence[tuple[str, str]] = (),
    **headers: Any,
) -> Incoming:
    """A request; `user_agent="x"` is the header `user-agent: x`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = b"" if body is None else orjson.dumps(body)
    if raw:
        named.setdefault("content-type", "application/json")
    return Incoming(
        method=method,
        path=path,
        query=Query(query),
        headers=named,
        body=raw,
        certificate=certificate,
        remote="192.0.2.1",
    )


def call(
    kind: Resource,
    method: str,
    path: str,
    query: str = "",
    *,
    body: object = None,
    user: User = ALICE,
    **headers: Any,
) -> Call:
    asked = incoming(method, path, query, body=body, **headers)
    target = target_of(method, path, asked.query)
    assert target is not None, path
    return Call(incoming=asked, target=target, resource=kind, user=user, now=NOW, warnings=[])


def posted(kind: Resource, spec: object, user: User = ALICE, namespace: str = "") -> Call:
    """A question that is posted like an object."""
    place = f"namespaces/{namespace}/" if namespace else ""
    path = f"/apis/{kind.group}/{kind.version}/{place}{kind.plural}"
    return call(kind, "POST", path, body={"spec": spec}, user=user)


def body_of(answer: object) -> Any:
    assert isinstance(answer, Answer)
    return orjson.loads(answer.body)


class Objects:
    """What plug-ins and others look things up in: objects of built-in kinds."""

    def __init__(self, *found: Object) -> None:
        self._found: dict[tuple[str, str, str, str], Object] = {}
        for one in found:
            self.put(one)

    def put(self, found: Object) -> None:
        group, _, version = found["apiVersion"].rpartition("/")
        [kind] = [one for one in registry().of(group, version) if one.kind == found["kind"]]
        metadata = found["metadata"]
        self._found[group, kind.plural, metadata.get("namespace", ""), metadata["name"]] = found

    def get(self, group: str, plural: str, namespace: str, name: str) -> Object | None:
        return self._found.get((group, plural, namespace, name))

    def list(self, group: str, plural: str, namespace: str) -> Sequence[Object]:
        return [
            found
            for place, found in self._found.items()
            if place[:2] == (group, plural) and namespace in ("", place[2])
        ]

    @property
    def lister(self) -> Lister:
        return Lister(get=self.get, list=self.list)


def review(
    operation: str,
    kind: Resource,
    *found: Object,
    namespace: str = "shop",
    name: str = "a",
    old: Object | None = None,
    subresource: str = "",
) -> Review:
    """A write of an object `name`, in a cluster that has some objects."""
    return Review(
        operation=operation,
        resource=kind,
        subresource=subresource,
        namespace=namespace if kind.is_namespaced else "",
        name=name,
        old=old,
        lister=Objects(*found).lister,
        claims=[],
        quota_resource=resource("resourcequotas"),
    )


def pod(*containers: Mapping[str, Any], name: str = "a", **spec: object) -> dict[str, Any]:
    """A pod of namespace `shop`."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"containers": list(containers), **spec},
    }


def container(name: str = "main", **fields: object) -> dict[str, Any]:
    return {"name": name, "image": "nginx", **fields}


def demanding(
    name: str = "main", *, requests: Mapping[str, str] = {}, limits: Mapping[str, str] = {}
) -> dict[str, Any]:
    """A container with resources."""
    stated = {"requests": dict(requests), "limits": dict(limits)}
    return container(name, resources={field: own for field, own in stated.items() if own})


async def turns(count: int = 10) -> None:
    """Let all that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)
