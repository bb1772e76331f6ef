"""Each namespace has a service account `default`: pods that name none act as it.

Source: Kubernetes' documentation, "Managing Service Accounts"; kube-behaviour 3.1.
"""

from typing import Any

from controlplane.api.resource import Object
from controlplane.controller import Controller, Lister, Trigger
from controlplane.controllers.context import Context
from controlplane.controllers.residents import guard_of, is_active
from controlplane.indexer import Key
from controlplane.objects import ObjectStore

NAME = "default"


def controller(context: Context) -> Controller:
    """Of namespaces."""
    namespaces = context.resource("", "namespaces")
    accounts = context.resource("", "serviceaccounts")

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> None:
        namespace = lister.get(namespaces, key)
        wanted = plan(namespace, lister.get(accounts, Key(key.name, NAME)))
        if namespace is not None and wanted is not None:
            await store.create(accounts, wanted, also=[guard_of(namespaces, namespace)])

    return Controller(
        "serviceaccount", namespaces, reconcile, triggers=[Trigger(accounts, _namespace)]
    )


def plan(namespace: Object | None, account: Object | None) -> dict[str, Any] | None:
    """The account to create; None: it is there, or has nowhere to be. Pure."""
    if namespace is None or account is not None or not is_active(namespace):
        return None
    return {"metadata": {"name": NAME, "namespace": namespace["metadata"]["name"]}}


def _namespace(account: Object) -> list[Key]:
    metadata = account["metadata"]
    return [Key("", metadata["namespace"])] if metadata["name"] == NAME else []
