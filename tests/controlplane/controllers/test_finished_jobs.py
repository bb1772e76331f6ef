"""Jobs that have ended go after a while. Numbers are rows of kube-behaviour.md."""

from functools import partial
from typing import Any

import orjson
import pytest

from controlplane.api import stored
from controlplane.api.meta import rfc3339
from controlplane.api.record import from_object
from controlplane.api.registry import Registry
from controlplane.api.resource import Object
from controlplane.api.types.batch_v1 import Job
from controlplane.controller import Lister
from controlplane.controllers import finished_jobs
from controlplane.controllers.context import Context
from controlplane.controllers.finished_jobs import due_at
from controlplane.events import EventRecorder
from controlplane.indexer import Key
from controlplane.informer import Informer
from controlplane.objects import ObjectStore
from kvstore.client import Client
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.job_objects import job_object
from tests.controlplane.controllers.objects import NOW


def ended(kind: str, time: float = NOW, **spec: Any) -> dict[str, Any]:
    told = {"type": kind, "status": "True", "lastTransitionTime": rfc3339(time)}
    return job_object({"conditions": [told]}, **spec)


@pytest.mark.parametrize(
    ("kind", "ttl", "due"),
    [
        ("Complete", 0, NOW),
        ("Failed", 90, NOW + 90),
        ("Complete", None, None),
        ("SuccessCriteriaMet", 5, None),
    ],
)
def test_a_job_goes_so_long_after_its_end(kind: str, ttl: int | None, due: float | None) -> None:
    """4.13: ttlSecondsAfterFinished."""
    found = from_object(Job, ended(kind, ttlSecondsAfterFinished=ttl))
    assert due_at(found) == due


async def test_it_goes_when_its_time_has_come(cluster: Cluster, namespace: str) -> None:
    """4.13: 0 is at once; what it owns goes first."""
    now = cluster.store.clock()
    for name, time, ttl in (("over", now - 60, 59), ("later", now, 3600), ("soon", now, 1)):
        body = ended("Complete", time, name=name, namespace=namespace, ttlSecondsAfterFinished=ttl)
        await cluster.create("jobs", {**body, "metadata": {**body["metadata"], "uid": name}})

    async def deleted() -> set[str]:
        found = (await cluster.store.list(cluster.resource("jobs"), namespace)).items
        doomed = [one["metadata"] for one in found if one["metadata"].get("deletionTimestamp")]
        assert all(one["finalizers"] == ["foregroundDeletion"] for one in doomed)
        return {one["name"] for one in doomed}

    async with cluster.running(finished_jobs.controller):

        async def are_gone() -> bool:
            return await deleted() == {"over", "soon"}

        await until(are_gone)


@pytest.mark.parametrize(("ttl", "longest"), [(90, 90), (0, 1)])
async def test_a_clock_that_is_set_back_keeps_nobody_for_as_long(
    client: Client, registry: Registry, ttl: int, longest: float
) -> None:
    """4.13: it may be put right before."""
    store = ObjectStore(client, clock=lambda: NOW - 3600)
    made = finished_jobs.controller(
        Context(registry=registry, recorder=EventRecorder(store, "test"))
    )
    body, jobs = ended("Complete", ttlSecondsAfterFinished=ttl), made.resource
    informer: Informer[Object] = Informer(partial(stored.loads, jobs))
    informer.replace({Key("shop", "sum"): orjson.dumps(body)}, 1)
    lister = Lister({jobs.key_prefix: informer})
    assert await made.reconcile(Key("shop", "sum"), lister, store) == longest
