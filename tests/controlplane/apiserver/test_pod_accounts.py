"""A pod that comes sooner than its account (kube-behaviour 3.1, 11.4)."""

import asyncio
import random
from typing import Any

import pytest

from controlplane.admission.review import Lister, Review
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from controlplane.apiserver import pod_accounts
from tests.controlplane.apiserver.asked import container, pod, resource, review
from tests.controlplane.apiserver.conftest import Api

PODS = resource("pods")
SHOP = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
ENDING = {**SHOP, "status": {"phase": "Terminating"}}


def _account(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": "shop"},
    }


class _Waiting:
    """A cache to which an account comes at some look, and what was done until then."""

    def __init__(self, name: str, *, comes_at: int, namespace: Object = SHOP) -> None:
        self.looks = 0
        self.pauses: list[float] = []
        self._name = name
        self._comes_at = comes_at
        self._namespace = namespace

    def review(self) -> Review:
        def get(group: str, plural: str, namespace: str, name: str) -> Object | None:
            if plural == "namespaces":
                return self._namespace
            is_there = self.looks >= self._comes_at and name == self._name
            return _account(name) if is_there else None

        asked = review("CREATE", PODS)
        asked.lister = Lister(get=get, list=lambda group, plural, namespace: ())
        return asked

    async def until_known(self, found: Object, asked: Review | None = None) -> None:
        async def fresh() -> None:
            self.looks += 1

        async def sleep(seconds: float) -> None:
            self.pauses.append(seconds)

        await pod_accounts.until_known(
            asked or self.review(), found, fresh, dice=random.Random(1), sleep=sleep
        )


async def test_default_account_is_waited_for() -> None:
    """It is looked for ten times, all pauses of one length between 100 and 200 ms."""
    waiting = _Waiting("default", comes_at=4)
    await waiting.until_known(pod(container()))
    assert (waiting.looks, len(waiting.pauses)) == (4, 3)
    never = _Waiting("default", comes_at=99)
    await never.until_known(pod(container()))
    assert (never.looks, len(never.pauses)) == (10, 9)
    assert len(set(never.pauses)) == 1
    assert 0.1 <= never.pauses[0] <= 0.2


@pytest.mark.parametrize("field", ["serviceAccountName", "serviceAccount"])
async def test_any_other_account_is_looked_for_once(field: str) -> None:
    waiting = _Waiting("robot", comes_at=99)
    await waiting.until_known(pod(container(), **{field: "robot"}))
    assert (waiting.looks, waiting.pauses) == (1, [])


async def test_nobody_waits_for_what_is_there_or_is_not_needed() -> None:
    there = _Waiting("default", comes_at=0)
    await there.until_known(pod(container()))
    mirror: dict[str, Any] = pod(container())
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    of_node = _Waiting("default", comes_at=99)
    await of_node.until_known(mirror)
    of_map = _Waiting("default", comes_at=99)
    await of_map.until_known({"metadata": {}}, review("CREATE", resource("configmaps")))
    assert there.looks == of_node.looks == of_map.looks == 0


async def test_nobody_waits_where_nothing_may_be_created() -> None:
    """11.4: NamespaceLifecycle comes first."""
    ending = _Waiting("default", comes_at=99, namespace=ENDING)
    with pytest.raises(ApiError) as caught:
        await ending.until_known(pod(container()))
    assert (caught.value.code, ending.looks) == (403, 0)


async def test_a_pod_created_right_after_its_namespace_gets_its_account(api: Api) -> None:
    """3.1: the account `default` is made by a controller, some time after the namespace."""
    name = "pod-before-account"
    await api.good("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    path = f"/api/v1/namespaces/{name}"
    body = pod(container())
    body["metadata"]["namespace"] = name
    creating = asyncio.create_task(api.good("POST", f"{path}/pods", body))
    for _ in range(3):  # the pod's first look is over by then
        await api.fault("GET", f"{path}/serviceaccounts/default")
    await api.good("POST", f"{path}/serviceaccounts", {"metadata": {"name": "default"}})
    made = await creating
    assert made["spec"]["serviceAccountName"] == "default"


async def test_a_pod_whose_account_never_comes_is_refused(api: Api) -> None:
    name = "pod-without-account"
    await api.good("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    body = pod(container())
    body["metadata"]["namespace"] = name
    status = await api.fault("POST", f"/api/v1/namespaces/{name}/pods", body)
    assert status["code"] == 403
    assert status["message"] == (
        f'pods "a" is forbidden: error looking up service account {name}/default: '
        'serviceaccount "default" not found'
    )
