"""Sub-resources by name: what they take and answer, and which verbs they have. PURE.

Source: Kubernetes API reference 1.33, operations of each kind.
"""

from functools import lru_cache

import msgspec

from controlplane.api import schemas
from controlplane.api.resource import Column, Resource


class SubResource(msgspec.Struct, frozen=True, kw_only=True):
    """What is under one name below an object.

    kind      empty: that of the object itself; `%s` stands for it
    is_stream what is sent is no object: logs, exec and whatever is proxied
    """

    verbs: tuple[str, ...]
    kind: str = ""
    group: str = ""
    version: str = "v1"
    is_stream: bool = False

    def kind_for(self, resource: Resource) -> tuple[str, str, str]:
        """Group, version and kind of what is sent to it below objects of `resource`."""
        if not self.kind:
            return resource.group, resource.version, resource.kind
        return self.group, self.version, self.kind.replace("%s", resource.kind)


_CHANGED = ("get", "patch", "update")
_STREAMED = ("create", "get")
_PROXIED = ("create", "delete", "get", "patch", "update")

_SUBRESOURCES = {
    "approval": SubResource(verbs=_CHANGED),
    "attach": SubResource(verbs=_STREAMED, kind="%sAttachOptions", is_stream=True),
    "binding": SubResource(verbs=("create",), kind="Binding"),
    "ephemeralcontainers": SubResource(verbs=_CHANGED),
    "eviction": SubResource(verbs=("create",), kind="Eviction", group="policy"),
    "exec": SubResource(verbs=_STREAMED, kind="%sExecOptions", is_stream=True),
    "finalize": SubResource(verbs=("update",)),
    "log": SubResource(verbs=("get",), is_stream=True),
    "portforward": SubResource(verbs=_STREAMED, kind="%sPortForwardOptions", is_stream=True),
    "proxy": SubResource(verbs=_PROXIED, kind="%sProxyOptions", is_stream=True),
    "resize": SubResource(verbs=_CHANGED),
    "scale": SubResource(verbs=_CHANGED, kind="Scale", group="autoscaling"),
    "status": SubResource(verbs=_CHANGED),
    "token": SubResource(verbs=("create",), kind="TokenRequest", group="authentication.k8s.io"),
}


def check(name: str) -> None:
    """ValueError: nothing is known of a sub-resource of that name."""
    if name not in _SUBRESOURCES:
        raise ValueError(f"sub-resource {name!r} is none of {', '.join(_SUBRESOURCES)}")


def subresource(name: str) -> SubResource:
    """What is known of it. KeyError: nothing is."""
    return _SUBRESOURCES[name]


def resource_for(resource: Resource, name: str) -> Resource:
    """The resource of what is sent to a sub-resource: itself, or one of its kind and schema only.

    KeyError: what is sent is no object, or nothing is known of it.
    """
    group, version, kind = _SUBRESOURCES[name].kind_for(resource)
    if (group, version, kind) == (resource.group, resource.version, resource.kind):
        return resource
    return _of_kind(group, version, kind, resource.plural, resource.is_namespaced)


@lru_cache(maxsize=1024)
def _of_kind(group: str, version: str, kind: str, plural: str, is_namespaced: bool) -> Resource:
    return Resource(
        group=group,
        version=version,
        kind=kind,
        plural=plural,
        singular=kind.lower(),
        is_namespaced=is_namespaced,
        schema=schemas.schema_of(group, version, kind),
        verbs=(),
        columns=_COLUMNS.get(kind, ()),
    )


_COLUMNS = {
    "Scale": (
        Column(name="Name", format="name", path=".metadata.name"),
        Column(name="Desired", type="integer", path=".spec.replicas"),
        Column(name="Available", type="integer", path=".status.replicas"),
        Column(name="Age", type="date", path=".metadata.creationTimestamp"),
    )
}
"""As `kubectl get --subresource=scale` prints it."""
