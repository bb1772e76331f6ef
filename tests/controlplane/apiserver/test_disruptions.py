"""Evictions and the controller of budgets, together (kube-behaviour 8.1)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controlplane import controller
from controlplane.api.registry import Registry
from controlplane.controllers import disruption_budgets
from controlplane.controllers.context import Context
from controlplane.events import EventRecorder
from tests.controlplane.apiserver.conftest import Api

SECONDS_MAX = 30.0
NEEDED = 4


class Space:
    """A namespace with a budget, whose controller runs."""

    def __init__(self, api: Api, name: str) -> None:
        self.api = api
        self.pods = f"/api/v1/namespaces/{name}/pods"
        self.budget = f"/apis/policy/v1/namespaces/{name}/poddisruptionbudgets"

    async def run(self, name: str, **metadata: Any) -> None:
        """A pod that is ready."""
        metadata = {"name": name, "labels": {"app": "web"}, **metadata}
        spec = {"containers": [{"name": "c", "image": "i"}]}
        await self.api.good("POST", self.pods, {"metadata": metadata, "spec": spec})
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        await self.api.good(
            "PATCH",
            f"{self.pods}/{name}/status",
            {"status": status},
            content_type="application/merge-patch+json",
        )

    async def left(self) -> set[str]:
        found = await self.api.good("GET", self.pods)
        return {one["metadata"]["name"] for one in found["items"]}

    async def evict(self, name: str) -> int:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        return (await self.api.ask("POST", f"{self.pods}/{name}/eviction", body)).code

    async def allows(self, count: int) -> None:
        """Return when it does."""
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                found = await self.api.good("GET", f"{self.budget}/b")
                if (found.get("status") or {}).get("disruptionsAllowed") == count:
                    return
                await asyncio.sleep(0.02)


@pytest.fixture
async def space(api: Api) -> AsyncIterator[Space]:
    made = Space(api, await api.new_namespace())
    spec = {"minAvailable": NEEDED, "selector": {"matchLabels": {"app": "web"}}}
    await api.good("POST", made.budget, {"metadata": {"name": "b"}, "spec": spec})
    store = api.assembly.store
    recorder = EventRecorder(store, "test")  # nobody reads what it keeps
    context = Context(registry=Registry.builtin(), recorder=recorder)
    work = asyncio.ensure_future(controller.run([disruption_budgets.controller(context)], store))
    yield made
    work.cancel()
    await asyncio.wait([work])


async def test_however_many_are_evicted_at_once_enough_stay(space: Space) -> None:
    """8.1: N parallel evictions never exceed the budget, while it is counted anew all the time."""
    names = [f"p{number}" for number in range(6)]
    for name in names:
        await space.run(name)
    await space.allows(2)
    codes: list[int] = []
    for _ in range(3):
        codes += await asyncio.gather(*map(space.evict, sorted(await space.left())))
    assert len(await space.left()) == NEEDED
    assert codes.count(201) == 2
    await space.run("p6")
    await space.allows(1)
    assert await space.evict("p6") == 201
    await space.allows(0)
    assert len(await space.left()) == NEEDED


async def test_who_is_evicted_is_told(space: Space) -> None:
    """8.1: condition DisruptionTarget, reason EvictionByEvictionAPI."""
    for number in range(NEEDED):
        await space.run(f"p{number}")
    await space.run("held", finalizers=["example.com/look"])
    await space.allows(1)
    assert await space.evict("held") == 201
    found = await space.api.good("GET", f"{space.pods}/held")
    told = {one["type"]: one for one in found["status"]["conditions"]}
    assert told["Ready"]["status"] == "True"
    condition = told["DisruptionTarget"]
    assert (condition["status"], condition["reason"]) == ("True", "EvictionByEvictionAPI")
    assert condition["message"] == "Eviction API: evicting"
    assert condition["lastTransitionTime"]
