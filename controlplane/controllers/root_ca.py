"""Each namespace has a ConfigMap `kube-root-ca.crt`: by what pods know the API server.

Source: Kubernetes' documentation, "Managing Service Accounts" (bound token volumes);
kube-behaviour 3.1.
"""

from typing import Any

from controlplane.api.resource import Object
from controlplane.controller import Controller, Lister, Trigger
from controlplane.controllers.context import Context
from controlplane.controllers.residents import guard_of, is_active
from controlplane.indexer import Key
from controlplane.objects import ObjectStore

NAME, FILE = "kube-root-ca.crt", "ca.crt"
_DESCRIPTION = "who signs the certificate of the API server; for nothing else"


def controller(context: Context) -> Controller:
    """Of namespaces."""
    namespaces, maps = context.resource("", "namespaces"), context.resource("", "configmaps")

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> None:
        namespace = lister.get(namespaces, key)
        found = lister.get(maps, Key(key.name, NAME))
        wanted = plan(namespace, found, context.authority)
        if namespace is None or wanted is None:
            return
        guard = guard_of(namespaces, namespace)
        if found is None:
            await store.create(maps, wanted, also=[guard])
        else:
            data = wanted["data"]
            await store.update(
                maps, key.name, NAME, lambda old: {**old, "data": data}, also=[guard], known=found
            )

    return Controller("root ca", namespaces, reconcile, triggers=[Trigger(maps, _namespace)])


def plan(namespace: Object | None, found: Object | None, authority: str) -> dict[str, Any] | None:
    """The map as it must be; None: it is so, or has nowhere to be, or nothing to say. Pure."""
    if namespace is None or not authority or not is_active(namespace):
        return None
    data = {FILE: authority}
    if found is not None and (
        found.get("data") == data or found["metadata"].get("deletionTimestamp")
    ):
        return None
    annotations = {"kubernetes.io/description": _DESCRIPTION}
    metadata = {
        "name": NAME,
        "namespace": namespace["metadata"]["name"],
        "annotations": annotations,
    }
    return {"metadata": metadata, "data": data}


def _namespace(found: Object) -> list[Key]:
    metadata = found["metadata"]
    return [Key("", metadata["namespace"])] if metadata["name"] == NAME else []
