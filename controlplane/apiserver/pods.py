"""/binding and /eviction of pods.

Source: Kubernetes' documentation, "API-initiated Eviction", "Disruptions"; kube-behaviour 7.2, 8.1.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from controlplane.admission.review import Lister
from controlplane.api import errors, meta, selectors, subresources
from controlplane.api.binding import bound
from controlplane.api.errors import ApiError, Cause
from controlplane.api.registry import Registry
from controlplane.api.resource import Object
from controlplane.apiserver import bodies
from controlplane.apiserver.call import Call, plain
from controlplane.apiserver.incoming import Answer
from controlplane.apiserver.options import DeleteWish, delete_wish, write_options
from controlplane.apiserver.turns import Turns
from controlplane.apiserver.writes import Writes
from controlplane.objects import ObjectStore

_SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_TOLD = "Cannot evict pod as it would violate the pod's disruption budget."
_TOO_MANY = (
    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not "
    "support."
)
_TOO_MANY_DISRUPTED = (
    "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
)
DISRUPTED_MAX = 2000  # evictions of a budget that its controller has not seen yet
_TRIES_MAX = 5  # of an eviction, while its pod changes
_BEHIND_SECONDS = 10  # when to ask again while a budget's controller has not seen it yet


class Pods:
    """Their sub-resources that are actions. fresh: waits until the lister has all writes."""

    def __init__(
        self,
        store: ObjectStore,
        writes: Writes,
        turns: Turns,
        registry: Registry,
        lister: Lister,
        fresh: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._writes = writes
        self._turns = turns
        self._lister = lister
        self._fresh = fresh
        self._registry = registry

    async def bind(self, call: Call) -> Answer:
        """Set the node of a pod, once. Raises ApiError 409 when it has one."""
        options = write_options(call.incoming, "CreateOptions")
        binding = bodies.posted(call, subresources.resource_for(call.resource, "binding"))
        _require_named(call, binding, "Binding")
        target = binding.get("target") or {}
        node = str(target.get("name") or "")
        if not node or target.get("kind", "Node") not in ("", "Node"):
            cause = Cause("FieldValueRequired", "Required value: a node", "target.name")
            raise errors.invalid("Binding", "", call.target.name, [cause])
        await self._writes.updated(
            call,
            options,
            lambda pod: bound(_meant(call, binding, pod), node, call.now),
        )
        return plain(_SUCCESS, code=201)

    async def evict(self, call: Call) -> Answer:
        """Delete a pod if its disruption budgets allow. Raises ApiError 429 and 500."""
        eviction = bodies.posted(call, subresources.resource_for(call.resource, "eviction"))
        _require_named(call, eviction, "Eviction")
        wish = delete_wish(call.incoming, eviction.get("deleteOptions") or {})
        for _ in range(_TRIES_MAX - 1):
            try:
                return await self._evict(call, wish)
            except ApiError as error:
                if error.code != 409 or wish.resource_version:
                    raise
            # It is another pod by now, or one that has begun: its budgets are asked (again).
        return await self._evict(call, wish)

    async def _evict(self, call: Call, wish: DeleteWish) -> Answer:
        """Raises ApiError 409 when the pod changes meanwhile."""
        place = (call.resource, call.target.namespace, call.target.name)
        pod = await self._store.get(*place)
        claimed = () if _needs_no_budget(pod) else await self._budgets(pod)
        if len(claimed) > 1:
            raise ApiError(500, "InternalError", _TOO_MANY)
        for budget in claimed:
            await self._spend(call, budget, pod, is_dry_run=wish.is_dry_run)
        uid = wish.uid or str(pod["metadata"]["uid"])
        version = wish.resource_version
        if not wish.is_dry_run:
            if holds_still(pod, has_budget=bool(claimed)):
                version = version or str(pod["metadata"]["resourceVersion"])
            told = await self._store.update(
                *place,
                lambda current: _disrupted(current, call.now),
                uid=uid,
                resource_version=version,
                known=pod,
            )
            version = told["metadata"]["resourceVersion"]
        options = msgspec.structs.replace(wish.options(), uid=uid, resource_version=version)
        await self._store.delete(*place, options=options)
        return plain(_SUCCESS, code=201)

    async def _budgets(self, pod: Object) -> list[Object]:
        await self._fresh()  # a budget that was made just now must not be missed
        metadata = pod["metadata"]
        labels = metadata.get("labels") or {}
        found = self._lister.list("policy", "poddisruptionbudgets", str(metadata["namespace"]))
        return [
            budget
            for budget in found
            if selectors.from_object(budget["spec"].get("selector")).matches(labels)
        ]

    async def _spend(self, call: Call, budget: Object, pod: Object, *, is_dry_run: bool) -> None:
        """Take one disruption off a budget; a compare of its revision, so never two for one."""
        resource = self._registry.find("policy", "v1", "poddisruptionbudgets")
        assert resource is not None
        namespace, name = (str(budget["metadata"][field]) for field in ("namespace", "name"))

        async def attempt() -> Object:
            return await self._store.update(
                resource,
                namespace,
                name,
                lambda current: _spent(current, pod, call.now),
                dry_run=is_dry_run,
            )

        await self._turns.run([resource.key(namespace, name).encode()], attempt)


def _require_named(call: Call, action: Object, kind: str) -> None:
    if (action.get("metadata") or {}).get("name") != call.target.name:
        raise errors.bad_request(f"name in URL does not match name in {kind} object")


def _meant(call: Call, binding: Object, pod: Object) -> Object:
    """The pod; 409 where a binding is of an earlier one of its name."""
    uid, found = (binding.get("metadata") or {}).get("uid"), pod["metadata"]["uid"]
    if uid and uid != found:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {found}"
        raise errors.conflict("pods/binding", "", call.target.name, why)
    return pod


def _disrupted(pod: Object, now: float) -> Object:
    """A pod that is told why it goes, unless it has ended: it did so for another reason."""
    status = pod.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        return pod
    found = status.get("conditions") or ()
    before: Object = next((one for one in found if one.get("type") == "DisruptionTarget"), {})
    is_same = before.get("status") == "True" and "lastTransitionTime" in before
    said = {
        **before,
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
        "lastTransitionTime": before["lastTransitionTime"] if is_same else meta.rfc3339(now),
    }
    others = [one for one in found if one.get("type") != "DisruptionTarget"]
    return {**pod, "status": {**status, "conditions": [*others, said]}}


def holds_still(pod: Object, *, has_budget: bool) -> bool:
    """Whether a pod may be evicted only as it was read. Pure.

    Its end may cost no budget because it is not ready: when it has become so it does.
    """
    return not has_budget or not _is_ready(pod)


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _needs_no_budget(pod: Object) -> bool:
    """Who has ended, or has not begun, or goes already disrupts nothing."""
    phase = (pod.get("status") or {}).get("phase")
    return phase in ("Succeeded", "Failed", "Pending") or bool(
        pod["metadata"].get("deletionTimestamp")
    )


def _spent(budget: Object, pod: Object, now: float) -> Object:
    status = budget.get("status") or {}
    name = str(pod["metadata"]["name"])
    if _is_free(budget, pod, status):
        return budget  # it was not counted as healthy: its end costs nothing
    generation = budget["metadata"].get("generation", 0)
    whom = f"The disruption budget {budget['metadata']['name']}"
    if int(status.get("observedGeneration", 0)) < int(generation):
        behind = f"{whom} is still being processed by the server."
        raise _violated(behind, retry_after_seconds=_BEHIND_SECONDS)
    disrupted = status.get("disruptedPods") or {}
    if name in disrupted:
        return budget
    if len(disrupted) > DISRUPTED_MAX:
        plural, group = "poddisruptionbudgets", "policy"
        raise errors.forbidden(plural, group, str(budget["metadata"]["name"]), _TOO_MANY_DISRUPTED)
    allowed = int(status.get("disruptionsAllowed", 0))
    if allowed < 1:
        needed, healthy = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
        raise _violated(f"{whom} needs {needed} healthy pods and has {healthy} currently")
    spent = {
        **status,
        "disruptionsAllowed": allowed - 1,
        "disruptedPods": {**disrupted, name: meta.rfc3339(now)},
    }
    return {**budget, "status": spent}


def _is_free(budget: Object, pod: Object, status: Mapping[str, Any]) -> bool:
    """An unhealthy pod may go under AlwaysAllow, else while enough others are healthy."""
    if _is_ready(pod):
        return False
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    healthy, desired = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
    return int(healthy) >= int(desired) > 0


def _violated(message: str, *, retry_after_seconds: int = 0) -> ApiError:
    """Without a time to wait no client tries again by itself, which would keep it for minutes."""
    error = errors.too_many_requests(_TOLD, retry_after_seconds=retry_after_seconds)
    error.causes = (Cause("DisruptionBudget", message),)
    return error
