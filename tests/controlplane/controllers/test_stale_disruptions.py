"""Pods that were told to go and stayed. Numbers are rows of kube-behaviour.md."""

from functools import partial
from typing import Any

import orjson
import pytest

from controlplane.api import stored
from controlplane.api.meta import rfc3339
from controlplane.api.record import from_object
from controlplane.api.registry import Registry
from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Pod
from controlplane.controller import Lister
from controlplane.controllers import stale_disruptions
from controlplane.controllers.context import Context
from controlplane.controllers.stale_disruptions import STALE_SECONDS, stale_at
from controlplane.events import EventRecorder
from controlplane.indexer import Key
from controlplane.informer import Informer
from controlplane.objects import ObjectStore
from controlplane.testing import EPOCH, World, run
from kvstore.client import Client
from kvstore.testing import properties as kv
from tests.controlplane.controllers.objects import NOW
from tests.controlplane.controllers.simulated import context_of, resource

PODS = resource("", "pods")


def marked(
    time: float = NOW, *, status: str = "True", phase: str = "Running", **said: Any
) -> Object:
    condition = {
        "type": "DisruptionTarget",
        "status": status,
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
        "lastTransitionTime": rfc3339(time),
        **said,
    }
    ready = {"type": "Ready", "status": "True", "reason": "", "message": ""}
    return {
        "metadata": {"name": "p", "namespace": "shop"},
        "spec": {"containers": [{"name": "c", "image": "app:1"}]},
        "status": {"phase": phase, "conditions": [ready, condition]},
    }


@pytest.mark.parametrize(
    ("found", "at"),
    [
        (marked(), NOW + STALE_SECONDS),
        (marked(status="False"), None),
        (marked(phase="Failed"), None),
        (marked(reason="TerminationByKubelet"), None),
        ({**marked(), "metadata": {"name": "p", "deletionTimestamp": rfc3339(NOW)}}, None),
        ({"metadata": {"name": "p"}}, None),
    ],
)
def test_when_a_mark_is_stale(found: Object, at: float | None) -> None:
    """8.1."""
    assert stale_at(from_object(Pod, found)) == at


def test_who_was_not_evicted_is_no_longer_told_to_go() -> None:
    """8.1: two minutes after the mark, and nothing else of the pod changes."""

    async def application(world: World) -> None:
        async with world.connect() as store:
            made = await store.create(PODS, marked(EPOCH))
            async with world.running(stale_disruptions.controller(context_of(store))):
                await world.clock.sleep(STALE_SECONDS / 2)
                assert await store.get(PODS, "shop", "p") == made
                await world.clock.sleep(STALE_SECONDS)
                found = await store.get(PODS, "shop", "p")
        ready, said = found["status"]["conditions"]
        assert ready == made["status"]["conditions"][0]
        assert said.pop("lastTransitionTime") > rfc3339(EPOCH + STALE_SECONDS - 1)
        assert said == {"type": "DisruptionTarget", "status": "False"}

    run(application, topology=kv.Topology(members=1), seconds_max=1_000)


async def test_a_clock_that_is_set_back_keeps_no_mark_for_as_long(
    client: Client, registry: Registry
) -> None:
    """8.1: it may be put right before."""
    store = ObjectStore(client, clock=lambda: NOW - 3600)
    made = stale_disruptions.controller(
        Context(registry=registry, recorder=EventRecorder(store, "test"))
    )
    informer: Informer[Object] = Informer(partial(stored.loads, PODS))
    informer.replace({Key("shop", "p"): orjson.dumps(marked())}, 1)
    lister = Lister({PODS.key_prefix: informer})
    assert await made.reconcile(Key("shop", "p"), lister, store) == STALE_SECONDS
