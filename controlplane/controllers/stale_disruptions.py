"""Pods that were told that they are disrupted, and were not: after a while they are told so.

Who evicts a pod marks it first and deletes it then, and may end in between. A pod that kept the
mark would have each later failure taken for a disruption, which a podFailurePolicy may ignore.

Source: Kubernetes' documentation, "Disruptions" ("Pod disruption conditions"); kube-behaviour 8.1.
"""

from controlplane.api import pods
from controlplane.api.meta import rfc3339, seconds_of
from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Pod
from controlplane.controller import Controller, Lister
from controlplane.controllers.context import Context
from controlplane.indexer import Key
from controlplane.objects import ObjectStore

STALE_SECONDS = 120.0  # as for a budget: who is evicted and still there by then was not, after all
BY_AGENT = "TerminationByKubelet"
"""The reason of a mark that is never stale: who set it ends the pod himself, in its own time."""


def controller(context: Context) -> Controller:
    """Of pods."""
    resource = context.resource("", "pods")

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> float | None:
        found = lister.get(resource, key)
        # Before it is made a struct: of all that change hardly any has a mark.
        if found is None or not _is_marked(found):
            return None
        pod = lister.record(Pod, resource, key)
        due = stale_at(pod) if pod is not None else None
        if due is None:
            return None
        now = store.clock()
        if now < due:
            return min(due - now, STALE_SECONDS)  # a clock that was set back may be put right
        # Whoever has changed it since may be about to delete it: the next look will tell.
        await store.update(
            resource,
            *key,
            lambda live: undisrupted(live, now),
            uid=found["metadata"]["uid"],
            resource_version=found["metadata"]["resourceVersion"],
            known=found,
        )
        return None

    return Controller("stale disruption", resource, reconcile)


def stale_at(pod: Pod) -> float | None:
    """When a pod's mark is stale, in seconds since 1970; None: it has none, or goes. Pure."""
    found = pods.condition(pod, pods.DISRUPTION_TARGET)
    if found is None or found.status != "True" or found.reason == BY_AGENT:
        return None
    if pods.is_deleted(pod) or pods.is_finished(pod):
        return None
    return (seconds_of(found.last_transition_time) or 0.0) + STALE_SECONDS


def undisrupted(pod: Object, now: float) -> Object:
    """A pod that was not disrupted, after all. Pure. `now`: seconds since 1970."""
    said = {"type": pods.DISRUPTION_TARGET, "status": "False", "lastTransitionTime": rfc3339(now)}
    status = pod.get("status") or {}
    found = status.get("conditions") or ()
    conditions = [said if one.get("type") == said["type"] else one for one in found]
    return {**pod, "status": {**status, "conditions": conditions}}


def _is_marked(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == pods.DISRUPTION_TARGET for one in conditions)
