"""What controllers make, and what of it is tried again. Numbers are rows of kube-behaviour.md."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from controlplane.controller import Controller, Lister
from controlplane.controllers.context import Context
from controlplane.controllers.creation import Creation, looked_up
from controlplane.indexer import Key
from controlplane.objects import Claim, ClaimLostError, ObjectStore
from kvstore.client import Client
from tests.controlplane.controllers.conftest import Cluster, until


class Asked(ObjectStore):
    """Remembers of which resources it was asked for all objects."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.lists: list[str] = []

    async def list(self, resource: Any, *place: Any, **how: Any) -> Any:
        self.lists.append(resource.plural)
        return await super().list(resource, *place, **how)


@pytest.fixture
async def seen(cluster: Cluster, namespace: str) -> AsyncIterator[tuple[Context, Lister]]:
    """What a controller that creates is given; the namespace is there."""
    given: list[Lister] = []

    def make(context: Context) -> Controller:
        async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> None:
            if key.name == namespace:
                given.append(lister)

        return Controller(
            "looks", cluster.resource("namespaces"), reconcile, reads=looked_up(context)
        )

    await cluster.namespace(namespace)
    account = {"metadata": {"name": "default", "namespace": namespace}}
    await cluster.create("serviceaccounts", account)
    async with cluster.running(make) as context:

        async def is_given() -> bool:
            return bool(given)

        await until(is_given)
        yield context, given[0]


def pod(namespace: str) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "i"}]}
    metadata = {"generateName": "a-", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


async def test_what_is_made_for_something_that_has_changed_is_not_tried_again(
    cluster: Cluster, namespace: str, client: Client, seen: tuple[Context, Lister]
) -> None:
    """4.11: hundreds of pods may be on their way when their job changes, and none may be made."""
    store = Asked(client)
    guarded = store.guarded(Claim(f"/changed/{namespace}".encode(), None, 1))
    creation = Creation(*seen, guarded, cluster.resource("pods"), pod(namespace))
    with pytest.raises(ClaimLostError):
        await creation.create()
    assert store.lists == []
    assert await cluster.names("pods", namespace) == set()


async def test_a_quota_that_others_charge_is_tried_again(
    cluster: Cluster, namespace: str, client: Client, seen: tuple[Context, Lister]
) -> None:
    """8.2: our cache is late, and the namespace has changed as well."""
    quota = {"metadata": {"name": "q", "namespace": namespace}}
    hard = {"pods": "2"}
    body = {**quota, "spec": {"hard": hard}, "status": {"hard": hard, "used": {"pods": "0"}}}
    quotas, namespaces = cluster.resource("resourcequotas"), cluster.resource("namespaces")
    await cluster.create("resourcequotas", body)
    context, lister = seen

    async def is_cached() -> bool:
        return lister.get(quotas, Key(namespace, "q")) is not None

    await until(is_cached)
    store = Asked(client)
    creation = Creation(context, lister, store, cluster.resource("pods"), pod(namespace))
    await creation.create()
    await store.update(
        namespaces,
        "",
        namespace,
        lambda old: {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}},
    )
    await creation.create()
    assert "resourcequotas" in store.lists
    assert len(await cluster.names("pods", namespace)) == 2
