"""What each namespace has: its account, its certificates. Numbers are rows of kube-behaviour.md."""

import pytest

from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from controlplane.controllers import root_ca, service_accounts
from controlplane.controllers.residents import guard_of
from controlplane.objects import ObjectStore
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.objects import AUTHORITY

ACTIVE: Object = {"metadata": {"name": "n"}, "status": {"phase": "Active"}}
TERMINATING: Object = {"metadata": {"name": "n"}, "status": {"phase": "Terminating"}}


def test_account_is_made_where_it_is_missing() -> None:
    """3.1."""
    wanted = {"metadata": {"name": "default", "namespace": "n"}}
    assert service_accounts.plan(ACTIVE, None) == wanted
    assert service_accounts.plan(ACTIVE, wanted) is None
    assert service_accounts.plan(TERMINATING, None) is None
    assert service_accounts.plan(None, None) is None


def test_certificates_are_put_right() -> None:
    """3.1."""
    wanted = root_ca.plan(ACTIVE, None, AUTHORITY)
    assert wanted is not None
    assert wanted["data"] == {"ca.crt": AUTHORITY}
    assert root_ca.plan(ACTIVE, wanted, AUTHORITY) is None
    assert root_ca.plan(ACTIVE, {**wanted, "data": {"ca.crt": "old"}}, AUTHORITY) is not None
    assert root_ca.plan(TERMINATING, None, AUTHORITY) is None
    assert root_ca.plan(ACTIVE, None, "") is None, "who knows no authority names none"


async def test_each_namespace_has_account_and_certificates(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """3.1: SA `default` and ConfigMap `kube-root-ca.crt`; what is taken away comes back."""
    before = await cluster.namespace(f"{namespace}-before")
    async with cluster.running(service_accounts.controller, root_ca.controller):
        await cluster.namespace(namespace)

        async def are_there() -> bool:
            return all(
                [
                    await cluster.names("serviceaccounts", name) == {"default"}
                    and await cluster.names("configmaps", name) == {"kube-root-ca.crt"}
                    for name in (namespace, before["metadata"]["name"])
                ]
            )

        await until(are_there)
        await store.delete(cluster.resource("serviceaccounts"), namespace, "default")
        await store.update(
            cluster.resource("configmaps"),
            namespace,
            "kube-root-ca.crt",
            lambda old: {**old, "data": {"ca.crt": "somebody else's"}},
        )

        async def is_right() -> bool:
            found = await cluster.find("configmaps", namespace, "kube-root-ca.crt")
            assert found is not None
            return found["data"] == {"ca.crt": AUTHORITY} and await are_there()

        await until(is_right)


async def test_nothing_is_made_in_a_namespace_that_was_deleted_meanwhile(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """3.1: what a cache has not heard of yet would stay behind when the namespace is gone."""
    made = await cluster.namespace(namespace)
    namespaces, accounts = cluster.resource("namespaces"), cluster.resource("serviceaccounts")
    await store.delete(namespaces, "", namespace)
    wanted = service_accounts.plan(made, None)
    assert wanted is not None
    with pytest.raises(ApiError) as caught:
        await store.create(accounts, wanted, also=[guard_of(namespaces, made)])
    assert caught.value.code == 409
    assert not await cluster.names("serviceaccounts", namespace)
